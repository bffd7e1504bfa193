"""The demo, as a visitor types it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import orjson

from tests.broker.deployment import ROOT, clean_environment, command
from tests.kafka import RealKafka
from tests.patience import PATIENCE_S

ROWS = 6_000
"""All of them before the change: nothing may be alerted."""


def test_the_demo_joins_every_pair_and_raises_nothing_without_a_change(tmp_path: Path) -> None:
    summary = tmp_path / "summary.json"

    run = command("demo", "--rows", str(ROWS), "--summary", str(summary))

    assert run.returncode == 0, run.stdout + run.stderr
    assert_quiet(summary)


def test_the_demo_tells_what_the_readme_shows() -> None:
    """However busy the machine is, the log has the rows in their order, and so the same alerts."""
    run = command("demo")

    told = [line for line in run.stdout.splitlines() if line.startswith("│")]
    readme = (ROOT / "README.md").read_text().splitlines()
    assert run.returncode == 0, run.stdout + run.stderr
    assert len(told) == 9
    assert [line for line in told if line not in readme] == []


def test_the_demo_runs_on_real_kafka_and_refuses_to_run_there_again(
    kafka: RealKafka, prefix: str, tmp_path: Path
) -> None:
    summary = tmp_path / "summary.json"
    env = {
        "TIDEGAUGE_PREDICTIONS": f"{prefix}predictions",
        "TIDEGAUGE_OUTCOMES": f"{prefix}outcomes",
    }
    told = ("--broker", kafka.bootstrap, "--prefix", prefix, "--rows", str(ROWS))

    run = command("demo", *told, "--summary", str(summary), env=env)
    again = command("demo", *told, env=env)

    assert run.returncode == 0, run.stdout + run.stderr
    assert_quiet(summary)
    assert again.returncode != 0
    assert "another --prefix" in " ".join((again.stdout + again.stderr).split())


def test_a_worker_that_dies_ends_the_demo_with_a_sentence_and_a_remedy() -> None:
    with subprocess.Popen(
        [str(ROOT / "tidegauge"), "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_environment() | {"PYTHONUNBUFFERED": "1"},
        text=True,
    ) as process:
        assert process.stdout is not None
        started = (re.match(r"Started a worker, process (\d+)", line) for line in process.stdout)
        worker = next(match for match in started if match)
        os.kill(int(worker[1]), signal.SIGKILL)

        _, complaints = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 1
    assert complaints.startswith("Error: The worker ended with exit code -9")
    assert "Run the demo again" in complaints
    assert "{" not in complaints
    assert "Traceback" not in complaints


def assert_quiet(summary: Path) -> None:
    figures = orjson.loads(summary.read_bytes())
    assert figures["predictions"] == figures["outcomes"] == figures["pairs"] == ROWS
    assert figures["dead_letters"] == 0
    assert figures["feedback"] == 0
    assert figures["alerts"] == []
