"""What the page knows: the latest records of each model, in memory of a fixed size.

Rule 1. The store is a function of the records it was given, the latest of each key: a page that was
        restarted reads the same topics and shows the same.
Rule 2. `BUDGET_BYTES` is shared by all models alike: the more there are, the fewer days of each are
        kept. Open alerts and references come before history.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeGuard

import orjson

from agents.page.records import Shelf
from schemas.topics import TopicRole
from schemas.wire import to_epoch_ms

BUDGET_BYTES = 160 * 1024 * 1024
"""Bytes of packed records in all: with the server itself and 10,000 models below 300 MB."""
FEWEST_MODELS = 64
"""Models among which the budget is shared at least: some must stay for those that come."""
SHARES: Mapping[str, float] = {
    "alert": 0.15,
    "update": 0.05,
    "reference": 0.15,
    "day": 0.25,
    "hour": 0.05,
    "series_day": 0.15,
    "series_hour": 0.15,
    "version": 0.05,
    "reviewed": 0.02,
    "challenge": 0.02,
}
"""Parts of a model's share by sort of record, where there is more than fits."""
NEWEST_REFUSED = 50
"""Dead letters that are listed; the others are counted."""
MOST_REVIEWS = 1_000
"""Cases that are listed."""
RECENT_DAYS = 14
"""Days of the line in a row of the portfolio."""

_NAMES = ("model_id", "fingerprint", "series", "severity")
_INSTANTS = ("started_at", "detected_at", "fired_at")

Position = tuple[TopicRole, int]


class Entry(NamedTuple):
    """One record of a topic that the page reads."""

    role: TopicRole
    partition: int
    offset: int
    key: str
    value: bytes | None


@dataclass(slots=True)
class ModelRecords:
    """The records of one model.

    Attributes
    ----------
    shelves
        Packed records by sort: `SHARES`.
    firing
        The open alerts, by fingerprint: records of ``status``.
    commands
        The open commands, by key.
    spec
        The latest spec; None where none was applied.
    seen
        The latest offset of each topic that changed this model.
    row
        Its line in the portfolio, once it was asked for; None after a change.
    """

    model_id: str
    shelves: dict[str, Shelf] = field(default_factory=dict)
    firing: dict[str, dict[str, Any]] = field(default_factory=dict)
    commands: dict[str, dict[str, Any]] = field(default_factory=dict)
    spec: dict[str, Any] | None = None
    seen: dict[Position, int] = field(default_factory=dict)
    row: dict[str, Any] | None = None

    def trim(self, most: int) -> None:
        """Drop the oldest records above ``most`` bytes, of the sort that exceeds its part most.

        The last record of a sort stays.
        """
        while sum(shelf.size for shelf in self.shelves.values()) > most:
            long = [
                (shelf.size / SHARES[sort], sort)
                for sort, shelf in self.shelves.items()
                if len(shelf) > 1
            ]
            if not long:
                return
            self.shelves[max(long)[1]].drop_oldest()

    def records(self, sort: str) -> list[dict[str, Any]]:
        """Return the records of a sort, the oldest first."""
        shelf = self.shelves.get(sort)
        return [] if shelf is None else shelf.records()

    def latest(self, sort: str, count: int) -> list[dict[str, Any]]:
        """Return the newest records of a sort, the oldest of them first."""
        shelf = self.shelves.get(sort)
        return [] if shelf is None else shelf.latest(count)


