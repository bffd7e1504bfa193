"""Services publish, a model goes wrong, and Tidegauge says so: whole stories through the core."""

from collections.abc import Iterator

import numpy as np
import pytest

from schemas.wire import to_epoch_ms
from streams.alert.record import fingerprint_of
from tests.doubles.core import Json, Played, watch
from tests.doubles.inputs import START_MS, Removal, control, outcome, prediction, spec

ONSET = 4_000
ROWS = 6_000
DELAY_ROWS = 50


def published(predictions: list[Json], outcomes: list[Json]) -> Iterator[bytes]:
    """Publish each prediction, and its outcome ``DELAY_ROWS`` predictions later."""
    for row in range(len(predictions) + DELAY_ROWS):
        if row < len(predictions):
            yield prediction(f"p{row}", predicted_at=instant(row), **predictions[row])
        if row >= DELAY_ROWS:
            earlier = row - DELAY_ROWS
            yield outcome(f"p{earlier}", observed_at=instant(row), **outcomes[earlier])


def instant(row: int) -> int:
    return START_MS + 60_000 * row


def binary(
    *, income: float = 0.0, error: float = 0.1, rows: int = ROWS
) -> tuple[list[Json], list[Json]]:
    """Make a loan model: from ONSET on, income moves by so many deviations, or its error rises."""
    rng = np.random.default_rng(20_260_101)
    is_after = np.arange(rows) >= ONSET
    incomes = np.exp(rng.normal(10.0 + 0.4 * income * is_after, 0.4))
    ages = rng.integers(18, 80, rows)
    channels = rng.choice(["web", "branch", "broker"], rows, p=[0.6, 0.3, 0.1])
    scores = rng.beta(2.0, 2.0, rows)
    answers = rng.random(rows) < 0.5
    wrong = rng.random(rows) < np.where(is_after, error, 0.1)
    predictions = [
        {
            "prediction": bool(answers[row]),
            "score": float(scores[row]),
            "model_version": "7",
            "features": {
                "income": float(incomes[row]),
                "age": int(ages[row]),
                "channel": str(channels[row]),
            },
        }
        for row in range(rows)
    ]
    return predictions, [{"outcome": bool(answers[row] != wrong[row])} for row in range(rows)]


def regression(*, error: float) -> tuple[list[Json], list[Json]]:
    """Make a price model whose error is multiplied from ONSET on."""
    rng = np.random.default_rng(20_260_102)
    prices = rng.normal(300.0, 50.0, ROWS)
    misses = rng.normal(0.0, 10.0, ROWS) * np.where(np.arange(ROWS) >= ONSET, error, 1.0)
    predictions = [
        {"prediction": round(float(price), 2), "features": {"area": round(float(price) / 3, 1)}}
        for price in prices
    ]
    return predictions, [{"outcome": float(truth)} for truth in prices + misses]


def multiclass(*, mistaken: bool) -> tuple[list[Json], list[Json]]:
    """Make a mail sorter that, from ONSET on, takes half of the complaints for questions."""
    rng = np.random.default_rng(20_260_103)
    truths = rng.choice(["order", "question", "complaint", "other"], ROWS, p=[0.4, 0.3, 0.25, 0.05])
    is_after = mistaken & (np.arange(ROWS) >= ONSET)
    missed = (truths == "complaint") & (rng.random(ROWS) < np.where(is_after, 0.5, 0.1))
    answers = np.where(missed, "question", truths)
    confidence = rng.uniform(0.5, 1.0, ROWS)
    predictions = [
        {"prediction": str(answer), "scores": {str(answer): float(sure), "other": 0.1}}
        for answer, sure in zip(answers, confidence, strict=True)
    ]
    return predictions, [{"outcome": str(truth)} for truth in truths]


def only_alert(played: Played) -> Json:
    (alert,) = played.firings()
    return alert


def test_a_model_that_stays_well_raises_nothing() -> None:
    played = watch(published(*binary()))

    assert played.of("alerts") == played.of("feedback") == []
    assert len(played.of("labelled")) == ROWS


