"""The bytes that a consumer may rely on: one example of everything Tidegauge publishes."""

from msgspec.structs import replace

from schemas.alert import Alert, Moved
from schemas.challenge import Challenge
from schemas.event import Source
from schemas.feedback import Feedback, LabelledRange
from schemas.model_spec import MetricRules, ModelSpec, RetrainRules
from schemas.review import Review, Reviewed
from schemas.series import Drift, Histogram, Reference, Series, SeriesQuantiles, SeriesSummary
from schemas.wire import to_epoch_ms
from streams.action.book import CommandBook
from streams.action.records import Occasion, retrain, training_data
from streams.action.retraining import Cause, Retraining
from streams.alert.incidents import Incidents
from streams.alert.onset import RowPosition
from streams.alert.record import AlertWriter, TransitionContext, fingerprint_of, status_of
from streams.alert.transition import Transition
from streams.change import Change, Figures
from streams.ingest.accept import accept
from streams.ingest.records import Raw, Refused
from tests.doubles.core import log_of, play
from tests.doubles.inputs import accepted, outcome, prediction

PREDICTIONS = Source("prediction", "predictions", 0, "wqTNrCBkQdmlkWPsUJnCWg")
OUTCOMES = Source("outcome", "outcomes", 2, "8zbK3v1OTvCkz5s7kq2J0Q")
PREDICTED_AT = "2018-08-20T06:12:17.152Z"
PREDICTION = (
    b'{"prediction_id": "75001", "model_id": "car_loan",'
    b' "predicted_at": "2018-08-20T06:12:17.152Z", "prediction": 1,'
    b' "score": 0.87, "model_version": "2018-01",'
    b' "features": {"car_value": 39811.0, "salary_range": "40K - 60K \\u20ac",'
    b' "repaid_loan_on_prev_car": false, "loan_length": null}, "segment": {"country": "FR"}}'
)
OUTCOME = (
    b'{"prediction_id": "75001", "model_id": "car_loan", "observed_at": 1535006000152,'
    b' "outcome": 0, "value": -1250.5, "source": "label"}'
)
BAD = (
    b'{"prediction_id": "75002", "model_id": "car_loan",'
    b' "predicted_at": 1534745537, "prediction": 1}'
)
DETECTED_MS = to_epoch_ms("2018-08-26T09:41:52.480Z")


def golden() -> dict[str, bytes]:
    """Make every example, by file name."""
    return {
        "events.txt": _log()[0],
        "labelled.json": play(_log(), partition=3, first_offset=1_204).bytes_of("labelled")[0],
        "metric.json": _metric(),
        "reference.json": _reference().model_dump_json().encode(),
        "series.json": _series().model_dump_json().encode(),
        "incident.json": _incident(),
        "alert.json": _alert().model_dump_json().encode(),
        "status.json": _status(),
        "feedback.json": _feedback().model_dump_json().encode(),
        "command.json": CommandBook().put(_feedback(), DETECTED_MS),
        "challenge.json": _challenge().model_dump_json().encode(),
        "review.json": _review().model_dump_json().encode(),
        "reviewed.json": _reviewed().model_dump_json().encode(),
        "dead_letter.json": _dead_letter(),
    }


def _challenge() -> Challenge:
    return Challenge(
        challenge_id="car_loan/boosted/31",
        model_id="car_loan",
        variant="boosted",
        as_of="2018-08-26T00:00:00.000Z",
        state="better",
        pairs=31_204,
        cohorts=31,
        waiting=29_876,
        dropped=0,
        e_better=1_204.5,
        e_worse=0.11,
        limit=40.0,
        difference=0.0121,
        low=0.0064,
        high=0.0178,
        money=None,
        money_cut_at=None,
        e_richer=None,
        e_poorer=None,
        summary="Challenger boosted of model car_loan is better: 1.2 points of error in 31,204 "
        "pairs.",
    )


def _review() -> Review:
    return Review(
        review_id="car_loan/75001/1",
        prediction_id="75001",
        model_id="car_loan",
        predicted_at="2018-08-23T06:33:20.152Z",
        why="uncertain",
        probability=0.8,
        unit="rate",
        risk=0.45,
        requested_at="2018-08-23T06:33:20.164Z",
        due_at="2018-08-24T06:33:20.164Z",
        answer=1,
        score=0.55,
        features=None,
        status="answered",
        verdict=0,
        source="review",
        reviewer="ann",
    )


def _reviewed() -> Reviewed:
    return Reviewed(
        reviewed_id="car_loan/reviewed/34",
        model_id="car_loan",
        start="2018-08-16T00:00:00.000Z",
        end="2018-08-23T00:00:00.000Z",
        predictions=35_000,
        chosen=1_391,
        answered=1_302,
        dropped=0,
        unit="rate",
        error=0.0931,
        low=0.0805,
        high=0.1057,
        expected=0.0622,
        doubles=66,
        agreement=0.97,
        kappa=0.71,
    )


def _log() -> list[bytes]:
    at_ms = to_epoch_ms(PREDICTED_AT)
    events = [
        accepted(PREDICTION, 75_000, source=PREDICTIONS, logged_at=at_ms + 12),
        accepted(OUTCOME, 74_000, source=OUTCOMES, logged_at=at_ms + 40),
    ]
    return log_of(events)


