"""Bytes of a record as a value: JSON, CloudEvents, Confluent's wire format, Avro, MessagePack.

Rule 1. An envelope that says nothing of its own is taken off unasked: Kafka Connect's ``schema``
        and ``payload``, and a structured CloudEvent, whose attributes become headers ``ce_*``.
Rule 2. A value has the types of JSON: an instant is epoch milliseconds, bytes are base64, a decimal
        is a number.
Rule 3. A message never holds the value.
"""

import base64
import datetime
import io
import zlib
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from schemas.dead_letter import Reason
from streams.ingest.sources.source_map import Encoding
from streams.ingest.tolerance import parse_json

MAX_UNZIPPED_BYTES = 16 * 1024 * 1024
"""Bytes of a record once unzipped: four times the largest record of ours. A zip bomb of 1 MiB
would have a gigabyte."""
_BOM = b"\xef\xbb\xbf"
_MAGIC = 0
_WIRE_HEADER = 5  # a byte of magic, then the id of the schema in four
_AVRO_MAGIC = b"Obj\x01"
_CONNECT = {"schema", "payload"}
_CLOUD_EVENT = {"specversion", "id", "source", "type"}
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MILLISECOND = datetime.timedelta(milliseconds=1)


class DecodeError(ValueError):
    """A record cannot be decoded. ``reason`` is for programs."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason: Reason = reason


class Schema(NamedTuple):
    """A schema of the registry: ``kind`` is AVRO, JSON or PROTOBUF; ``parsed`` is fastavro's."""

    kind: str
    parsed: Any = None


SchemaOf = Callable[[int], Schema]
"""Returns a schema by its id; raises `DecodeError` where the registry has none."""
Headers = dict[str, Any]


def no_registry(number: int) -> Schema:
    """Raise, since no registry is named.

    Raises
    ------
    DecodeError
        Always.
    """
    raise DecodeError(
        reason="invalid", detail=f"schema {number} is not known: no registry is named"
    )


def schema_id(value: bytes | None) -> int | None:
    """Return the id of the schema of a record in Confluent's wire format; None in another."""
    if value is None or len(value) < _WIRE_HEADER or value[0] != _MAGIC:
        return None
    return int.from_bytes(value[1:_WIRE_HEADER], "big")


def decode(
    encoding: Encoding, value: bytes, headers: Headers, schema_of: SchemaOf = no_registry
) -> tuple[Any, Headers]:
    """Return the value of a record, and its headers with those of a structured CloudEvent.

    Parameters
    ----------
    encoding, value, headers
        The form of the record, its bytes, its headers.
    schema_of
        Gives a schema of the registry.

    Raises
    ------
    DecodeError
        When the bytes have another form.
    """
    match encoding:
        case "confluent":
            decoded = _confluent(value, schema_of)
        case "avro":
            decoded = _avro_file(value)
        case "msgpack":
            decoded = _msgpack(value)
        case "gzip+json":
            decoded = _json(_unzipped(value))
        case _:
            decoded = _json(value)
    decoded, headers = unwrapped(decoded, headers)
    if encoding == "cloudevents" and "ce_specversion" not in headers:
        raise DecodeError(reason="invalid", detail="this is no CloudEvent: it has no specversion")
    return decoded, headers


def unwrapped(value: Any, headers: Headers) -> tuple[Any, Headers]:
    """Take off an envelope (Rule 1); return the value, and the headers with its attributes."""
    if type(value) is not dict:
        return value, headers
    if value.keys() == _CONNECT:
        return unwrapped(value["payload"], headers)
    if "specversion" in value and value.keys() >= _CLOUD_EVENT:
        attributes = {
            f"ce_{name}": each
            for name, each in value.items()
            if name not in {"data", "data_base64"}
        }
        return _data(value), headers | attributes
    return value, headers


