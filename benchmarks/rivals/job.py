"""The job as every rival does it: what is valid, what watches a model, where things are.

It imports nothing of the project, so that each rival runs in an environment of its own. The
detectors are River's, as they come; validation is pydantic's, where a framework has none.
"""

import os
from typing import Any, NamedTuple

from pydantic import BaseModel
from river.drift import ADWIN, PageHinkley


class Prediction(BaseModel):
    """What a service says its model answered."""

    prediction_id: str
    model_id: str
    predicted_at: int
    prediction: int
    score: float
    features: dict[str, float]


class Outcome(BaseModel):
    """What turned out to be true."""

    prediction_id: str
    model_id: str
    observed_at: int
    outcome: int


class Place(NamedTuple):
    """Where a rival reads and writes; the benchmark tells it by the environment."""

    broker: str
    group: str
    predictions: str
    outcomes: str
    pairs: str
    alerts: str
    folder: str


def place() -> Place:
    """Return what the benchmark has put into the environment."""
    return Place(*(os.environ[f"BENCH_{name.upper()}"] for name in Place._fields))


class Watch:
    """The detectors of one model: ADWIN per feature and score, both on the error."""

    def __init__(self) -> None:
        self._series: dict[str, ADWIN] = {}
        self._error = (ADWIN(), PageHinkley())

    def update(
        self, model_id: str, features: dict[str, float], score: float, is_error: bool
    ) -> list[dict[str, Any]]:
        """Take one pair into account; return the alerts it raises."""
        alerts = []
        series = self._series
        for name, value in (*features.items(), ("score", score)):
            detector = series.get(name)
            if detector is None:
                detector = series[name] = ADWIN()
            detector.update(value)
            if detector.drift_detected:
                alerts.append({"model_id": model_id, "series": name, "value": value})
        for error_detector in self._error:
            error_detector.update(is_error)  # type: ignore[no-untyped-call]
            if error_detector.drift_detected:
                alerts.append({"model_id": model_id, "series": "error", "value": is_error})
        return alerts


class Watches(dict[str, Watch]):
    """The detectors of every model that has been met."""

    def __missing__(self, model_id: str) -> Watch:
        watch = self[model_id] = Watch()
        return watch
