"""Events that make a model's state machine fail, until it is released: a bug, and its repair."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from streams.emission import Arrival
from streams.model.model import ModelMonitor
from streams.model.pending import PendingRows

HEARD, READ = "poison when it is heard", "poison when it is read"
STORED = "poison when it is stored"
"""Names of features with which a prediction makes its model fail: at once, when it is read, or when
the state of its model is to be stored."""

_on_prediction, _read = ModelMonitor._on_prediction, PendingRows._read


class PoisonError(Exception):
    """What the bug raises."""


@contextmanager
def poisoned(releases: int = 1) -> Iterator[None]:
    """Have models fail at poison, until they have been released so many times.

    How many a model has had is part of its state, so that a replay finds the same.
    """

    def is_repaired(model: ModelMonitor) -> bool:
        return model.counts.controls >= releases

    def hear(model: ModelMonitor, arrival: Arrival) -> None:
        _on_prediction(model, arrival)
        features = arrival.event.get("features") or {}
        if HEARD in features and not is_repaired(model):
            raise PoisonError
        if STORED in features and not is_repaired(model):
            model.counts.lost_events += 2**70  # the codec has 64 bits

    def read_all(pending: PendingRows) -> None:
        rows = list(pending._predictions)
        _read(pending)
        model: ModelMonitor = pending._rules_of.__self__  # type: ignore[attr-defined]
        if any(READ in row.values[0] for row in rows) and not is_repaired(model):
            raise PoisonError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ModelMonitor, "_on_prediction", hear)
        patch.setattr(PendingRows, "_read", read_all)
        yield
