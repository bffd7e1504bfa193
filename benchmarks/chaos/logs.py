"""What the workers said beyond the usual: our own sentences, not those of the Kafka client."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import orjson

_NUMBERS = re.compile(r"\d[\d,.]*")
_LEVELS = {"warning", "error", "critical"}
_OURS = "agents."
_USUAL = ("Alert: ", "Feedback: ", "Refused ")
_UNUSABLE = "cannot be used"
_SHOWN = 160


@dataclass(slots=True)
class LogSummary:
    """Sentences by how often they were said, numbers left out."""

    said: Counter[tuple[str, str]] = field(default_factory=Counter)
    unusable_states: int = 0


def summarise(paths: Iterable[Path]) -> LogSummary:
    """Read the workers' logs."""
    summary = LogSummary()
    for path in paths:
        if path.exists():
            with path.open("rb") as log:
                for line in log:
                    _take(summary, line)
    return summary


def _take(summary: LogSummary, line: bytes) -> None:
    try:
        entry = orjson.loads(line)
        logger, level, message = entry["logger"], entry["level"], entry["message"]
    except (ValueError, TypeError, KeyError):
        return  # a line cut short by a kill
    is_ours = logger.startswith(_OURS) and level in _LEVELS
    if not is_ours or message.startswith(_USUAL):
        return
    summary.unusable_states += _UNUSABLE in message
    summary.said[level, _NUMBERS.sub("#", message.splitlines()[0])[:_SHOWN]] += 1
