"""How much each feature weighs in the answers: series of attributions.

Rule 1. A value is the size of an attribution as a part of the sizes of all of the same answer. A
        feature that an explanation leaves out has none: 0.
Rule 2. At most ``MOST`` features have such a series, the first ones.
Rule 3. Answers without an explanation have no value: they are left out, not missing.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from streams.clock import Instants
from streams.series.reading import Column

ATTRIBUTION: Final = "attribution"
MOST = 50
"""Features whose attribution is watched: beyond, each has less than a fiftieth of an answer."""
Parts = Mapping[str, float]
"""Parts of one answer, by feature."""


def parts_of(explanation: Mapping[str, float] | None) -> Parts | None:
    """Return the parts of an answer; None where it has no explanation that differs from 0.

    Examples
    --------
    >>> parts_of({"age": -3.0, "income": 1.0})
    {'age': 0.75, 'income': 0.25}
    """
    sizes = {name: abs(size) for name, size in (explanation or {}).items()}
    total = sum(sizes.values())
    if not 0 < total < float("inf"):
        return None
    return {name: size / total for name, size in sizes.items()}


def series_of(feature: str) -> str:
    """Return the name of the series of a feature."""
    return f"{ATTRIBUTION}/{feature}"


def begun(names: Collection[str]) -> list[str]:
    """Return the features that have a series, of the names of all series."""
    start = f"{ATTRIBUTION}/"
    return [name.removeprefix(start) for name in names if name.startswith(start)]


def begin_with(parts: Parts, names: Collection[str]) -> bool:
    """Tell whether a row has the first value of a series."""
    unmet = any(series_of(name) not in names for name in parts)
    return unmet and len(begun(names)) < MOST


def columns(rows: Sequence[Parts], names: Collection[str], at_ms: Instants) -> list[Column]:
    """Return the columns of rows, those of new series among them."""
    first_of = dict.fromkeys(begun(names), 0)
    for row, parts in enumerate(rows):
        if not parts.keys() <= first_of.keys():
            for name in sorted(parts):
                if len(first_of) < MOST:
                    first_of.setdefault(name, row)
    made: list[Column] = []
    for name, first in first_of.items():
        values = [*[None] * first, *[parts.get(name, 0.0) for parts in rows[first:]]]
        made.append(Column(series_of(name), ATTRIBUTION, values, at_ms))
    return made