def _data(event: Mapping[str, Any]) -> Any:
    """Return the data of a structured CloudEvent."""
    if "data_base64" not in event:
        return event.get("data")
    try:
        data = base64.b64decode(event["data_base64"], validate=True)
    except (ValueError, TypeError):
        raise DecodeError(reason="invalid", detail="data_base64 is not base64") from None
    return _json(data)


def _json(value: bytes) -> Any:
    value = value.removeprefix(_BOM)
    try:
        return parse_json(value)
    except UnicodeDecodeError as error:
        raise DecodeError(reason="not_utf8", detail=f"not UTF-8 at byte {error.start}") from None
    except (ValueError, RecursionError) as error:
        lines = value.split(b"\n")
        if len(lines) > 1:
            return _lines(lines, error)
        raise _not_json(error) from None


def _lines(lines: list[bytes], error: Exception) -> list[Any]:
    """Return several values of JSON, one a line."""
    try:
        return [parse_json(line) for line in lines if line.strip()]
    except (ValueError, RecursionError):
        raise _not_json(error) from None


def _not_json(error: Exception) -> DecodeError:
    where = getattr(error, "pos", None)
    return DecodeError(
        reason="not_json", detail="not JSON" if where is None else f"not JSON at byte {where}"
    )


def _unzipped(value: bytes) -> bytes:
    stream = zlib.decompressobj(wbits=31)
    try:
        unzipped = stream.decompress(value, MAX_UNZIPPED_BYTES)
    except zlib.error:
        raise DecodeError(reason="invalid", detail="not gzip") from None
    if stream.unconsumed_tail:
        detail = f"more than {MAX_UNZIPPED_BYTES:,} bytes once unzipped"
        raise DecodeError(reason="too_large", detail=detail)
    if not stream.eof:
        raise DecodeError(reason="invalid", detail="the gzip data ends early")
    return unzipped


def _msgpack(value: bytes) -> Any:
    try:
        return plain(msgspec.msgpack.decode(value))
    except (msgspec.DecodeError, RecursionError):
        raise DecodeError(reason="invalid", detail="not MessagePack") from None


def _avro_file(value: bytes) -> list[Any]:
    """Return the records of an Avro object container file."""
    import fastavro  # noqa: PLC0415 - an extra

    if not value.startswith(_AVRO_MAGIC):
        raise DecodeError(reason="invalid", detail="not an Avro file: it does not begin with Obj")
    try:
        return [plain(record) for record in fastavro.reader(io.BytesIO(value))]
    except Exception as error:  # fastavro has no error of its own for damaged files
        raise DecodeError(reason="invalid", detail="a damaged Avro file") from error


def _confluent(value: bytes, schema_of: SchemaOf) -> Any:
    number = schema_id(value)
    if number is None:
        msg = "not Confluent's wire format: it does not begin with a zero byte and a schema's id"
        raise DecodeError(reason="invalid", detail=msg)
    schema, payload = schema_of(number), value[_WIRE_HEADER:]
    if schema.kind == "JSON":
        return _json(payload)
    if schema.kind != "AVRO":
        raise DecodeError(
            reason="invalid", detail=f"schema {number} is {schema.kind.title()}, which is not read"
        )
    import fastavro  # noqa: PLC0415 - an extra

    try:
        return plain(fastavro.schemaless_reader(io.BytesIO(payload), schema.parsed, None))
    except Exception as error:  # as above
        raise DecodeError(
            reason="invalid", detail=f"the payload does not fit schema {number}"
        ) from error


def plain(value: Any) -> Any:
    """Return a value in the types of JSON (Rule 2)."""
    match value:
        case None | bool() | int() | float() | str():
            found: Any = value
        case dict():
            found = {str(name): plain(each) for name, each in value.items()}
        case list() | tuple():
            found = [plain(each) for each in value]
        case datetime.datetime():
            at = value if value.tzinfo else value.replace(tzinfo=datetime.UTC)
            found = (at - _EPOCH) // _MILLISECOND
        case bytes():
            found = base64.b64encode(value).decode()
        case Decimal():
            found = float(value)
        case _:
            found = str(value)
    return found
