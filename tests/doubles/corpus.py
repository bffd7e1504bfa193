"""Bad inputs, recorded: what services really send, and what attackers try."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from schemas.dead_letter import Reason
from schemas.event import EventKind

MARK = "S3CR3T"
"""Stands in the offending values of the corpus: nothing for people may ever repeat it."""

_FILE = Path(__file__).parents[1] / "golden" / "bad_inputs.jsonl"


@dataclass(frozen=True, slots=True)
class BadInput:
    """One refused payload, and why it is refused."""

    says: str
    kind: EventKind
    reason: Reason
    field: str | None
    value: bytes


@dataclass(frozen=True, slots=True)
class Tolerated:
    """A payload that is taken without the part that is not legal.

    ``left_out`` is the field that lacks it; None where nothing does.
    """

    says: str
    kind: EventKind
    left_out: str | None
    value: bytes


def bad_inputs() -> list[BadInput]:
    """Read the inputs that are refused."""
    return [
        BadInput(entry["says"], entry["kind"], entry["reason"], entry["field"], _value(entry))
        for entry in _entries()
        if "reason" in entry
    ]


def tolerated_inputs() -> list[Tolerated]:
    """Read the inputs that are taken although something in them is not legal."""
    return [
        Tolerated(entry["says"], entry["kind"], entry["left_out"], _value(entry))
        for entry in _entries()
        if "left_out" in entry
    ]


def _entries() -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in _FILE.read_bytes().splitlines()]


def _value(entry: dict[str, Any]) -> bytes:
    given: str = entry.get("hex") or entry["text"]
    return bytes.fromhex(given) if "hex" in entry else given.encode()
