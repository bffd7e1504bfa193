from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import orjson
import pytest

from schemas.model_spec import ModelSpec
from streams.detect.budget import shares
from streams.ingest.records import Accepted
from streams.model.model import ModelMonitor
from streams.series.features import MAX_SERIES
from tests.doubles.core import (
    Json,
    Played,
    log_of,
    play,
    play_gathering,
    snapshots,
    taken_in,
    watch,
)
from tests.doubles.inputs import START_MS, outcome, prediction


def model_of(played: Played) -> ModelMonitor:
    return played.monitor.models["m"]


def pairs(rows: Iterable[tuple[object, object]]) -> Iterator[bytes]:
    """Publish each prediction and then its outcome."""
    for row, (answer, truth) in enumerate(rows):
        yield prediction(f"p{row}", prediction=answer)
        yield outcome(f"p{row}", outcome=truth)


def with_features(rows: Iterable[Json]) -> Iterator[bytes]:
    for row, features in enumerate(rows):
        yield prediction(f"p{row}", features=features)


def normal(rows: int, shift: float = 0.0, onset: int = 0, seed: int = 1) -> list[float]:
    rng = np.random.default_rng(seed)
    values: list[float] = (rng.normal(size=rows) + shift * (np.arange(rows) >= onset)).tolist()
    return values


# Rule 1


def test_a_model_is_watched_without_any_configuration() -> None:
    values = normal(3_000, shift=2.0, onset=2_500)

    assert watch(with_features({"f": value} for value in values)).changes() == [
        ("feature/f", "level")
    ]


def test_an_ignored_feature_raises_nothing() -> None:
    values = normal(3_000, shift=2.0, onset=2_500)
    rows = [{"id": value, "f": value} for value in values]

    played = watch(with_features(rows), features={"ignore": ("id",)})

    assert played.changes() == [("feature/f", "level")]


def test_a_number_that_is_a_code_is_taken_as_a_category() -> None:
    codes = np.random.default_rng(1).integers(0, 12, 3_000).tolist()
    rows = [{"zip": min(code, 3) if row >= 2_500 else code} for row, code in enumerate(codes)]

    played = watch(with_features(rows), features={"categorical": ("zip",)})

    assert ("feature/zip", "share") in played.changes()


# Rule 2


def test_a_repeated_event_changes_nothing_but_its_count() -> None:
    events = taken_in(pairs([("yes", "no"), ("no", "no")]))
    again = play(log_of([*events, *events, *events[:1]]))

    model = model_of(again)
    assert (model.counts.predictions, model.counts.labelled) == (2, 2)
    assert model.counts.repeated_events == 5
    assert model.join.counts.duplicate_predictions == 0


# Rule 3


def test_each_prediction_is_one_value_of_every_series_it_has_begun() -> None:
    values = normal(2_600, shift=3.0, onset=2_500)
    rows = [{"f": value} if row % 2 else {} for row, value in enumerate(values)]

    (alert,) = watch(with_features(rows)).of("alerts")

    assert alert["series"] == "feature/f"
    assert alert["series_seen"] == alert["predictions_seen"] - 1


def test_a_feature_that_comes_late_begins_at_its_first_value() -> None:
    values = normal(4_000, shift=2.0, onset=3_500)
    rows = [{"f": value if row >= 500 else None} for row, value in enumerate(values)]

    (alert,) = watch(with_features(rows)).of("alerts")

    assert alert["series"] == "feature/f"
    assert alert["series_seen"] == alert["predictions_seen"] - 500


def test_the_score_by_class_counts_as_its_top() -> None:
    values = np.random.default_rng(1).uniform(0.6, 0.7, 3_000) + 0.2 * (np.arange(3_000) >= 2_500)
    published = (
        prediction(f"p{row}", scores={"a": 0.01, "b": value, "c": 0.02})
        for row, value in enumerate(values.tolist())
    )

    assert watch(published).changes() == [("score", "level")]


def test_only_pairs_are_values_of_the_error_and_the_outcome() -> None:
    rng = np.random.default_rng(1)
    wrong = rng.random(3_000) < np.where(np.arange(3_000) >= 2_500, 0.8, 0.1)
    answers = rng.random(3_000) < 0.5
    published = [
        value
        for row in range(3_000)
        for value in (
            prediction(f"p{row}", prediction=bool(answers[row])),
            prediction(f"unpaired{row}", prediction=bool(answers[row])),
            outcome(f"p{row}", outcome=bool(answers[row] != wrong[row])),
        )
    ]

    alert = watch(published).of("alerts")[0]

    assert alert["series"] == "error"
    assert alert["predictions_seen"] == 2 * alert["series_seen"]


