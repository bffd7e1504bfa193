"""What comes in: which of the values given to a series are its own.

Rule 1. What is not finite is refused before anything has changed.
Rule 2. Missing values and values of another type are taken out, with their places kept.
Rule 3. What a series learns from is held small, and comes out as it went in, types included: words
        as codes, and the minutes that series have in common once for all of them.
"""

import math
import sys
from array import array
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np

from streams.season.hour_profile import Timestamps
from streams.values import Floats, Scalar, Value

Buffer: TypeAlias = "list[Value] | array[float] | Codes"
Types = frozenset[type]
NUMBER: Types = frozenset((float, int))
TEXT: Types = frozenset((str,))
TRUTH: Types = frozenset((bool,))
ANY = NUMBER | TEXT | TRUTH
MAX_CODES = 256


class Codes:
    """Values of one type, a byte each: there are few different ones.

    Examples
    --------
    >>> codes = Codes(str)
    >>> codes.take(["red", "blue", "red"]), list(codes)
    (True, ['red', 'blue', 'red'])
    """

    __slots__ = ("_codes", "_places", "kind")

    def __init__(self, kind: type) -> None:
        self.kind = kind
        self._places: dict[Value, int] = {}
        self._codes = bytearray()

    def take(self, values: Sequence[Value]) -> bool:
        """Add values of the type; do nothing and return False if too many are different."""
        places = self._places
        new = set(values).difference(places)
        if len(places) + len(new) > MAX_CODES:
            return False
        if new:
            for value in filter(new.__contains__, dict.fromkeys(values)):
                places[sys.intern(value) if isinstance(value, str) else value] = len(places)
        self._codes += bytes(map(places.__getitem__, values))
        return True

    def __len__(self) -> int:
        return len(self._codes)

    def __iter__(self) -> Iterator[Value]:
        return map(list(self._places).__getitem__, self._codes)


class MinuteLog:
    """The minutes of the values that a series learns from.

    Series of one model that begin with the same ``log`` hold it once, as long as their minutes are
    the same: each reads only as far as its own go, and whoever differs goes on with a copy.

    Examples
    --------
    >>> log = bytearray()
    >>> one, other, third = MinuteLog(log), MinuteLog(log), MinuteLog(log)
    >>> one.add(b"1234"), other.add(b"12"), other.add(b"3456"), third.add(b"129")
    (None, None, None, None)
    >>> bytes(one), bytes(other), bytes(third), bytes(log)
    (b'1234', b'123456', b'129', b'123456')
    """

    __slots__ = ("_log", "_size")

    def __init__(self, log: bytearray | None = None, size: int = 0) -> None:
        self._log = log
        self._size = size

    def add(self, minutes: bytes) -> None:
        """Add what `streams.season.hour_profile.Timestamps.kept` makes of instants."""
        log, size = self._log, self._size
        if log is None:
            log = self._log = bytearray()
        self._size = size + len(minutes)
        if len(log) == size:
            log += minutes
        elif not log.startswith(minutes, size):  # as it does for all but the first of a model
            held = log[size : self._size]
            if minutes.startswith(held):
                log += minutes[len(held) :]
            else:
                self._log = log[:size] + minutes

    def __bytes__(self) -> bytes:
        return b"" if self._log is None else bytes(self._log[: self._size])


class NonFiniteValueError(ValueError):
    """A value is NaN, infinite or too large for a float: refuse the message that carries it."""


class CleanColumn(NamedTuple):
    """What is left of some inputs when the missing and the foreign are taken out.

    Parameters
    ----------
    rows
        How many inputs there were.
    values, kinds, x, moments, places
        What is left: as it came, its types, as doubles where none is text, when, in which rows.
    flags
        1 where an input is missing; None where none is.
    foreign
        The rows of inputs of another type.
    """

    rows: int
    values: Sequence[Value]
    kinds: set[type]
    x: Floats | None
    moments: Timestamps | None
    places: Sequence[int]
    flags: Floats | None = None
    foreign: Sequence[int] = ()

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
            None if self.flags is None else self.flags[:rows],
            [row for row in self.foreign if row < rows],
        )

    def chosen(self, kept: Sequence[int]) -> "CleanColumn":
        """Return it with some of its values only."""
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


def extended(buffer: Buffer, values: Sequence[Value], kinds: set[type]) -> Buffer:
    """Return the buffer with more values: as doubles while all are, as codes while few differ.

    ``kinds`` are the values' types.
    """
    if kinds == {float} and not buffer:
        return array("d", cast("Sequence[float]", values))
    if kinds == {float} and isinstance(buffer, array):
        buffer.extend(cast("Sequence[float]", values))
        return buffer
    if not kinds:
        return buffer
    if len(kinds) == 1 and kinds != {float}:
        codes = _codes_for(buffer, *kinds)
        if codes is not None and codes.take(values):
            return codes
    words = map(sys.intern, cast("Sequence[str]", values)) if kinds == {str} else values
    extended: list[Value] = buffer if isinstance(buffer, list) else list(buffer)
    extended.extend(words)
    return extended


def _codes_for(buffer: Buffer, kind: type) -> Codes | None:
    """Return the codes that values of a type can be added to."""
    if isinstance(buffer, Codes):
        return buffer if buffer.kind is kind else None
    return None if buffer else Codes(kind)


def family(value: Value) -> Types:
    """Return the types that are one with a value's."""
    kind = type(value)
    return NUMBER if kind in NUMBER else TEXT if kind is str else TRUTH


def refuse_what_is_not_finite(values: Sequence[Scalar], kinds: set[type]) -> None:
    """Refuse values, of these types, of which one is no finite number.

    Raises
    ------
    NonFiniteValueError
        Naming the first.
    """
    if kinds.isdisjoint(NUMBER):
        return
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
