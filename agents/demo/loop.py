"""A day in which everybody answers: reviewers, a trainer, a team with a challenger, a gateway.

`loan` answers 40 requests in each ten minutes; an outcome is known two and a half hours later.
Reviewers answer uncertain cases. The world changes: the model errs more often, a retraining is
asked for, and done. A challenger is compared, and promoted. The service fails, and a fallback
answers until it is back.

Each actor reads what Tidegauge has published, and only that. What is published in one window is
answered in the next: the day is the same whether the core is applied to it (`played`) or workers on
a broker read it (`agents.demo.live`), however slow these are and wherever they end.
"""

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

from examples.consumer import Consumer, Note
from examples.gateway.gateway import Gateway
from examples.retrain.retrain import rows_of, train
from schemas.event import EventKind, Source
from schemas.topics import TopicRole, Topics
from schemas.wire import to_rfc3339
from streams.ingest.accept import accept
from streams.ingest.batches import pack
from streams.ingest.records import Accepted, Raw
from streams.monitor import Monitor

MODEL = "loan"
START_MS = 1_772_409_600_000
"""2026-03-02T00:00:00Z, a Monday."""
WINDOW_MS = 600_000
WINDOWS = 144
"""Windows of the day."""
FIRST_MS, ROW_MS, ROWS = 60_000, 9_000, 40
"""Milliseconds from the begin of a window to its first request, and from one to the next; requests
of a window."""
KNOWN_MS = 450_000
"""Milliseconds from the begin of a window until outcomes and verdicts are published in it, two
minutes and a half before its end: until then a tick of a slow worker makes nothing due."""
LATE = 15
"""Windows from a request to its outcome."""
TRAINING = 3
"""Windows in which a model is trained, and put in place."""
TURNED, CHALLENGED, DOWN, UP = 36, 84, 126, 131
"""Windows from which the world is another, a challenger answers too, the service fails, is back."""
PROBE = 0.2
"""Share of the requests that the gateway still asks of the model under a fallback."""
SPEC: dict[str, Any] = {
    "model_id": MODEL,
    "alert_budget": 1.0,
    "retrain": {"min_labelled": 400, "cooldown_s": 3_600},
    "review": {
        "risk_above": 0.42,
        "sample": 0.15,
        "per_day": 2_000,
        "due_s": 1_800,
        "every_s": 5_400,
        "double": 0,
    },
    "challenge": {"cohort_s": 3_600, "mature_s": 10_860, "min_pairs": 500},
    "fallback": {"auto": True, "ttl_s": 900, "probe": PROBE, "hold_s": 300},
}
CHAPTERS = {
    0: "People review the cases of which the model is unsure, and a random share.",
    TURNED: "The world changes: debt decides what income decided before.",
    CHALLENGED: "Another team's model, boosted, answers each request beside the model.",
    DOWN: "The service of the model fails. It is back 50 minutes later.",
}
"""Windows with which the parts of the day begin."""
Json = dict[str, Any]
TOLD: tuple[TopicRole, ...] = ("alerts", "feedback", "metrics")
"""Topics that have lines, in the order of lines of one instant."""
ANSWERED: tuple[TopicRole, ...] = ("reviews", "commands")
"""Topics that the actors read; a trainer reads `labelled` as well."""


class Planned(NamedTuple):
    """An event that an actor publishes."""

    kind: EventKind
    at_ms: int
    event: Json


class Heard(NamedTuple):
    """A record that Tidegauge has published."""

    role: TopicRole
    key: str
    value: bytes


