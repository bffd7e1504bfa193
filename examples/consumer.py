"""A consumer of commands: the rules of docs/wire.md. Its notes must outlive a crash."""

from collections.abc import Callable, MutableMapping
from datetime import datetime
from typing import Any, NamedTuple


class Note(NamedTuple):
    """What is known of a key: the highest sequence, its end in epoch seconds, whether it holds."""

    sequence: int
    ends_s: float
    holds: bool


class Consumer:
    """Begins a command at most once, never after its end, and undoes it by itself."""

    def __init__(
        self,
        notes: MutableMapping[str, Note],
        begin: Callable[[dict[str, Any]], None],
        undo: Callable[[str], None],
    ) -> None:
        self._notes, self._begin, self._undo = notes, begin, undo

    def take(self, key: str, command: dict[str, Any] | None, now_s: float) -> None:
        """Take a record of `commands`; None says that no command of the key is open."""
        self.pass_time(now_s)
        known = self._notes.get(key, Note(0, 0.0, holds=False))
        if command is None or command["sequence"] <= known.sequence:
            if command is None:
                self._end(key, known)
            return
        ends_s = datetime.fromisoformat(command["expires_at"]).timestamp()
        self._notes[key] = Note(command["sequence"], ends_s, holds=now_s < ends_s)
        if now_s < ends_s and not (known.holds and command["supersedes"]):
            self._begin(command)

    def pass_time(self, now_s: float) -> None:
        """Undo what has come to its end: call it every second, and at the start."""
        for key, note in list(self._notes.items()):
            if note.holds and now_s >= note.ends_s:
                self._end(key, note)

    def _end(self, key: str, note: Note) -> None:
        self._notes[key] = note._replace(holds=False)
        if note.holds:
            self._undo(key)