def test_a_duplicate_prediction_is_no_value() -> None:
    played = watch([prediction("p"), prediction("p", features={"f": 1}), outcome("p")])

    assert model_of(played).counts.predictions == 1
    assert "features" not in played.of("labelled")[0]["prediction"]


# Labelled rows


def test_a_labelled_row_holds_both_events_as_they_were_taken_in() -> None:
    answer = prediction("p", features={"f": 1.50, "g": None}, predicted_at=START_MS, unknown=1)
    truth = outcome("p", outcome="no", observed_at=START_MS + 90_500, value=-12.5)

    (row,) = watch([answer, truth]).of("labelled")

    assert row == {
        "type": "tidegauge.labelled.v1",
        "labelled_id": "m/1",
        "model_id": "m",
        "row": 1,
        "delay_s": 90.5,
        "is_error": True,
        "error": None,
        "prediction": {k: v for k, v in orjson.loads(answer).items() if k != "unknown"},
        "outcome": orjson.loads(truth),
        "evidence": {"partition": 0, "offset": 0, "index": 1},
        "restates": None,
    }


@pytest.mark.parametrize(
    ("answer", "truth", "is_error"),
    [
        ("yes", "yes", False),
        ("yes", "no", True),
        (True, True, False),
        (True, False, True),
        (3, 3, False),
        (3, 3.0, False),
        (1, "1", True),
        ("", "", False),
    ],
)
def test_classes_are_right_or_wrong(answer: object, truth: object, is_error: bool) -> None:
    (row,) = watch(pairs([(answer, truth)])).of("labelled")

    assert (row["is_error"], row["error"]) == (is_error, None)


@pytest.mark.parametrize(
    ("answer", "truth", "error"),
    [
        (1.5, 1.0, 0.5),
        (1.5, 4, 2.5),
        (-0.5, True, 1.5),
        (1.5, 1.5, 0.0),
        (1.5e308, -1.5e308, 1.7976931348623157e308),
    ],
)
def test_a_regression_misses_by_so_much(answer: float, truth: object, error: float) -> None:
    (row,) = watch(pairs([(answer, truth)]), task="regression").of("labelled")

    assert (row["is_error"], row["error"]) == (None, error)


def test_an_outcome_that_is_no_number_cannot_be_compared_with_one() -> None:
    played = watch(pairs([(1.5, "high")]))

    (row,) = played.of("labelled")
    assert (row["is_error"], row["error"]) == (None, None)
    assert model_of(played).series.state.incomparable_outcomes == 1


def test_rows_are_numbered_from_one_as_they_are_completed() -> None:
    played = watch([prediction("a"), prediction("b"), outcome("b"), outcome("a")])

    assert [(row["row"], row["prediction"]["prediction_id"]) for row in played.of("labelled")] == [
        (1, "b"),
        (2, "a"),
    ]


# Rule 4


def test_numbers_are_classes_until_one_has_a_fraction() -> None:
    rows = watch(pairs([(1, 2), (2.0, 2), (2.5, 2), (3, 2)])).of("labelled")

    assert [(row["is_error"], row["error"]) for row in rows] == [
        (True, None),
        (False, None),
        (None, 0.5),
        (None, 1.0),
    ]


def test_a_spec_says_what_the_first_predictions_do_not() -> None:
    regression = watch(pairs([(1, 2)]), task="regression").of("labelled")
    classes = watch(pairs([(1.5, 2.5)]), task="multiclass").of("labelled")

    assert (regression[0]["error"], classes[0]["is_error"]) == (1.0, True)


def test_a_model_that_turns_out_to_be_a_regression_is_learnt_anew_without_an_alarm() -> None:
    whole = [(i % 5, i % 5) for i in range(1_000)]
    misses = normal(3_000, shift=3.0, onset=2_500, seed=2)
    prices = normal(3_000, seed=3)
    fractions = [(price, price + miss) for price, miss in zip(prices, misses, strict=True)]

    played = watch(pairs([*whole, *fractions]))

    alerts = [alert for alert in played.firings() if alert["series"] == "error"]
    assert [(alert["aspect"], alert["direction"]) for alert in alerts] == [("level", "up")]
    assert 2_500 < alerts[0]["series_seen"] < 2_600
    assert alerts[0]["predictions_seen"] == alerts[0]["series_seen"] + 1_000


