"""Numbers of JSON in their final form: the shortest text of their value, without an exponent.

Compiled loops over memory: a place is an address. A text is in its final form where `schemas.fast`
would write the same.

Rule 1. Ryu (Adams 2018) writes the shortest decimal that lies nearer to its double than to any
        other, and of several the nearest. With up to 15 digits, every decimal is that of its
        double. With 16 or 17 it is calculated, with the exact error of a product (Dekker 1971).
Rule 2. Where it is close, and for exponents and longer texts, a number is `ODD`: others decide.
Rule 3. Memory is read up to the first byte that does not fit, and `PADDING` bytes further at most.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
_Loop = TypeVar("_Loop", bound=Callable[..., object])

PADDING = 8
ODD, INTEGER, FLOAT = range(3)
"""Kinds of numbers."""
_MINUS, _POINT, _ZERO, _NINE = b"-.09"
_POWERS = np.array([float(10**places) for places in range(23)])
"""Powers of ten that a double holds exactly."""
_CERTAIN = 10**15
"""Units of the last place from which on a decimal may be the text of a shorter one's double."""
_TOO_MANY = 10**17
"""Units that 17 digits cannot count: so many tell every double from all others."""
_MOST_WHOLE, _LEAST = 16, 1e-5
"""Digits before the point at most, and the least number, that are written without an exponent."""
_CLOSE = 1e-9
"""Relative distance to a limit within which rounding could decide."""
_SPLITTER = 2.0**27 + 1
_STEP = 2.0**-53 * (1 + 2.0**-20)
"""Added in this proportion, a double becomes the next one: it is more than half a step to it."""


def compiled(function: _Loop) -> _Loop:
    """Compile a loop, once a machine."""
    return cast("_Loop", numba.njit(cache=True, error_model="numpy")(function))


def _loader(bits: int) -> Callable[[int], int]:
    """Return a function, for compiled loops, that loads so many bits from an address."""

    def load(_context: Any, _at: Any) -> tuple[Any, Callable[..., Any]]:
        def generate(_: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            address = builder.inttoptr(arguments[0], ir.IntType(bits).as_pointer())
            loaded = builder.load(address, align=1)
            return builder.zext(loaded, ir.IntType(64)) if bits < 64 else loaded

        return types.int64(types.int64), generate

    return cast("Callable[[int], int]", intrinsic(load))


@compiled
def address_of(text: Bytes) -> int:
    """Return the address of the first byte: signed, so that compiled loops can add to it."""
    return np.int64(text.ctypes.data)  # type: ignore[return-value]


byte_at = _loader(8)
eight_at = _loader(64)
"""Eight bytes as one integer, the first byte lowest."""


@compiled
def _distance(units: int, x: float, power: float) -> float:
    """Return ``units - x * power``, of which only the last operations are rounded."""
    product = x * power
    x_high = _SPLITTER * x - (_SPLITTER * x - x)
    power_high = _SPLITTER * power - (_SPLITTER * power - power)
    x_low, power_low = x - x_high, power - power_high
    error = x_high * power_high - product + x_high * power_low + x_low * power_high
    error += x_low * power_low
    whole = np.int64(product)
    return (units - whole) - (product - whole) - error


@compiled
def _double_of(units: int, places: int) -> float:
    """Return the double of a decimal of 16 or 17 digits; NaN where it may not be its shortest text.

    ``units`` of its last place, of which ``places`` are behind the point. The last is no 0.
    """
    power = _POWERS[places]
    x = units / power
    step = (x + x * _STEP) - x
    distance = _distance(units, x, power)
    if abs(distance) > 0.5 * step * power:  # the quotient was rounded twice
        x += step if distance > 0 else -step
        step = (x + x * _STEP) - x
        distance = _distance(units, x, power)
    half_step = 0.5 * step * power
    is_power_of_two = x * 2.0**-53 == 0.5 * step  # the step below it is smaller
    if is_power_of_two or abs(distance) > half_step * (1 - _CLOSE):
        return np.nan
    last = units % 10
    nearest_shorter = min(abs(distance - last), abs(distance + 10 - last))
    is_nearest = abs(distance) < 0.5 - _CLOSE
    return x if is_nearest and nearest_shorter > half_step * (1 + _CLOSE) else np.nan


@compiled
def _are_digits(eight: int) -> bool:
    """Tell whether eight bytes are digits: 0x30 to 0x39, also with 6 added to each."""
    high = -0x0F0F0F0F0F0F0F10  # the four high bits of each byte
    return ((eight & high) | (((eight + 0x0606060606060606) & high) >> 4)) == 0x3333333333333333


@compiled
def _value_of(eight: int) -> int:
    """Return the number of eight digits: pairs, then fours, then all, in one word."""
    eight -= 0x3030303030303030
    pairs = 10 * eight + (eight >> 8)
    first = (pairs & 0x000000FF000000FF) * 0x000F424000000064
    second = ((pairs >> 16) & 0x000000FF000000FF) * 0x0000271000000001
    return (first + second) >> 32


@compiled
def _after_digits(at: int, units: int) -> tuple[int, int]:
    """Return the place after some digits, and the units with these."""
    eight = eight_at(at)
    while _are_digits(eight) and units < 10**9:
        units = 10**8 * units + _value_of(eight)
        at += 8
        eight = eight_at(at)
    digit = byte_at(at) - _ZERO
    while 0 <= digit <= 9 and units < _TOO_MANY:
        units = 10 * units + digit
        at += 1
        digit = byte_at(at) - _ZERO
    return at, units


@compiled
def _fraction(at: int, units: int, whole: int) -> tuple[int, int, float]:
    """Go on after the point of a number with so many whole digits."""
    begin = at
    at, units = _after_digits(at, units)
    places = at - begin
    ends_in_zero = byte_at(at - 1) == _ZERO
    is_one_zero = ends_in_zero and places == 1
    if not 0 < places < len(_POWERS) or whole > _MOST_WHOLE or (ends_in_zero and not is_one_zero):
        return at, ODD, 0.0
    x = np.nan
    if units < _CERTAIN:
        x = units / _POWERS[places]
    elif units < _TOO_MANY and not is_one_zero:
        x = _double_of(units, places)
    return at, FLOAT if x >= _LEAST or units == 0 else ODD, x


@compiled
def read_number(at: int) -> tuple[int, int, float]:
    """Return the place after a number, its kind and its value.

    An integer of more than 53 bits is returned as the nearest double.
    """
    is_negative = byte_at(at) == _MINUS
    first = at + is_negative
    at, units = _after_digits(first, 0)
    whole = at - first
    if whole == 0 or (whole > 1 and byte_at(first) == _ZERO):
        return at, ODD, 0.0
    kind, x = INTEGER, float(units)
    if byte_at(at) == _POINT:
        at, kind, x = _fraction(at + 1, units, whole)
    elif is_negative and units == 0:
        kind = ODD
    return at, kind, -x if is_negative else x
