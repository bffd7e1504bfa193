from __future__ import annotations

import subprocess
import sys

import pytest
from faust.types import TP

from agents.errors import StalledError
from agents.worker.watchdog import Watchdog
from tests.patience import PATIENCE_S, promptly

HERE = TP("events", 0)
THERE = TP("events", 1)


def test_a_partition_that_stands_still_while_its_log_is_ahead_is_reported() -> None:
    watchdog = Watchdog(10.0)
    watchdog.check(0.0, {HERE: 5}, {HERE: 9})
    watchdog.check(9.9, {HERE: 5}, {HERE: 9})

    with pytest.raises(StalledError, match="events-0 has stood at offset 5 for 10 s"):
        watchdog.check(10.0, {HERE: 5}, {HERE: 12})


def test_a_partition_that_moves_however_slowly_is_left_alone() -> None:
    watchdog = Watchdog(10.0)

    for step in range(20):
        watchdog.check(9.0 * step, {HERE: step}, {HERE: 1_000})


def test_a_partition_at_the_end_of_its_log_may_stand_for_ever() -> None:
    watchdog = Watchdog(10.0)

    for step in range(20):
        watchdog.check(100.0 * step, {HERE: 9}, {HERE: 9})


def test_the_time_counts_from_when_the_log_went_ahead() -> None:
    watchdog = Watchdog(10.0)
    watchdog.check(0.0, {HERE: 9}, {HERE: 9})
    watchdog.check(100.0, {HERE: 9}, {HERE: 10})

    watchdog.check(109.0, {HERE: 9}, {HERE: 10})


def test_an_end_that_could_not_be_asked_raises_no_alarm() -> None:
    watchdog = Watchdog(10.0)
    watchdog.check(0.0, {HERE: 5}, {HERE: 9})

    watchdog.check(100.0, {HERE: 5}, {})


def test_a_partition_that_went_and_came_back_starts_afresh() -> None:
    watchdog = Watchdog(10.0)
    watchdog.check(0.0, {HERE: 5, THERE: 1}, {HERE: 9, THERE: 1})
    watchdog.check(5.0, {THERE: 1}, {THERE: 1})

    watchdog.check(12.0, {HERE: 5, THERE: 1}, {HERE: 9, THERE: 1})


def test_a_library_that_never_returns_and_lets_nobody_else_run_does_not_keep_the_process() -> None:
    program = """
import ctypes
from agents.worker.watchdog import expect_sign_of_life
expect_sign_of_life(0.5)
ctypes.PyDLL(None).sleep(600)  # PyDLL keeps the interpreter's lock
"""

    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )

    assert ended.returncode == 1
    assert "Timeout" in ended.stderr
    assert 'File "<string>", line 5' in ended.stderr


def test_who_shows_life_in_time_is_left_alone() -> None:
    program = f"""
import time
from agents.worker.watchdog import expect_sign_of_life
for _ in range(8):
    expect_sign_of_life({promptly(2.0)})
    time.sleep(0.5)
"""

    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, "")