def test_a_feature_that_shifts_raises_one_alert_that_names_it_and_nothing_else() -> None:
    played = watch(published(*binary(income=1.0)))

    alert = only_alert(played)
    assert (alert["series"], alert["kind"]) == ("feature/income", "feature_drift")
    assert (alert["aspect"], alert["direction"]) == ("level", "up")
    assert alert["severity"] == "warning"
    assert alert["model_version"] == "7"
    # A deviation of the logarithm is 1.18 deviations of the value.
    assert alert["effect"] == pytest.approx(1.18, abs=0.45)
    assert ONSET < alert["predictions_seen"] <= ONSET + 80
    assert played.of("feedback") == []


def test_an_alert_names_when_it_began_and_was_seen_by_the_events_own_instants() -> None:
    alert = only_alert(watch(published(*binary(income=1.0))))

    assert to_epoch_ms(alert["detected_at"]) == instant(alert["predictions_seen"] - 1)
    assert abs(to_epoch_ms(alert["started_at"]) - instant(ONSET)) <= 60_000 * 60
    assert alert["series_seen"] == alert["predictions_seen"]


def test_an_error_that_rises_is_critical_and_calls_for_retraining_on_the_rows_since() -> None:
    played = watch(published(*binary(error=0.3)))

    alert = only_alert(played)
    (command,) = played.of("feedback")
    assert (alert["series"], alert["kind"]) == ("error", "performance")
    assert (alert["severity"], alert["direction"]) == ("critical", "up")
    assert ONSET < alert["series_seen"] <= ONSET + 200
    assert command["command"] == "retrain"
    assert command["because"] == [alert["alert_id"]]
    assert command["issued_at"] > alert["detected_at"]
    rows = command["labelled"]
    assert abs(rows["first_row"] - ONSET) <= 60
    assert rows["last_row"] > alert["series_seen"]
    assert rows["rows"] == command["training"]["minimum"]
    assert rows["rows"] == rows["last_row"] - rows["first_row"] + 1


def test_the_rows_of_a_retrain_are_found_in_labelled_by_row_and_offset() -> None:
    played = watch(published(*binary(error=0.3)))

    rows = played.of("feedback")[0]["labelled"]
    found = [
        row for row in played.of("labelled") if rows["first_row"] <= row["row"] <= rows["last_row"]
    ]
    assert len(found) == rows["rows"]
    offsets = [row["evidence"]["offset"] for row in found]
    assert rows["first_offset"] <= min(offsets)
    assert max(offsets) == rows["last_offset"]
    assert rows["topic"] == "tidegauge.labelled"


def test_a_regression_that_misses_by_more_is_critical() -> None:
    played = watch(published(*regression(error=2.0)))

    alert = only_alert(played)
    assert (alert["series"], alert["severity"]) == ("error", "critical")
    assert alert["effect_unit"] == "sd"
    assert alert["baseline"] == pytest.approx(8.0, abs=1.0)
    assert alert["value"] > 12
    assert {row["is_error"] for row in played.of("labelled")} == {None}


def test_a_regression_that_stays_well_raises_nothing() -> None:
    assert watch(published(*regression(error=1.0))).of("alerts") == []


def test_a_sorter_that_takes_one_class_for_another_is_caught_by_its_answers_and_its_error() -> None:
    played = watch(published(*multiclass(mistaken=True)))

    assert set(played.changes()) == {("prediction", "share"), ("error", "level")}
    categories = {a["category"] for a in played.of("alerts") if a["series"] == "prediction"}
    assert categories <= {"complaint", "question"}
    assert [command["command"] for command in played.of("feedback")] == ["retrain"]


def test_a_sorter_that_stays_well_raises_nothing() -> None:
    assert watch(published(*multiclass(mistaken=False))).of("alerts") == []


def test_outcomes_that_all_come_late_meet_all_their_predictions() -> None:
    everything = list(published(*binary(error=0.3)))
    late = sorted(everything, key=lambda value: b"observed_at" in value)

    played = watch(late)

    assert played.changes() == [("error", "level")]
    assert len(played.of("labelled")) == ROWS
    assert played.of("alerts")[0]["predictions_seen"] == ROWS


