"""Bad inputs, recorded: what services really send, and what attackers try."""

from dataclasses import dataclass
from pathlib import Path

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


def bad_inputs() -> list[BadInput]:
    """Read the corpus."""
    return [_read(line) for line in _FILE.read_bytes().splitlines()]


def _read(line: bytes) -> BadInput:
    entry = orjson.loads(line)
    value = bytes.fromhex(entry["hex"]) if "hex" in entry else entry["text"].encode()
    return BadInput(entry["says"], entry["kind"], entry["reason"], entry["field"], value)
