"""The functions of a map's expressions: those of JMESPath, and a closed list of our own.

Each of ours returns null for null, so that a value which is absent stays absent. A value of another
wrong type raises `FunctionError`, whose message never holds the value.
"""

import base64
import csv
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from jmespath import functions

from streams.ingest.sources.table import typed
from streams.ingest.tolerance import parse_json

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ROUNDING_MS = 0.001
"""Milliseconds: ten times the spacing of doubles at the epoch seconds of today. A double that
stands for a whole number of milliseconds may lie below it."""
_OTEL_VALUES = ("stringValue", "intValue", "doubleValue", "boolValue")


class FunctionError(ValueError):
    """A function was given a value that it cannot take. The message never holds the value."""

    def __init__(self, *, says: str) -> None:
        super().__init__(says)


def seconds(given: Any) -> Any:
    """Return epoch seconds, a number or its text, as epoch milliseconds."""
    return math.floor(_number("seconds", given) * 1_000 + _ROUNDING_MS)


def millis(given: Any) -> Any:
    """Return epoch milliseconds, a number or its text, as an integer."""
    return math.floor(_number("millis", given))


def micros(given: Any) -> Any:
    """Return epoch microseconds as epoch milliseconds."""
    return math.floor(_number("micros", given)) // 1_000


def nanos(given: Any) -> Any:
    """Return epoch nanoseconds as epoch milliseconds."""
    return math.floor(_number("nanos", given)) // 1_000_000


