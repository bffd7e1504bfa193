"""One transition of an alert."""

from typing import NamedTuple

from schemas.alert import AlertStatus, Because
from streams.change import Change, Condition


class OperatorNote(NamedTuple):
    """The note of a person about an alert: author, instant, reason."""

    by: str
    at_ms: int
    because: str | None


class Transition(NamedTuple):
    """A transition of an alert.

    Parameters
    ----------
    series, role, aspect
        Its subject; `role` is the role of the series, or the kind of a condition.
    status, because
        Its status, and the reason where it is resolved.
    change
        The figures.
    episode, sequence, is_flapping, acknowledged, muted_until_ms
        As in an alert.
    condition
        The condition, where it is not a change of a series.
    series_seen
        Values of the series so far, the one at the transition included.
    """

    series: str
    role: str
    aspect: str
    status: AlertStatus
    because: Because | None
    change: Change
    episode: int
    sequence: int
    is_flapping: bool
    acknowledged: OperatorNote | None
    muted_until_ms: int | None
    condition: Condition | None = None
    series_seen: int = 0
