"""Predictions and outcomes in their final form, recognised by one pass over their bytes.

The final form is the one that `schemas.fast` writes: such an event is not decoded, and its bytes
are passed on. A compiled loop checks this for many events at once.

Rule 1. Nothing is refused here. An event that is not in its final form, or whose form the loop does
        not know, is read by `schemas.fast` and, if need be, by pydantic: other order of fields,
        white space, escapes, text beyond ASCII, exponents, scores by class, segments, explanations.
Rule 2. The loop reads up to the first byte that does not fit. Behind the last event stands a byte
        that fits nowhere, with the padding of `schemas.number_text`: it reads no further.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.event import EventKind
from schemas.instants import FIRST_INSTANT_MS, LAST_INSTANT_MS
from schemas.number_text import (
    FLOAT,
    INTEGER,
    ODD,
    PADDING,
    Bytes,
    address_of,
    byte_at,
    compiled,
    eight_at,
    read_number,
)
from schemas.wire import MAX_FEATURES, MAX_NAME, MAX_TEXT

Places = NDArray[np.int64]

CHUNK_BYTES = 256 * 1024
"""Bytes that are scanned at once, unless one event has more: they stay in the cache of a core. 16
MB at once took twice as long (measured)."""

# Types of fields; the last four may be null.
_INSTANT, _LABEL, _FEATURES, _STATUS, _NAME, _NOTE, _SHARE, _AMOUNT, _NUMBER = range(9)
_REQUIRED = 4
"""Fields that every event has: its first ones."""
_MODEL = 1
"""Place of the model's id among them."""
_FIELDS: dict[EventKind, dict[str, int]] = {
    "prediction": {
        "prediction_id": _NAME,
        "model_id": _NAME,
        "predicted_at": _INSTANT,
        "prediction": _LABEL,
        "score": _SHARE,
        "model_version": _NOTE,
        "variant": _NOTE,
        "features": _FEATURES,
        "status": _STATUS,
        "latency_ms": _AMOUNT,
    },
    "outcome": {
        "prediction_id": _NAME,
        "model_id": _NAME,
        "observed_at": _INSTANT,
        "outcome": _LABEL,
        "value": _NUMBER,
        "review_id": _NOTE,
        "reviewer": _NOTE,
        "source": _NOTE,
    },
}
"""The fields that the loop knows, in the order in which `schemas.fast` writes them."""

_OPEN, _CLOSE, _QUOTE, _BACKSLASH, _COLON, _COMMA = b'{}"\\:,'
_SPACE, _TILDE, _T, _F = b" ~tf"
_NULL, _TRUE, _ALSE, _OK = (
    int.from_bytes(word, "little") for word in (b"null", b"true", b"alse", b'"ok"')
)
"""Words of four bytes, as a load of them returns."""


class Form(NamedTuple):
    """The fields of an event: their first bytes in it, the ends of these, and their types."""

    heads: Bytes
    ends: Places
    types: Places


class Keys(NamedTuple):
    """Places of the names of features.

    Parameters
    ----------
    now
        Those of the event that is read.
    known
        Those of an earlier event, none of which stands twice, and their number. Nearly always, the
        names are the same.
    """

    now: Places
    known: Places


@compiled
def are_equal(at: int, other: int, size: int) -> bool:
    """Tell whether so many bytes are equal."""
    while size >= 8:
        if eight_at(at) != eight_at(other):
            return False
        at, other, size = at + 8, other + 8, size - 8
    return (eight_at(at) ^ eight_at(other)) & ((1 << (8 * size)) - 1) == 0


@compiled
def _after_word(at: int, word: int) -> int:
    return at + 4 if eight_at(at) & 0xFFFFFFFF == word else 0


@compiled
def _after_text(at: int, longest: int) -> int:
    """Return the place after a text without escapes, in ASCII; 0 where none is here."""
    if byte_at(at) != _QUOTE:
        return 0
    at += 1
    stop = at + longest
    byte = byte_at(at)
    while byte != _QUOTE:
        if byte < _SPACE or byte > _TILDE or byte == _BACKSLASH or at == stop:
            return 0
        at += 1
        byte = byte_at(at)
    return at + 1


