"""Take in what services publish: check, decode, refuse or accept, put in order, pack for the log.

Rule 1. Size is checked before anything is decoded.
Rule 2. What is refused becomes one dead letter, with a reason and its source position. A prediction
        or an outcome that names its model is also an event of that model, which says no more than
        that it was refused, and why.
Rule 3. What is accepted travels on in one form: instants as epoch milliseconds, no unknown fields.
Rule 4. An event's log partition is a pure function of its model: CRC-32 of the id, modulo the
        number of partitions.
Rule 5. Events of one source partition keep their order.
"""

from collections.abc import Callable, Iterable

from pydantic import ValidationError

from schemas.control import Control
from schemas.event import EventKind, Source
from schemas.fast import ReadEvent, encode, read_plain_outcome, read_plain_prediction
from schemas.model_spec import MAX_SPEC_BYTES, SpecError
from schemas.outcome import Outcome
from schemas.prediction import Prediction
from schemas.wire import MAX_PAYLOAD_BYTES
from streams.ingest.dead_letter import _refuse, _why, _with_model
from streams.ingest.records import Accepted, Raw, Record, Refused, _new_accepted
from streams.ingest.spec_record import read_spec_record

MAX_DETAIL_CHARACTERS = 1_000
_EVENT_OF: dict[EventKind, type[Prediction | Outcome | Control]] = {
    "prediction": Prediction,
    "outcome": Outcome,
    "control": Control,
}
_PLAIN: dict[EventKind, Callable[[bytes], ReadEvent | None]] = {
    "prediction": read_plain_prediction,
    "outcome": read_plain_outcome,
}
_INSTANT_OF: dict[EventKind, str] = {
    "prediction": "predicted_at",
    "outcome": "observed_at",
    "control": "at",
}


def accept(raw: Raw, max_payload_bytes: int = MAX_PAYLOAD_BYTES) -> Accepted | Refused:
    """Read one record of an input topic."""
    source, offset, logged_at, value, _ = raw
    read_plain = _PLAIN.get(source.kind, _never_plain)
    plain = read_plain(value) if value and len(value) <= max_payload_bytes else None
    if plain is None:
        return _accept_other(raw, max_payload_bytes)
    model_id, at_ms, payload = plain
    return Accepted(
        source, offset, at_ms if logged_at is None else logged_at, model_id, at_ms, payload
    )


def accept_all(
    source: Source, records: Iterable[Record], now_ms: int, max_payload_bytes: int
) -> list[Accepted | Refused]:
    """Read what a fetch brought of one partition: `accept` for each record.

    A producer's clock may run ahead, and -1 is no timestamp: the log gives a record the earlier of
    its timestamp and ``now_ms``.
    """
    read_plain = _PLAIN.get(source.kind, _never_plain)
    items: list[Accepted | Refused] = []
    add = items.append
    # The hot loop of ingest. A plain event is decoded, checked and encode in its one form by
    # msgspec: pydantic, which has the last word on all others, took three times as long.
    for record in records:
        value, timestamp_ms = record.value, record.timestamp
        logged_at = timestamp_ms if 0 <= timestamp_ms < now_ms else now_ms
        plain = read_plain(value) if value and len(value) <= max_payload_bytes else None
        if plain is None:
            raw = Raw(source, record.offset, logged_at, value, record.key)
            add(_accept_other(raw, max_payload_bytes))
            continue
        model_id, at_ms, payload = plain
        add(_new_accepted((source, record.offset, logged_at, model_id, at_ms, payload)))
    return items


def _never_plain(_: bytes) -> None:
    return None


def _accept_other(raw: Raw, max_payload_bytes: int) -> Accepted | Refused:
    """Read a record that is not in the plain form, or is no event."""
    value = raw.value
    kind = raw.source.kind
    if kind == "spec":
        return _accept_spec(raw)
    if not value:
        return _refuse(raw, "empty", "a record without a value")
    if len(value) > max_payload_bytes:
        detail = f"{len(value):,} bytes; at most {max_payload_bytes:,} are taken"
        return _refuse(raw, "too_large", detail)
    try:
        event = _EVENT_OF[kind].__pydantic_validator__.validate_json(value)
    except ValidationError as error:
        return _with_model(_refuse(raw, *_why(value, error)), value)
    at_ms = event.__dict__[_INSTANT_OF[kind]]
    given = event.__pydantic_fields_set__
    payload = encode({name: v for name, v in event.__dict__.items() if name in given})
    logged_at = at_ms if raw.logged_at is None else raw.logged_at
    return Accepted(raw.source, raw.offset, logged_at, event.model_id, at_ms, payload)


def _accept_spec(raw: Raw) -> Accepted | Refused:
    """Read a record of ``models``: its detail says more, because a spec holds nobody's data."""
    if raw.value is not None and len(raw.value) > MAX_SPEC_BYTES:
        detail = f"{len(raw.value):,} bytes; a spec has at most {MAX_SPEC_BYTES:,}"
        return _refuse(raw, "too_large", detail)
    try:
        model_id, payload = read_spec_record(raw.key, raw.value)
    except SpecError as error:
        detail = "; ".join(str(error).splitlines())
        return _refuse(raw, "invalid", detail[:MAX_DETAIL_CHARACTERS])
    logged_at = raw.logged_at or 0
    return Accepted(raw.source, raw.offset, logged_at, model_id, logged_at, payload)
