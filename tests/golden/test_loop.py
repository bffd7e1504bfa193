"""The story of the loop is golden, and the same wherever a worker ends."""

from __future__ import annotations

from agents.demo.loop import played, told
from schemas.topics import Topics
from streams.emission import Emission
from streams.monitor import Monitor
from tests.doubles.core import Store, restarted
from tests.golden import loop
from tests.regenerate import COMMAND

ENDS = (60, 81, 120, 170, 258, 262, 270)
"""Records after which a worker ends: in each chapter, and while commands are open."""


def test_the_story_is_told_as_it_is_kept() -> None:
    assert loop.lines() == loop.PATH.read_text("utf-8").splitlines(), COMMAND


def test_a_worker_that_ends_in_each_chapter_says_the_same() -> None:
    parts = list(played())
    said = [emission for _, emissions in parts for emission in emissions]
    monitor, stored, again = Monitor(0, Topics(partitions=1)), Store(), list[Emission]()
    for offset, (record, _) in enumerate(parts):
        again += monitor.apply(offset, record)
        if offset in ENDS:
            monitor = restarted(monitor, stored)

    assert list(told(iter(again))) == list(told(iter(said)))
    assert [each for each in again if each.role == "commands"] == [
        each for each in said if each.role == "commands"
    ]
