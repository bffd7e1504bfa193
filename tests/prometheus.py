"""Prometheus itself, as Debian packages it: what the figures, the rules and the board must suit."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson
import pytest
import yaml

from agents.demo.child import log_tail, start_child, stop_child
from agents.demo.embedded_broker import accepts_connections, free_port
from tests.patience import PATIENCE_S

PACKAGE = "prometheus"
FOLDER = Path(__file__).resolve().parents[1] / "deploy" / "prometheus"
SCRAPE_S = 0.3


def require_prometheus() -> None:
    """Skip where Prometheus is not installed, or fail where it must be."""
    if shutil.which("prometheus") and shutil.which("promtool"):
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"this run must not skip Prometheus (CI): apt-get install {PACKAGE}")
    pytest.skip(f"Prometheus is not installed: apt-get install {PACKAGE}")


class RealPrometheus:
    """One Prometheus on 127.0.0.1, with the project's jobs and rules.

    Parameters
    ----------
    targets
        Addresses by job, in place of the names that the compose file has.
    """

    def __init__(self, targets: Mapping[str, Sequence[str]]) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self._targets = targets
        self._folder = tempfile.TemporaryDirectory(prefix="tidegauge-prometheus-")
        self._process: subprocess.Popen[bytes] | None = None

    def _configuration(self) -> str:
        found: dict[str, Any] = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
        every = f"{SCRAPE_S * 1_000:.0f}ms"
        found["global"] = dict.fromkeys(
            ("scrape_interval", "scrape_timeout", "evaluation_interval"), every
        )
        found["rule_files"] = [str(FOLDER / "rules.yml")]
        del found["alerting"]
        found["scrape_configs"] = [
            {
                "job_name": job["job_name"],
                "static_configs": [{"targets": list(self._targets[job["job_name"]])}],
            }
            for job in found["scrape_configs"]
        ]
        return yaml.safe_dump(found)

    def __enter__(self) -> Self:
        home = Path(self._folder.name)
        (home / "prometheus.yml").write_text(self._configuration())
        log_path, address = home / "prometheus.log", self.url.removeprefix("http://")
        self._process = start_child(
            [
                "prometheus",
                f"--config.file={home / 'prometheus.yml'}",
                f"--storage.tsdb.path={home / 'data'}",
                f"--web.listen-address={address}",
            ],
            log_path=log_path,
        )
        deadline_s = time.monotonic() + PATIENCE_S
        while not accepts_connections(address):
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError(f"Prometheus did not start:\n{log_tail(log_path)}")
            time.sleep(0.05)
        return self

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series that an expression selects now."""
        query = urllib.parse.urlencode({"query": expression})
        where = f"{self.url}/api/v1/query?{query}"
        with urllib.request.urlopen(where, timeout=PATIENCE_S) as answer:  # noqa: S310
            found: list[dict[str, Any]] = orjson.loads(answer.read())["data"]["result"]
        return found

    def value(self, expression: str) -> float:
        """Return the value of an expression with one series; NaN without any."""
        found = self.query(expression)
        return float(found[0]["value"][1]) if found else float("nan")

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process is not None:
            stop_child(self._process, grace_s=5.0)
        self._folder.cleanup()