@pytest.mark.parametrize(
    ("codes", "changes"),
    [
        ([row % 5 for row in range(700)], []),
        (
            [row % 5 for row in range(700)] + [4] * 100,
            [("prediction", "share"), ("outcome", "share")],
        ),
    ],
    ids=["steady", "moved"],
)
def test_values_before_a_model_turns_out_to_be_a_regression_are_read_as_classes(
    codes: list[int], changes: list[tuple[str, str]]
) -> None:
    prices = [1_000.0 + value for value in normal(100)]
    # Fewer than the 2,000 events that are read at once at most: no limit hides the change.
    log = log_of(taken_in(pairs((value, value) for value in [*codes, *prices])), 1)

    one_by_one, at_once = play(log), play_gathering(log, len(log))

    assert at_once.changes() == changes
    assert sorted(at_once.emissions) == sorted(one_by_one.emissions)
    assert snapshots(at_once.monitor) == snapshots(one_by_one.monitor)


# Rule 5


def test_beyond_the_limit_features_are_counted_and_not_watched() -> None:
    names = [f"f{i}" for i in range(MAX_SERIES + 50)]
    rows = [dict.fromkeys(names[:700], 1), dict.fromkeys(names[700:], 1), {names[-1]: 1}]

    played = watch(with_features(rows))

    assert model_of(played).series.state.unwatched_values == 51


# The budget


def one_by_one_from(place: int, events: Sequence[Accepted]) -> list[bytes]:
    """Write events to a log; from a place on, each to a record of its own."""
    return [*log_of(events[:place], 500), *log_of(events[place:], 1)]


def ids_of(played: Played) -> list[str]:
    return [alert["alert_id"] for alert in played.of("alerts")]


def budgets(played: Played) -> list[float]:
    return [series.watch._false_alarms for series in model_of(played).series]


def test_the_budget_is_divided_among_the_series_there_are() -> None:
    values = [
        value
        for row in range(3)
        for value in (
            prediction(f"p{row}", features={"a": 1, "b": 2}, score=0.5),
            outcome(f"p{row}"),
        )
    ]

    played = watch(values, alert_budget=1.0)

    roles = ["feature", "feature", "prediction", "score", "error", "outcome"]
    assert sorted(budgets(played)) == sorted(shares(1.0, roles))  # type: ignore[arg-type]


def test_a_series_that_comes_late_takes_its_share_of_the_others() -> None:
    early = watch(with_features([{"a": 1}]))
    late = watch(with_features([{"a": 1}, {"a": 1, "b": 1}]))

    assert len(budgets(early)) == 2
    assert len(budgets(late)) == 3
    assert sum(budgets(late)) == pytest.approx(sum(budgets(early)))


