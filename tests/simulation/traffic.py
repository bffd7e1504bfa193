"""What services send in a simulated minute: small, and with everything that can go wrong in it.

A short minute has a fifteenth of the rows, at the same times: too few for an alert, enough for all
else where chunks of waiting events are small.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import orjson

from agents.kafka.home import home_of
from schemas.model_spec import (
    CalibrationRules,
    ChallengeRules,
    CostRules,
    FallbackRules,
    FeatureRules,
    InputsRules,
    MetricRules,
    ModelSpec,
    OutcomeRules,
    RetrainRules,
    ReviewRules,
    SegmentRules,
)
from streams.alert.record import fingerprint_of
from tests.doubles.inputs import START_MS, control, outcome, prediction
from tests.doubles.poison import HEARD, READ

PARTITIONS = 2
"""Of each input topic."""
SHORTER = 15
ASTRAY = 0.02
"""Share of inputs by model of which a copy lies in another partition."""
_MODEL = re.compile(rb'"model_id": ?"(\w+)"')
_SPECS = {
    "risk": ModelSpec(
        alert_budget=20.0,
        retrain=RetrainRules(min_labelled=5),
        # A smaller ring than a spec may ask for: its reference is made within the minute.
        segments=SegmentRules().model_copy(update={"ring": 1_100}),
    ),
    "churn": ModelSpec(
        outcome=OutcomeRules(wait_s=14.0),
        # No case ends here: a tick that nobody has applied would end it.
        review=ReviewRules(sample=0.3, due_s=3_600.0),
        features=FeatureRules(joint=True, attributions=True),
        metrics=MetricRules(every="hour"),
        cost=CostRules(per_error=2.0),
        calibration=CalibrationRules(),
    ),
    "spam": ModelSpec(outcome=OutcomeRules(max_waiting=8)),
    "iris": ModelSpec(inputs=InputsRules(wait_s=6.0)),
    "loan": ModelSpec(
        outcome=OutcomeRules(wait_s=14.0),
        review=ReviewRules(sample=0.2, due_s=3_600.0),
        challenge=ChallengeRules(cohort_s=10.0, mature_s=5.0, min_pairs=20),
        fallback=FallbackRules(auto=True, ttl_s=3.0, hold_s=1.0, latency_ms_above=500.0),
    ),
}


class Input(NamedTuple):
    """One record of an input topic."""

    topic: str
    partition: int
    timestamp_ms: int
    value: bytes


def spec_of(model_id: str) -> ModelSpec:
    """Return what the owner of a model asks for."""
    return _SPECS.get(model_id, ModelSpec())


@cache
def poison(variant: int) -> tuple[Input, ...]:
    """Return what makes two models fail, one of them at a reading, and the release of that one."""
    chance = random.Random(f"poison {variant}")  # noqa: S311 - traffic, not a secret
    releases = [
        control("release", fingerprint_of(name, "model", "quarantine"), name)
        for name in ("churn", "churn", "risk")
    ]
    planned = [
        (chance.uniform(5, 40), "predictions", _poison("churn", READ)),
        (chance.uniform(5, 50), "predictions", _poison("spam", HEARD)),
        (chance.uniform(30, 58), "tidegauge.controls", releases[0]),
        (chance.uniform(30, 58), "tidegauge.controls", releases[1]),
        (chance.uniform(1, 58), "tidegauge.controls", releases[2]),
    ]
    planned.sort(key=lambda each: each[0])
    return tuple(
        Input(topic, 0, START_MS + int(1_000 * at_s), value) for at_s, topic, value in planned
    )


CALLS = "calls"
"""A topic of another system: requests and responses of two rows each, as records of their own."""
CALLS_SOURCES = f"""
sources:
- topic: {CALLS}
  when: value.answers
  as: prediction
  each: value.answers
  fields:
    prediction_id: join('-', [value.id, to_string(index)])
    model_id: "'iris'"
    prediction: item
- topic: {CALLS}
  when: value.rows
  as: inputs
  each: value.rows
  fields:
    prediction_id: join('-', [value.id, to_string(index)])
    model_id: "'iris'"
    features: item
