"""Alertmanager itself, as Debian packages it: what the notifications must make sense to."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from agents.demo.child import log_tail, start_child, stop_child
from agents.demo.embedded_broker import accepts_connections, free_port
from tests.patience import PATIENCE_S

PACKAGE = "prometheus-alertmanager"
_NAMES = (PACKAGE, "alertmanager")
_HOST = "127.0.0.1"
_CONFIGURATION = """
route:
  receiver: people
  group_by: [fingerprint]
  group_wait: 100ms
  group_interval: 200ms
receivers:
  - name: people
    webhook_configs:
      - url: {url}
"""


def binary() -> str | None:
    """Return the path of Alertmanager's program, where there is one."""
    return next((path for path in map(shutil.which, _NAMES) if path is not None), None)


class RealAlertmanager:
    """One Alertmanager without a cluster, on 127.0.0.1.

    Parameters
    ----------
    people_url
        The webhook that it tells what fires and what is over.
    """

    def __init__(self, people_url: str) -> None:
        self.port = free_port()
        self._people_url = people_url
        self._folder = tempfile.TemporaryDirectory(prefix="tidegauge-alertmanager-")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{_HOST}:{self.port}"

    def start(self) -> Self:
        """Start it and return once it listens."""
        home = Path(self._folder.name)
        (home / "alertmanager.yml").write_text(_CONFIGURATION.format(url=self._people_url))
        program = binary()
        if program is None:
            msg = f"there is no {PACKAGE} on the PATH"
            raise FileNotFoundError(msg)
        log_path = home / "alertmanager.log"
        self._process = start_child(
            [
                program,
                f"--config.file={home / 'alertmanager.yml'}",
                f"--storage.path={home / 'data'}",
                f"--web.listen-address={_HOST}:{self.port}",
                "--cluster.listen-address=",
            ],
            log_path=log_path,
        )
        deadline_s = time.monotonic() + PATIENCE_S
        while not accepts_connections(f"{_HOST}:{self.port}"):
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError(f"Alertmanager did not start:\n{log_tail(log_path)}")
            time.sleep(0.05)
        return self

    def kill(self) -> None:
        """End it at once: what it was told is forgotten."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def active(self) -> list[dict[str, Any]]:
        """Return the alerts that it shows."""
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts", timeout=PATIENCE_S) as answer:  # noqa: S310
            alerts: list[dict[str, Any]] = orjson.loads(answer.read())
        return alerts

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process is not None:
            stop_child(self._process, grace_s=5.0)
        self._folder.cleanup()
