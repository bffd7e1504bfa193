import pytest

from schemas.alert import Alert, Evidence
from schemas.feedback import LabelledRange
from schemas.wire import to_epoch_ms
from streams.alert.feedback import VALID_MS, calls_for_retraining, retrain

ALERT = Alert(
    alert_id="a1",
    fingerprint="f1",
    episode=1,
    sequence=0,
    status="firing",
    resolved_because=None,
    fired_at="2026-01-01T01:00:00.000Z",
    is_flapping=False,
    kind="performance",
    model_id="car_loan",
    model_version="7",
    spec_version=0,
    series="error",
    aspect="level",
    category=None,
    segment=None,
    severity="critical",
    detected_at="2026-01-01T01:00:00.000Z",
    started_at="2026-01-01T00:00:00.000Z",
    detector="cusum",
    value=0.3,
    baseline=0.1,
    effect=3.86,
    effect_unit="odds_ratio",
    direction="up",
    categories=(),
    followed_by=(),
    moved_together=(),
    rows_since_onset=1_234,
    predictions_seen=9_000,
    series_seen=8_000,
    acknowledged=None,
    muted_until=None,
    runbook="docs/runbook.md#performance-level",
    summary="The error rose.",
    evidence=Evidence(partition=3, first_offset=11, last_offset=12),
)
ROWS = LabelledRange(
    topic="tidegauge.labelled",
    partition=3,
    first_row=6_767,
    last_row=8_000,
    rows=1_234,
    first_offset=11,
    last_offset=12,
)


# Rule 1
DETECTED_MS = to_epoch_ms(ALERT.detected_at)


@pytest.mark.parametrize("kind", ["performance", "labels"])
def test_a_change_of_the_error_or_the_outcome_calls_for_retraining(kind: str) -> None:
    assert calls_for_retraining(ALERT.model_copy(update={"kind": kind}))


@pytest.mark.parametrize("aspect", ["level", "spread", "share"])
def test_an_error_that_falls_calls_for_nothing(aspect: str) -> None:
    better = ALERT.model_copy(update={"aspect": aspect, "direction": "down"})

    assert not calls_for_retraining(better)
    assert calls_for_retraining(better.model_copy(update={"kind": "labels"}))


@pytest.mark.parametrize("kind", ["feature_drift", "prediction_drift", "data_quality"])
def test_any_other_change_alone_calls_for_nothing(kind: str) -> None:
    assert not calls_for_retraining(ALERT.model_copy(update={"kind": kind}))


@pytest.mark.parametrize("status", ["ongoing", "resolved"])
def test_an_alert_that_goes_on_or_is_over_calls_for_nothing_more(status: str) -> None:
    assert not calls_for_retraining(ALERT.model_copy(update={"status": status}))


def test_outcomes_that_only_come_late_call_for_nothing() -> None:
    late = ALERT.model_copy(update={"kind": "labels", "aspect": "late"})

    assert not calls_for_retraining(late)


# Rule 2


def test_the_command_names_the_labelled_rows() -> None:
    command = retrain(ALERT, ROWS, DETECTED_MS)

    assert command.labelled == ROWS
    assert command.evidence == ALERT.evidence
    assert command.summary == (
        "Retrain model car_loan: its error changed; 1,234 labelled rows since the estimated onset."
    )


def test_one_row_is_one_row() -> None:
    one = ROWS.model_copy(update={"rows": 1})

    assert "1 labelled row since" in retrain(ALERT, one, DETECTED_MS).summary


# Rule 3


def test_the_same_alert_gives_the_same_command() -> None:
    assert (
        retrain(ALERT, ROWS, DETECTED_MS).model_dump_json()
        == retrain(ALERT, ROWS, DETECTED_MS).model_dump_json()
    )


def test_the_id_is_made_of_the_alerts_id() -> None:
    elsewhere = ALERT.model_copy(
        update={"evidence": Evidence(partition=0, first_offset=0, last_offset=0)}
    )
    other = ALERT.model_copy(update={"alert_id": "a2"})

    assert (
        retrain(elsewhere, ROWS, DETECTED_MS).feedback_id
        == retrain(ALERT, ROWS, DETECTED_MS).feedback_id
    )
    assert (
        retrain(other, ROWS, DETECTED_MS).feedback_id
        != retrain(ALERT, ROWS, DETECTED_MS).feedback_id
    )
    assert retrain(other, ROWS, DETECTED_MS).because == ("a2",)


def test_a_command_goes_stale() -> None:
    command = retrain(ALERT, ROWS, DETECTED_MS)

    assert command.issued_at == ALERT.detected_at
    assert to_epoch_ms(command.expires_at) - to_epoch_ms(command.issued_at) == VALID_MS
