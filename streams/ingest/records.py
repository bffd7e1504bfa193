"""Source records, and the events accepted from them."""

from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple, Protocol

from schemas.dead_letter import DeadLetter
from schemas.event import Source


class Raw(NamedTuple):
    """A record as it lies in an input topic.

    ``logged_at`` is what the log will give it, in epoch milliseconds; None is the event's own.
    """

    source: Source
    offset: int
    logged_at: int | None
    value: bytes | None
    key: bytes | None = None


class Record(Protocol):
    """A record as Kafka gives it."""

    offset: int
    timestamp: int
    key: Any
    value: Any


class Accepted(NamedTuple):
    """A valid event: where it was, when, whose, its own instant, and its one form."""

    source: Source
    offset: int
    logged_at: int
    model_id: str
    at_ms: int
    payload: bytes


_new_accepted = partial(tuple.__new__, Accepted)
"""Makes one of a tuple, in half the time of the class itself."""
_payload_of = itemgetter(Accepted._fields.index("payload"))


@dataclass(frozen=True, slots=True)
class Refused:
    """An input that is not an event, and the dead letter that says so.

    ``event`` is what its model is told, where it names one.
    """

    source: Source
    offset: int
    logged_at: int
    letter: DeadLetter
    event: Accepted | None = None

    @property
    def at_ms(self) -> int:
        """The event's own instant is not known: the log's stands for it."""
        return self.logged_at

    @property
    def payload(self) -> bytes:
        """What is held of the input."""
        return self.letter.value.encode()