def _metric() -> bytes:
    """Make the figures of a day with eight pairs, as of its end."""
    day_ms = to_epoch_ms("2018-08-20T00:00:00Z")
    values: list[tuple[int, bytes]] = []
    for row in range(8):
        name, at_ms, answer = f"{75_001 + row}", day_ms + 3_600_000 * row, int(row > 3)
        made = {"predicted_at": at_ms, "prediction": answer, "score": row / 8, "latency_ms": 12.0}
        values.append((at_ms, prediction(name, "car_loan", model_version="2018-01", **made)))
        truth = {"observed_at": at_ms + 7_200_000, "outcome": int(row > 4), "source": "label"}
        values.append((at_ms + 7_200_000, outcome(name, "car_loan", **truth)))
    next_day_ms = day_ms + 86_400_000
    values.append((next_day_ms, prediction("75009", "car_loan", predicted_at=next_day_ms)))
    events = [
        replace(accepted(value, logged_at=at_ms), offset=place)
        for place, (at_ms, value) in enumerate(sorted(values))
    ]
    spec = ModelSpec(metrics=MetricRules())
    return play(log_of(events), lambda _model_id: spec).bytes_of("metrics")[0]


def _reference() -> Reference:
    return Reference(
        reference_id="car_loan/reference/7",
        supersedes=None,
        model_id="car_loan",
        spec_version=0,
        series="feature/car_value",
        role="feature",
        source="learnt",
        as_of="2018-01-02T09:00:00.000Z",
        start="2018-01-01T00:00:00.000Z",
        rows=2_000,
        kind="numeric",
        mean=29_610.5,
        sd=20_020.25,
        quantiles=SeriesQuantiles(
            p01=2_048, p05=4_608, p25=15_360, p50=25_600, p75=39_936, p95=67_584, p99=90_112
        ),
        histogram=Histogram(
            edges=[0, 16_384, 32_768, 65_536], shares=[0.001, 0.271, 0.374, 0.294, 0.06]
        ),
        categories=[],
    )


def _series() -> Series:
    made = _reference()
    summary = SeriesSummary(
        series=made.series,
        role=made.role,
        reference_id=made.reference_id,
        rows=402,
        missing=0.005,
        other_type=0.0,
        mean=38_215.25,
        sd=25_117.5,
        quantiles=made.quantiles,
        histogram=[0, 90, 126, 142, 42],
        categories=[0],
        drift=Drift(
            against="learnt", psi=0.0912, psi_by_chance=0.0269, js=0.1241, wasserstein=0.433
        ),
    )
    return Series(
        series_id="car_loan/series/12",
        model_id="car_loan",
        spec_version=0,
        kind="day",
        start="2018-08-20T00:00:00.000Z",
        end="2018-08-21T00:00:00.000Z",
        as_of="2018-08-21T00:01:12.480Z",
        segment=None,
        attribution_ndcg=None,
        series=[summary],
    )


def _incident() -> bytes:
    """Make the incident of two models whose feature has changed."""
    incidents = Incidents()
    fields = {"series": "feature/income", "kind": "feature_drift", "source": "crm.customers"}
    fields["started_at"] = "2018-08-26T09:11:52.480Z"
    for model_id in ("car_loan", "credit_card"):
        named = fields | {
            "model_id": model_id,
            "fingerprint": fingerprint_of(model_id, "f", "level"),
        }
        incidents.add(_alert().model_copy(update=named))
    (found,) = incidents.found().values()
    return found.model_dump_json().encode()


def _alert() -> Alert:
    change = Change(
        aspect="share",
        category="true",
        detector="cusum",
        figures=Figures(
            0.0842, 0.0561, effect=1.547, unit="odds_ratio", direction="up", rows=1_064
        ),
    )
    fired = _posted(AlertWriter("car_loan"), change, "error", "level")
    moved = Moved(
        series="feature/car_value",
        aspect="level",
        effect=0.78,
        effect_unit="sd",
        started_at="2018-08-23T02:11:40.152Z",
    )
    return fired.model_copy(update={"moved_together": (moved,)})


def _posted(book: AlertWriter, change: Change, role: str, aspect: str) -> Alert:
    step = Transition(
        series=role,
        role=role,
        aspect=aspect,
        status="firing",
        because=None,
        change=change,
        episode=1,
        sequence=0,
        is_flapping=False,
        acknowledged=None,
        muted_until_ms=None,
        series_seen=76_064,
    )
    seen = TransitionContext(
        model_version="2018-01",
        predictions_seen=77_064,
        at_ms=DETECTED_MS,
        onset=RowPosition(75_001, to_epoch_ms("2018-08-23T06:33:20.152Z"), 1_204),
        partition=3,
        offset=1_221,
    )
    return book.write(step, seen).record


def _status() -> bytes:
    status = status_of(_alert())
    return b"" if status is None else status.model_dump_json().encode()


def _feedback() -> Feedback:
    rows = LabelledRange(
        topic="tidegauge.labelled",
        partition=3,
        first_row=75_001,
        last_row=76_064,
        rows=1_064,
        first_offset=1_204,
        last_offset=1_221,
    )
    rules, state, book = RetrainRules(), Retraining(), CommandBook()
    alert = _alert()
    onset_ms = to_epoch_ms(alert.started_at)
    state.on_cause(alert.fingerprint, Cause(alert.alert_id, "error", 75_001, onset_ms), rules)
    open_now = state.issue(rows.last_row, DETECTED_MS, "2018-01", rules)
    data = training_data(state, rules, onset_ms, DETECTED_MS, is_regression=False)
    at = Occasion("car_loan", "2018-01", DETECTED_MS, alert.evidence)
    return retrain(open_now, rows, data, book.next("car_loan", "retrain"), at)


def _dead_letter() -> bytes:
    refused = accept(Raw(PREDICTIONS, 75_001, to_epoch_ms(PREDICTED_AT), BAD))
    if not isinstance(refused, Refused):
        msg = "epoch seconds were accepted"
        raise TypeError(msg)
    return refused.letter.model_dump_json().encode()
