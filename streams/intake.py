"""What comes in: which of the values given to a series are its own.

Rule 1. What is not finite is refused before anything has changed.
Rule 2. Missing values and values of another type are taken out, with their places kept.
"""

import math
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np

from streams.reference import Floats, Value
from streams.rhythm import Minutes

Scalar = float | int | str | bool | None

Buffer: TypeAlias = "list[Value] | array[float]"
Types = frozenset[type]
NUMBER: Types = frozenset((float, int))
TEXT: Types = frozenset((str,))
TRUTH: Types = frozenset((bool,))
ANY = NUMBER | TEXT | TRUTH


class NonFiniteValueError(ValueError):
    """A value is NaN, infinite or too large for a float: refuse the message that carries it."""


@dataclass(frozen=True, slots=True)
class Usable:
    """What is left of some inputs when the missing and the foreign are taken out."""

    rows: int
    values: Sequence[Value]
    places: Sequence[int]
    flags: Floats | None
    foreign: Sequence[int]

    def until(self, index: int) -> "Usable":
        """Return the part that ends with the value at ``index``."""
        rows = self.places[index] + 1
        return Usable(
            rows,
            self.values[: index + 1],
            self.places[: index + 1],
            None if self.flags is None else self.flags[:rows],
            [row for row in self.foreign if row < rows],
        )


def chosen(
    minutes: Minutes, rows: int, places: Sequence[int], kept: Sequence[int] | None
) -> Minutes:
    """Return the minutes of the values that are watched."""
    if len(places) < rows:
        minutes = minutes[np.array(places, dtype=np.intp)]
    return minutes if kept is None else minutes[kept]


def extended(buffer: Buffer, values: Sequence[Value], kinds: set[type]) -> Buffer:
    """Return the buffer with more values: as doubles while all are, a third of what objects take.

    Words are kept once, however often they come. ``kinds`` are the values' types.
    """
    if kinds == {float} and (not buffer or isinstance(buffer, array)):
        numbers = buffer if isinstance(buffer, array) else array("d")
        numbers.extend(cast("Sequence[float]", values))
        return numbers
    if not kinds:
        return buffer
    words = map(sys.intern, cast("Sequence[str]", values)) if kinds == {str} else values
    extended: list[Value] = list(buffer) if isinstance(buffer, array) else buffer
    extended.extend(words)
    return extended


def family(value: Value) -> Types:
    """Return the types that are one with a value's."""
    kind = type(value)
    return NUMBER if kind in NUMBER else TEXT if kind is str else TRUTH


def refuse_what_is_not_finite(values: Sequence[Scalar]) -> None:
    """Refuse values of which one is no finite number.

    Raises
    ------
    NonFiniteValueError
        Naming the first.
    """
    try:
        if math.isfinite(sum(values)):  # type: ignore[arg-type] # what has no sum is looked at below
            return
    except (TypeError, OverflowError):
        pass
    for index, value in enumerate(values):
        if type(value) in NUMBER and not _is_finite(value):
            raise NonFiniteValueError(f"value {index} of {len(values)} is not a finite number")


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
