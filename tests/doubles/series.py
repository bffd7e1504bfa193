"""Series of values, and watches of them."""

import numpy as np

from streams.series.watch import SeriesWatch
from streams.series.watch_spec import WatchSpec
from streams.values import Scalar

FEATURE = WatchSpec(role="feature")


def new_watch(spec: WatchSpec = FEATURE) -> SeriesWatch:
    """Return a watch with the budget of a feature of a small model."""
    watch = SeriesWatch(spec)
    watch.set_budget(0.01)
    return watch


def numbers(rows: int, seed: int = 1, mean: float = 0.0) -> list[Scalar]:
    """Return normal values of standard deviation 1."""
    values: list[Scalar] = np.random.default_rng(seed).normal(mean, 1.0, rows).tolist()
    return values


def words(rows: int, names: list[str], seed: int = 1) -> list[Scalar]:
    """Return words drawn with equal chances; one named twice has twice the chance."""
    return [str(word) for word in np.random.default_rng(seed).choice(names, rows)]


def kind_of(watch: SeriesWatch) -> object:
    """Return the kind that a watch describes its series as."""
    reference = watch.describe()["reference"]
    return reference["kind"] if isinstance(reference, dict) else None
