import re
from pathlib import Path
from typing import Any, get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as with_fields

from schemas.alert import Alert, ValueAtRisk
from streams.alert.onset import RowPosition
from streams.alert.record import AlertWriter, TransitionContext, identify, status_of
from streams.alert.summary import summary_of
from streams.alert.transition import Transition
from streams.aspects import ASPECTS, SeriesRole
from streams.change import Change, Figures
from streams.codec import decode, encode
from streams.traffic.conditions import condition_of
from tests.doubles.inputs import START_MS

FAULTS = [name for name, aspect in ASPECTS.items() if not aspect.is_drift]
ROOT = Path(__file__).parents[3]
CHANGE = Change(
    aspect="level",
    detector="page_hinkley",
    figures=Figures(61.5, 50.25, effect=1.125, unit="sd", direction="up", rows=40),
)
STEP = Transition(
    series="feature/car_value",
    role="feature",
    aspect="level",
    status="firing",
    because=None,
    change=CHANGE,
    episode=1,
    sequence=0,
    is_flapping=False,
    acknowledged=None,
    muted_until_ms=None,
    series_seen=75_039,
)
SEEN = TransitionContext(
    model_version="7",
    predictions_seen=75_040,
    at_ms=START_MS + 3_600_000,
    onset=RowPosition(75_000, START_MS, 11),
    partition=3,
    offset=12,
)
_OF_SIGHTING = frozenset(TransitionContext.__struct_fields__)
_OF_STEP = frozenset(Transition._fields)


def step(**fields: Any) -> Transition:
    on_step = {k: v for k, v in fields.items() if k in _OF_STEP}
    on_change = {k: v for k, v in fields.items() if k in Change.__struct_fields__}
    on_figures = {k: v for k, v in fields.items() if k in Figures.__struct_fields__}
    role = on_step.get("role", "feature")
    series = "feature/car_value" if role == "feature" else role
    change = with_fields(CHANGE, figures=with_fields(CHANGE.figures, **on_figures), **on_change)
    kept: dict[str, Any] = {"series": series, **on_step, "change": change}
    return STEP._replace(**kept)


def post(book: AlertWriter, **fields: Any) -> Alert:
    on_seen = {k: v for k, v in fields.items() if k in _OF_SIGHTING}
    on_step = {k: v for k, v in fields.items() if k not in _OF_SIGHTING}
    return book.write(step(**on_step), with_fields(SEEN, **on_seen)).record


def alert(**fields: Any) -> Alert:
    return post(AlertWriter(fields.pop("model_id", "car_loan")), **fields)


# Rule 1


def test_the_same_change_has_the_same_id_and_the_same_bytes() -> None:
    assert alert().model_dump_json() == alert().model_dump_json()


@pytest.mark.parametrize(
    "fields",
    [
        {"partition": 0},
        {"offset": 99},
        {"onset": RowPosition(1, START_MS, 0)},
    ],
    ids=["partition", "offset", "onset"],
)
def test_the_id_does_not_depend_on_where_the_log_lies(fields: dict[str, object]) -> None:
    assert alert(**fields).alert_id == alert().alert_id


@pytest.mark.parametrize(
    "fields",
    [
        {"model_id": "other"},
        {"series": "feature/other"},
        {"aspect": "spread"},
        {"episode": 2},
        {"sequence": 1, "status": "ongoing"},
        {"predictions_seen": 75_041},
        {"series_seen": 75_040},
    ],
    ids=lambda fields: "-".join(f"{k} {v}" for k, v in fields.items()),
)
def test_another_change_has_another_id(fields: dict[str, object]) -> None:
    assert alert(**fields).alert_id != alert().alert_id


parts: st.SearchStrategy[list[int | str | None]] = st.lists(
    st.none() | st.integers(0, 12) | st.text(alphabet='N1o\x1f,"', max_size=4), max_size=4
)


@given(parts, parts)
def test_an_id_names_its_parts_and_no_others(
    first: list[int | str | None], second: list[int | str | None]
) -> None:
    assert (identify(*first) == identify(*second)) == (first == second)


# Rule 2


def test_the_times_are_those_of_the_events() -> None:
    assert alert().started_at == "2026-01-01T00:00:00.000Z"
    assert alert().detected_at == "2026-01-01T01:00:00.000Z"


