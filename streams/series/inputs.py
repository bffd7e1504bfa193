"""Values as they come to a series, and the part of them that is its own.

Rule 1. A value that is not finite is refused before any state has changed: one NaN would blind
        ADWIN and Page-Hinkley for good.
Rule 2. Missing values and values of another type are taken out; the rows of the rest are kept.
"""

import math
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np

from streams.season.hour_profile import Timestamps
from streams.values import Floats, Scalar, Value

Family = Literal["number", "text", "truth", "any"]
"""Types that a series takes for one."""
TYPES: dict[Family, frozenset[type]] = {
    "number": frozenset((float, int)),
    "text": frozenset((str,)),
    "truth": frozenset((bool,)),
    "any": frozenset((float, int, str, bool)),
}
NUMBER = TYPES["number"]
NAMES: dict[Family, str] = {"number": "numbers", "text": "text", "truth": "booleans"}
"""The families in the words of JSON."""


NUMBERS_SHARE = 0.95
"""Share of text that must read as numbers: the rest may be "N/A". By judgement."""
FEW_CODES = 50
"""Different whole numbers up to which text may be classes or codes. By judgement."""
_NUMBER = re.compile(r"\s*[+-]?[0-9]+([.,][0-9]+)?([eE][+-]?[0-9]+)?\s*")
_FRACTION = re.compile(r"[.,][0-9]|[eE]")


class NonFiniteValueError(ValueError):
    """A value is NaN, infinite or too large for a float: refuse the message that carries it."""


class CleanColumn(NamedTuple):
    """The inputs of a series without those that are missing or of another type.

    Parameters
    ----------
    rows
        Number of inputs, with those taken out.
    values
        The inputs left, as they came.
    kinds
        Types of the values.
    x
        The values as doubles; None where one is text.
    moments
        When the values came, where that is known.
    places
        The row of each value.
    missing
        1 for a missing input, 0 for another, for each row; None where none is missing and none of
        another type.
    wrong_type
        The rows of inputs of another type.
    others
        These inputs, by row.
    """

    rows: int
    values: Sequence[Value]
    kinds: set[type]
    x: Floats | None
    moments: Timestamps | None
    places: Sequence[int]
    missing: Floats | None = None
    wrong_type: Sequence[int] = ()
    others: Mapping[int, Value] = MappingProxyType({})

    def until(self, index: int) -> "CleanColumn":
        """Return the part that ends with the value at ``index``."""
        rows, own = self.places[index] + 1, slice(index + 1)
        return CleanColumn(
            rows,
            self.values[own],
            self.kinds,
            None if self.x is None else self.x[own],
            None if self.moments is None else self.moments.at(own),
            self.places[own],
            None if self.missing is None else self.missing[:rows],
            [row for row in self.wrong_type if row < rows],
            self.others,
        )

    def chosen(self, kept: Sequence[int]) -> "CleanColumn":
        """Return the column with some of its values only."""
        values = [self.values[index] for index in kept]
        return self._replace(
            values=values,
            kinds=set(map(type, values)),
            x=None if self.x is None else self.x[kept],
            moments=None if self.moments is None else self.moments.at(kept),
            places=[self.places[index] for index in kept],
        )


def doubles(values: Sequence[Value], kinds: set[type]) -> Floats | None:
    """Return values of these types as doubles; None where one is text."""
    return None if str in kinds else np.array(values, dtype=np.float64)


def family_of(value: Value) -> Family:
    """Return the family of a value's type."""
    kind = type(value)
    return "number" if kind in NUMBER else "text" if kind is str else "truth"


def other_type_text(other: Family, own: Family) -> str:
    """Return words for values of another type than a series' own.

    Examples
    --------
    >>> other_type_text("text", "number")
    'text instead of numbers'
    """
    return f"{NAMES[other]} instead of {NAMES[own]}"


def other_type_of(text: str) -> Family:
    """Return the type that `other_type_text` names first; ``any`` for other words."""
    named = (family for family, name in NAMES.items() if text.startswith(f"{name} "))
    return next(named, "any")


def is_number_as_text(values: Sequence[Value]) -> bool:
    """Tell whether text holds numbers that are quantities.

    Most of it must read as a number. Codes do, too (a postal code, a class): they have one length,
    or begin with zeros, or are few.

    Examples
    --------
    >>> is_number_as_text(["12.50", "7.99", "103.00"]), is_number_as_text(["10115", "20095"])
    (True, False)
    """
    texts = [value for value in values if isinstance(value, str) and _NUMBER.fullmatch(value)]
    if len(texts) < NUMBERS_SHARE * len(values) or not texts:
        return False
    if any(_FRACTION.search(text) for text in texts):
        return True
    has_codes = any(text.lstrip("-").startswith("0") and len(text) > 1 for text in texts)
    has_lengths = len(set(map(len, texts))) > 1
    return has_lengths and not has_codes and len(set(texts)) > FEW_CODES


def refuse_non_finite(values: Sequence[Scalar], kinds: set[type]) -> None:
    """Refuse values, of these types, of which one is no finite number.

    Raises
    ------
    NonFiniteValueError
        Naming the first.
    """
    if kinds.isdisjoint(NUMBER):
        return
    try:
        if math.isfinite(sum(values)):  # type: ignore[arg-type] # text is caught
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
