"""Seeded streams of made-up models that change in every way that Tidegauge watches.

A stream is the lines of two files, as services publish them, and a spec. It has one or two models
with a dozen features each. Features, answers, errors, status, versions and outcomes change at rows
of their own; a change stays, grows slowly, or comes and goes.
"""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from benchmarks.mixed_features import KINDS, Feature, Trend, Value

START_MS = 1_772_409_600_000
"""2026-03-02T00:00:00Z, a Monday."""
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
ROWS = (6_000, 20_000)
"""Fewest and most predictions of a stream: three times a reference of 2,000 rows at least."""
DAYS = (3, 5, 14, 16)
"""A silence is judged after a day; late, missing and orphan outcomes after a week."""
FEATURES = (9, 14)
"""Fewest and most features of a model, each of another kind."""


@dataclass(frozen=True, slots=True)
class Stream:
    """An input of a backtest: lines in the order in which they were sent, and a spec."""

    name: str
    predictions: list[bytes]
    outcomes: list[bytes]
    spec: Mapping[str, object]


class Answers:
    """Predictions and outcomes of a model of one of three tasks."""

    def __init__(self, rng: random.Random, rows: int) -> None:
        self._rng = rng
        self.task = rng.choice(("binary", "binary", "multiclass", "regression"))
        self._classes: tuple[Value, ...] = rng.choice(((0, 1), (False, True), ("no", "yes")))
        if self.task == "multiclass":
            self._classes = rng.choice((("cat", "dog", "fox"), (1, 2, 3, 4)))
        self._wrong, self._moved = Trend(rng, rows), Trend(rng, rows)
        self._usually_wrong = rng.choice((0.02, 0.1, 0.3))
        self._has_scores = rng.random() < 0.7
        self._moves = rng.random() < 0.5

    def draw(self, row: int) -> tuple[dict[str, object], Value, Value]:
        """Return the fields of a prediction, its outcome, and a conflicting outcome."""
        rng = self._rng
        moved = self._moved.amount(row) if self._moves else 0.0
        if self.task == "regression":
            answer = rng.gauss(100.0 + 10.0 * moved, 15.0)
            truth = answer + rng.gauss(0.0, 5.0 * (1.0 + 2.0 * self._wrong.amount(row)))
            return {"prediction": answer}, truth, truth + 1.0
        weights = [1.0 + number * moved for number in range(len(self._classes))]
        place = rng.choices(range(len(self._classes)), weights)[0]
        others = [each for each in self._classes if each != self._classes[place]]
        is_wrong = rng.random() < self._wrong.share(row, self._usually_wrong, 0.45)
        says, other = self._classes[place], rng.choice(others)
        outcomes = (other, says) if is_wrong else (says, other)
        return {"prediction": says, **self._scores(place)}, *outcomes

    def _scores(self, place: int) -> dict[str, object]:
        if not self._has_scores:
            return {}
        top = 0.5 + 0.5 * self._rng.betavariate(4.0, 2.0)
        if self.task == "binary":
            return {"score": top if place else 1.0 - top}
        rest = (1.0 - top) / (len(self._classes) - 1)
        scores = {str(name): rest for name in self._classes}
        return {"scores": scores | {str(self._classes[place]): top}}


