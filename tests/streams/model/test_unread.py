"""A producer that writes its inputs where nothing reads them."""

import orjson
import pytest

from streams.traffic.noted import FEWEST, QUIET_ROWS
from tests.doubles.core import Json, log_of, play, play_restarting, taken_in, watch
from tests.doubles.inputs import outcome, prediction

FLAT = [
    prediction(f"p{row}", age=30 + row % 40, income=1_000 + row, city="Oslo", zip="0150")
    for row in range(60)
]
MENDED = [prediction(f"q{row}", features={"age": 30 + row % 40}) for row in range(QUIET_ROWS + 50)]
STORY = [*FLAT, outcome("p3"), *MENDED]


def test_it_is_told_once_by_the_names_of_the_fields() -> None:
    [fired, over] = watch(STORY).of("alerts")

    assert (fired["status"], fired["series"], fired["aspect"]) == (
        "firing",
        "predictions",
        "unread",
    )
    assert (fired["severity"], fired["predictions_seen"]) == ("info", FEWEST)
    assert fired["summary"] == (
        "Model m: 20 predictions have no features, but fields that nothing reads: age, income, "
        "city and 1 more. Check their names."
    )
    assert (over["status"], over["predictions_seen"]) == ("resolved", len(FLAT) + QUIET_ROWS)


@pytest.mark.parametrize("values", [FLAT[: FEWEST - 1], MENDED])
def test_a_few_such_predictions_or_none_are_not_told(values: list[bytes]) -> None:
    assert watch(values).of("alerts") == []


def test_a_labelled_row_holds_the_prediction_without_them() -> None:
    [row] = watch(STORY).of("labelled")

    given: Json = orjson.loads(prediction("p3"))
    assert row["prediction"] == given


def test_neither_a_restart_nor_the_cut_of_the_log_changes_it() -> None:
    events = taken_in(STORY)
    summaries = [alert["summary"] for alert in play(log_of(events)).of("alerts")]

    for played in (play(log_of(events, 7)), play_restarting(log_of(events, 50))):
        assert [alert["summary"] for alert in played.of("alerts")] == summaries