def utc(given: Any) -> Any:
    """Return a time without a zone, which is in UTC, as epoch milliseconds; a number as it is.

    Examples
    --------
    >>> utc("2026-08-10 12:00:00.123456 UTC") == utc("2026-08-10T12:00:00.123") == 1786363200123
    True
    """
    if type(given) is int:
        return given
    try:
        at = datetime.fromisoformat(given.removesuffix(" UTC").upper())
    except (AttributeError, ValueError):
        raise FunctionError(
            says="utc takes a date and time as text, as 2026-03-01 12:00:00"
        ) from None
    since = (at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH
    return since.days * 86_400_000 + since.seconds * 1_000 + since.microseconds // 1_000


def number(given: Any) -> Any:
    """Return a number, or the number that a text spells."""
    return _number("number", given)


def text(given: Any) -> Any:
    """Return a value as text; numbers without a fraction have none in their text.

    Examples
    --------
    >>> text(7001.0), text(7001), text(True), text("a")
    ('7001', '7001', 'true', 'a')
    """
    if isinstance(given, str):
        return given
    if isinstance(given, float) and given.is_integer():
        return str(int(given))
    return orjson.dumps(given).decode()


def read_json(given: Any) -> Any:
    """Return the value of a text that holds JSON; any other value as it is."""
    if not isinstance(given, str):
        return given
    try:
        return parse_json(given)
    except (ValueError, RecursionError):
        raise FunctionError(says="json takes a text that holds JSON") from None


def read_csv(given: Any) -> Any:
    """Return the cells of a line of CSV, numbers as numbers."""
    if not isinstance(given, str):
        raise FunctionError(says="csv takes a line of text")
    return [typed(cell) for cell in next(csv.reader([given.strip()]), [])]


def zip_object(names: Any, values: Any) -> Any:
    """Return an object of names and values that stand in two arrays of one length."""
    _check_lists("zip_object", names, values)
    if len(names) != len(values):
        raise FunctionError(
            says=f"zip_object takes as many names as values, not {len(names)} and {len(values)}"
        )
    return dict(zip(map(text, names), values, strict=True))


def pairs(first: Any, second: Any) -> Any:
    """Return the pairs of two arrays of one length: the first items, then the second ..."""
    _check_lists("zip", first, second)
    if len(first) != len(second):
        raise FunctionError(
            says=f"zip takes two arrays of one length, not {len(first)} and {len(second)}"
        )
    return [list(pair) for pair in zip(first, second, strict=True)]


def at(items: Any, place: Any) -> Any:
    """Return the item of an array at a place, from 0; null beyond its end."""
    _check_lists("at", items)
    if type(place) is not int:
        raise FunctionError(says="at takes an array and a whole number")
    return items[place] if 0 <= place < len(items) else None


def kv(items: Any) -> Any:
    """Return OpenTelemetry's list of keys and values as an object.

    Examples
    --------
    >>> kv([{"key": "n", "value": {"intValue": "7"}}, {"key": "x", "value": {"doubleValue": 0.5}}])
    {'n': 7, 'x': 0.5}
    """
    _check_lists("kv", items)
    try:
        return {each["key"]: _otel(each.get("value") or {}) for each in items}
    except (KeyError, TypeError, AttributeError):
        raise FunctionError(
            says="kv takes a list of {key, value}, as OpenTelemetry has it"
        ) from None


def without(given: Any, names: Any) -> Any:
    """Return an object without some of its fields."""
    _check_lists("without", names)
    if not isinstance(given, dict):
        raise FunctionError(says="without takes an object and an array of names")
    left_out = frozenset(map(text, names))
    return {name: value for name, value in given.items() if name not in left_out}


def argmax(given: Any) -> Any:
    """Return the place, or the name, of the largest number of an array or object."""
    named = list(given.items() if isinstance(given, dict) else enumerate(_listed("argmax", given)))
    try:
        return max(named, key=lambda pair: pair[1])[0] if named else None
    except TypeError:
        raise FunctionError(says="argmax takes an array or object of numbers") from None


def read_base64(given: Any) -> Any:
    """Return the text that base64 stands for."""
    try:
        return base64.b64decode(given, validate=True).decode()
    except (ValueError, TypeError):
        raise FunctionError(says="base64 takes base64 of text in UTF-8") from None


def rows(columns: Any) -> Any:
    """Return a table of columns as a list of rows.

    Parameters
    ----------
    columns
        An object with one array for each column, or one object of row label and value, as pandas
        writes a frame.

    Examples
    --------
    >>> rows({"age": [33, 41], "income": {"0": 10, "1": 20}})
    [{'age': 33, 'income': 10}, {'age': 41, 'income': 20}]
    """
    if not isinstance(columns, dict):
        raise FunctionError(says="rows takes an object of columns")
    listed = {
        name: list(column.values()) if isinstance(column, dict) else _listed("rows", column)
        for name, column in columns.items()
    }
    return _transposed("rows", listed)


def tensors(given: Any) -> Any:
    """Return the tensors of KServe's and Triton's protocol (v2) as a list of rows.

    Parameters
    ----------
    given
        Objects of name, shape and data, row-major. One with several values a row gives fields
        ``name_0``, ``name_1`` ...

    Examples
    --------
    >>> tensors([{"name": "x", "shape": [2, 2], "data": [1, 2, 3, 4]}])
    [{'x_0': 1, 'x_1': 2}, {'x_0': 3, 'x_1': 4}]
    """
    columns: dict[str, list[Any]] = {}
    try:
        for tensor in _listed("tensors", given):
            name, count = text(tensor["name"]), tensor["shape"][0]
            data = _flat(tensor["data"])
            width = len(data) // count if count else 0
            for place in range(width):
                column = name if width == 1 else f"{name}_{place}"
                columns[column] = data[place::width]
    except (KeyError, TypeError, IndexError):
        raise FunctionError(says="tensors takes a list of {name, shape, data}") from None
    return _transposed("tensors", columns)


OURS: dict[str, tuple[int, Callable[..., Any]]] = {
    "seconds": (1, seconds),
    "millis": (1, millis),
    "micros": (1, micros),
    "nanos": (1, nanos),
    "utc": (1, utc),
    "number": (1, number),
    "text": (1, text),
    "json": (1, read_json),
    "csv": (1, read_csv),
    "zip_object": (2, zip_object),
    "zip": (2, pairs),
    "at": (2, at),
    "kv": (1, kv),
    "without": (2, without),
    "argmax": (1, argmax),
    "base64": (1, read_base64),
    "rows": (1, rows),
    "tensors": (1, tensors),
}
"""Our functions: the number of arguments, and the function."""


def _method(function: Callable[..., Any], arity: int) -> Callable[..., Any]:
    def call(_self: object, *arguments: Any) -> Any:
        return None if arguments[0] is None else function(*arguments)

    call.signature = tuple({"types": []} for _ in range(arity))  # type: ignore[attr-defined]
    return call


class MapFunctions(functions.Functions):
    """The functions of JMESPath, and ours."""

    FUNCTION_TABLE: dict[str, Any]


MapFunctions.FUNCTION_TABLE = dict(functions.Functions.FUNCTION_TABLE) | {
    name: {
        "function": _method(function, arity),
        "signature": tuple({"types": []} for _ in range(arity)),
    }
    for name, (arity, function) in OURS.items()
}


def _number(name: str, given: Any) -> int | float:
    if isinstance(given, str):
        for read in (int, float):
            try:
                given = read(given)
                break
            except ValueError:
                continue
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        raise FunctionError(says=f"{name} takes a finite number, or text that spells one")
    return given


def _listed(name: str, given: Any) -> list[Any]:
    if not isinstance(given, list):
        raise FunctionError(says=f"{name} takes an array")
    return given


def _check_lists(name: str, *given: Any) -> None:
    for each in given:
        _listed(name, each)


def _otel(value: dict[str, Any]) -> Any:
    for form in _OTEL_VALUES:
        if form in value:
            return int(value[form]) if form == "intValue" else value[form]
    if "arrayValue" in value:
        return [_otel(each) for each in value["arrayValue"].get("values") or []]
    return kv(value["kvlistValue"].get("values") or []) if "kvlistValue" in value else None


def _flat(data: Any) -> list[Any]:
    """Return nested arrays as one."""
    while data and isinstance(data[0], list):
        data = [each for part in data for each in part]
    return list(data)


def _transposed(name: str, columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    lengths: set[int] = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        raise FunctionError(says=f"{name} takes columns of one length")
    names: Sequence[str] = list(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