class Service:
    """The service around a model: status, version, repeated and unreadable lines."""

    def __init__(self, rng: random.Random, rows: int) -> None:
        self._rng = rng
        self._failing, self._falling_back = Trend(rng, rows), Trend(rng, rows)
        self._worst = rng.choice((0.0, 0.05, 0.4))
        self._versions = sorted(rng.sample(range(rows // 3, rows), rng.choice((0, 1, 2, 4))))
        self._names = ("1.0", "1.1", "1.0", "2.0", "2.1")
        self._ahead = rng.choice((0.0, 0.0, 0.0002))
        self._repeated, self._refused = rng.choice((0.0, 0.02)), rng.choice((0.0, 0.005))

    def fields(self, row: int) -> dict[str, object]:
        """Return status and version."""
        version = self._names[sum(change <= row for change in self._versions)]
        fields: dict[str, object] = {"model_version": version} if self._versions else {}
        roll = self._rng.random()
        if roll < self._failing.share(row, 0.001, self._worst):
            return fields | {"status": "error"}
        if roll > 1.0 - self._falling_back.share(row, 0.01, self._worst):
            return fields | {"status": "fallback"}
        return fields

    def lines(self, fields: dict[str, object]) -> list[bytes]:
        """Return the lines of a prediction: repetitions and unreadable ones included."""
        rng = self._rng
        if rng.random() < self._ahead:
            fields["predicted_at"] = _instant(fields["predicted_at"], HOUR_MS)
        lines = [orjson.dumps(fields)]
        if rng.random() < self._repeated:
            lines.append(orjson.dumps(fields | rng.choice(({}, {"latency_ms": 3.5}))))
        if rng.random() < self._refused:
            bad = {name: each for name, each in fields.items() if name != "prediction_id"}
            lines += [rng.choice((lines[0][:-5], b"[]", b"\xff{}", orjson.dumps(bad)))]
        return lines


class Labels:
    """The arrival of a model's outcomes."""

    def __init__(self, rng: random.Random, rows: int, span_ms: int) -> None:
        self._rng = rng
        self._late, self._lost = Trend(rng, rows), Trend(rng, rows)
        self._wrong, self._orphans = Trend(rng, rows), Trend(rng, rows)
        self._mean_ms = rng.choice((30_000, 600_000, 3 * HOUR_MS))
        self._latest = rng.choice((1.0, 10.0, 10.0))
        self._worst = rng.choice((0.02, 0.3))
        self._early, self._doubled = rng.choice((0.0, 0.02)), rng.choice((0.0, 0.02))
        begin_ms = START_MS + DAY_MS + rng.randrange(span_ms - DAY_MS)
        self._down_ms = range(begin_ms, begin_ms + rng.choice((0, 2, 5)) * HOUR_MS)

    def of(
        self, row: int, at_ms: int, name: str, truth: Value, other: Value
    ) -> list[tuple[int, str, Value]]:
        """Return the outcomes of a prediction: instant, prediction id, truth."""
        rng = self._rng
        factor = self._late.share(row, 1.0, self._latest)
        known_ms = at_ms + round(rng.expovariate(1.0 / (factor * self._mean_ms))) + 1_000
        if rng.random() < self._early:
            known_ms = at_ms - 90_000
        if known_ms in self._down_ms:
            known_ms = self._down_ms.stop + row
        found: list[tuple[int, str, Value]] = []
        if rng.random() >= self._lost.share(row, 0.01, self._worst):
            found.append((known_ms, name, truth))
        if rng.random() < self._doubled:
            found.append((known_ms + 60_000, name, truth))
        if rng.random() < self._wrong.share(row, 0.004, self._worst):
            found.append((known_ms + 90_000, name, other))
        if rng.random() < self._orphans.share(row, 0.002, self._worst):
            found.append((known_ms, f"{name}-unknown", truth))
        return found


class Model:
    """A made-up model of a dozen features."""

    def __init__(self, rng: random.Random, model_id: str, rows: int) -> None:
        self._rng = rng
        self.model_id, self._rows = model_id, rows
        kinds = rng.sample(sorted(KINDS), rng.randint(*FEATURES))
        self.features = {kind: Feature(rng, kind, rows) for kind in kinds}
        self.answers, self._service = Answers(rng, rows), Service(rng, rows)
        self._span_ms = rng.choice(DAYS) * DAY_MS
        self._labels = Labels(rng, rows, self._span_ms)
        self._is_text = rng.random() < 0.5

    def instants_ms(self) -> list[int]:
        """Return the instants of its predictions, with a daily rhythm and silences of hours."""
        rng = self._rng
        swing = rng.choice((0.0, 0.6))
        silent = set(rng.sample(range(self._rows // 2, self._rows), rng.choice((0, 1, 2))))
        at_ms, instants = float(START_MS), []
        for row in range(self._rows):
            hour = at_ms / HOUR_MS % 24.0
            pace = 1.0 - swing * math.cos(hour * math.pi / 12.0)
            at_ms += rng.uniform(0.2, 1.8) * self._span_ms / self._rows / pace
            at_ms += rng.uniform(2, 7) * HOUR_MS if row in silent else 0.0
            instants.append(int(at_ms))
        return instants

    def events(self) -> tuple[list[tuple[int, bytes]], list[tuple[int, bytes]]]:
        """Return lines of predictions and of outcomes, each with its instant."""
        predictions: list[tuple[int, bytes]] = []
        outcomes: list[tuple[int, bytes]] = []
        for row, at_ms in enumerate(self.instants_ms()):
            name = f"{self.model_id}-{row}"
            fields, truth, other = self.answers.draw(row)
            features: dict[str, Value] = {}
            for kind, feature in self.features.items():
                feature.put(features, kind, row, at_ms / HOUR_MS % 24.0)
            fields |= self._service.fields(row)
            head = {"prediction_id": name, "model_id": self.model_id, "features": features}
            fields |= head | {"predicted_at": self._written(at_ms)}
            predictions += [(at_ms, line) for line in self._service.lines(fields)]
            for known_ms, of, outcome in self._labels.of(row, at_ms, name, truth, other):
                fields = {"prediction_id": of, "model_id": self.model_id, "outcome": outcome}
                line = orjson.dumps(fields | {"observed_at": self._written(known_ms)})
                outcomes.append((known_ms, line))
        return predictions, outcomes

    def _written(self, at_ms: int) -> int | str:
        return _text(at_ms) if self._is_text else at_ms


def _text(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1_000, UTC).isoformat()


def _instant(written: object, later_ms: int) -> int | str:
    if isinstance(written, str):
        return _text(round(datetime.fromisoformat(written).timestamp() * 1_000) + later_ms)
    return int(str(written)) + later_ms


def _spec_of(rng: random.Random, model: Model) -> dict[str, object]:
    codes = [name for name in ("bit", "count") if name in model.features]
    ignored = rng.sample(sorted(model.features), rng.choice((0, 1)))
    spec: dict[str, object] = {
        "alert_budget": rng.choice((0.05, 0.2, 1.0, 5.0)),
        "features": {"ignore": ignored, "categorical": rng.choice(([], codes))},
        "reference": {"rows": rng.choice((400, 1_000, 2_000, 2_000))},
        "outcome": {"wait_s": rng.choice((21_600.0, 86_400.0, 2_592_000.0))},
        "alerts": {"hold": rng.choice((0, 0, 2)), "renotify_s": rng.choice((7_200.0, 86_400.0))},
    }
    if rng.random() < 0.5:
        spec["task"] = model.answers.task
    if rng.random() < 0.2:
        spec["outcome"] = {"max_waiting": 100}
    return spec


def mixed_stream(seed: int) -> Stream:
    """Return the stream of a seed: one model with a spec, or two of which one has the defaults."""
    rng = random.Random(seed)
    rows = rng.randint(*ROWS)
    model = Model(rng, "mixed", rows)
    spec, models = _spec_of(rng, model), [model]
    if rng.random() < 0.3:
        spec["model_id"] = "mixed"
        models = [Model(rng, name, rows // 2) for name in ("mixed", "other")]
    predictions: list[tuple[int, bytes]] = []
    outcomes: list[tuple[int, bytes]] = []
    for each in models:
        made = each.events()
        predictions += made[0]
        outcomes += made[1]
    return Stream(f"mixed {seed}", _by_time(predictions), _by_time(outcomes), spec)


def _by_time(events: list[tuple[int, bytes]]) -> list[bytes]:
    return [line for _, line in sorted(events, key=lambda event: event[0])]
