"""The alerts of the story of agents/demo/story.py, a line for each transition.

`told` plays the story through the core alone. tests/broker/test_story.py holds a real worker to the
same lines.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from agents.demo.story import START_MS, published, tick_of_outage
from streams.ingest.batches import pack
from streams.ingest.records import Accepted
from tests.doubles.core import play
from tests.doubles.inputs import OUTCOMES, PREDICTIONS, accepted

CHAPTERS = tuple(START_MS + hours * 3_600_000 for hours in (27, 43, 59, 77))
"""Instants between the parts: short changes, lasting changes, their ends, the outage."""

PATH = Path(__file__).with_name("story.txt")
STORY = PATH.read_text("utf-8").splitlines() if PATH.exists() else []


def told() -> list[str]:
    """Play the story; return a line for each transition."""
    before: list[Accepted] = []
    after: list[Accepted] = []
    for event in _taken_in():
        (after if event.logged_at >= CHAPTERS[-1] else before).append(event)
    log = _records(before)
    log = [*log, tick_of_outage(log[-1]), *_records(after)]
    return [line_of(alert) for alert in play(log).of("alerts")]


def _records(events: list[Accepted]) -> list[bytes]:
    """Write a chapter to a log, all of it at its end."""
    packed = pack(events, partitions=1, appended_at=events[-1].logged_at)
    return [value for _, _, value, _ in packed]


def _taken_in() -> list[Accepted]:
    """Accept what the services publish, in the order of time."""
    sources = {"prediction": PREDICTIONS, "outcome": OUTCOMES}
    offsets: Counter[str] = Counter()
    events = []
    for each in published():
        source, offset = sources[each.kind], offsets[each.kind]
        events.append(accepted(each.payload, offset, source=source, logged_at=each.at_ms))
        offsets[each.kind] += 1
    return events


def line_of(alert: dict[str, Any]) -> str:
    """Return a transition in one line: all of it but its detector and its place in the log."""
    names = ("model_id", "series", "aspect", "kind", "status", "severity", "episode", "sequence")
    return " ".join(str(alert[name]) for name in (*names, "detected_at", "summary"))
