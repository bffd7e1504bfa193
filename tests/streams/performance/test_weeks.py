"""Weeks of a model against a count of its labelled rows."""

from __future__ import annotations

import orjson
import pytest

from schemas.metric import Metric
from schemas.wire import to_epoch_ms
from streams.clock import DAY_MS
from streams.performance.weeks import WEEK_MS, week_start, weeks_of
from tests.doubles.core import Json, Played
from tests.doubles.inputs import START_MS
from tests.streams.performance.test_ledger import classes, latest, played, rows_of_days, traffic


def days(found: Played) -> list[Metric]:
    """The final records of the days, in the order of time."""
    records = [
        Metric.model_validate_json(orjson.dumps(each)) for each in latest(found, "day").values()
    ]
    return sorted((each for each in records if each.is_final), key=lambda each: each.start)


def rows_of_weeks(found: Played) -> dict[int, list[Json]]:
    weeks: dict[int, list[Json]] = {}
    for start_ms, rows in rows_of_days(found).items():
        weeks.setdefault(week_start(start_ms), []).extend(rows)
    return weeks


def test_a_week_counts_what_its_labelled_rows_do() -> None:
    weeks, rows = weeks_of(days(classes())), rows_of_weeks(classes())

    assert [each.start for each in weeks] == [
        "2025-12-29T00:00:00.000Z",
        "2026-01-05T00:00:00.000Z",
    ]
    for week in weeks:
        of_week = rows[to_epoch_ms(week.start)]
        pairs = [(row["prediction"]["prediction"], row["outcome"]["outcome"]) for row in of_week]
        scored = [
            (row["prediction"]["score"], row["outcome"]["outcome"])
            for row in of_week
            if row["prediction"]["score"] is not None
        ]
        hits = pairs.count((1, 1))
        assert week.kind == "week"
        assert week.labelled == len(of_week)
        assert week.errors == sum(row["is_error"] for row in of_week)
        assert week.recall == pytest.approx(hits / sum(truth for _, truth in pairs))
        assert week.precision == pytest.approx(hits / sum(answer for answer, _ in pairs))
        brier = sum((score - truth) ** 2 for score, truth in scored) / len(scored)
        assert week.brier == pytest.approx(brier)
        assert week.nowcast is not None
        assert week.nowcast.error == pytest.approx(week.error, abs=0.02)
        assert week.completeness is not None
        assert week.completeness.share == pytest.approx(1, abs=0.02)
        assert week.auc is None
    assert sum(week.n for week in weeks) == sum(day.n for day in days(classes())) == 3_000


def test_a_week_of_a_regression_has_the_means_of_its_rows() -> None:
    found = played(traffic(2, 900, 4, lambda x: x + 0.25))
    rows = rows_of_weeks(found)

    (week,) = weeks_of(days(found))

    distances = [
        row["prediction"]["prediction"] - row["outcome"]["outcome"]
        for row in rows[to_epoch_ms(week.start)]
    ]
    assert week.mae == pytest.approx(sum(map(abs, distances)) / len(distances))
    assert week.rmse == pytest.approx((sum(x * x for x in distances) / len(distances)) ** 0.5)
    assert week.error is None


def test_a_week_begins_on_monday() -> None:
    starts = {week_start(START_MS + day * DAY_MS) for day in range(-3, 4)}  # a Thursday

    assert starts == {START_MS - 3 * DAY_MS}
    assert week_start(START_MS + 4 * DAY_MS) - week_start(START_MS) == WEEK_MS