@compiled
def after_name(at: int) -> int:
    """Return the place after a name; 0 where none is here."""
    after = _after_text(at, MAX_NAME)
    return after if after > at + 2 else 0


@compiled
def _after_label(at: int) -> int:
    """Return the place after a text, a boolean or a number; 0 where none is here."""
    byte = byte_at(at)
    if byte == _QUOTE:
        return _after_text(at, MAX_TEXT)
    if byte == _T:
        return _after_word(at, _TRUE)
    if byte == _F:
        return _after_word(at + 1, _ALSE)
    after, kind, _ = read_number(at)
    return 0 if kind == ODD else after


@compiled
def copy_places(source: Places, target: Places, count: int) -> None:
    """Copy the first places: a copy of slices takes seconds to compile."""
    for key in range(count):
        target[key, 0], target[key, 1] = source[key, 0], source[key, 1]


@compiled
def _are_different(keys: Places, count: int) -> bool:
    """Tell whether none of the first keys stands twice, by a table of their hashes."""
    size = 16
    while size < 2 * count:
        size *= 2
    table = np.full(size, -1, np.int64)
    for key in range(count):
        begin, end = keys[key, 0], keys[key, 1]
        slot = 0
        for place in range(begin, end):
            slot = 31 * slot + byte_at(place)
        slot = (slot ^ (slot >> 12)) & (size - 1)
        while table[slot] >= 0:
            other, other_end = keys[table[slot], 0], keys[table[slot], 1]
            if other_end - other == end - begin and are_equal(begin, other, end - begin):
                return False
            slot = (slot + 1) & (size - 1)
        table[slot] = key
    return True


@compiled
def are_names(keys: Keys, count: int) -> bool:
    """Tell whether no name stands twice among the first of ``keys.now``."""
    now, known = keys
    is_known = known[MAX_FEATURES, 0] == count
    for key in range(count):
        if not is_known:
            break
        begin, other = now[key, 0], known[key, 0]
        size = now[key, 1] - begin
        is_known = known[key, 1] - other == size and are_equal(begin, other, size)
    if is_known:
        return True
    if not _are_different(now, count):
        return False
    copy_places(now, known, count)
    known[MAX_FEATURES, 0] = count
    return True


@compiled
def _after_features(at: int, keys: Keys) -> int:
    """Return the place after the features of a prediction; 0 where they are not plain."""
    if byte_at(at) != _OPEN:
        return 0
    if byte_at(at + 1) == _CLOSE:
        return at + 2
    count = 0
    now = keys.now
    while count < MAX_FEATURES:
        begin = at + 1
        at = after_name(begin)
        if at == 0 or byte_at(at) != _COLON:
            return 0
        now[count, 0], now[count, 1] = begin, at
        count += 1
        value = at + 1
        at = _after_label(value)
        if at == 0:
            at = _after_word(value, _NULL)
        if at == 0 or byte_at(at) != _COMMA:
            break
    return at + 1 if at and byte_at(at) == _CLOSE and are_names(keys, count) else 0


@compiled
def _after_number(at: int, kind: int) -> int:
    """Return the place after a number with a fraction, of a type; 0 where none is here."""
    after, number_kind, value = read_number(at)
    is_in_range = kind == _NUMBER or (value >= 0 and (kind == _AMOUNT or value <= 1))
    return after if number_kind == FLOAT and is_in_range else _after_word(at, _NULL)


@compiled
def _after_field(at: int, kind: int, keys: Keys) -> int:
    """Return the place after the value of a field; 0 where it is not plain."""
    if kind == _NAME:
        return after_name(at)
    if kind == _NOTE:
        return after_name(at) or _after_word(at, _NULL)
    if kind == _LABEL:
        return _after_label(at)
    if kind == _FEATURES:
        return _after_features(at, keys)
    if kind == _STATUS:
        return _after_word(at, _OK)
    return _after_number(at, kind)


