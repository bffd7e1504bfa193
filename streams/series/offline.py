"""References made offline, before the first event of a model."""

import base64
from collections.abc import Mapping, Sequence

from streams.clock import Instants
from streams.codec import DamagedSnapshotError
from streams.series.watch import DEFAULT_FALSE_ALARMS, SeriesWatch
from streams.series.watch_spec import WatchSpec
from streams.values import Scalar


def profile(
    spec: WatchSpec,
    values: Sequence[Scalar],
    false_alarms: float = DEFAULT_FALSE_ALARMS,
    at_ms: Instants | None = None,
) -> dict[str, object]:
    """Return a reference made offline, as JSON carries it: for people to read, and to start from.

    Examples
    --------
    >>> spec = WatchSpec(role="feature")
    >>> made = profile(spec, [float(row % 50) for row in range(1_000)])
    >>> made["reference"]["mean"]
    24.5
    >>> watch_of(spec, made).is_learning
    False
    """
    watch = SeriesWatch.learnt(spec, values, false_alarms, at_ms)
    return {
        "reference": watch.describe()["reference"],
        "state": base64.b64encode(watch.snapshot()).decode("ascii"),
    }


def watch_of(spec: WatchSpec, made: Mapping[str, object]) -> SeriesWatch:
    """Return a watch that starts from what :func:`profile` made.

    Raises
    ------
    DamagedSnapshotError
        If the profile is not what was once made.
    """
    state = made.get("state")
    if not isinstance(state, str):
        raise DamagedSnapshotError(f"expected a profile with a state, got {sorted(made)}")
    try:
        data = base64.b64decode(state, validate=True)
    except ValueError as error:
        raise DamagedSnapshotError(f"the state of a profile is not base64: {error}") from error
    return SeriesWatch.restore(spec, data)