"""


@cache
def calls(variant: int) -> tuple[Input, ...]:
    """Return the two halves of calls and their outcomes; some are missing, some come twice."""
    chance = random.Random(f"calls {variant}")  # noqa: S311 - traffic, not a secret
    planned: list[tuple[float, str, bytes]] = []
    for call in range(30):
        at_s, name = call * 1.5, f"k{call}"
        answers = [chance.choice(("yes", "no")) for _ in range(2)]
        rows = [{"x": round(chance.gauss(0, 1), 3)} for _ in range(2)]
        for part in ({"answers": answers}, {"rows": rows}):
            for _ in range(chance.choice((0, 1, 1, 1, 1, 1, 1, 1, 2))):
                value = orjson.dumps({"id": name} | part)
                planned.append((at_s + chance.uniform(0, 9), CALLS, value))
        planned.append((at_s, CALLS, b'{"id": "of nobody"}'))
        for row in range(2):
            truth = outcome(f"{name}-{row}", "iris")
            planned.append((at_s + chance.uniform(0, 12), "outcomes", truth))
    # No half waits at the end: a tick that nobody has applied would let it go on.
    planned.append((62.0, "outcomes", outcome("of nobody", "iris")))
    return tuple(
        Input(topic, chance.randrange(PARTITIONS), START_MS + int(1_000 * at_s), value)
        for at_s, topic, value in sorted(planned)
    )


def by_model(inputs: Sequence[Input], chance: random.Random) -> tuple[Input, ...]:
    """Return the inputs in the partitions of their models; of some a copy lies astray."""
    placed: list[Input] = []
    for each in inputs:
        found = _MODEL.search(each.value)
        if found is not None:
            home = home_of(found[1].decode(), PARTITIONS)
            if chance.random() < ASTRAY:
                placed.append(each._replace(partition=(home + 1) % PARTITIONS))
            placed.append(each._replace(partition=home))
        else:
            placed.append(each)
    return tuple(placed)


PEOPLE = "loan"
"""A model about whose answers people report, that has a challenger, and that a fallback follows."""


@cache
def people(variant: int) -> tuple[Input, ...]:
    """Return what a model, its challenger, its gateway, reviewers and reporters publish.

    The model is slow until a fallback follows, and then proves itself: no lease holds at the end,
    and no cohort is young, which a tick that nobody has applied would change.
    """
    chance = random.Random(f"people {variant}")  # noqa: S311 - traffic, not a secret
    planned: list[tuple[float, str, bytes]] = []
    for row in range(300):
        at_s, name = row * 0.13, f"p{row}"
        truth, is_late = chance.random() < 0.5, chance.random() < 0.1
        answer = {"prediction": truth ^ (chance.random() < 0.3), "score": 0.7}
        says = {"latency_ms": 900.0 if row < 205 else 20.0, "features": {}}
        says |= {"status": "fallback"} if row >= 205 and row % 3 == 0 else {}
        made = {"predicted_at": START_MS + int(1_000 * at_s)}
        planned.append((at_s, "predictions", prediction(name, PEOPLE, **answer, **says, **made)))
        if chance.random() < 0.7:
            guess = truth ^ (chance.random() < 0.05)
            other = prediction(name, PEOPLE, variant="b", prediction=guess, **made)
            planned.append((at_s + chance.uniform(-1, 2), "predictions", other))
        known_s = at_s + chance.uniform(12, 18 if is_late else 13)
        planned.append((known_s, "outcomes", outcome(name, PEOPLE, outcome=truth)))
        planned += _words_of_people(chance, at_s, name, truth=truth)
    planned.append((59.0, "outcomes", outcome("of nobody", PEOPLE)))
    return tuple(
        Input(
            topic,
            0 if topic == REPORTS else chance.randrange(PARTITIONS),
            START_MS + int(1_000 * at_s),
            value,
        )
        for at_s, topic, value in sorted(planned)
    )


REPORTS = "tidegauge.reports"


def _words_of_people(
    chance: random.Random, at_s: float, name: str, *, truth: bool
) -> list[tuple[float, str, bytes]]:
    """Return a verdict, which may be about a case that nobody was asked about, and a report."""
    planned = []
    said_s = at_s + chance.uniform(1, 10)
    if chance.random() < 0.2:
        verdict = orjson.loads(outcome(name, PEOPLE, outcome=truth))
        verdict |= {"source": "review", "reviewer": "ann", "review_id": f"{PEOPLE}/{name}/1"}
        planned.append((said_s, "outcomes", orjson.dumps(verdict)))
    if chance.random() < 0.1:
        about = chance.choice((name, "of nobody"))
        report: dict[str, object] = {
            "report_id": f"by {name}",
            "prediction_id": about,
            "model_id": PEOPLE,
        }
        report |= {"at": START_MS + int(1_000 * said_s), "because": "wrong", "wanted": truth}
        planned += [(said_s, REPORTS, orjson.dumps(report))] * chance.choice((1, 1, 2))
    return planned


def _poison(model_id: str, feature: str) -> bytes:
    return prediction(f"poison of {model_id}", model_id, prediction="stay", features={feature: 1.0})


@cache
def traffic(variant: int, *, is_short: bool = False) -> tuple[Input, ...]:
    """Return the inputs of one minute, in the order in which they are sent."""
    step = SHORTER if is_short else 1
    chance = random.Random(variant)  # noqa: S311 - traffic, not a secret
    planned: list[tuple[float, str, bytes]] = []
    _plan_risk(chance, planned, step)
    _plan_churn(chance, planned, max(step, 3))
    _plan_spam(chance, planned, 4 if is_short else 2)
    for _ in range(4 if is_short else 8):
        garbage = chance.choice((b"", b'{"model_id": "risk"}', b'{"prediction_id": 1}', b"\xff"))
        planned.append((chance.uniform(0, 60), chance.choice(("predictions", "outcomes")), garbage))
    planned.sort(key=lambda each: each[0])
    return tuple(
        Input(topic, chance.randrange(PARTITIONS), _timestamp(at_s, variant, chance), value)
        for at_s, topic, value in planned
    )


def _timestamp(at_s: float, variant: int, chance: random.Random) -> int:
    """Return when it was sent; in one variant of four a producer's clock is hours ahead."""
    ahead_s = 7_200.0 if variant % 4 == 3 and chance.random() < 0.002 else 0.0
    return START_MS + int(1_000 * (at_s + ahead_s + chance.uniform(-0.2, 0.2)))


