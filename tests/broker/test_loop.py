"""The day of agents/demo/loop.py on Kafka: live actors, and a worker killed in each part of it.

It takes a minute: the day has 144 windows, and each waits for the answers to the one before.
"""

from __future__ import annotations

import re

from tests.broker.deployment import command
from tests.golden import loop
from tests.kafka import RealKafka

DAY = re.compile(r"\b(?:\d{4}-)?\d\d-\d\d(?= \d\d:\d\d)")
KILLS = 4


def told(lines: list[str]) -> list[str]:
    """Return the lines of the day, without its date."""
    return [DAY.sub("DATE", line) for line in lines if line and "worker, process" not in line]


def test_the_day_is_told_as_it_is_kept_though_a_worker_is_killed_in_each_chapter(
    kafka: RealKafka, prefix: str
) -> None:
    given = ("--broker", kafka.bootstrap, "--prefix", prefix)

    run = command("demo", "--loop", "--kill", *given)

    assert run.returncode == 0, run.stdout + run.stderr
    lines = run.stdout.splitlines()
    assert told(lines) == told(loop.lines())
    assert sum(line.startswith("Killed the worker") for line in lines) == KILLS
    env = {"TIDEGAUGE_PARTITIONS": "1", "TIDEGAUGE_MODELS": f"{prefix}models"}
    env |= {f"TIDEGAUGE_{each.upper()}": f"{prefix}{each}" for each in ("predictions", "outcomes")}
    verdict = command("verify", *given, env=env)
    assert verdict.returncode == 0, verdict.stdout
