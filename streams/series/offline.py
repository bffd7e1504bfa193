"""References made offline, before the first event of a model."""

import base64
from collections.abc import Mapping, Sequence

from streams.clock import Instants
from streams.codec import DamagedSnapshotError, StateVersionError, decode, encode
from streams.series.watch import DEFAULT_FALSE_ALARMS, SeriesWatch
from streams.series.watch_spec import WatchSpec
from streams.values import Scalar


def profile(
    spec: WatchSpec,
    values: Sequence[Scalar],
    false_alarms: float = DEFAULT_FALSE_ALARMS,
    at_ms: Instants | None = None,
) -> dict[str, object]:
    """Return a reference made offline, as JSON carries it: a summary and the state of a watch.

    Parameters
    ----------
    values
        At least 200 that are not missing, in the order in which they came.
    false_alarms
        Per 10,000 inputs.
    at_ms
        The instants of the values, in epoch milliseconds.

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
        "state": base64.b64encode(encode(watch)).decode("ascii"),
    }


def watch_of(spec: WatchSpec, made: Mapping[str, object]) -> SeriesWatch:
    """Return a watch that starts from the reference of :func:`profile`.

    Raises
    ------
    DamagedSnapshotError
        If the profile was changed, or made by another version.
    """
    state = made.get("state")
    if not isinstance(state, str):
        raise DamagedSnapshotError(f"expected a profile with a state, got {sorted(made)}")
    try:
        data = base64.b64decode(state, validate=True)
    except ValueError as error:
        raise DamagedSnapshotError(f"the state of a profile is not base64: {error}") from error
    try:
        watch = decode(data, SeriesWatch)
    except StateVersionError as error:
        raise DamagedSnapshotError(f"the profile was made by another version: {error}") from error
    watch.spec = spec
    return watch