class Actors:
    """Whoever publishes to Tidegauge, and answers it.

    Parameters
    ----------
    rows
        The labelled rows that a command names, as a trainer has read them.
    start_ms
        Instant at which the day begins.
    model_id
        The model.
    """

    def __init__(
        self,
        rows: Callable[[Json], list[Json]],
        start_ms: int = START_MS,
        model_id: str = MODEL,
    ) -> None:
        self._model_id = model_id
        self.now_ms = start_ms
        self.lines: list[str] = []
        self._rows, self._start_ms, self._window = rows, start_ms, 0
        self._chance = random.Random(11)  # noqa: S311 - a story, not a secret
        self._truth: dict[str, int] = {}
        self._known: list[list[Planned]] = []
        self._asked: dict[str, Json] = {}
        self._answered: set[str] = set()
        self._version = "1"
        self._model: Callable[[Json], float] = _first
        self._commands = Consumer(dict[str, Note](), self._obey, lambda _key: None)
        self._trains: tuple[int, Json] | None = None
        self._is_promoted = False
        self._score = 0.5
        self._gateway = Gateway(model_id, self._call, fallback=0, chance=self._chance.random)

    def requests(self, window: int) -> list[Planned]:
        """Return what the service, and the challenger, publish in a window."""
        self._window, self.now_ms = window, self._start_ms + WINDOW_MS * window
        if window in CHAPTERS:
            self.lines += [*[""] * bool(window), CHAPTERS[window]]
        self._put_in_place()
        planned = (
            [Planned("spec", self.now_ms, SPEC | {"model_id": self._model_id})]
            if window == 0
            else []
        )
        known: list[Planned] = []
        was_on = self._gateway.lease is not None
        for row in range(ROWS):
            planned += self._answers(self.now_ms + FIRST_MS + ROW_MS * row, row, known)
        self._known.append(known)
        if was_on and self._gateway.lease is None:
            self._say("gateway", "Asks the model again.")
        return planned

    def verdicts(self, window: int) -> list[Planned]:
        """Return what is known about earlier answers in a window: verdicts, and outcomes."""
        self.now_ms = self._start_ms + WINDOW_MS * window + KNOWN_MS
        said = [self._verdict(case) for case in self._asked.values()]
        self._answered |= self._asked.keys()
        self._asked = {}
        return said + (self._known[window - LATE] if window >= LATE else [])

    def hear(self, heard: Sequence[Heard]) -> None:
        """Read what Tidegauge has published in a window."""
        for each in heard:
            event = orjson.loads(each.value) if each.value else None
            if each.role == "reviews" and event and event["status"] == "open":
                if event["review_id"] not in self._answered:
                    self._asked[event["review_id"]] = event
            elif each.role == "commands":
                was_on, said = self._gateway.lease is not None, event and event["feedback"]
                if each.key == f"{self._model_id}|fallback":
                    self._gateway.consumer.take(each.key, said, self.now_ms / 1_000)
                    self._tell_lease(was_on=was_on)
                else:
                    self._commands.take(each.key, said, self.now_ms / 1_000)

    def _answers(self, at_ms: int, row: int, known: list[Planned]) -> Iterator[Planned]:
        """Answer a request; what will be known of it goes to ``known``."""
        chance, name = self._chance, f"{self._model_id}-{self._window}-{row}"
        features = {each: round(chance.gauss(0.0, 1.0), 3) for each in ("income", "debt")}
        decides = features["income" if self._window < TURNED else "debt"]
        truth = self._truth[name] = int(chance.random() < _law(decides))
        boosted = truth ^ int(chance.random() < 0.08)
        self._request = features, boosted
        named: Json = {"prediction_id": name, "model_id": self._model_id}
        given = named | {"predicted_at": at_ms, "features": features}
        self._gateway.consumer.pass_time(at_ms / 1_000)
        answer = self._gateway.answer()
        if answer["status"] == "ok":
            answer |= {"score": self._score, "model_version": self._version}
        yield Planned("prediction", at_ms, given | answer)
        if self._window >= CHALLENGED and not self._is_promoted:
            beside = {"predicted_at": at_ms, "prediction": boosted, "variant": "boosted"}
            yield Planned("prediction", at_ms, named | beside)
        observed_ms = self._start_ms + WINDOW_MS * (self._window + LATE) + KNOWN_MS
        outcome = named | {"outcome": truth, "observed_at": observed_ms}
        known.append(Planned("outcome", observed_ms, outcome))

    def _call(self) -> int:
        """Ask the model."""
        if DOWN <= self._window < UP:
            raise ConnectionError
        features, boosted = self._request
        if self._is_promoted:
            sure = _law(abs(features["debt"]))
            self._score = round(sure if boosted else 1 - sure, 4)
            return boosted
        self._score = round(self._model(features), 4)
        return int(self._score > 0.5)

    def _verdict(self, case: Json) -> Planned:
        fields = {name: case[name] for name in ("prediction_id", "model_id", "review_id")}
        verdict: Json = {"outcome": self._truth[case["prediction_id"]], "observed_at": self.now_ms}
        verdict |= {"source": "review", "reviewer": "ann"}
        return Planned("outcome", self.now_ms, fields | verdict)

    def _obey(self, command: Json) -> None:
        match command["command"]:
            case "retrain":
                self._trains = self._window + TRAINING, command
            case "promote":
                self._version, self._is_promoted = "3", True
                self._say("team", "Put boosted in place, as version 3.")

    def _put_in_place(self) -> None:
        """Put a model in place that has been trained by now."""
        if self._trains is None or self._trains[0] != self._window:
            return
        rows = self._rows(self._trains[1])
        self._version, self._model, self._trains = "2", train(rows), None
        self._say("trainer", f"Trained version 2 on {len(rows)} rows, and put it in place.")

    def _tell_lease(self, *, was_on: bool) -> None:
        if was_on and self._gateway.lease is None:
            self._say("gateway", "Asks the model again.")
        elif self._gateway.lease is not None and not was_on:
            self._say("gateway", f"Answers by the fallback, and still asks the model {PROBE:.0%}.")

    def _say(self, who: str, says: str) -> None:
        self.lines.append(_line(to_rfc3339(self.now_ms), who, says))


