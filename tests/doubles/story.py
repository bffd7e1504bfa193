"""A short story of a model that goes wrong, for tests of what is told, not of how it is found."""

import numpy as np

from tests.doubles.inputs import START_MS, outcome, prediction


def story(rows: int = 3_000, onset: int = 2_200) -> list[bytes]:
    """Publish a model of two features; one shifts at the onset, and the error rises."""
    rng = np.random.default_rng(7)
    values: list[bytes] = []
    for row in range(rows):
        is_after = row >= onset
        answer = bool(rng.random() < 0.5)
        is_wrong = bool(rng.random() < (0.5 if is_after else 0.1))
        features = {"a": float(rng.normal(2.0 * is_after)), "b": float(rng.normal())}
        values.append(
            prediction(
                f"p{row}", prediction=answer, features=features, predicted_at=START_MS + 1_000 * row
            )
        )
        values.append(
            outcome(f"p{row}", outcome=answer != is_wrong, observed_at=START_MS + 1_000 * row)
        )
    return values
