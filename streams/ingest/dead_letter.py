"""Refused source records: the dead letter with its reason, and a limit on their share."""

import hashlib
import math
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeGuard

import msgspec
import orjson
from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json

from schemas.dead_letter import DeadLetter, Reason
from schemas.event import EventKind
from schemas.prediction import UNANSWERED
from schemas.wire import MAX_NAME
from streams.ingest.records import Accepted, Raw, Refused

SHOWN_BYTES = 512
"""Bytes of a refused payload that its dead letter holds."""
MAX_FIELD_SHOWN = 200
"""Characters of a field's name in a detail: names are the producer's, and may be long."""
_ANSWER = (
    "a string of at most 1,024 characters, an integer of 64 bits, a boolean or a finite number"
)
_SHARE = "a number from 0 to 1"
_OBJECT = "an object of at most 1,000 named values"
_NAME = "a string of 1 to 256 characters"
_MUST_BE = {
    "prediction_id": _NAME,
    "model_id": _NAME,
    "prediction": _ANSWER,
    "outcome": _ANSWER,
    "features": _OBJECT,
    "score": _SHARE,
    "scores": f"{_OBJECT}, each {_SHARE}",
    "model_version": _NAME,
    "segment": "an object of at most 32 named strings",
    "status": '"ok", "fallback" or "error"',
    "latency_ms": "a number, at least 0",
    "explanation": f"{_OBJECT}, each a finite number",
    "value": "a finite number",
    "source": _NAME,
}
"""The values that each field takes, in the words of JSON. Instants have messages of their own."""
_PART_MUST_BE = {
    "features": f"{_ANSWER}, or null",
    "scores": _SHARE,
    "segment": "a string of at most 1,024 characters",
    "explanation": "a finite number",
}
"""The same of one named value of a field that is an object."""
_JSON_TYPES = {list: "an array", dict: "an object", type(None): "null"}
_OF_NAMES = "string_too_short", "string_too_long", "string_type"
_OF_MODELS: dict[EventKind, EventKind] = {
    "prediction": "prediction",
    "half": "prediction",
    "outcome": "outcome",
}
"""Kinds of which a refusal is an event of the model, too, and the kind that is refused then."""

WINDOW = 1_000
"""Records of a topic over which the share of refused ones is told: some minutes of one that has a
few a second."""
HIGH, LOW = 0.5, 0.25
"""Shares above which most records count as refused, and below which that is over. By judgement."""


class TooManyRefusedError(Exception):
    """Too large a share of a topic is refused: a producer is at fault. The worker stops."""


class DeadLetterLimit:
    """A limit on the share of refused records: beyond it, a producer's deploy is broken.

    Parameters
    ----------
    max_ratio
        Largest share of refused records of one topic, 0 to 1; None sets no limit.
    window
        Number of latest records of a topic over which the share is taken. There is no limit before
        a topic has had as many.

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
        """Count one more record of a topic.

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
        """Count records that were all accepted, as `note` for each of them would.

        Raises
        ------
        TooManyRefusedError
            When the window becomes full, and the share is above the limit.
        """
        missing = self._window - self._seen[topic]
        if 0 < missing <= count:
            self._seen[topic] += missing
            self._check(topic)
            count -= missing
        self._seen[topic] += count

    def refused(self, topic: str) -> int | None:
        """Return how many of the latest ``window`` records of a topic were refused.

        None before it has had as many.
        """
        seen, refused_at = self._seen[topic], self._refused_at[topic]
        while refused_at and refused_at[0] < seen - self._window:
            refused_at.popleft()
        return len(refused_at) if seen >= self._window else None

    def _check(self, topic: str) -> None:
        refused_at = self._refused_at[topic]
        if (self.refused(topic) or 0) > self._limit:
            msg = (
                f"{len(refused_at):,} of the last {self._window:,} records of {topic} were refused"
            )
            raise TooManyRefusedError(msg)


class RefusedTopics:
    """Tells when most of the latest records of a topic are refused, and when that is over.

    Examples
    --------
    >>> topics = RefusedTopics()
    >>> for _ in range(WINDOW):
    ...     topics.counts.note("predictions", is_refused=True)
    >>> topics.news("predictions"), topics.news("predictions")
    ((1000, True), None)
    """

    def __init__(self) -> None:
        self.counts = DeadLetterLimit(None, WINDOW)
        self.high: dict[str, bool] = {}

    def news(self, topic: str) -> tuple[int, bool] | None:
        """Return how many of the latest ``WINDOW`` were refused, where that is high or over now.

        It is told once after a start, too: an earlier worker may have told otherwise.
        """
        refused = self.counts.refused(topic)
        if refused is None:
            return None
        was_high = self.high.get(topic)
        is_high = refused > (LOW if was_high else HIGH) * WINDOW
        self.high[topic] = is_high
        return None if is_high == was_high else (refused, is_high)