def _plan_risk(chance: random.Random, planned: list[tuple[float, str, bytes]], step: int) -> None:
    """Plan a model that goes wrong; its outcomes come a third of a minute later."""
    for row in range(0, 370, step):
        at_s = row * 0.11
        says = chance.random() < 0.5
        late_s = -1.0 if chance.random() < 0.05 else chance.uniform(17.0, 21.0)
        # Not those that come early: they would be learnt with the reference.
        is_wrong = chance.random() < (0.95 if row >= 265 and late_s > 0 else 0.05)
        name = f"r{row}"
        part = {"part": "abc"[row % 3], "half": "xy"[row // 3 % 2]}
        made = prediction(name, "risk", prediction=says, segment=part)
        planned.append((at_s, "predictions", made))
        truth = outcome(name, "risk", outcome=says ^ is_wrong)
        planned.append((at_s + late_s, "outcomes", truth))
        if row % 40 == 5:
            planned.append((at_s + 30.0, "outcomes", truth))


def _plan_churn(chance: random.Random, planned: list[tuple[float, str, bytes]], step: int) -> None:
    """Plan a model most of whose predictions never have an outcome."""
    for row in range(0, 180, step):
        at_s, name = row * 0.3, f"c{row}"
        features = {"age": round(chance.gauss(40, 10), 2)}
        event = prediction(name, "churn", prediction="stay", features=features)
        planned.append((at_s, "predictions", event))
        fate = chance.random()
        if fate < 0.3:
            planned.append((at_s + chance.uniform(-3, 12), "outcomes", outcome(name, "churn")))
        elif fate < 0.4:
            planned += [
                (at_s + 2, "outcomes", outcome(name, "churn", outcome="stay")),
                (at_s + 3, "outcomes", outcome(name, "churn", outcome="leave")),
                (at_s + 4, "predictions", event),
            ]
        elif fate < 0.5:
            planned.append((at_s, "outcomes", outcome(f"unknown{row}", "churn")))


def _plan_spam(chance: random.Random, planned: list[tuple[float, str, bytes]], step: int) -> None:
    """Plan a regression of which few may wait."""
    for row in range(0, 60, step):
        at_s, name = row * 0.9, f"s{row}"
        value = prediction(name, "spam", prediction=round(chance.gauss(0, 1), 3))
        planned.append((at_s, "predictions", value))
        if chance.random() < 0.6:
            truth = outcome(name, "spam", outcome=round(chance.gauss(0, 1), 3))
            planned.append((at_s + chance.uniform(0, 40), "outcomes", truth))
