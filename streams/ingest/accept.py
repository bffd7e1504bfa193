"""Accept records of the input topics: check and decode them, and bring them to one form.

Rule 1. Size is checked before anything is decoded.
Rule 2. A refused record becomes one dead letter, with a reason and its source position. A refused
        prediction or outcome that names its model also becomes an event of that model, which holds
        the reason and nothing of the input.
Rule 3. An accepted event has one form: instants as epoch milliseconds, no unknown fields. Of a
        prediction without features the names of these are kept (`streams.ingest.unread`).
Rule 4. An optional field that is not legal is left out, and named (`streams.ingest.tolerance`).
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace
from pydantic import BaseModel, ValidationError

from schemas.control import Control
from schemas.event import EventKind
from schemas.fast import (
    ReadEvent,
    encode,
    plain_outcome_of,
    plain_prediction_of,
    read_plain_outcome,
    read_plain_prediction,
)
from schemas.inputs import Inputs
from schemas.instants import FIRST_INSTANT_MS
from schemas.model_spec import MAX_SPEC_BYTES, SpecError
from schemas.outcome import Outcome
from schemas.prediction import Prediction
from schemas.report import Report
from schemas.wire import MAX_PAYLOAD_BYTES
from streams.ingest.dead_letter import explain, refuse, with_model
from streams.ingest.envelope import envelope_of
from streams.ingest.records import Accepted, Raw, Refused
from streams.ingest.spec_record import ProfileCheck, read_spec_record, refuse_profile
from streams.ingest.tolerance import LEFT_OUT, read_tolerantly
from streams.ingest.unread import UNREAD, Noted, unread_fields, unread_names

MAX_DETAIL_CHARACTERS = 1_000
"""Characters of a dead letter's detail about a spec: some ten fields with their remedies."""
_EVENT_OF: dict[EventKind, type[Prediction | Outcome | Control | Inputs | Report]] = {
    "prediction": Prediction,
    "half": Prediction,
    "inputs": Inputs,
    "outcome": Outcome,
    "control": Control,
    "report": Report,
}
_PLAIN: dict[EventKind, Callable[[bytes], ReadEvent | None]] = {
    "prediction": read_plain_prediction,
    "half": read_plain_prediction,
    "outcome": read_plain_outcome,
}
_PLAIN_FIELDS: dict[EventKind, Callable[[dict[str, Any]], ReadEvent | None]] = {
    "prediction": plain_prediction_of,
    "half": plain_prediction_of,
    "outcome": plain_outcome_of,
}
_INSTANT_OF: dict[EventKind, str] = {
    "prediction": "predicted_at",
    "half": "predicted_at",
    "inputs": "at",
    "outcome": "observed_at",
    "control": "at",
    "report": "at",
}
_ANSWERS = frozenset[EventKind](("prediction", "half"))


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
    # msgspec decodes, checks and encodes a plain event in a third of the time of pydantic, which
    # decides about all others.
    if read_plain is not None and value and len(value) <= max_payload_bytes:
        plain = read_plain(value)
        if plain is not None:
            model_id, at_ms, payload = plain
            logged_at = at_ms if raw.logged_at is None else raw.logged_at
            return Accepted(raw.source, raw.offset, logged_at, model_id, at_ms, payload, raw.item)
    if kind == "spec":
        return _accept_spec(raw, check_profile)
    if not value:
        return refuse(raw, "empty", "a record without a value")
    if len(value) > max_payload_bytes:
        detail = f"{len(value):,} bytes; at most {max_payload_bytes:,} are taken"
        return refuse(raw, "too_large", detail)
    return _accept_other(raw, value)


def is_untimed(timestamp_ms: int) -> bool:
    """Tell whether a record's timestamp is no time: epoch seconds, that is, January 1970."""
    return 0 <= timestamp_ms < FIRST_INSTANT_MS