@compiled
def _scan_event(at: int, form: Form, keys: Keys, found: Places) -> int:
    """Return the place after an event; 0 where it is not in its final form."""
    head = address_of(form.heads)
    begin = 0
    for field in range(len(form.types)):
        size = form.ends[field] - begin
        is_here = are_equal(at, head + begin, size)
        begin += size
        if not is_here:
            if field < _REQUIRED:
                return 0
            continue
        value = at + size
        if form.types[field] == _INSTANT:
            at, kind, instant = read_number(value)
            if kind != INTEGER or not FIRST_INSTANT_MS <= instant <= LAST_INSTANT_MS:
                return 0
            found[2] = np.int64(instant)
        else:
            at = _after_field(value, form.types[field], keys)
        if field == _MODEL:
            found[0], found[1] = value + 1, at - 1
        if at == 0:
            return 0
    return at + 1 if byte_at(at) == _CLOSE else 0


@compiled
def before_features(at: int, form: Form, keys: Keys) -> int:
    """Return the place of the comma before the features of an event; 0 where they do not come."""
    head, begin = address_of(form.heads), 0
    for field in range(len(form.types)):
        size = form.ends[field] - begin
        is_here = are_equal(at, head + begin, size)
        begin += size
        if form.types[field] == _FEATURES:
            return at if is_here else 0
        if not is_here:
            if field < _REQUIRED:
                return 0
            continue
        if form.types[field] == _INSTANT:
            at, kind, _ = read_number(at + size)
            at = at if kind == INTEGER else 0
        else:
            at = _after_field(at + size, form.types[field], keys)
        if at == 0:
            return 0
    return 0


@compiled
def scan_events(text: Bytes, ends: Places, form: Form, found: Places) -> None:
    """Find the events that are in their final form.

    Parameters
    ----------
    text
        Events one after the other, and the padding.
    ends
        Their ends.
    form
        The fields that they may have.
    found
        Is given, for each event, the place and the end of its model, and its instant. Place and
        instant are 0 where it is not in its final form.
    """
    known = np.zeros((MAX_FEATURES + 1, 2), np.int64)
    keys = Keys(np.empty((MAX_FEATURES, 2), np.int64), known)
    first = address_of(text)
    at = first
    for row in range(len(ends)):
        is_final = _scan_event(at, form, keys, found[row]) == first + ends[row]
        found[row, 0] = found[row, 0] - first if is_final else 0
        found[row, 1] -= first
        found[row, 2] *= is_final
        at = first + ends[row]


def _form(fields: dict[str, int]) -> Form:
    heads = [f'{"," if number else "{"}"{name}":' for number, name in enumerate(fields)]
    ends = np.array(list(accumulate(map(len, heads))))
    types = np.array(list(fields.values()))
    text = "".join(heads).encode() + bytes(PADDING)
    return Form(np.frombuffer(text, np.uint8), ends, types)


FORMS = {kind: _form(fields) for kind, fields in _FIELDS.items()}
FORMS["half"] = FORMS["prediction"]
"""The form of each kind of event."""


class Checked(NamedTuple):
    """What is known of some events.

    Parameters
    ----------
    models
        The model of each; None where it is not in its final form.
    instants
        Its own instant, in epoch milliseconds; 0 where it is not.
    """

    models: list[str | None]
    instants: list[int]


def check_all(kind: EventKind, values: Sequence[bytes]) -> Checked:
    """Find the events that are in their final form, and what they are about."""
    if kind not in FORMS:
        return Checked([None] * len(values), [0] * len(values))
    checked, sizes = Checked([], []), list(map(len, values))
    for first, end in _chunks(sizes):
        models, instants = _check(FORMS[kind], values[first:end])
        checked.models.extend(models)
        checked.instants.extend(instants)
    return checked


def _chunks(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and the end of values that are scanned at once."""
    first, ends = 0, list(accumulate(sizes))
    while first < len(sizes):
        end = bisect_right(ends, ends[first] - sizes[first] + CHUNK_BYTES)
        yield first, max(end, first + 1)
        first = max(end, first + 1)


def _check(form: Form, values: Sequence[bytes]) -> Checked:
    text = b"".join([*values, bytes(PADDING)])
    ends = np.array(list(accumulate(map(len, values))), np.int64)
    found = np.zeros((len(values), 3), np.int64)
    scan_events(np.frombuffer(text, np.uint8), ends, form, found)
    begins, ends_of_names, instants = found.T.tolist()
    return Checked(
        [
            text[begin:end].decode() if begin else None
            for begin, end in zip(begins, ends_of_names, strict=True)
        ],
        instants,
    )