def test_outcomes_that_all_come_first_meet_all_their_predictions() -> None:
    everything = list(published(*binary(error=0.3)))
    early = sorted(everything, key=lambda value: b"predicted_at" in value)

    played = watch(early)

    # Their instants lie ahead of the log then, which is told as well.
    assert played.changes() == [("predictions", "clock"), ("error", "level")]
    assert len(played.of("labelled")) == ROWS
    *_, alert = played.firings()
    assert alert["predictions_seen"] == alert["series_seen"]


def test_duplicates_conflicts_and_orphans_change_nothing_but_the_counts() -> None:
    good = list(published(*binary(error=0.3)))
    noisy = []
    for row, value in enumerate(good):
        noisy.append(value)
        if row % 10 == 0:
            noisy += [value, outcome(f"nobody{row}", outcome=True)]
        if row % 10 == 1 and b"observed_at" in value:
            noisy.append(value.replace(b'"outcome":true', b'"outcome":false'))

    quiet, loud = watch(good), watch(noisy)

    counts = loud.monitor.models["m"].join.counts
    assert counts.pairs == quiet.monitor.models["m"].join.counts.pairs == ROWS
    assert counts.duplicate_predictions > 0
    assert counts.duplicate_outcomes > 0
    assert counts.conflicting_outcomes > 0
    assert loud.monitor.models["m"].join.snapshot().outcomes.open
    assert [alert["alert_id"] for alert in loud.of("alerts")] == [
        alert["alert_id"] for alert in quiet.of("alerts")
    ]


def test_a_feature_that_goes_missing_is_a_fault_of_the_data() -> None:
    predictions, outcomes = binary()
    for row in range(ONSET, ROWS, 2):
        predictions[row]["features"]["income"] = None

    alert = only_alert(watch(published(predictions, outcomes)))

    assert (alert["series"], alert["aspect"]) == ("feature/income", "missing")
    assert alert["kind"] == "data_quality"


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (
            1_600,
            ["the missing values of feature income rose from 0.0 % to 100.0 %, since"],
        ),
        (1, []),
    ],
)
def test_a_column_that_is_gone_is_told_and_one_missing_value_is_not(
    rows: int, told: list[str]
) -> None:
    predictions, outcomes = binary(rows=ONSET + 1_600)
    for row in range(ONSET, ONSET + rows):
        del predictions[row]["features"]["income"]

    alerts = watch(published(predictions, outcomes)).of("alerts")

    assert len(alerts) == len(told)
    for alert, words in zip(alerts, told, strict=True):
        assert words in alert["summary"]
        assert alert["severity"] == "warning"
        assert alert["predictions_seen"] <= ONSET + 10


def test_a_category_never_seen_is_named_at_its_first_row() -> None:
    predictions, outcomes = binary()
    predictions[ONSET]["features"]["channel"] = "chatbot"

    alert = only_alert(watch(published(predictions, outcomes)))

    assert (alert["series"], alert["aspect"]) == ("feature/channel", "unseen")
    assert alert["category"] == "chatbot"
    assert alert["predictions_seen"] == ONSET + 1


def test_models_that_share_a_partition_do_not_touch_each_other() -> None:
    shifted = list(published(*binary(income=1.0)))
    steady = [value.replace(b'"model_id":"m"', b'"model_id":"n"') for value in published(*binary())]
    mixed = [value for both in zip(shifted, steady, strict=True) for value in both]

    alone, together = watch(shifted), watch(mixed)

    assert [alert["alert_id"] for alert in together.of("alerts")] == [
        alert["alert_id"] for alert in alone.of("alerts")
    ]


def test_an_owner_answers_an_alert_and_then_asks_for_something_else() -> None:
    events: list[bytes | Removal] = list(published(*binary(income=1.0)))
    income = fingerprint_of("m", "feature/income", "level")
    acked, ignored = 2 * (ONSET + 200), 2 * (ONSET + 900)
    events.insert(acked, control("ack", income, because="a campaign began"))
    events.insert(ignored, spec(owner="risk", features={"ignore": ["income"]}))

    alerts = watch(events).of("alerts")

    assert [(a["series"], a["status"], a["spec_version"]) for a in alerts] == [
        ("feature/income", "firing", 0),
        ("feature/income", "ongoing", 0),
        ("feature/income", "resolved", 1),
    ]
    assert alerts[1]["acknowledged"]["because"] == "a campaign began"
    assert alerts[2]["resolved_because"] == "relearned"
