"""Counters against a count of the labelled rows, whatever the order, the cut and the restarts."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.model_spec import ModelSpec
from streams.clock import DAY_MS
from streams.detect.day_kernel import (
    CELLS,
    DELAYS,
    GROUPS,
    RIGHT,
    ROWS,
    SIZE,
    SQUARES,
    SUMS,
    WRONG,
    delay_cell,
    group_of,
)
from streams.performance.ledger import Turn
from tests.doubles.core import Json, Played, log_of, play, play_gathering, play_restarting
from tests.doubles.inputs import START_MS, outcome, prediction
from tests.streams.performance.test_ledger import _at, latest

SPEC = ModelSpec.model_validate(
    {
        "metrics": {"every": "day"},
        "outcome": {"wait_s": 3 * 86_400, "corrections": "last"},
        "cost": {"matrix": {"0": {"0": 0.5, "1": -4.0}, "1": {"0": -9.25, "1": 1.0}}},
        "calibration": {},
    }
)
MATRIX = {(0, 0): 0.5, (0, 1): -4.0, (1, 0): -9.25, (1, 1): 1.0}
"""Money by truth and answer."""


FIRST = SPEC.model_copy(
    update={"outcome": SPEC.outcome.model_copy(update={"corrections": "first"})}
)


def events(chance: random.Random, n: int) -> list[Any]:
    """Answers of two days whose outcomes come before or after them, repeated, or never."""
    made: list[tuple[int, bytes]] = []
    for row in range(n):
        at_ms = START_MS + chance.randrange(2 * DAY_MS)
        fields: Json = {
            "prediction": chance.randrange(2),
            "score": chance.choice((None, 0.0, 0.25, 0.5, 1.0, chance.random())),
            "status": chance.choice(("ok", "ok", "ok", "fallback")),
            "model_version": chance.choice((None, "a", "b", "c")),
            "latency_ms": chance.choice((None, 1.5, 80.0)),
        }
        made.append((at_ms, prediction(f"{row}", predicted_at=at_ms, **fields)))
        for _ in range(chance.choice((0, 1, 1, 1, 2))):
            known_ms = at_ms + chance.randrange(-DAY_MS // 10, DAY_MS)
            source = chance.choice((None, "label", "review"))
            truth = outcome(
                f"{row}", outcome=chance.randrange(2), observed_at=known_ms, source=source
            )
            made.append((max(known_ms, START_MS), truth))
    made.append((START_MS + 8 * DAY_MS, prediction("last", predicted_at=START_MS + 8 * DAY_MS)))
    made.sort(key=lambda each: each[0])
    return [_at(place, *each) for place, each in enumerate(made)]


def rows_by_day(played: Played) -> dict[str, list[Json]]:
    days: dict[str, list[Json]] = {}
    labelled = played.of("labelled")
    restated = {row["restates"] for row in labelled}
    for row in labelled:
        if row["row"] not in restated and row["prediction"].get("status", "ok") == "ok":
            start_ms = row["prediction"]["predicted_at"] // DAY_MS * DAY_MS
            start = f"{np.datetime64(start_ms, 'ms')}Z"
            days.setdefault(start, []).append(row)
    return days


@settings(max_examples=12)
@given(
    st.integers(0, 10**6),
    st.integers(1, 60),
    st.integers(1, 9),
    st.booleans(),
    st.sampled_from((FIRST, SPEC)),
)
def test_counts_of_a_day_are_those_of_its_labelled_rows_that_no_other_restates(
    seed: int, a_record: int, read_every: int, restarts: bool, spec: ModelSpec
) -> None:
    def spec_of(_model_id: str) -> ModelSpec:
        return spec

    made = events(random.Random(seed), 90)  # noqa: S311 - a schedule, not a secret
    if restarts:
        played = play_restarting(log_of(made, max(a_record, 20)), spec_of)
    else:
        played = play_gathering(log_of(made, a_record), read_every, spec_of)
    rows = rows_by_day(played)

    final = {start: day for start, day in latest(played, "day").items() if day["is_final"]}
    assert set(rows) <= set(final)
    for start, day in final.items():
        _check(day, rows.get(start, []))


def _check(day: Json, rows: list[Json]) -> None:
    pairs = Counter((row["prediction"]["prediction"], row["outcome"]["outcome"]) for row in rows)
    assert day["labelled"] == len(rows)
    assert {(p, o): n for p, o, n in day["confusion"]} == dict(pairs)
    assert (day["errors"] or 0) == sum(row["is_error"] for row in rows)
    sources = Counter(row["outcome"].get("source") or "label" for row in rows)
    assert day["by_source"] == dict(sources)
    assert (day["delay_s"] is None) == (not rows)
    assert day["value"]["counted"] == sum(MATRIX[o, p] * n for (p, o), n in pairs.items())
    scored = [
        (row["prediction"]["score"], row["outcome"]["outcome"])
        for row in rows
        if row["prediction"].get("score") is not None
    ]
    if scored and day["positive"] == 1:
        assert day["brier"] == pytest.approx(
            np.mean([(score - truth) ** 2 for score, truth in scored]), abs=1e-12
        )
        above = [
            (a > b) + (a == b) / 2
            for a, truth in scored
            if truth
            for b, other in scored
            if not other
        ]
        assert day["auc"] == (pytest.approx(np.mean(above), abs=1e-12) if above else None)


LASTING = SPEC.model_copy(
    update={"outcome": SPEC.outcome.model_copy(update={"wait_s": 30 * 86_400.0})}
)
"""No day is put away while the log lasts."""


@settings(max_examples=12)
@given(st.integers(0, 10**6), st.integers(1, 90), st.integers(0, 3))
def test_corrections_from_the_first_rows_on_leave_the_counts_of_the_rows_that_stand(
    seed: int, rows: int, sure: int
) -> None:
    made = events(random.Random(seed), rows)  # noqa: S311 - a schedule, not a secret
    first = [
        (START_MS, prediction(f"first {row}", prediction=0, score=0.9, predicted_at=START_MS))
        for row in range(sure)
    ] + [(START_MS, outcome(f"first {row}", outcome=1)) for row in range(sure)]
    begins = [_at(place, *each) for place, each in enumerate(first)]
    ends = [
        _at(len(first) + rows, START_MS + 7 * DAY_MS, outcome(f"first {row}", outcome=0))
        for row in range(sure)
    ]
    played = play(log_of([*begins, *made, *ends], 7), lambda _model_id: LASTING)

    ledger = next(iter(played.monitor.models.values()))._ledger
    assert ledger is not None
    state, kept = ledger.state, ledger.state.money
    assert kept is not None
    counts, money = _counted(played.of("labelled"), state.turns)
    starts, days = state.history.days()
    for start_ms, found in zip(starts, days, strict=True):
        assert found[GROUPS:].tolist() == counts[start_ms][GROUPS:].tolist()
        sums = kept._days.get(start_ms, np.zeros(SUMS, np.float32))
        assert sums.tolist() == pytest.approx(money[start_ms].tolist(), abs=1e-3)
    assert counts.keys() <= set(starts)


def _counted(labelled: list[Json], turns: list[Turn]) -> tuple[dict[int, Any], dict[int, Any]]:
    """Return the counts and the money of the rows that no other restates, by their day."""
    counts: dict[int, Any] = defaultdict(lambda: np.zeros(SIZE))
    money: dict[int, Any] = defaultdict(lambda: np.zeros(SUMS))
    restated = {row["restates"] for row in labelled}
    for row in labelled:
        answer, truth, number = row["prediction"], row["outcome"], row["row"]
        if number in restated or answer.get("status", "ok") != "ok":
            continue
        day = answer["predicted_at"] // DAY_MS * DAY_MS
        positive = [turn.positive for turn in turns if turn.row <= number][-1]
        said = positive.label is None or positive.label == str(answer["prediction"])
        score = answer.get("score")
        group, wrong = group_of(math.nan if score is None else score, said), row["is_error"]
        price = MATRIX[truth["outcome"], answer["prediction"]]
        counts[day][(WRONG if wrong else RIGHT) + group] += 1
        delay_ms = truth["observed_at"] - answer["predicted_at"]
        counts[day][DELAYS + CELLS * wrong + delay_cell(delay_ms)] += 1
        money[day][GROUPS * wrong + group] += price
        money[day][SQUARES + group] += price * price
        money[day][ROWS + GROUPS * wrong + group] += 1
    return counts, money