def test_a_series_that_comes_late_changes_no_verdict_on_earlier_rows() -> None:
    values = normal(2_800, shift=0.8, onset=2_500, seed=5)
    rows = [
        {"f": value} | {f"late{i}": i for i in range(max(0, (row - 2_480) // 5))}
        for row, value in enumerate(values)
    ]
    events = taken_in(with_features(rows))

    assert ids_of(play(one_by_one_from(2_450, events))) == ids_of(play(log_of(events, 500))) != []


@pytest.mark.parametrize("late", ["score", "pairs"])
def test_a_score_or_an_error_that_comes_late_changes_no_verdict_on_earlier_rows(late: str) -> None:
    values = normal(3_000, shift=0.3, onset=2_500, seed=5)

    def published(first_late_row: int) -> Iterator[bytes]:
        for row, value in enumerate(values):
            is_late = row >= first_late_row
            score = 0.5 if late == "score" and is_late else None
            yield prediction(f"p{row}", features={"f": value}, score=score)
            if late == "pairs" and is_late:
                yield outcome(f"p{row}")

    before = watch(published(len(values))).of("alerts")[0]
    events = taken_in(published(before["predictions_seen"]))

    assert ids_of(play(log_of(events, 500)))[0] == before["alert_id"]


# Alerts


def test_the_version_is_the_one_that_answered_last() -> None:
    values = normal(3_000, shift=2.0, onset=2_500)
    published = (
        prediction(f"p{i}", features={"f": value}, model_version=f"v{i}")
        for i, value in enumerate(values)
    )

    (alert,) = (a for a in watch(published).of("alerts") if a["series"] == "feature/f")

    assert alert["model_version"] == f"v{alert['predictions_seen'] - 1}"


def test_the_onset_is_told_alike_however_the_log_is_cut() -> None:
    rng = np.random.default_rng(11)
    rows = 3_400
    wrong = rng.random(rows) < np.where(np.arange(rows) >= 3_000, 0.16, 0.1)
    answers = rng.random(rows) < 0.5

    def at_ms(row: int) -> int:
        return START_MS + 1_000 * row

    events = taken_in(
        value
        for row in range(rows)
        for value in (
            prediction(f"p{row}", prediction=bool(answers[row]), predicted_at=at_ms(row)),
            outcome(f"p{row}", outcome=bool(answers[row] != wrong[row]), observed_at=at_ms(row)),
        )
    )

    one_by_one, all_at_once = play(one_by_one_from(5_900, events)), play(log_of(events, 500))

    starts = [[a["started_at"] for a in p.of("alerts")] for p in (one_by_one, all_at_once)]
    assert starts[0] == starts[1] != []


@pytest.mark.parametrize("seed", [3, 20])
def test_a_slow_change_is_told_alike_however_the_log_is_cut(seed: int) -> None:
    values = normal(3_000, shift=0.3, onset=2_500, seed=seed)
    events = taken_in(with_features({"f": value} for value in values))

    logs = one_by_one_from(2_400, events), log_of(events, 500)
    one_by_one, all_at_once = (play(log).of("alerts") for log in logs)

    assert {alert["detector"] for alert in one_by_one} == {"adwin"}
    for alert in (*one_by_one, *all_at_once):
        del alert["evidence"]
    assert one_by_one == all_at_once


@pytest.mark.parametrize(
    "values",
    [
        [1.7e308, -1.7e308] * 1_500,
        [5e-324, -5e-324] * 1_500,
        [0.0] * 2_500 + [1e308] * 500,
        normal(2_500) + [1e308] * 500,
        [float(2**62 + i) for i in range(3_000)],
        list(range(-(2**63), -(2**63) + 3_000)),
    ],
    ids=["huge", "tiny", "from zero to huge", "from normal to huge", "large", "integers"],
)
def test_numbers_at_the_edge_of_a_double_do_not_stop_the_monitor(values: list[float]) -> None:
    played = watch(with_features({"f": value} for value in values))

    assert model_of(played).counts.predictions == len(values)


def test_misses_at_the_edge_of_a_double_do_not_stop_the_monitor() -> None:
    rows = [(0.5 * (-1) ** i * 1e308 * (i % 3), 1.7e308 * (-1) ** (i // 2)) for i in range(3_000)]

    assert model_of(watch(pairs([(0.5, 0.5), *rows]))).counts.labelled == 3_001


def test_a_feature_that_changes_its_type_or_sticks_is_told() -> None:
    values: list[object] = [*normal(3_000), *["text"] * 50]
    stuck = [*normal(3_000), *[0.5] * 500]

    typed = watch(with_features({"f": value} for value in values))
    glued = watch(with_features({"f": value} for value in stuck))

    assert ("feature/f", "type") in typed.changes()
    assert ("feature/f", "stuck") in glued.changes()


def test_the_specs_wait_is_the_joins_wait() -> None:
    spec = ModelSpec.model_validate({"outcome": {"wait_s": 1.0}})
    events = taken_in([prediction("p"), prediction("q"), prediction("r"), outcome("p")])

    played = play(log_of(events), lambda _model_id: spec)

    assert played.of("labelled") == []
    assert model_of(played).join.counts.expired_predictions == 2


# How events come


def answers_of_a_fallback() -> Iterator[bytes]:
    for row in range(3_000):
        is_fallback = 2_000 <= row < 2_100
        yield prediction(f"p{row}", status="fallback" if is_fallback else "ok", model_version="1")


@pytest.mark.parametrize("size", [1, 500])
def test_how_events_come_has_alerts_that_live_wherever_the_log_is_cut(size: int) -> None:
    events = taken_in(answers_of_a_fallback())

    played = play(log_of(events, size)).of("alerts")

    assert [(a["kind"], a["series"], a["aspect"], a["status"]) for a in played] == [
        ("service", "answers", "fallback", "firing"),
        ("service", "answers", "fallback", "resolved"),
    ]
    firing, resolved = played
    assert (firing["predictions_seen"], resolved["predictions_seen"]) == (2_012, 2_103)
    assert "answers came from a fallback, normally 0.0 %" in firing["summary"]