def with_own_time(item: Accepted | Refused, now_ms: int) -> Accepted | Refused:
    """Return what became of a record whose timestamp is no time, at the event's own instant.

    It is no later than ``now_ms``. What is refused has none of its own.
    """
    if isinstance(item, Refused):
        return item
    return replace(item, logged_at=min(item.at_ms, now_ms))


def read_plain_fields(kind: EventKind, fields: dict[str, Any]) -> ReadEvent | None:
    """Read the fields of an event that a map gave; None where `accept_fields` has to."""
    read = _PLAIN_FIELDS.get(kind)
    return None if read is None else read(fields)


def accept_fields(raw: Raw, fields: dict[str, Any], max_payload_bytes: int) -> Accepted | Refused:
    """Read an event that a map made of a record, and that is not in the plain form.

    Parameters
    ----------
    raw
        The record, with the kind and the number of the event.
    fields
        The fields of the event, without those that are absent.
    max_payload_bytes
        A larger event is refused.
    """
    try:
        value = encode(fields)
    except OverflowError:  # an integer of more than 64 bits, which JSON may hold
        value = json.dumps(fields).encode()
    if len(value) > max_payload_bytes:
        detail = f"{len(value):,} bytes of an event; at most {max_payload_bytes:,} are taken"
        return refuse(raw, "too_large", detail)
    try:
        return _accept_tolerantly(raw, fields)
    except ValidationError as error:
        return with_model(refuse(raw, *explain(value, error)), value)


def _accept_other(raw: Raw, value: bytes) -> Accepted | Refused:
    """Read a record that is not in the plain form, or is not a valid event."""
    kind = raw.source.kind
    try:
        event = _EVENT_OF[kind].__pydantic_validator__.validate_json(value)
    except ValidationError as strict:
        wrong, given = strict, _parsed(value)
        if isinstance(given, dict):
            try:
                return _accept_tolerantly(raw, given)
            except ValidationError as remaining:
                wrong = remaining
        reason, detail = explain(value, wrong)
        envelope = envelope_of(given)
        if envelope is not None:
            detail = f"{detail}; this looks like {envelope}: see docs/sources.md"
        return with_model(refuse(raw, reason, detail), value)
    return _accepted(
        raw, event, unread_fields(value) if _is_without_features(kind, event) else None
    )


def _accept_tolerantly(raw: Raw, given: dict[str, Any]) -> Accepted:
    """Read an event without its illegal optional fields (Rule 4).

    Raises
    ------
    ValidationError
        When it is no event even so.
    """
    kind = raw.source.kind
    event, left_out = read_tolerantly(kind, _EVENT_OF[kind], given)
    unread = unread_names(given) if _is_without_features(kind, event) else None
    return _accepted(raw, event, unread, left_out)


def _accepted(
    raw: Raw, event: BaseModel, unread: Noted | None, left_out: Sequence[str] = ()
) -> Accepted:
    kind = raw.source.kind
    at_ms: int = event.__dict__[_INSTANT_OF[kind]]
    given = event.__pydantic_fields_set__
    kept = {name: v for name, v in event.__dict__.items() if name in given}
    if kind in _ANSWERS:
        kept.setdefault("prediction", None)  # a call that failed has none
    kept |= {} if unread is None else {UNREAD: unread}
    kept |= {LEFT_OUT: left_out} if left_out else {}
    logged_at = at_ms if raw.logged_at is None else raw.logged_at
    model_id: str = event.__dict__["model_id"]
    return Accepted(raw.source, raw.offset, logged_at, model_id, at_ms, encode(kept), raw.item)


def _is_without_features(kind: EventKind, event: BaseModel) -> bool:
    return kind == "prediction" and not event.__dict__["features"]


def _parsed(value: bytes) -> Any:
    """Return the value of JSON in UTF-8; None where the bytes are none.

    Integers are read in full: different classes of 65 bits would become one double.
    """
    try:
        return json.loads(value.decode())
    except (ValueError, RecursionError):
        return None


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
