"""Values of pairs as small integers, so that they can be counted.

Rule 1. A quantity is counted by the quarter of the octave of its size; read again, it is a number
        drawn from there: within a quarter of its size.
Rule 2. Other values are counted one by one, ``MOST_VALUES`` at most; the rest together.
"""

import math

from streams.codec import Machine
from streams.values import OTHER, Value, number_of

MOST_VALUES = 32
"""Different values, more than twice as many as are watched by their shares."""
PARTS, _OCTAVES = 4, 64
"""Parts of an octave; and octaves up and down from one, beyond which sizes are alike."""
_LAST = (2 * _OCTAVES + 1) * PARTS - 1
"""The greatest place of a size."""


class LabelCodes(Machine):
    """The codes of one series.

    Parameters
    ----------
    is_quantity
        Whether it is a number.
    values
        The values by code, where it is not.
    split
        The greatest code of the low class.

    Examples
    --------
    >>> codes = LabelCodes(is_quantity=False, values=[False])
    >>> codes.code(True), codes.value(1, 0.5), codes.is_high(1)
    (1, True, True)
    >>> sizes = LabelCodes(is_quantity=True)
    >>> sizes.value(sizes.code(-100.0), 0.5), sizes.code(0.0)
    (-104.0, 0)
    """

    is_quantity: bool
    values: list[Value] = []
    split: int = 0

    def code(self, value: Value) -> int:
        """Return the code of a value; a new one where it is met first."""
        if self.is_quantity:
            return code_of_number(number_of(value) or 0.0)
        if value in self.values:
            return self.values.index(value)
        if len(self.values) <= MOST_VALUES:
            self.values.append(value if len(self.values) < MOST_VALUES else OTHER)
        return len(self.values) - 1

    def value(self, code: int, fraction: float) -> Value:
        """Return a value of a code; ``fraction``, from 0 to 1, is its place among the numbers."""
        return number_of_code(code, fraction) if self.is_quantity else self.values[code]

    def is_high(self, code: int) -> bool:
        """Return the class of the values of a code."""
        return code > self.split


def code_of_number(x: float) -> int:
    """Return the code of a number: 0 for none, greater for greater ones."""
    if x == 0:
        return 0
    mantissa, exponent = math.frexp(abs(x))
    place = (exponent + _OCTAVES) * PARTS + int((mantissa - 0.5) * 2 * PARTS)
    code = min(max(place, 0), _LAST) + 1
    return code if x > 0 else -code


def number_of_code(code: int, fraction: float) -> float:
    """Return the number at a place among those of a code."""
    if code == 0:
        return 0.0
    octave, part = divmod(abs(code) - 1, PARTS)
    size = math.ldexp(0.5 + (part + fraction) / (2 * PARTS), octave - _OCTAVES)
    return math.copysign(size, code)
