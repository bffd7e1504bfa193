"""The quarantine of a model whose state machine failed at an event.

Rule 1. A model fails at one event: the first that raises when it is applied by itself, and its
        values are read, to the state before it. How many events are applied or read at once does
        not move it (`streams.model.guard`). So does one after which the state cannot be stored;
        that is found when it is to be stored.
Rule 2. From there on the model stays as it was before that event. This event and the later ones
        are held (`OutcomeJoin.hold`), and counted. Ticks and refused inputs are not held.
Rule 3. A release applies the held events, in their order, to that state. Where one fails again, the
        release has changed nothing.
Rule 4. An event that the quarantined model itself cannot take, a removal for example, is refused.
"""

from typing import NamedTuple

from streams.codec import Machine
from streams.join.events import ChunkName, KeptChunks

QUARANTINE = ("model", "quarantine")
"""Series and aspect of the alert."""


class Quarantine(Machine):
    """The place of the event at which a model failed, and the name of the failure's type."""

    offset: int
    place: int
    failure: str


class ToStore(NamedTuple):
    """The sealed chunks of a model that are not stored yet, and its state."""

    chunks: dict[ChunkName, bytes]
    snapshot: bytes


class Kept(NamedTuple):
    """A model as it was, for a copy of it in the same process."""

    snapshot: bytes
    chunks: KeptChunks
