"""References and distributions of series: what `metrics` says against the values themselves."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from schemas.model_spec import ModelSpec
from streams.clock import DAY_MS, HOUR_MS
from streams.detect.outline import Outline
from streams.ingest.records import Accepted
from streams.performance.distributions import LEAST_ROWS, Distributions
from streams.performance.frame import Frame, psi_of
from streams.performance.grid import Tally
from streams.series.offline import profile
from streams.series.watch_spec import WatchSpec
from streams.values import Floats
from tests.doubles.core import Json, Played, log_of, play, play_gathering, play_restarting
from tests.doubles.inputs import START_MS, accepted, outcome, prediction

HOURLY = ModelSpec.model_validate({"metrics": {"every": "hour"}})
DAYS = 3


@cache
def rows() -> list[tuple[int, dict[str, Any]]]:
    """Predictions of three days, the last of them unlike the others."""
    rng = np.random.default_rng(11)
    made = []
    for at in np.sort(rng.uniform(0, DAYS * DAY_MS, 3_000)):
        is_late = at > 2 * DAY_MS
        income = float(rng.lognormal(8, 1) * (1.6 if is_late else 1.0))
        features = {
            "income": None if rng.random() < 0.1 else income,
            "channel": str(rng.choice(["web", "shop", "mail"], p=[0.4, 0.4, 0.2])),
            "claim": 0.0 if rng.random() < 0.6 else float(rng.exponential(50.0)),
        }
        made.append((START_MS + int(at), features))
    return made


@cache
def events() -> list[Accepted]:
    values: list[tuple[int, bytes]] = []
    for row, (at_ms, features) in enumerate(rows()):
        score = round((row * 37 % 101) / 101, 3)
        values.append(
            (at_ms, prediction(f"{row}", predicted_at=at_ms, score=score, features=features))
        )
        values.append((at_ms + HOUR_MS, outcome(f"{row}", observed_at=at_ms + HOUR_MS)))
    values.sort(key=lambda each: each[0])
    return [
        replace(accepted(value, logged_at=at_ms), offset=place)
        for place, (at_ms, value) in enumerate(values)
    ]


@cache
def played() -> Played:
    return play(log_of(events()), lambda _model_id: HOURLY)


def days(played: Played, series: str) -> list[Json]:
    return [
        each
        for record in played.of("metrics")
        if record["type"] == "tidegauge.series.v1" and record["kind"] == "day"
        for each in record["series"]
        if each["series"] == series
    ]


def last_reference(played: Played, series: str) -> Json:
    found = [each for each in played.of("metrics") if each["type"] == "tidegauge.reference.v1"]
    return [each for each in found if each["series"] == series][-1]


def incomes(day: int) -> list[float | None]:
    start_ms = START_MS + day * DAY_MS
    return [f["income"] for at_ms, f in rows() if start_ms <= at_ms < start_ms + DAY_MS]


def test_a_day_has_the_rows_the_mean_and_the_quantiles_of_its_values() -> None:
    values = incomes(2)
    known = np.array([each for each in values if each is not None])

    day = days(played(), "feature/income")[2]

    assert day["rows"] == len(values)
    assert day["missing"] == values.count(None) / len(values)
    assert day["mean"] == pytest.approx(known.mean(), rel=1e-3)
    assert day["sd"] == pytest.approx(known.std(), rel=1e-3)
    for name, part in (("p05", 0.05), ("p50", 0.5), ("p95", 0.95)):
        assert day["quantiles"][name] == pytest.approx(np.quantile(known, part), rel=0.08), name


def test_a_histogram_counts_values_by_the_edges_of_the_reference() -> None:
    reference, day = last_reference(played(), "feature/income"), days(played(), "feature/income")[2]
    known = [each for each in incomes(2) if each is not None]
    edges = [-np.inf, *reference["histogram"]["edges"], np.inf]

    assert day["reference_id"] == reference["reference_id"]
    assert day["histogram"] == np.histogram(known, edges)[0].tolist()
    assert sum(reference["histogram"]["shares"]) == pytest.approx(1)
    assert 15 < len(edges) < 45


def test_a_number_that_fills_many_rows_is_counted_apart() -> None:
    reference, day = last_reference(played(), "feature/claim"), days(played(), "feature/claim")[1]

    (zero,) = reference["categories"]
    assert zero["category"] == "0"
    assert zero["share"] == pytest.approx(0.6, abs=0.05)
    assert day["categories"][0] + sum(day["histogram"]) == day["rows"]
    assert day["quantiles"]["p50"] == 0


def test_hours_and_a_day_count_the_same_rows() -> None:
    records = [each for each in played().of("metrics") if each["type"] == "tidegauge.series.v1"]
    rows_of = {
        kind: sum(
            series["rows"]
            for each in records
            if each["kind"] == kind and each["start"].startswith("2026-01-02")
            for series in each["series"]
        )
        for kind in ("hour", "day")
    }

    assert rows_of["hour"] == rows_of["day"] > 0


def test_how_the_log_is_cut_and_a_restart_change_no_record() -> None:
    log = log_of(events(), 200)
    spec_of = lambda _model_id: HOURLY  # noqa: E731 # three plays of one spec

    gathered = play_gathering(log, 9, spec_of).bytes_of("metrics")

    assert gathered == played().bytes_of("metrics")
    assert play_restarting(log, spec_of=spec_of).bytes_of("metrics") == gathered


def test_few_values_have_no_mean_and_no_quantile() -> None:
    hours = [
        series
        for record in played().of("metrics")
        if record["type"] == "tidegauge.series.v1" and record["kind"] == "hour"
        for series in record["series"]
        if series["series"] == "feature/claim" and series["reference_id"] is not None
    ]
    few = [each for each in hours if each["rows"] < 10]

    assert all(each["mean"] is None and each["quantiles"] is None for each in few)
    assert any(each["mean"] is not None for each in hours)


def test_a_day_that_differs_is_farther_from_the_reference_than_by_chance() -> None:
    before, after = (days(played(), "feature/income")[day]["drift"] for day in (1, 2))

    assert after["psi"] > 4 * after["psi_by_chance"]
    assert before["psi"] < 3 * before["psi_by_chance"]
    assert after["wasserstein"] > 0.2 > before["wasserstein"]
    assert after["against"] == "learnt"


def test_a_profile_is_told_as_the_training_data_whatever_is_learnt_later() -> None:
    rng = np.random.default_rng(5)
    made = profile(WatchSpec(role="feature"), rng.lognormal(9, 1, 2_000).tolist())
    spec = ModelSpec.model_validate(
        {"metrics": {"every": "day"}, "reference": {"profile": {"feature/income": made}}}
    )

    found = play(log_of(events()), lambda _model_id: spec)

    reference = last_reference(found, "feature/income")
    assert (reference["source"], reference["rows"], reference["start"]) == ("profile", 2_000, None)
    drifts = [each["drift"] for each in days(found, "feature/income")]
    assert all(each["against"] == "training" and each["psi"] > 0.1 for each in drifts)


def test_a_model_that_asks_for_no_figures_counts_nothing() -> None:
    found = play(log_of(events()[:500]))

    assert found.of("metrics") == []
    assert all(model._distributions is None for model in found.monitor.models.values())


# Formulas


def evidently_psi(reference: list[str], current: list[str]) -> float:
    """Do what evidently 0.7.23 does for categories (its `get_binned_data` and `psi_stat_test`)."""
    keys = sorted(set(reference) | set(current))
    parts = [
        np.array([each.count(key) / len(each) for key in keys]) for each in (reference, current)
    ]
    for part in parts:
        least = part[part != 0].min()
        np.place(part, part == 0, least / 10**6 if least <= 0.0001 else 0.0001)
    return float(np.sum((parts[0] - parts[1]) * np.log(parts[0] / parts[1])))


@pytest.mark.parametrize(
    ("seed", "of_evidently"),
    [
        (0, 0.16795903796605405),
        (1, 0.16857472049116393),
        (2, 0.15121915824786086),
        (3, 0.15248269709462592),
        (4, 0.14253174649963712),
    ],
)
def test_the_stability_index_of_categories_is_that_of_evidently(
    seed: int, of_evidently: float
) -> None:
    """The figures are those of evidently 0.7.23, its `psi_stat_test`, for the same rows."""
    rng = np.random.default_rng(seed)
    before = rng.choice(list("abcdef"), 5_000, p=[0.4, 0.3, 0.15, 0.1, 0.04, 0.01]).tolist()
    after = rng.choice(list("abcdeg"), 3_000, p=[0.3, 0.3, 0.2, 0.15, 0.04, 0.01]).tolist()
    names = tuple("abcdef")
    shares = tuple(before.count(each) / len(before) for each in names)
    frame, tally = Frame.of(Outline("categorical", len(before), names, shares)), Tally()

    frame.count(after, tally)
    found = frame.distances(tally)

    assert found is not None
    assert found.psi == pytest.approx(of_evidently, abs=1e-12)
    assert found.psi == pytest.approx(evidently_psi(before, after), abs=1e-12)
    assert found.psi_by_chance == pytest.approx(6 * (1 / 5_000 + 1 / 3_000))


def test_the_wasserstein_distance_from_cells_is_that_of_the_values() -> None:
    rng = np.random.default_rng(8)
    before, after = np.sort(rng.lognormal(0, 1, 4_096)), rng.lognormal(0.2, 1, 3_000)
    frame = Frame.of(Outline("numeric", len(before), numbers=before))
    tally = Tally()

    frame.count(after.tolist(), tally)
    found = frame.distances(tally)

    assert found is not None
    assert found.wasserstein == pytest.approx(wasserstein(before, after) / before.std(), rel=0.02)


def wasserstein(before: Floats, after: Floats) -> float:
    """Return the area between two empirical distribution functions."""
    places = np.sort(np.concatenate((before, after)))
    parts = [
        np.searchsorted(np.sort(each), places[:-1], "right") / len(each) for each in (before, after)
    ]
    return float((np.abs(parts[0] - parts[1]) * np.diff(places)).sum())


def test_the_stability_index_by_chance_is_what_it_is_on_average() -> None:
    rng = np.random.default_rng(21)
    found, said = [], 0.0
    for _ in range(400):
        before = np.sort(rng.normal(size=2_000))
        frame, tally = Frame.of(Outline("numeric", 2_000, numbers=before)), Tally()
        frame.count(rng.normal(size=400).tolist(), tally)
        distances = frame.distances(tally)
        assert distances is not None
        found.append(distances.psi)
        said = distances.psi_by_chance

    assert np.mean(found) == pytest.approx(said, rel=0.1)


def test_equal_shares_have_no_distance_and_a_new_category_a_finite_one() -> None:
    assert psi_of(np.array([0.2, 0.8]), np.array([0.2, 0.8])) == 0
    assert 0 < psi_of(np.array([1.0, 0.0]), np.array([0.9, 0.1])) < 1


@pytest.mark.parametrize(("every", "hours"), [("day", 24), ("hour", 1)])
def test_an_hour_of_few_rows_goes_on_where_only_days_are_asked_for(every: str, hours: int) -> None:
    spec = ModelSpec.model_validate({"metrics": {"every": every}})
    distributions = Distributions("m", spec, 1)

    for _ in range(LEAST_ROWS - 1):
        distributions.note(START_MS + 1)
    due_ms = distributions.due_ms
    distributions.note(START_MS + 1)

    assert due_ms == START_MS + hours * HOUR_MS
    assert distributions.due_ms == START_MS + HOUR_MS


def test_without_cohorts_the_records_of_series_are_the_same_and_there_are_no_others() -> None:
    spec = ModelSpec.model_validate({"metrics": {"every": "hour", "cohorts": False}})

    found = play(log_of(events()), lambda _model_id: spec).of("metrics")

    every = played().of("metrics")
    of_series = [each for each in every if each["type"] != "tidegauge.metric.v1"]
    assert 0 < len(of_series) < len(every)
    assert found == of_series
