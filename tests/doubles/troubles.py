"""A model to which everything happens, at random: for what must hold whatever is found."""

import numpy as np

from tests.doubles.inputs import START_MS, prediction

ROWS = 1_600
MINUTE_MS = 60_000
_TROUBLES = ("moved", "wider", "missing", "foreign", "new", "stuck")
_STRANGE: dict[str, dict[str, object]] = {
    "number": {"foreign": "n/a", "new": 99.0, "stuck": 1.0},
    "heap": {"foreign": True, "new": -1.0, "stuck": 0.0},
    "word": {"foreign": 1.5, "new": "new", "stuck": "a"},
    "truth": {"foreign": "n/a", "new": 1.0, "stuck": True},
}
"""What a feature of each kind is in trouble."""


def troubled(seed: int) -> list[bytes]:
    """Publish predictions whose features shift, vary, vanish, change type and come back."""
    rng = np.random.default_rng(seed)
    columns = {kind: _column(rng, kind) for kind in _STRANGE}
    return [
        prediction(
            f"p{row}",
            predicted_at=START_MS + MINUTE_MS * row,
            features={kind: column[row] for kind, column in columns.items()},
        )
        for row in range(ROWS)
    ]


def _column(rng: np.random.Generator, kind: str) -> list[object]:
    troubles: list[set[str]] = [set() for _ in range(ROWS)]
    for _ in range(rng.integers(1, 5)):
        first, rows = rng.integers(100, ROWS), rng.choice([5, 50, 250, 700])
        what = str(rng.choice(_TROUBLES))
        for row in range(first, min(first + rows, ROWS)):
            troubles[row].add(what)
    return [_value(rng, kind, each) for each in troubles]


def _value(rng: np.random.Generator, kind: str, troubles: set[str]) -> object:
    if rng.random() < (0.7 if "missing" in troubles else 0.002):
        return None
    for trouble, value in _STRANGE[kind].items():
        if trouble in troubles and (trouble != "new" or rng.random() < 0.2):
            return value
    number = rng.normal(1.2 * ("moved" in troubles), 3.0 if "wider" in troubles else 1.0)
    is_common = rng.random() < (0.6 if "moved" in troubles else 0.3)
    values: dict[str, object] = {
        "number": float(number),
        "heap": 0.0 if is_common else float(abs(number)),
        "word": "a" if is_common else "bc"[int(rng.random() < 0.5)],
        "truth": bool(is_common),
    }
    return values[kind]
