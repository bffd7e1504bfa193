"""Decode the events of a record; features that are doubles become no Python objects.

Of a prediction whose features are all numbers with a fraction, in their final form, a compiled loop
reads the doubles, and leaves them out of the JSON that is decoded. All others are decoded whole,
and so are records of small events.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from schemas.feature_row import FeatureRow
from schemas.number_text import FLOAT, PADDING, Bytes, address_of, byte_at, compiled, read_number
from schemas.scan import (
    FORMS,
    Form,
    Keys,
    Places,
    after_name,
    are_equal,
    are_names,
    before_features,
    copy_places,
)
from schemas.wire import MAX_FEATURES

LAYOUTS = 8
"""Lists of names in one record, at most: predictions with another list are decoded whole."""
SMALL = 1_000
"""Bytes of an event, on average, below which a record is decoded whole: with 10 features (340
bytes) that takes as long or less, with 500 (16,000 bytes) 2.5 times as long (measured)."""
_FEWEST_BYTES = 8
"""Bytes of a feature, at least: ``"a":0.5,``."""
_OPEN, _CLOSE, _COLON, _COMMA, _LEFT, _RIGHT = b"{}:,[]"
_HEAD = len(',"features":')


class _Layouts(NamedTuple):
    """Lists of names: the places of each name, and the number of names in each list."""

    places: NDArray[np.int64]
    counts: Places


class Found(NamedTuple):
    """The result of `take_features`.

    Parameters
    ----------
    rest
        A JSON array of the events without the features that were read.
    values
        The doubles, event after event.
    rows
        For each event, its list of names, -1 where it is left whole; the place of its first value;
        where its features begin and end in the text.
    """

    rest: Bytes
    values: NDArray[np.float64]
    rows: NDArray[np.int64]


@compiled
def _layout_of(keys: Keys, count: int, layouts: _Layouts) -> int:
    """Return the list of these names, which may be new; `LAYOUTS` where there is no more room."""
    now, places, counts = keys.now, layouts.places, layouts.counts
    for layout in range(LAYOUTS):
        if counts[layout] == 0:
            if not are_names(keys, count):
                return LAYOUTS
            copy_places(now, places[layout], count)
            counts[layout] = count
            return layout
        is_same = counts[layout] == count
        for key in range(count):
            if not is_same:
                break
            begin, other = now[key, 0], places[layout, key, 0]
            size = now[key, 1] - begin
            is_same = places[layout, key, 1] - other == size and are_equal(begin, other, size)
        if is_same:
            return layout
    return LAYOUTS


@compiled
def _read_doubles(at: int, keys: Keys, values: NDArray[np.float64]) -> tuple[int, int]:
    """Return the place after features that are all doubles, and their number; else zeros."""
    if byte_at(at) != _OPEN:
        return 0, 0
    now = keys.now
    count = 0
    while count < MAX_FEATURES:
        begin = at + 1
        at = after_name(begin)
        if at == 0 or byte_at(at) != _COLON:
            return 0, 0
        now[count, 0], now[count, 1] = begin, at
        at, kind, values[count] = read_number(at + 1)
        if kind != FLOAT:
            return 0, 0
        count += 1
        if byte_at(at) != _COMMA:
            break
    return (at + 1, count) if byte_at(at) == _CLOSE else (0, 0)


@compiled
def _copy(source: Bytes, begin: int, end: int, target: Bytes, at: int) -> int:
    """Copy bytes; return the place after them."""
    for place in range(end - begin):
        target[at + place] = source[begin + place]
    return at + end - begin


@compiled
def take_features(text: Bytes, ends: Places, form: Form, found: Found) -> tuple[int, int]:
    """Read the features of predictions; return the bytes of the rest, and the number of doubles.

    Parameters
    ----------
    text
        Events one after the other, and the padding.
    ends
        Their ends.
    form
        The fields of a prediction.
    found
        Is given the result.
    """
    rest, values, rows = found
    known = np.zeros((MAX_FEATURES + 1, 2), np.int64)
    keys = Keys(np.empty((MAX_FEATURES, 2), np.int64), known)
    places = np.empty((LAYOUTS, MAX_FEATURES, 2), np.int64)
    layouts = _Layouts(places, np.zeros(LAYOUTS, np.int64))
    first = address_of(text)
    at = size = taken = 0
    for row in range(len(ends)):
        end = ends[row]
        rest[size] = _COMMA if row else _LEFT
        size += 1
        rows[row, 0] = -1
        head = before_features(first + at, form, keys)
        if head:
            after, count = _read_doubles(head + _HEAD, keys, values[taken:])
            layout = _layout_of(keys, count, layouts) if after else LAYOUTS
            if layout < LAYOUTS and after - first <= end:
                head -= first
                rows[row, 0], rows[row, 1] = layout, taken
                rows[row, 2], rows[row, 3] = head + _HEAD, after - first
                size = _copy(text, at, head, rest, size)
                at = after - first
                taken += count
        size = _copy(text, at, end, rest, size)
        at = end
    rest[size] = _RIGHT
    return size + 1, taken


@lru_cache(maxsize=4_096)  # more models of a partition than that rarely have features of their own
def _shared(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return names as one object."""
    return names


def load_events(payloads: Sequence[bytes]) -> list[Any]:
    """Decode payloads, at once: a third less time than one by one.

    Returns
    -------
    list
        Their values. The ``features`` of a prediction are a `FeatureRow` or, as decoded, a dict.

    Raises
    ------
    orjson.JSONDecodeError
        When they are no JSON.
    """
    if sum(map(len, payloads)) <= SMALL * len(payloads):
        whole: list[Any] = orjson.loads(b"[%b]" % b",".join(payloads))
        return whole
    text = b"".join([*payloads, bytes(PADDING)])
    ends = np.array(list(accumulate(map(len, payloads))), np.int64)
    rest = np.empty(len(text) + len(payloads) + 1, np.uint8)
    values = np.empty(len(text) // _FEWEST_BYTES + MAX_FEATURES)
    found = Found(rest, values, np.empty((len(payloads), 4), np.int64))
    size, taken = take_features(np.frombuffer(text, np.uint8), ends, FORMS["prediction"], found)
    events: list[Any] = orjson.loads(rest[:size].data)
    if len(events) != len(payloads):
        return events
    doubles = values[:taken].tobytes()
    names: dict[int, tuple[str, ...]] = {}
    for event, (layout, first, begin, end) in zip(events, found.rows.tolist(), strict=True):
        if layout < 0:
            continue
        if layout not in names:
            names[layout] = _shared(tuple(orjson.loads(text[begin:end])))
        of_layout = names[layout]
        event["features"] = FeatureRow(of_layout, doubles[8 * first : 8 * (first + len(of_layout))])
    return events
