"""A short story of a model that goes wrong, for tests of what is told, not of how it is found."""

import numpy as np

from tests.doubles.inputs import START_MS, outcome, prediction


def story(rows: int = 3_000, onset: int = 2_200, model_id: str = "m") -> list[bytes]:
    """Publish a model of two features; one shifts at the onset, and the error rises."""
    rng = np.random.default_rng(7)
    values: list[bytes] = []
    for row in range(rows):
        is_after = row >= onset
        answer = bool(rng.random() < 0.5)
        is_wrong = bool(rng.random() < (0.5 if is_after else 0.1))
        features = {"a": float(rng.normal(2.0 * is_after)), "b": float(rng.normal())}
        at_ms, who = START_MS + 1_000 * row, (f"p{row}", model_id)
        values.append(prediction(*who, prediction=answer, features=features, predicted_at=at_ms))
        values.append(outcome(*who, outcome=answer != is_wrong, observed_at=at_ms))
    return values
