"""Accept records of the input topics: check and decode them, and bring them to one form.

Rule 1. Size is checked before anything is decoded.
Rule 2. A refused record becomes one dead letter, with a reason and its source position. A refused
        prediction or outcome that names its model also becomes an event of that model, which holds
        the reason and nothing of the input.
Rule 3. An accepted event has one form: instants as epoch milliseconds, no unknown fields. Of a
        prediction without features the names of these are kept (`streams.ingest.unread`).
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
from streams.ingest.dead_letter import explain, refuse, with_model
from streams.ingest.records import Accepted, Raw, Record, Refused
from streams.ingest.spec_record import ProfileCheck, read_spec_record, refuse_profile
from streams.ingest.unread import UNREAD, unread_fields

MAX_DETAIL_CHARACTERS = 1_000
"""Characters of a dead letter's detail about a spec: some ten fields with their remedies."""
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


def accept(
    raw: Raw,
    max_payload_bytes: int = MAX_PAYLOAD_BYTES,
    check_profile: ProfileCheck = refuse_profile,
) -> Accepted | Refused:
    """Read one record of an input topic.

    Parameters
    ----------
    raw
        The record.
    max_payload_bytes
        A larger payload is refused; specs have a limit of their own.
    check_profile
        Raises `SpecError` where the profile of a spec cannot be used.
    """
    value, kind = raw.value, raw.source.kind
    read_plain = _PLAIN.get(kind)
    # The hot path of ingest. msgspec decodes, checks and encodes a plain event in a third of the
    # time of pydantic, which decides about all others.
    if read_plain is not None and value and len(value) <= max_payload_bytes:
        plain = read_plain(value)
        if plain is not None:
            model_id, at_ms, payload = plain
            logged_at = at_ms if raw.logged_at is None else raw.logged_at
            return Accepted(raw.source, raw.offset, logged_at, model_id, at_ms, payload)
    if kind == "spec":
        return _accept_spec(raw, check_profile)
    if not value:
        return refuse(raw, "empty", "a record without a value")
    if len(value) > max_payload_bytes:
        detail = f"{len(value):,} bytes; at most {max_payload_bytes:,} are taken"
        return refuse(raw, "too_large", detail)
    return _accept_other(raw, value)


def accept_all(
    source: Source,
    records: Iterable[Record],
    now_ms: int,
    max_payload_bytes: int,
    check_profile: ProfileCheck = refuse_profile,
) -> list[Accepted | Refused]:
    """Read the records that a fetch returned of one partition, with `accept`.

    The log gives a record the earlier of its timestamp and ``now_ms``: a producer's clock may be
    ahead, and a timestamp of -1 is none.
    """
    accepted = []
    for record in records:
        timestamp_ms = record.timestamp
        logged_at = timestamp_ms if 0 <= timestamp_ms < now_ms else now_ms
        raw = Raw(source, record.offset, logged_at, record.value, record.key)
        accepted.append(accept(raw, max_payload_bytes, check_profile))
    return accepted


def _accept_other(raw: Raw, value: bytes) -> Accepted | Refused:
    """Read a record that is not in the plain form, or is not a valid event."""
    kind = raw.source.kind
    try:
        event = _EVENT_OF[kind].__pydantic_validator__.validate_json(value)
    except ValidationError as error:
        return with_model(refuse(raw, *explain(value, error)), value)
    at_ms = event.__dict__[_INSTANT_OF[kind]]
    given = event.__pydantic_fields_set__
    kept = {name: v for name, v in event.__dict__.items() if name in given}
    if kind == "prediction" and not kept.get("features"):
        unread = unread_fields(value)
        kept |= {} if unread is None else {UNREAD: unread}
    payload = encode(kept)
    logged_at = at_ms if raw.logged_at is None else raw.logged_at
    return Accepted(raw.source, raw.offset, logged_at, event.model_id, at_ms, payload)


def _accept_spec(raw: Raw, check_profile: ProfileCheck) -> Accepted | Refused:
    """Read a record of ``models``. Its detail may hold values: a spec has no personal data."""
    if raw.value is not None and len(raw.value) > MAX_SPEC_BYTES:
        detail = f"{len(raw.value):,} bytes; a spec has at most {MAX_SPEC_BYTES:,}"
        return refuse(raw, "too_large", detail)
    try:
        model_id, payload = read_spec_record(raw.key, raw.value, check_profile)
    except SpecError as error:
        detail = "; ".join(str(error).splitlines())
        return refuse(raw, "invalid", detail[:MAX_DETAIL_CHARACTERS])
    logged_at = raw.logged_at or 0
    return Accepted(raw.source, raw.offset, logged_at, model_id, logged_at, payload)
