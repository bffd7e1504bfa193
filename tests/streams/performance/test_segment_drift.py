"""Distributions of parts of the traffic, against the rows themselves."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import orjson
import pytest
from msgspec.structs import replace

from schemas.model_spec import ModelSpec, SpecError, parse_spec
from streams.clock import DAY_MS
from streams.ingest.records import Accepted
from streams.performance.segment_drift import MOST_SEGMENTS, SegmentTallies
from tests.doubles.core import Json, Played, log_of, play, play_gathering, play_restarting
from tests.doubles.inputs import START_MS, accepted, prediction

DAYS, LAST_SHIFT = 3, 2.0
SPEC = parse_spec({"metrics": {"every": "day"}, "segments": {"drift": True}})


@cache
def rows() -> list[tuple[int, Json]]:
    """On the last day the incomes of one country are higher."""
    rng = np.random.default_rng(71)
    made: list[tuple[int, Json]] = []
    for at in np.sort(rng.uniform(0, DAYS * DAY_MS, 3_600)):
        country = str(rng.choice(["FR", "DE", "IT"], p=[0.5, 0.3, 0.2]))
        is_moved = country == "DE" and at >= (DAYS - 1) * DAY_MS
        income = float(rng.normal(LAST_SHIFT * is_moved, 1))
        fields: dict[str, Any] = {
            "prediction": int(rng.random() < 0.3),
            "segment": {"country": country, "shop": f"s{int(rng.integers(0, 60))}"},
            "features": {"income": None if rng.random() < 0.1 else income},
        }
        made.append((START_MS + int(at), fields))
    return made


@cache
def events() -> tuple[Accepted, ...]:
    made = [
        (at_ms, prediction(f"{number}", predicted_at=at_ms, **fields))
        for number, (at_ms, fields) in enumerate(rows())
    ]
    end_ms = START_MS + (DAYS + 1) * DAY_MS
    made.append((end_ms, prediction("end", predicted_at=end_ms, prediction=0)))
    return tuple(
        replace(accepted(value, logged_at=at_ms), offset=place)
        for place, (at_ms, value) in enumerate(made)
    )


@cache
def played() -> Played:
    return play(log_of(events()), lambda _model_id: SPEC)


def parts(found: Played, day: int) -> dict[str, Json]:
    start = f"2026-01-0{1 + day}T00:00:00.000Z"
    return {
        orjson.dumps(each["segment"]).decode(): each
        for each in found.of("metrics")
        if each["type"] == "tidegauge.series.v1" and each["start"] == start and each["segment"]
    }


def summary(record: Json, series: str) -> Json:
    (found,) = (each for each in record["series"] if each["series"] == series)
    made: Json = found
    return made


@pytest.mark.parametrize("country", ["FR", "DE", "IT"])
def test_a_part_has_the_values_of_its_rows(country: str) -> None:
    start_ms = START_MS + 2 * DAY_MS
    of_part = [
        fields
        for at_ms, fields in rows()
        if start_ms <= at_ms < start_ms + DAY_MS and fields["segment"]["country"] == country
    ]
    incomes = [fields["features"]["income"] for fields in of_part]

    record = parts(played(), 2)[f'{{"country":"{country}"}}']
    income, answers = (summary(record, name) for name in ("feature/income", "prediction"))

    assert income["rows"] == answers["rows"] == len(of_part)
    assert income["missing"] == incomes.count(None) / len(incomes)
    known = [each for each in incomes if each is not None]
    assert income["mean"] == pytest.approx(np.mean(known), abs=0.01)
    assert sorted(answers["categories"][:2]) == sorted(
        sum(fields["prediction"] == label for fields in of_part) for label in (0, 1)
    )


def test_drift_is_told_of_the_part_that_moved() -> None:
    psi = {
        name: summary(record, "feature/income")["drift"]["psi"]
        for name, record in parts(played(), 2).items()
        if "country" in name
    }

    assert psi['{"country":"DE"}'] > 1
    assert max(psi['{"country":"FR"}'], psi['{"country":"IT"}']) < 0.2


def test_only_the_largest_parts_have_records() -> None:
    of_day = parts(played(), 2)

    assert len(of_day) == MOST_SEGMENTS
    assert sum("country" in name for name in of_day) == 3


def test_values_and_dimensions_beyond_a_number_are_not_counted() -> None:
    tallies = SegmentTallies()

    tallies.count_rows([{"shop": f"{row}"} for row in range(1_000)])
    tallies.count_rows([{f"d{row}": "x"} for row in range(100)])

    assert sum(map(len, tallies.rows.values())) == 200 + 15


def test_how_the_log_is_cut_and_a_restart_change_nothing() -> None:
    spec_of = lambda _model_id: SPEC  # noqa: E731 # three plays of one spec
    gathered = play_gathering(log_of(events()[:2_000], 90), 4, spec_of)
    whole = play_gathering(log_of(events()[:2_000], 500), 1, spec_of)

    assert gathered.bytes_of("metrics") == whole.bytes_of("metrics")
    restarted = play_restarting(log_of(events()[:2_000], 500), spec_of)
    assert restarted.bytes_of("metrics") == whole.bytes_of("metrics")


def test_parts_that_are_not_asked_for_are_not_counted() -> None:
    spec = ModelSpec.model_validate({"metrics": {"every": "day"}, "segments": {}})

    found = play(log_of(events()), lambda _model_id: spec)

    assert not parts(found, 2)


def test_parts_need_the_figures() -> None:
    with pytest.raises(SpecError, match=r"segments\.drift is part of figures"):
        parse_spec({"segments": {"drift": True}})