# Rule 3


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {},
            "Model car_loan: feature car_value rose from 50.25 to 61.5 (+1.12 sd), since "
            "2026-01-01 00:00 UTC, 40 predictions ago. Check its upstream source.",
        ),
        (
            {"direction": "down", "effect": 0.5, "baseline": 1_234_567.0, "value": 0.000123456},
            "Model car_loan: feature car_value fell from 1,234,567 to 0.0001235 (-0.50 sd), since "
            "2026-01-01 00:00 UTC, 40 predictions ago. Check its upstream source.",
        ),
        (
            {"aspect": "spread", "unit": "ratio", "effect": 2.0},
            "Model car_loan: the standard deviation of feature car_value rose from 50.25 to 61.5, "
            "since 2026-01-01 00:00 UTC, 40 predictions ago. Check its upstream source.",
        ),
        (
            {
                "aspect": "share",
                "category": "web",
                "unit": "odds_ratio",
                "effect": 1.5,
                "baseline": 0.4,
                "value": 0.5,
            },
            "Model car_loan: the share of 'web' in feature car_value rose from 40.0 % to 50.0 %, "
            "since 2026-01-01 00:00 UTC, 40 predictions ago. Check its upstream source.",
        ),
        (
            {
                "role": "error",
                "category": "true",
                "unit": "odds_ratio",
                "effect": 3.86,
                "baseline": 0.1,
                "value": 0.3,
                "rows": 1,
            },
            "Model car_loan: the error rose from 10.0 % to 30.0 %, since "
            "2026-01-01 00:00 UTC, 1 labelled row ago. "
            "Check the features; if they are right, retrain the model.",
        ),
        (
            {"role": "error", "direction": "down", "unit": "odds_ratio", "value": 0.1}
            | {"baseline": 0.3},
            "Model car_loan: the error fell from 30.0 % to 10.0 %, since "
            "2026-01-01 00:00 UTC, 40 labelled rows ago. "
            "Fewer errors than usual: check whether outcomes are missing.",
        ),
        (
            {"aspect": "unseen", "category": "50%", "rows": 1},
            "Model car_loan: feature car_value has a category that its reference does not contain, "
            "since 2026-01-01 00:00 UTC, 1 prediction ago. Check its upstream source.",
        ),
        (
            {"aspect": "missing", "unit": "odds_ratio", "baseline": 0.1, "value": 0.22},
            "Model car_loan: the missing values of feature car_value rose from 10.0 % to 22.0 %, "
            "since 2026-01-01 00:00 UTC, 40 predictions ago. Check its upstream source.",
        ),
        (
            {"aspect": "stuck"},
            "Model car_loan: feature car_value repeats one value, since "
            "2026-01-01 00:00 UTC, 40 predictions ago. Check its upstream source.",
        ),
        (
            {"is_of_training": True},
            "Model car_loan: feature car_value rose from 50.25 in training to 61.5 "
            "(+1.12 sd), since 2026-01-01 00:00 UTC, 40 predictions ago. "
            "Check its upstream source.",
        ),
        (
            {"is_of_training": True, "aspect": "unseen", "rows": 1},
            "Model car_loan: feature car_value has a category that its training profile does not "
            "contain, since 2026-01-01 00:00 UTC, 1 prediction ago. Check its upstream source.",
        ),
        (
            {"is_of_training": True, "status": "ongoing"},
            "Model car_loan: still not normal after 1 h: feature car_value is 61.5, in "
            "training 50.25 (+1.12 sd).",
        ),
        (
            {"value": None, "baseline": None, "effect": None, "direction": None},
            "Model car_loan: feature car_value changed from unknown to unknown, since "
            "2026-01-01 00:00 UTC, 40 predictions ago. Check its upstream source.",
        ),
    ],
)
def test_the_sentence_says_what_happened(fields: dict[str, object], sentence: str) -> None:
    assert alert(**fields).summary == sentence


@pytest.mark.parametrize("figure", [1e300, -1e300, 1e-300, 5e-324])
@pytest.mark.parametrize("normal", [-1.0, 0.0, 1.0])
def test_a_sentence_stays_short_whatever_the_figures(figure: float, normal: float) -> None:
    assert len(alert(value=figure, baseline=normal * figure).summary) <= 200


@pytest.mark.parametrize(
    ("normal", "now", "words"),
    [
        (1_013.2, 1_013.8, "from 1,013.20 to 1,013.80 "),
        (48.8566, 48.8606, "from 48.8566 to 48.8606 "),
        (1.0, 1.00005, "from 1.000000 to 1.000050 "),
        (20_458.9, 21_458.9, "from 20,459 to 21,459 "),
        (1e15, 1.0001e15, "from 1e+15 to 1.0001e+15 "),
        (0.0, 0.0213, "from 0 to 0.0213 "),
    ],
)
def test_figures_that_differ_are_written_so_that_they_differ(
    normal: float, now: float, words: str
) -> None:
    assert words in alert(baseline=normal, value=now).summary


