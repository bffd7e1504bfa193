"""The stored state of the series of one model, and the values of a pair for them."""

from msgspec import Struct

from streams.alert.states import AlertState
from streams.aspects import SeriesRole
from streams.codec import Machine
from streams.series.joint import Joint
from streams.series.label_delays import LabelDelays
from streams.series.monitored import MonitoredSeries
from streams.values import Scalar

PAIR_SERIES: tuple[SeriesRole, ...] = ("error", "outcome")
"""Series of one value a pair."""


class Label(Struct, frozen=True, gc=False):
    """The values of a pair, and its instants.

    Parameters
    ----------
    error, outcome
        The values of the two series.
    predicted_ms, known_ms
        The instants of the prediction and of its outcome.
    """

    error: Scalar
    outcome: Scalar
    predicted_ms: int
    known_ms: int


class SeriesSetState(Machine):
    """The stored state of a `SeriesSet`.

    Parameters
    ----------
    is_regression
        Whether the error is a distance; a mismatch otherwise.
    unwatched_values
        Values of features beyond the most that are monitored.
    incomparable_outcomes
        Pairs of a regression of which one half is text.
    feature_series
        The series of each feature; an empty name is not monitored.
    series
        The monitored series, in the order in which they began.
    ended_alerts
        The alert states of series that have ended .
    delays
        The delays of errors and outcomes.
    joint
        The usual relation of the features, where it is watched.
    """

    is_regression: bool
    may_become_regression: bool
    unwatched_values: int = 0
    incomparable_outcomes: int = 0
    feature_series: dict[str, str] = {}
    series: dict[str, MonitoredSeries] = {}
    ended_alerts: dict[str, dict[str, AlertState]] = {}
    delays: dict[str, LabelDelays] = {}
    whole_pairs: list[tuple[float, float]] = []
    joint: Joint | None = None