class PageStore:
    """The records of all models.

    Attributes
    ----------
    models
        By id.
    positions
        The latest offset read of each partition.
    incidents
        Those that are open, by id.
    reviews
        Cases that wait for a person, by id: the newest `MOST_REVIEWS`.
    refused
        Dead letters by reason.
    """

    def __init__(self, budget_bytes: int = BUDGET_BYTES) -> None:
        self.models: dict[str, ModelRecords] = {}
        self.positions: dict[Position, int] = {}
        self.incidents: dict[str, dict[str, Any]] = {}
        self.reviews: dict[str, dict[str, Any]] = {}
        self.refused: Counter[str] = Counter()
        self.newest_refused: deque[dict[str, Any]] = deque(maxlen=NEWEST_REFUSED)
        self._budget = budget_bytes
        self._shared_by = FEWEST_MODELS
        self._model_of: dict[str, str] = {}
        self._changed: OrderedDict[str, int] = OrderedDict()
        self._revision = 0

    @property
    def revision(self) -> int:
        """A number that grows with every record that changes a model."""
        return self._revision

    def take(self, entry: Entry) -> None:
        """Take a record. One that is not ours is passed over."""
        position = entry.role, entry.partition
        self.positions[position] = max(entry.offset, self.positions.get(position, -1))
        value = _read(entry.value)
        if entry.value is not None and value is None:
            return
        handlers = {
            "status": self._take_status,
            "models": self._take_spec,
            "commands": self._take_command,
            "incidents": self._take_incident,
            "reviews": self._take_review,
        }
        handler = handlers.get(entry.role)
        if handler is not None:
            handler(entry, value)
        elif value is not None and entry.role == "dead_letters":
            self._take_refusal(value)
        elif value is not None:
            self._take_record(entry, value)

    def model_of(self, fingerprint: str) -> ModelRecords | None:
        """Return the model of an alert; None where no record names it."""
        return self.models.get(self._model_of.get(fingerprint, ""))

    def fingerprints(self, beginning: str) -> list[str]:
        """Return the fingerprints that begin so."""
        if beginning in self._model_of:
            return [beginning]
        return [each for each in self._model_of if each.startswith(beginning)]

    def changed_since(self, revision: int) -> Iterator[str]:
        """Yield the models that changed after a revision, the latest first."""
        for model_id in reversed(self._changed):
            if self._changed[model_id] <= revision:
                return
            yield model_id

    def changed_after(self, positions: Mapping[Position, int]) -> Iterator[str]:
        """Yield the models with a record after these offsets."""
        for model_id, model in self.models.items():
            if any(offset > positions.get(each, -1) for each, offset in model.seen.items()):
                yield model_id

    def _take_status(self, entry: Entry, value: dict[str, Any] | None) -> None:
        if value is None:
            model = self.model_of(entry.key)
            if model is not None and model.firing.pop(entry.key, None) is not None:
                self._touch(model, entry)
            return
        alert = value.get("alert")
        if not _is_alert(alert):
            return
        model = self._model(alert["model_id"])
        self._model_of[entry.key] = model.model_id
        model.firing[entry.key] = value
        self._touch(model, entry)

    def _take_spec(self, entry: Entry, value: dict[str, Any] | None) -> None:
        if value is None and entry.key not in self.models:
            return
        model = self._model(entry.key)
        model.spec = value
        self._touch(model, entry)

    def _take_incident(self, entry: Entry, value: dict[str, Any] | None) -> None:
        self.incidents.pop(entry.key, None)
        members = value.get("members") if value is not None else None
        if value is not None and isinstance(members, list) and value.get("status") == "open":
            self.incidents[entry.key] = value

    def _take_review(self, entry: Entry, value: dict[str, Any] | None) -> None:
        self.reviews.pop(entry.key, None)
        if value is None or value.get("status") != "open":
            return
        # The page shows no value of a single row: features stay in the topic.
        self.reviews[entry.key] = {
            name: each for name, each in value.items() if name not in {"features", "type"}
        }
        if len(self.reviews) > MOST_REVIEWS:
            self.reviews.pop(next(iter(self.reviews)))

    def _take_command(self, entry: Entry, value: dict[str, Any] | None) -> None:
        name = entry.key.rpartition("|")[0] if value is None else value.get("model_id")
        if not isinstance(name, str) or (value is None and name not in self.models):
            return
        model = self._model(name)
        if value is None:
            model.commands.pop(entry.key, None)
        else:
            model.commands[entry.key] = value
        self._touch(model, entry)

    def _take_refusal(self, value: dict[str, Any]) -> None:
        self.refused[str(value.get("reason"))] += 1
        kept = ("topic", "partition", "offset", "reason", "detail", "model_id")
        self.newest_refused.append({name: value.get(name) for name in kept})

    def _take_record(self, entry: Entry, value: dict[str, Any]) -> None:
        model_id = value.get("model_id")
        if not isinstance(model_id, str) or (entry.role == "alerts" and not _is_alert(value)):
            return
        model = self._model(model_id)
        if entry.role == "alerts":
            sort = "update" if value.get("status") == "ongoing" else "alert"
            key = str(value.get("alert_id"))
            self._model_of[value["fingerprint"]] = model_id
        else:
            sort, key = _sort_of(value), entry.key
        if sort not in SHARES:
            return
        model.shelves.setdefault(sort, Shelf()).put(key, entry.value)
        model.trim(self._most)
        self._touch(model, entry)

    def _model(self, model_id: str) -> ModelRecords:
        found = self.models.get(model_id)
        if found is None:
            self.models[model_id] = found = ModelRecords(model_id)
            if len(self.models) > self._shared_by:
                self._shared_by = len(self.models) + len(self.models) // 4
                for model in self.models.values():
                    model.trim(self._most)
        return found

    @property
    def _most(self) -> int:
        return self._budget // self._shared_by

    def _touch(self, model: ModelRecords, entry: Entry) -> None:
        self._revision += 1
        model.row = None
        model.seen[entry.role, entry.partition] = entry.offset
        self._changed[model.model_id] = self._revision
        self._changed.move_to_end(model.model_id)


def _sort_of(value: Mapping[str, Any]) -> str:
    """Return the sort of a record of ``metrics``.

    The cohorts of one version, and the series of a part of the traffic, are sorts of their own.
    """
    kind, its_type = str(value.get("kind")), str(value.get("type"))
    if its_type == "tidegauge.series.v1":
        return f"series_{kind}" if value.get("segment") is None else "other"
    if its_type == "tidegauge.metric.v1":
        return kind if value.get("model_version") is None else "version"
    return _SORT_OF_TYPE.get(its_type, "other")


_SORT_OF_TYPE = {
    "tidegauge.reference.v1": "reference",
    "tidegauge.reviewed.v1": "reviewed",
    "tidegauge.challenge.v1": "challenge",
}


def _is_alert(value: Any) -> TypeGuard[dict[str, Any]]:
    """Tell whether a record has the fields by which views order alerts: others may write here."""
    if not isinstance(value, dict):
        return False
    try:
        for name in _INSTANTS:
            to_epoch_ms(value.get(name))
    except ValueError:
        return False
    return all(isinstance(value.get(name), str) for name in _NAMES)


def _read(value: bytes | None) -> dict[str, Any] | None:
    try:
        found = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None