def played(
    start_ms: int = START_MS, model_id: str = MODEL, windows: int = WINDOWS
) -> Iterator[tuple[list[bytes], list[Heard], list[str]]]:
    """Play the day; yield a window's records of the log, what follows from them, and its lines."""
    monitor, offsets, labelled = Monitor(0, Topics(partitions=1)), Counter[str](), list[Json]()
    actors = Actors(lambda command: rows_of(command, labelled), start_ms, model_id)
    offset = 0
    for window in range(windows):
        records, heard = list[bytes](), list[Heard]()
        for planned in (actors.requests(window), actors.verdicts(window)):
            for _, _, record, _ in pack([_accepted(each, offsets) for each in planned], 1):
                records.append(record)
                for each in monitor.apply(offset, record):
                    heard.append(Heard(each.role, each.key or "", each.value))
                    if each.role == "labelled":
                        labelled.append(orjson.loads(each.value))
                offset += 1
        yield records, heard, told(actors, heard)


def told(actors: Actors, heard: Sequence[Heard]) -> list[str]:
    """Let the actors hear what was published in a window; return its lines."""
    now = to_rfc3339(actors.now_ms)
    found = [_said(each, now) for role in TOLD for each in heard if each.role == role]
    lines = actors.lines + [_line(*each) for each in sorted(filter(None, found), key=itemgetter(0))]
    actors.lines = []
    actors.hear([each for each in heard if each.role in ANSWERED])
    said, actors.lines = actors.lines, []
    return lines + said


def _said(heard: Heard, now: str) -> tuple[str, str, str] | None:
    """Return the parts of the line of a record; None where it has none, as a renewed lease."""
    event = orjson.loads(heard.value)
    match event["type"]:
        case "tidegauge.alert.v1" if event["status"] != "ongoing":
            return event["detected_at"], event["status"], event["summary"]
        case "tidegauge.feedback.v1" if not event["supersedes"]:
            return event["issued_at"], event["command"], event["summary"]
        case "tidegauge.reviewed.v1" if event["error"] is not None:
            found = f"{event['error']:.1%} ({event['low']:.1%} to {event['high']:.1%})"
            says = f"{event['answered']} verdicts since {event['start'][11:16]} say that the error"
            return now, "reviewed", f"{says} is {found}, expected {event['expected']:.1%}."
    return None


def _first(features: Json) -> float:
    """Return the first version's probability of a default."""
    return _law(features["income"])


def _law(score: float) -> float:
    """Return the probability of a default."""
    return 1.0 / (1.0 + math.exp(-2.0 * score))


def _line(at: str, what: str, says: str) -> str:
    return f"{at[5:16].replace('T', ' ')}  {what:<12}  {says}"


def _accepted(planned: Planned, offsets: Counter[str]) -> Accepted:
    kind, at_ms, event = planned
    source = Source(kind, f"{kind}s", 0)
    raw = Raw(source, offsets[kind], at_ms, orjson.dumps(event), event["model_id"].encode())
    offsets[kind] += 1
    found = accept(raw)
    if not isinstance(found, Accepted):
        msg = f"an event of the story is refused: {found.letter.detail}"
        raise TypeError(msg)
    return found
