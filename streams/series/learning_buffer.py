"""The values that a series learns from, and their minutes.

Rule 1. Values leave as they came, types included.
Rule 2. Memory is small: numbers are doubles, a few different words are a byte each, and series of
        one model hold the minutes that they have in common once.
Rule 3. The form depends on the values alone, not on how they were cut into batches.
"""

import sys
from array import array
from collections.abc import Sequence
from typing import cast

import numpy as np
from msgspec import field
from numpy.typing import NDArray

from streams import codec
from streams.clock import Minutes
from streams.codec import Machine
from streams.season.hour_profile import Timestamps
from streams.values import Value

MAX_CODES = 256
"""Different values that a byte can tell apart."""
_DOUBLE = {float}

codec.extend(array, lambda doubles: doubles.tobytes(), lambda data: array("d", data))


class MinuteLog:
    """The minutes of the values that a series learns from.

    Series of one model that begin with the same ``log`` hold it once, as long as their minutes are
    the same. Each reads as far as its own minutes reach. A series whose minutes differ continues
    with a copy.

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

    @classmethod
    def of(cls, kept: bytes) -> "MinuteLog":
        """Return a log of its own with these minutes."""
        return cls(bytearray(kept), len(kept)) if kept else cls()

    def add(self, kept: bytes) -> None:
        """Add minutes, as `streams.season.hour_profile.Timestamps.kept` gives them."""
        log, size = self._log, self._size
        if log is None:
            log = self._log = bytearray()
        self._size = size + len(kept)
        if not log.startswith(kept, size):  # as it does for all but the first of a model
            held = log[size : self._size]
            if kept.startswith(held):
                log += kept[len(held) :]
            else:
                self._log = log[:size] + kept

    def share(self, logs: dict[bytes, bytearray]) -> None:
        """Hold the minutes in common with all logs that have the same ones."""
        self._log = logs.setdefault(bytes(self), bytearray() if self._log is None else self._log)

    def chosen(self, rows: slice | Sequence[int]) -> "MinuteLog":
        """Return a log of some of the rows."""
        return MinuteLog.of(self._array[rows].tobytes())

    @property
    def minutes(self) -> Minutes:
        """The minutes since the epoch, one a value."""
        return self._array.astype(np.int64)

    @property
    def _array(self) -> NDArray[np.uint32]:
        return np.frombuffer(bytes(self), dtype=np.uint32)

    def __bytes__(self) -> bytes:
        return b"" if self._log is None else bytes(self._log[: self._size])


codec.extend(MinuteLog, bytes, MinuteLog.of)


class LearningBuffer(Machine):
    """Values in log order, in the smallest of three forms that holds them.

    Examples
    --------
    >>> buffer = LearningBuffer()
    >>> buffer.add(["red", "blue", "red"], {str}, None)
    >>> len(buffer), buffer.values, buffer.is_coded
    (3, ['red', 'blue', 'red'], True)
    """

    _doubles: array | None = None  # type: ignore[type-arg] # no generic at run time
    _codes: bytearray | None = None
    _code_of: dict[Value, int] | None = None
    _mixed: list[Value] | None = None
    _minutes: MinuteLog | None = field(default_factory=MinuteLog)
    """None after a value without an instant."""

    def __post_init__(self) -> None:
        if self._mixed is not None:  # restored: equal words are one object again
            self._mixed = list(map(_interned, self._mixed))

    @classmethod
    def of(cls, values: Sequence[Value]) -> "LearningBuffer":
        """Return a buffer of these values."""
        buffer = cls()
        buffer.add(values, set(map(type, values)), None)
        return buffer

    def __len__(self) -> int:
        for kept in (self._doubles, self._codes, self._mixed):
            if kept is not None:
                return len(kept)
        return 0

    @property
    def values(self) -> Sequence[Value]:
        """All values. Doubles are not copied: a list of them costs as much as its use."""
        if self._doubles is not None:
            return cast("Sequence[Value]", self._doubles)
        if self._codes is not None:
            return list(map(list(self._code_of or ()).__getitem__, self._codes))
        return list(self._mixed or ())

    @property
    def is_coded(self) -> bool:
        """Whether each value takes a byte."""
        return self._codes is not None

    @property
    def minutes(self) -> Minutes | None:
        """The minute of each value since the epoch; None where one came without an instant."""
        return None if self._minutes is None else self._minutes.minutes

    def add(self, values: Sequence[Value], kinds: set[type], moments: Timestamps | None) -> None:
        """Add values of these types, and their moments."""
        if moments is None:
            self._minutes = None
        elif self._minutes is not None:
            self._minutes.add(moments.kept)
        if not kinds:
            return
        if kinds == _DOUBLE and self._codes is None and self._mixed is None:
            if self._doubles is None:
                self._doubles = array("d")
            self._doubles.extend(values)  # type: ignore[arg-type] # all are doubles
        elif not (len(kinds) == 1 and kinds != _DOUBLE and self._add_codes(values, *kinds)):
            mixed = list(self.values) if self._mixed is None else self._mixed
            mixed.extend(map(_interned, values) if str in kinds else values)
            self._mixed, self._doubles, self._codes, self._code_of = mixed, None, None, None

    def chosen(self, rows: slice | Sequence[int]) -> "LearningBuffer":
        """Return a buffer of some of the rows."""
        values = self.values
        part = values[rows] if isinstance(rows, slice) else [values[row] for row in rows]
        buffer = LearningBuffer.of(part)
        buffer._minutes = self._minutes and self._minutes.chosen(rows)
        return buffer

    def share_minutes(self, logs: dict[bytes, bytearray]) -> None:
        """Hold the minutes in common with all buffers of the model that have the same ones.

        Parameters
        ----------
        logs
            The logs of the model by their minutes; a new one is added.
        """
        if self._minutes is not None:
            self._minutes.share(logs)

    def _add_codes(self, values: Sequence[Value], kind: type) -> bool:
        """Add values of one type as codes; do nothing and return False if they cannot be."""
        if self._doubles is not None or self._mixed is not None:
            return False
        code_of = {} if self._code_of is None else self._code_of
        if code_of and type(next(iter(code_of))) is not kind:
            return False
        new = set(values).difference(code_of)
        if len(code_of) + len(new) > MAX_CODES:
            return False
        if new:
            for value in filter(new.__contains__, dict.fromkeys(values)):
                code_of[_interned(value)] = len(code_of)
        codes = bytearray() if self._codes is None else self._codes
        codes += bytes(map(code_of.__getitem__, values))
        self._codes, self._code_of = codes, code_of
        return True


def _interned(value: Value) -> Value:
    return sys.intern(value) if type(value) is str else value
