"""The day of the loop is golden, and the same wherever a worker ends."""

from __future__ import annotations

from agents.demo.loop import CHAPTERS, Heard, played
from schemas.topics import Topics
from streams.monitor import Monitor
from tests.doubles.core import Store, restarted
from tests.golden import loop
from tests.regenerate import COMMAND, ROOT

ENDS = (17, 59, 86, 121, 128, 131)
"""Windows after which a worker ends: in each chapter, and while commands are open."""


def test_the_day_is_told_as_it_is_kept() -> None:
    lines = loop.lines()

    assert lines == loop.PATH.read_text("utf-8").splitlines(), COMMAND
    assert [line for line in lines if line in CHAPTERS.values()] == list(CHAPTERS.values())


def test_the_readme_shows_lines_of_the_day() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    shown = [line for line in readme.splitlines() if line.startswith("03-02 ")]
    told = loop.PATH.read_text("utf-8")

    assert len(shown) > 15
    assert [line for line in shown if line.removesuffix(" ..") not in told] == []


def test_a_worker_that_ends_in_each_chapter_says_the_same() -> None:
    monitor, stored, offset = Monitor(0, Topics(partitions=1)), Store(), 0
    for window, (records, heard, _) in enumerate(played()):
        again = list[Heard]()
        for record in records:
            emissions = monitor.apply(offset, record)
            again += [Heard(e.role, e.key or "", e.value) for e in emissions]
            offset += 1
        assert again == heard
        if window in ENDS:
            monitor = restarted(monitor, stored)
