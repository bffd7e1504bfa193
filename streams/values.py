"""The values of a series, and arrays of them."""

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

Value = float | int | str | bool
"""One value of a series."""
Scalar = Value | None
"""One value of a series; None is missing."""
Answer = bool | int | float | str
"""A prediction or an outcome, as its service published it."""
Floats = NDArray[np.float64]
_OTHER_VALUES = re.compile(
    r'-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?|true|false|null|".*"', re.DOTALL
)
"""Text that would be read as a value of another type, or that has quotes of its own."""
OTHER = "(other)"
"""The name under which rare categories are counted together."""


def finite_or_none(x: float) -> float | None:
    """Return a number as JSON can carry it: None in place of NaN or an infinity."""
    return float(x) if math.isfinite(x) else None


MOST_DISTANCE = 1e100
"""Distance of an answer from the truth beyond which it is counted as one that cannot be compared:
the sum of the squares of 1e100 rows is finite, and no quantity of the world is so far off."""


def distance_of(answer: Answer, truth: Answer) -> float | None:
    """Return an answer less the truth; None where one is text, or beyond ``MOST_DISTANCE``.

    Examples
    --------
    >>> distance_of(3, 1.5), distance_of("3", 1), distance_of(1e200, 0)
    (1.5, None, None)
    """
    if isinstance(answer, str) or isinstance(truth, str):
        return None
    distance = float(answer) - float(truth)
    return distance if abs(distance) <= MOST_DISTANCE else None


def odds_of(share: float, rows: int) -> float:
    """Return the odds of a share of so many rows, held off zero and infinity by half a row."""
    held = min(max(share, 0.5 / rows), 1 - 0.5 / rows)
    return held / (1 - held)


def text_of(value: Any) -> str:
    """Return a category as JSON would show it: text without quotes, where it is no other value.

    Examples
    --------
    >>> text_of(True), text_of(3.0), text_of(0.5), text_of("40K")
    ('true', '3', '0.5', '40K')
    >>> text_of("3"), text_of("true")
    ('"3"', '"true"')
    """
    if isinstance(value, str):
        return f'"{value}"' if _OTHER_VALUES.fullmatch(value) else value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def number_of(value: Value) -> float | None:
    """Return a value as a number, if it is one."""
    return None if isinstance(value, str) else float(value)


def printable(text: str) -> str:
    r"""Return text on one line, as it can be shown: control and direction characters are escaped.

    A name with spaces around it is quoted.

    Examples
    --------
    >>> print(printable("two\nlines"), printable("price (€)"), printable(" lead"))
    two\u000alines price (€) " lead"
    """
    shown = "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in text)
    return shown if shown == shown.strip() else f'"{shown}"'