def topic_model(topic: str) -> str:
    """Return the name under which alerts about a topic are raised."""
    return f"topic {topic}"


def topic_event(item: Accepted | Refused, refused: int, *, is_high: bool) -> Accepted:
    """Return the event that most records of a topic are refused, or no longer; after an item."""
    topic = item.source.topic
    name = topic_model(topic)
    fact = {"model_id": name, "refused": refused, "of": WINDOW, "is_high": is_high}
    source = msgspec.structs.replace(item.source, kind="topic")
    at_ms = item.logged_at
    return Accepted(source, item.offset, at_ms, name, at_ms, orjson.dumps(fact))


def refuse(raw: Raw, reason: Reason, detail: str) -> Refused:
    """Return a record as refused, with its dead letter."""
    value = raw.value or b""
    letter = DeadLetter(
        dead_letter_id=f"{raw.source.name}/{raw.offset}" + (f"#{raw.item}" if raw.item else ""),
        reason=reason,
        detail=detail,
        topic=raw.source.topic,
        partition=raw.source.partition,
        offset=raw.offset,
        item=raw.item,
        size=len(value),
        sha256=hashlib.sha256(value).hexdigest(),
        value=value[:SHOWN_BYTES].decode(errors="replace"),
        is_truncated=len(value) > SHOWN_BYTES,
    )
    return Refused(raw.source, raw.offset, raw.logged_at or 0, letter, item=raw.item)


def with_model(refused: Refused, value: bytes) -> Refused:
    """Add the event of its model, if the input names one."""
    try:
        given = from_json(value)  # reads NaN, which orjson does not
    except ValueError:
        return refused
    model_id = given.get("model_id") if isinstance(given, dict) else None
    if refused.source.kind not in _OF_MODELS or not _is_id(model_id):
        return refused
    kind = _OF_MODELS[refused.source.kind]
    fact = {"model_id": model_id, "refused": kind, "reason": refused.letter.reason}
    source = msgspec.structs.replace(refused.source, kind="refused")
    at_ms = refused.logged_at
    payload = orjson.dumps(fact)
    event = Accepted(source, refused.offset, at_ms, model_id, at_ms, payload, refused.item)
    return replace(refused, event=event)


def _is_id(given: object) -> TypeGuard[str]:
    return isinstance(given, str) and 0 < len(given) <= MAX_NAME


def explain(value: bytes, error: ValidationError) -> tuple[Reason, str]:
    """Return the reason, and a detail that names the field and never holds the value."""
    first = error.errors(include_url=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        try:
            value.decode()
        except UnicodeDecodeError as undecodable:
            return "not_utf8", f"not UTF-8 at byte {undecodable.start}"
        return "not_json", first["msg"]
    place = [str(part) for part in first["loc"]]
    if first["type"] == UNANSWERED:
        return "invalid", "prediction: is required, unless status is fallback or error"
    if not place:
        return "invalid", "the payload: must be an object"
    field = ".".join(place[:2] if place[0] in _PART_MUST_BE else place[:1])[:MAX_FIELD_SHOWN]
    return "invalid", f"{field}: {_mistake(place, first)}"


def _mistake(place: Sequence[str], error: ErrorDetails) -> str:
    """Return the part of a detail after the field, in the words of JSON."""
    if error["type"] == "missing":
        return "is required, and is missing"
    if place[2:] == ["[key]"] and error["type"] in _OF_NAMES:
        return f"its name must be {_NAME}"
    is_part = len(place) > 1 and place[0] in _PART_MUST_BE
    must_be = (_PART_MUST_BE if is_part else _MUST_BE).get(place[0])
    if must_be is None:
        return error["msg"].removeprefix("Value error, ")
    given = error["input"]
    is_number = isinstance(given, float) and not math.isfinite(given)
    found = "no finite number" if is_number else _JSON_TYPES.get(type(given))
    return f"must be {must_be}" + (f"; it is {found}" if found else "")