def test_a_mean_that_leaves_values_out_names_them() -> None:
    fired, goes_on = alert(left_out=("0", "12.5")), alert(left_out=("0",), status="ongoing")

    assert "feature car_value (without 0, 12.5) rose from 50.25 to 61.5" in fired.summary
    assert "feature car_value (without 0) is 61.5, normally 50.25" in goes_on.summary


def test_shares_that_differ_by_less_than_a_point_have_more_digits() -> None:
    rare = alert(aspect="share", category="x", unit="odds_ratio", baseline=0.0012, value=0.0085)

    assert "from 0.12 % to 0.85 %" in rare.summary


def test_long_names_are_cut_in_the_middle_and_the_advice_stays() -> None:
    name = "a" * 120 + "b" * 120

    said = alert(model_id=name, series=f"feature/{name}", aspect="unseen", rows=4).summary

    assert len(said) <= 200
    assert "feature aaaaaaaa…bbbbbbb has" in said
    assert said.endswith("Check its upstream source.")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_a_category_of_any_text_is_quoted_on_one_line(category: str) -> None:
    seen = alert(aspect="share", category=category)

    assert "\n" not in seen.summary
    assert orjson.loads(seen.model_dump_json())["category"] == category


# What programs read


@pytest.mark.parametrize("aspect", sorted(FAULTS))
def test_a_fault_of_the_data_is_one_whatever_the_series(aspect: str) -> None:
    assert alert(aspect=aspect, role="error").kind == "data_quality"


@pytest.mark.parametrize(
    ("role", "kind"),
    [
        ("feature", "feature_drift"),
        ("prediction", "prediction_drift"),
        ("score", "prediction_drift"),
        ("error", "performance"),
        ("outcome", "labels"),
    ],
)
def test_the_kind_follows_from_what_the_series_is(role: str, kind: str) -> None:
    assert alert(role=role).kind == kind


@pytest.mark.parametrize(
    ("fields", "severity"),
    [
        ({"role": "error", "direction": "up"}, "critical"),
        ({"role": "error", "direction": "down"}, "info"),
        ({"role": "error", "aspect": "missing"}, "warning"),
        ({"role": "feature"}, "warning"),
        ({"role": "feature", "effect": 0.1}, "info"),
        ({"role": "outcome"}, "warning"),
        ({"role": "feature", "aspect": "constant"}, "info"),
    ],
)
def test_a_worse_error_is_critical_and_little_else(
    fields: dict[str, object], severity: str
) -> None:
    assert alert(**fields).severity == severity


def test_the_evidence_runs_from_the_onset_to_what_settled_it() -> None:
    evidence = alert().evidence

    assert (evidence.partition, evidence.first_offset, evidence.last_offset) == (3, 11, 12)


def test_every_alert_names_an_entry_of_the_runbook_that_there_is() -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text("utf-8")
    entries = set(re.findall(r"^### (\S+)$", runbook, re.MULTILINE))
    roles = get_args(SeriesRole)
    aspects = ("level", "spread", "share", *sorted(FAULTS))

    named = {alert(role=role, aspect=aspect).runbook for role in roles for aspect in aspects}

    assert {name.removeprefix("docs/runbook.md#") for name in named} <= entries


# What else is open (Rule 3)


def test_an_alert_says_what_else_is_open_the_strongest_first() -> None:
    book = AlertWriter("car_loan")
    post(book, series="feature/a", effect=0.3)
    post(book, series="feature/b", effect=0.9)
    post(book, series="score", role="score", effect=0.5)

    seen = post(book, series="feature/c")

    assert [moved.series for moved in seen.moved_together] == ["feature/b", "score", "feature/a"]
    assert seen.followed_by == ("score",)
    assert seen.summary.endswith(
        "40 predictions ago. Also changed: the score, feature b and feature a. "
        "Check its upstream source."
    )


def test_what_began_long_before_has_not_moved_together() -> None:
    book = AlertWriter("car_loan")
    post(book, series="feature/a", onset=RowPosition(1, START_MS - 3_600_001, 1))
    post(book, series="feature/b", onset=RowPosition(1, START_MS - 3_600_000, 1))

    assert [moved.series for moved in post(book, renotify_s=60.0).moved_together] == ["feature/b"]


