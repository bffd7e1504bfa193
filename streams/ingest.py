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

import hashlib
import math
from bisect import bisect_right
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from operator import itemgetter
from typing import Any, NamedTuple, Protocol, TypeGuard

import orjson
from pydantic import ValidationError

from schemas.control import Control
from schemas.dead_letter import DeadLetter, Reason
from schemas.event import EventBatch, EventKind, Source, encode_events
from schemas.model_spec import MAX_SPEC_BYTES, SpecError
from schemas.outcome import Outcome
from schemas.plain import Read, read_plain_outcome, read_plain_prediction, written
from schemas.prediction import Prediction
from schemas.topics import model_partition
from schemas.wire import MAX_NAME, MAX_PAYLOAD_BYTES
from streams.spec import read_spec_record

SHOWN_BYTES = 512
MAX_BATCH_EVENTS = 500
MAX_BATCH_BYTES = 512 * 1024

MAX_FIELD_SHOWN = 200
MAX_DETAIL_CHARACTERS = 1_000

_ANSWER = (
    "a string of at most 1,024 characters, an integer of 64 bits, a boolean or a finite number"
)
_ALTERNATIVES = {
    "prediction": _ANSWER,
    "outcome": _ANSWER,
    "features": f"an object of at most 1,000 named values, each {_ANSWER}, or null",
}
_EVENT_OF: dict[EventKind, type[Prediction | Outcome | Control]] = {
    "prediction": Prediction,
    "outcome": Outcome,
    "control": Control,
}
_TOLD = frozenset[EventKind](("prediction", "outcome"))
_PLAIN: dict[EventKind, Callable[[bytes], Read | None]] = {
    "prediction": read_plain_prediction,
    "outcome": read_plain_outcome,
}
_INSTANT_OF: dict[EventKind, str] = {
    "prediction": "predicted_at",
    "outcome": "observed_at",
    "control": "at",
}


class Raw(NamedTuple):
    """A record as it lies in an input topic.

    ``logged_at`` is what the log will give it, in epoch milliseconds; None is the event's own.
    """

    source: Source
    offset: int
    logged_at: int | None
    value: bytes | None
    key: bytes | None = None


class Record(Protocol):
    """A record as Kafka gives it."""

    offset: int
    timestamp: int
    key: Any
    value: Any


class Accepted(NamedTuple):
    """A valid event: where it was, when, whose, its own instant, and its one form."""

    source: Source
    offset: int
    logged_at: int
    model_id: str
    at_ms: int
    payload: bytes


_new_accepted = partial(tuple.__new__, Accepted)
"""Makes one of a tuple, in half the time of the class itself."""
_payload_of = itemgetter(Accepted._fields.index("payload"))


@dataclass(frozen=True, slots=True)
class Refused:
    """An input that is not an event, and the dead letter that says so.

    ``event`` is what its model is told, where it names one.
    """

    source: Source
    offset: int
    logged_at: int
    letter: DeadLetter
    event: Accepted | None = None

    @property
    def at_ms(self) -> int:
        """The event's own instant is not known: the log's stands for it."""
        return self.logged_at

    @property
    def payload(self) -> bytes:
        """What is held of the input."""
        return self.letter.value.encode()


class TooManyRefusedError(Exception):
    """So large a share of a topic is refused that a producer must be at fault: stop and say so."""


class DeadLetterLimit:
    """Tell a producer's bad deploy from a bad record now and then.

    Parameters
    ----------
    max_ratio
        Share of refused records of one topic that is too much; None sets no limit.
    window
        Records of a topic over which the share is taken: the latest ones, once there are as many.

    Examples
    --------
    >>> limit = DeadLetterLimit(max_ratio=0.5, window=2)
    >>> limit.note("predictions", is_refused=True)
    >>> limit.note("predictions", is_refused=False)
    >>> limit.note("predictions", is_refused=True)
    >>> limit.note("predictions", is_refused=True)
    Traceback (most recent call last):
    ...
    streams.ingest.TooManyRefusedError: 2 of the last 2 records of predictions were refused
    """

    def __init__(self, max_ratio: float | None, window: int) -> None:
        self._limit = math.inf if max_ratio is None else max_ratio * window
        self._window = window
        self._seen: Counter[str] = Counter()
        self._refused_at: defaultdict[str, deque[int]] = defaultdict(deque)

    def note(self, topic: str, *, is_refused: bool) -> None:
        """Take one more record of a topic into account.

        Raises
        ------
        TooManyRefusedError
            When the share of refused ones is above the limit.
        """
        if not is_refused:
            self.note_accepted(topic, 1)
            return
        self._refused_at[topic].append(self._seen[topic])
        self._seen[topic] += 1
        self._check(topic)

    def note_accepted(self, topic: str, count: int) -> None:
        """Take records that were all accepted into account: `note` for each of them, in one step.

        Raises
        ------
        TooManyRefusedError
            When there are now as many records as the share is of, and it is above the limit.
        """
        missing = self._window - self._seen[topic]
        if 0 < missing <= count:
            self._seen[topic] += missing
            self._check(topic)
            count -= missing
        self._seen[topic] += count

    def _check(self, topic: str) -> None:
        seen, refused_at = self._seen[topic], self._refused_at[topic]
        while refused_at and refused_at[0] < seen - self._window:
            refused_at.popleft()
        if seen >= self._window and len(refused_at) > self._limit:
            msg = (
                f"{len(refused_at):,} of the last {self._window:,} records of {topic} were refused"
            )
            raise TooManyRefusedError(msg)


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
    # The hot loop of ingest. A plain event is decoded, checked and written in its one form by
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
    payload = written({name: v for name, v in event.__dict__.items() if name in given})
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


