"""Source records, and the events accepted from them."""

from dataclasses import dataclass
from typing import Any, Protocol

from msgspec import Struct

from schemas.dead_letter import DeadLetter
from schemas.event import Source


class Raw(Struct, frozen=True, gc=False):
    """A record of an input topic.

    Parameters
    ----------
    source, offset
        Its partition, and its offset there.
    logged_at
        The instant that the log will give it, in epoch milliseconds; None: the event's own.
    value, key
        Its bytes.
    item
        Number of the event among those of the record.
    """

    source: Source
    offset: int
    logged_at: int | None
    value: bytes | None
    key: bytes | None = None
    item: int = 0


class Record(Protocol):
    """A record as a Kafka client returns it; ``timestamp`` is in epoch milliseconds."""

    offset: int
    timestamp: int
    key: Any
    value: Any


class Accepted(Struct, frozen=True, gc=False):
    """A valid event.

    Parameters
    ----------
    source, offset
        Its partition of an input topic, and its offset there.
    logged_at
        The instant that the log gives it, in epoch milliseconds.
    model_id
        The model that it is about.
    at_ms
        Its own instant, in epoch milliseconds.
    payload
        The event as JSON, in the one form in which it stands in the log.
    item
        Its number among the events of its record.
    """

    source: Source
    offset: int
    logged_at: int
    model_id: str
    at_ms: int
    payload: bytes
    item: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """An input that is not a valid event, and its dead letter.

    ``event`` informs its model of the refusal; None where the input names no model.
    """

    source: Source
    offset: int
    logged_at: int
    letter: DeadLetter
    event: Accepted | None = None
    item: int = 0

    @property
    def at_ms(self) -> int:
        """The log's instant: the event's own is not known."""
        return self.logged_at

    @property
    def payload(self) -> bytes:
        """The part of the input that is kept."""
        return self.letter.value.encode()
