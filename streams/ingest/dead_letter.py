"""Refuse a source record, with the reason."""

import hashlib
import math
from collections import Counter, defaultdict, deque
from dataclasses import replace
from typing import TypeGuard

import msgspec
import orjson
from pydantic import ValidationError

from schemas.dead_letter import DeadLetter, Reason
from schemas.event import EventKind
from schemas.wire import MAX_NAME
from streams.ingest.records import Accepted, Raw, Refused

SHOWN_BYTES = 512
MAX_FIELD_SHOWN = 200
_ANSWER = (
    "a string of at most 1,024 characters, an integer of 64 bits, a boolean or a finite number"
)
_ALTERNATIVES = {
    "prediction": _ANSWER,
    "outcome": _ANSWER,
    "features": f"an object of at most 1,000 named values, each {_ANSWER}, or null",
}
_TOLD = frozenset[EventKind](("prediction", "outcome"))


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
    >>> limit.note("predictions", is_refused=True)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    streams.ingest.dead_letter.TooManyRefusedError: 2 of the last 2 records of ...
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


def refuse(raw: Raw, reason: Reason, detail: str) -> Refused:
    """Return a record as refused, with its dead letter."""
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


def with_model(refused: Refused, value: bytes) -> Refused:
    """Add what the model is told of it, if the input says which."""
    try:
        given = orjson.loads(value)
    except orjson.JSONDecodeError:
        return refused
    model_id = given.get("model_id") if isinstance(given, dict) else None
    if refused.source.kind not in _TOLD or not _is_id(model_id):
        return refused
    told = {"model_id": model_id, "refused": refused.source.kind, "reason": refused.letter.reason}
    source = msgspec.structs.replace(refused.source, kind="refused")
    at_ms = refused.logged_at
    event = Accepted(source, refused.offset, at_ms, model_id, at_ms, orjson.dumps(told))
    return replace(refused, event=event)


def _is_id(given: object) -> TypeGuard[str]:
    return isinstance(given, str) and 0 < len(given) <= MAX_NAME


def explain(value: bytes, error: ValidationError) -> tuple[Reason, str]:
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
