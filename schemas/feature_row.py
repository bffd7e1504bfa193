"""The features of a prediction in memory: a dict, or doubles side by side.

`schemas.wide_events` makes rows of doubles. This module needs no compiler.
"""

from array import array
from collections.abc import Iterator, Mapping
from typing import Any, final

import numpy as np


@final
class FeatureRow(Mapping[str, float]):
    """The features of one prediction, all of them numbers with a fraction.

    Parameters
    ----------
    names
        Their names. Rows of the same names nearly always share one tuple.
    doubles
        Their values, as 64-bit doubles.

    Examples
    --------
    >>> row = FeatureRow(("a", "b"), np.array([0.5, 2.25]).tobytes())
    >>> row["b"], row.get("c"), row == {"a": 0.5, "b": 2.25}
    (2.25, None, True)
    """

    __slots__ = ("doubles", "names")

    def __init__(self, names: tuple[str, ...], doubles: bytes) -> None:
        self.names = names
        self.doubles = doubles

    def __getitem__(self, name: str) -> float:
        """Return a value: one of many is quick, all of them are by `as_dict`."""
        if name not in self.names:
            raise KeyError(name)
        place = self.names.index(name)
        return float(np.frombuffer(self.doubles, count=1, offset=8 * place)[0])

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def as_dict(self) -> dict[str, Any]:
        """Return the values by name."""
        return dict(zip(self.names, np.frombuffer(self.doubles).tolist(), strict=True))


Features = dict[str, Any] | FeatureRow
"""The features of a prediction."""


def names_of(features: Features) -> tuple[str, ...]:
    """Return the names of features, in their order."""
    return features.names if type(features) is FeatureRow else tuple(features)


def as_dict(value: Any) -> Any:
    """Return the values of features by name; any other value as it is."""
    return value.as_dict() if type(value) is FeatureRow else value


def doubles_of(features: Features) -> bytes | None:
    """Return features as the doubles of a `FeatureRow`; None where they are not all doubles."""
    if type(features) is FeatureRow:
        return features.doubles
    values = features.values()
    return array("d", values).tobytes() if set(map(type, values)) == {float} else None
