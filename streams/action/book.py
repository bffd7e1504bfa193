"""The open commands of one model, and the numbers of their records.

Rule 1. A key is a model and a command: at most one command of a key is open.
Rule 2. The records of a key are numbered on from 1 for ever, also after a removal of the model: a
        higher number replaces all lower ones, and the same log gives the same numbers.
Rule 3. What is kept of an open command is its record in ``commands``, to the byte: it is published
        again as it was.
"""

from typing import NamedTuple

from schemas.command import Command
from schemas.feedback import Feedback
from streams.codec import Machine


class Numbered(NamedTuple):
    """The name of a record of ``feedback``, as its fields have it."""

    feedback_id: str
    key: str
    sequence: int
    supersedes: str | None


class OpenCommand(Machine):
    """An open command: its id, its record in ``commands``, and the log time of that."""

    feedback_id: str
    record: bytes
    at_ms: int


class CommandBook(Machine):
    """The commands of one model, by key."""

    _sequences: dict[str, int] = {}
    _open: dict[str, OpenCommand] = {}
    _closed: dict[str, None] = {}

    def next(self, model_id: str, command: str) -> Numbered:
        """Return the name of the next record of a command; a result has the key of its command."""
        key = key_of(model_id, command)
        number = self._sequences[key] = self._sequences.get(key, 0) + 1
        open_now = self._open.get(key)
        supersedes = None if open_now is None else open_now.feedback_id
        return Numbered(f"{key}/{number}", key, number, supersedes)

    def put(self, feedback: Feedback, at_ms: int) -> bytes:
        """Take note that a command is open; return its record in ``commands``."""
        command = Command(command_id=feedback.feedback_id, feedback=feedback)
        record = command.model_dump_json().encode()
        self._closed.pop(feedback.key, None)
        self._open[feedback.key] = OpenCommand(feedback.feedback_id, record, at_ms)
        return record

    def close(self, key: str) -> bool:
        """Take note that a command is over; tell whether it was open."""
        if self._open.pop(key, None) is None:
            return False
        self._closed[key] = None
        return True

    def records(self) -> list[tuple[str, bytes, int]]:
        """Return the key, record and log time of every command there has been; empty: not open."""
        closed = [(key, b"", 0) for key in sorted(self._closed)]
        return [*closed, *((key, each.record, each.at_ms) for key, each in self._open.items())]


def key_of(model_id: str, command: str) -> str:
    """Return the key of a command.

    Examples
    --------
    >>> key_of("loan", "retrain")
    'loan|retrain'
    """
    return f"{model_id}|{command}"