def pack(
    events: Iterable[Accepted], partitions: int, appended_at: int | None = None
) -> list[tuple[int, str, bytes, int]]:
    """Pack accepted events, in order, into records of ``events``.

    Parameters
    ----------
    events, partitions
        What goes where.
    appended_at
        When it is appended, in epoch milliseconds; None where no clock but the log's is known.

    Returns
    -------
    list of (partition, key, value, timestamp_ms)
        In the order in which the records of one partition must be appended. The key is the model of
        the record's first event, for people; the monitor reads every event's own model.
    """
    by_partition: dict[int, list[Accepted]] = {}
    of_model: dict[str, list[Accepted]] = {}
    for event in events:
        together = of_model.get(event.model_id)
        if together is None:
            partition = model_partition(event.model_id, partitions)
            together = of_model[event.model_id] = by_partition.setdefault(partition, [])
        together.append(event)
    return [
        (partition, batch[0].model_id, *_encode(batch, appended_at))
        for partition in sorted(by_partition)
        for batch in _batches(by_partition[partition])
    ]


def _batches(events: Sequence[Accepted]) -> Iterable[Sequence[Accepted]]:
    first = 0
    while first < len(events):
        batch = events[first : first + MAX_BATCH_EVENTS]
        ends = list(accumulate(map(len, map(_payload_of, batch))))
        if ends[-1] > MAX_BATCH_BYTES:
            batch = batch[: max(1, bisect_right(ends, MAX_BATCH_BYTES))]
        yield batch
        first += len(batch)


def _encode(events: Sequence[Accepted], appended_at: int | None) -> tuple[bytes, int]:
    """Return a record and its timestamp: the latest instant that the log gives one of them."""
    sources, offsets, logged_at, _, _, payloads = zip(*events, strict=True)
    # A source is one object while its partition is assigned: by its id, a third of the time.
    ids = list(map(id, sources))
    place: dict[Source, int] = {}
    by_id = dict(zip(ids, sources, strict=True))
    index_of = {each: place.setdefault(source, len(place)) for each, source in by_id.items()}
    batch = EventBatch(
        sources=tuple(place),
        source_index=list(map(index_of.__getitem__, ids)),
        source_offset=list(offsets),
        logged_at=list(logged_at),
        payloads=list(payloads),
        appended_at=appended_at,
    )
    return encode_events(batch), max(logged_at)


def _refuse(raw: Raw, reason: Reason, detail: str) -> Refused:
    value = raw.value or b""
    letter = DeadLetter(
        dead_letter_id=f"{raw.source.name}/{raw.offset}",
        reason=reason,
        detail=detail,
        topic=raw.source.topic,
        partition=raw.source.partition,
        offset=raw.offset,
        size=len(value),
        sha256=hashlib.sha256(value).hexdigest(),
        value=value[:SHOWN_BYTES].decode(errors="replace"),
        is_truncated=len(value) > SHOWN_BYTES,
    )
    return Refused(raw.source, raw.offset, raw.logged_at or 0, letter)


def _with_model(refused: Refused, value: bytes) -> Refused:
    """Add what the model is told of it, if the input says which."""
    try:
        given = orjson.loads(value)
    except orjson.JSONDecodeError:
        return refused
    model_id = given.get("model_id") if isinstance(given, dict) else None
    if refused.source.kind not in _TOLD or not _is_id(model_id):
        return refused
    told = {"model_id": model_id, "refused": refused.source.kind, "reason": refused.letter.reason}
    source = refused.source._replace(kind="refused")
    at_ms = refused.logged_at
    event = Accepted(source, refused.offset, at_ms, model_id, at_ms, orjson.dumps(told))
    return replace(refused, event=event)


def _is_id(given: object) -> TypeGuard[str]:
    return isinstance(given, str) and 0 < len(given) <= MAX_NAME


def _why(value: bytes, error: ValidationError) -> tuple[Reason, str]:
    """Say what is wrong, naming the field and never the value."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        try:
            value.decode()
        except UnicodeDecodeError as undecodable:
            return "not_utf8", f"not UTF-8 at byte {undecodable.start}"
        return "not_json", first["msg"]
    field = ".".join(str(part) for part in first["loc"][:2])[:MAX_FIELD_SHOWN] or "the payload"
    top = str(first["loc"][0]) if first["loc"] else ""
    if top in _ALTERNATIVES and first["type"] != "missing":
        field = top if top != "features" else field
        return "invalid", f"{field}: must be {_ALTERNATIVES[top]}"
    return "invalid", f"{field}: {first['msg'].removeprefix('Value error, ')}"