def test_a_drift_while_the_error_is_worse_is_critical_and_stays_so() -> None:
    book = AlertWriter("car_loan")
    post(book, role="error", aspect="level", unit="odds_ratio", effect=2.0)

    fired = post(book, effect=0.6)
    weaker = post(book, effect=0.3, status="ongoing", sequence=1)
    over = post(book, effect=0.0, status="resolved", sequence=2, because="returned")

    assert [each.severity for each in (fired, weaker, over)] == ["critical"] * 3


# The life of an alert


def test_what_goes_on_and_ends_keeps_its_beginning() -> None:
    book = AlertWriter("car_loan")
    fired = post(book)
    later = {"at_ms": START_MS + 15_600_000, "onset": None, "offset": 99}

    goes_on = post(book, status="ongoing", sequence=1, **later)
    over = post(book, status="resolved", sequence=2, because="returned", **later)

    for each in (goes_on, over):
        assert (each.started_at, each.fired_at) == (fired.started_at, fired.fired_at)
        assert (each.evidence.first_offset, each.evidence.last_offset) == (11, 99)
    assert goes_on.summary == (
        "Model car_loan: still not normal after 4 h 20 min: feature car_value is 61.5, normally "
        "50.25 (+1.12 sd)."
    )
    assert over.summary == (
        "Model car_loan: feature car_value is back to normal, after 4 h 20 min."
    )


@pytest.mark.parametrize("aspect", ["level", "spread", "share", *sorted(FAULTS)])
@pytest.mark.parametrize("figure", [0.25, None])
def test_that_it_goes_on_is_a_sentence_for_every_aspect(aspect: str, figure: float | None) -> None:
    seen = alert(aspect=aspect, category="web", status="ongoing", value=figure, baseline=figure)

    assert seen.summary.startswith("Model car_loan: still not normal after ")
    assert "feature car_value" in seen.summary
    assert "None" not in seen.summary


def test_what_flapped_is_said_to_stay_and_a_fact_to_be_over_in_its_own_words() -> None:
    late = condition_of("late", Figures(7_200.0, 600.0, 12.0, rows=900))
    over: dict[str, Any] = {"status": "resolved", "sequence": 1, "because": "returned"}

    flapped = alert(is_flapping=True, **over)
    fact = alert(condition=late, series=late.series, aspect=late.aspect, **over)

    assert flapped.summary.startswith(
        "Model car_loan: feature car_value is back to normal and stays"
    )
    assert fact.summary.startswith("Model car_loan: outcomes arrive as fast as normal again, after")


def test_a_silence_began_with_the_last_event_before_it() -> None:
    silent = condition_of("outcome_silence", Figures(1_800.0, 60.0, 30.0))
    fields = {"condition": silent, "series": silent.series, "aspect": silent.aspect, "onset": None}

    fired = alert(**fields, value=silent.figures.value)

    assert (fired.started_at, fired.fired_at) == (
        "2026-01-01T00:30:00.000Z",
        "2026-01-01T01:00:00.000Z",
    )


def test_status_holds_what_is_open_and_nothing_of_what_is_over() -> None:
    book = AlertWriter("car_loan")
    a, b = post(book, series="feature/a"), post(book, series="feature/b")
    post(book, series="feature/a", status="resolved", sequence=1, because="accepted")

    statuses = dict(book.statuses())

    assert statuses[a.fingerprint] is None
    assert statuses[b.fingerprint] == status_of(b)
    assert a.fingerprint not in book
    assert book[b.fingerprint] == b
    again = decode(encode(book), AlertWriter)
    assert dict(again.statuses()) == statuses


@pytest.mark.parametrize("length", [4, 12, 20, 28, 36, 60, 250])
def test_a_sentence_about_money_is_made_shorter_by_whole_clauses(length: int) -> None:
    lost = ValueAtRisk(
        currency="EUR",
        since="2026-01-05T00:00:00.000Z",
        as_of="2026-03-05T00:00:00.000Z",
        lost=1_903_111.0,
        low=1_200_000.0,
        high=2_400_000.0,
        per_day=31_718.0,
        deterioration=100_000.0,
        open_labels=12,
    )
    fired = step(role="error", unit="odds_ratio", value=0.0842, baseline=0.0561)

    said = summary_of(fired, "m" * length, (START_MS, START_MS), ["feature/income"], lost)

    assert len(said) <= 200
    assert "About 1,900,000 EUR lost since 2026-01-05, 31,700 a day" in said
    assert said.endswith((" a day.", "counted in.", "riskier cases.", "or retrain."))
    assert said.count(".") == said.count(". ") + said.count(" %") + 1
