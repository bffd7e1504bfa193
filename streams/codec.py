"""One codec for all stored state.

A machine that is stored is a `Machine`: a `msgspec.Struct` whose fields are its state, all of it.
Its methods are its behaviour. `encode` writes a tree of machines as MessagePack behind a header,
`decode` reads it back.

Rule 1. A decoded machine equals the encoded one to the last bit, and continues as it would have.
Rule 2. Damaged bytes are refused before any part of them is used.
Rule 3. The order of a dict is kept: it follows from the log. A machine has no sets: their order
        does not, and the same state would have other bytes in another process.
"""

import struct
import zlib
from collections.abc import Callable, Hashable
from functools import cache
from typing import Any, TypeVar, cast

import msgspec
import numpy as np

STATE_VERSION = 3
"""Raised with every change of the stored fields. CHANGELOG.md says which worker reads which."""

_MAGIC = b"TDGS"
_HEADER = struct.Struct("<4sHI")  # magic, version, CRC-32 of the body

T = TypeVar("T")


class DamagedSnapshotError(ValueError):
    """A snapshot is damaged: its model must be rebuilt from the log."""


class StateVersionError(Exception):
    """A snapshot of another version: stop, the operator runs the worker that can read it."""


def _public(name: str) -> str:
    """Return the stored name of a field: without the underscore of a private one."""
    return name.lstrip("_")


class Machine(msgspec.Struct, rename=_public, omit_defaults=True, eq=False):
    """A state machine whose fields are its whole state.

    A field that holds its default is not stored. ``msgspec`` compares identities there: assign a
    default that is a float or a large integer from its constant, never from another field.
    Derived values are made in ``__post_init__``, which runs after decoding as well, or are
    properties. Arguments that are no state (a spec, the counts of another machine) are passed to
    the methods that need them.

    Examples
    --------
    >>> class Counter(Machine):
    ...     _seen: int = 0
    ...     def on_event(self) -> None:
    ...         self._seen += 1
    >>> counter = Counter()
    >>> counter.on_event()
    >>> decode(encode(counter), Counter)._seen
    1
    """


_ARRAYS = {np.dtype(np.float64): b"d", np.dtype(np.float32): b"f"}
"""Types of the numbers of an array, and its first byte where it is stored."""


def _write_array(array: np.ndarray) -> bytes:
    if array.dtype not in _ARRAYS or array.ndim != 1:  # it would be read as other numbers
        msg = f"a snapshot holds rows of floats, not {array.dtype} in {array.ndim} dimensions"
        raise TypeError(msg)
    return _ARRAYS[array.dtype] + array.tobytes()


def _read_array(kind: Any, data: bytes) -> np.ndarray:
    dtype = np.dtype(kind.__args__[1].__args__[0])
    if data[:1] != _ARRAYS[dtype]:
        msg = f"the array holds no {dtype}"
        raise ValueError(msg)
    return np.frombuffer(data, dtype, offset=1).copy()


_WRITERS: dict[type, Callable[[Any], bytes]] = {np.ndarray: _write_array}
_READERS: dict[type, Callable[[bytes], Any]] = {}


def extend(kind: type[T], write: Callable[[T], bytes], read: Callable[[bytes], T]) -> None:
    """Teach the codec a type that is no machine; arrays of floats in one dimension it knows."""
    _WRITERS[kind], _READERS[kind] = write, read


def _write(value: Any) -> bytes:
    write = _WRITERS.get(type(value))
    if write is None:
        msg = f"a snapshot cannot hold {type(value).__name__}"
        raise TypeError(msg)
    return write(value)


def _read(kind: Any, data: Any) -> Any:
    if type(data) is not bytes:
        msg = f"expected bytes, got {type(data).__name__}"
        raise TypeError(msg)
    if getattr(kind, "__origin__", kind) is np.ndarray:
        return _read_array(kind, data)
    return _READERS[kind](data)


_encoder = msgspec.msgpack.Encoder(enc_hook=_write)


@cache
def _decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind, dec_hook=_read)


def encode(machine: msgspec.Struct) -> bytes:
    """Return the stored form of a machine, or of a struct that holds machines."""
    body = _encoder.encode(machine)
    return _HEADER.pack(_MAGIC, STATE_VERSION, zlib.crc32(body)) + body


def is_encoded(data: bytes) -> bool:
    """Tell whether bytes begin as `encode` begins them, whatever follows."""
    return data.startswith(_MAGIC)


def decode(data: bytes, kind: type[T]) -> T:
    """Return the machine that :func:`encode` wrote.

    Raises
    ------
    DamagedSnapshotError
        If a byte is missing, added or changed, or the fields are not those of ``kind``.
    StateVersionError
        If a worker of another version wrote it.
    """
    if len(data) < _HEADER.size:
        raise DamagedSnapshotError(f"expected at least {_HEADER.size} bytes, got {len(data)}")
    magic, version, checksum = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise DamagedSnapshotError(f"expected a snapshot beginning {_MAGIC!r}, got {magic!r}")
    if version != STATE_VERSION:
        msg = f"the state has version {version}, this worker reads version {STATE_VERSION}"
        raise StateVersionError(msg)
    body = memoryview(data)[_HEADER.size :]
    if zlib.crc32(body) != checksum:
        raise DamagedSnapshotError(f"the checksum of {len(body)} bytes is not {checksum}")
    try:
        machine: T = _decoder(cast("Hashable", kind)).decode(body)
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise DamagedSnapshotError(
            f"the state of a {kind.__name__} does not fit: {error}"
        ) from error
    return machine


_FATAL = (MemoryError, KeyboardInterrupt, SystemExit)


def is_fatal(error: BaseException) -> bool:
    """Tell whether an error says nothing about the act: a lack of memory, a stop of the process."""
    return isinstance(error, _FATAL)


def failure_of(act: Callable[[], object]) -> str | None:
    """Return how an act failed; None where it did not.

    It catches whatever a library throws: a panic of Rust is a BaseException and no Exception.
    Fatal errors are raised.
    """
    try:
        act()
    except _FATAL:
        raise
    except BaseException as error:  # noqa: BLE001 # a panic of Rust is no Exception
        return f"{type(error).__name__}: {error}"
    return None
