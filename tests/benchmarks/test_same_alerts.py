"""Whether two commits raise the same alerts: how their records are compared, and the logs."""

from collections import Counter
from pathlib import Path

import orjson
import pytest

from benchmarks.apply_log import apply, framed, unframed
from benchmarks.mixed_streams import Stream, mixed_stream
from benchmarks.recorded_log import AFTER_FIRING, Firing, events_of, operated, record_log
from benchmarks.same_alerts import (
    TOLERANCE,
    Difference,
    Record,
    compare,
    sentences,
)
from schemas.event import decode_events
from streams.ingest.batches import MAX_BATCH_EVENTS

START_MS = 1_772_409_600_000
MINUTE_MS = 60_000

ALERT: Record = {
    "alert_id": "a1",
    "series": "feature/age",
    "status": "firing",
    "value": 0.25,
    "baseline": None,
    "moved_together": [{"series": "score", "effect": 1.5}],
    "evidence": {"partition": 0, "first_offset": 7},
    "summary": "The age rose.",
    "runbook": "docs/runbook.md",
}


def changed(**fields: object) -> Record:
    return ALERT | fields


@pytest.mark.parametrize(
    ("field", "now", "path"),
    [
        ("alert_id", "a2", "alert_id"),
        ("value", 0.25 * (1 + 2 * TOLERANCE), "value"),
        ("value", None, "value"),
        ("baseline", 0.0, "baseline"),
        ("evidence", {"partition": 0, "first_offset": 8}, "evidence.first_offset"),
        (
            "moved_together",
            [{"series": "score", "effect": 1.500001}],
            "moved_together[0].effect",
        ),
    ],
)
def test_a_field_that_differs_is_reported_by_its_path(field: str, now: object, path: str) -> None:
    comparison = compare("alert", [ALERT, ALERT], [ALERT, changed(**{field: now})])

    assert [(each.record, each.field) for each in comparison.differences] == [
        ("alert 2 (feature/age firing)", path)
    ]


def test_a_field_that_only_one_record_has_is_reported() -> None:
    less = {name: value for name, value in ALERT.items() if name != "baseline"}

    lost, new = compare("alert", [ALERT], [less]), compare("alert", [less], [ALERT])

    record = "alert 1 (feature/age firing)"
    assert lost.differences == [Difference(record, "baseline", None, "absent")]
    assert new.differences == [Difference(record, "baseline", "absent", None)]


def test_an_integer_has_no_tolerance_and_is_not_a_figure_or_a_flag() -> None:
    for was, now in ((10**12, 10**12 + 1), (1, 1.0), (1, True)):
        comparison = compare("alert", [changed(rows=was)], [changed(rows=now)])

        assert len(comparison.differences) == 1


def test_a_figure_within_tolerance_is_equal_and_its_deviation_is_kept() -> None:
    together = [{"series": "score", "effect": -1.5 * (1 + 1e-12)}]
    base = changed(moved_together=[{"series": "score", "effect": -1.5}], zero=0.0)
    here = changed(moved_together=together, zero=-0.0)

    comparison = compare("alert", [base], [here])

    assert comparison.differences == []
    assert comparison.deviation == pytest.approx(1e-12, rel=0.01)


def test_wording_may_differ() -> None:
    here = changed(summary="The mean of age rose.", runbook="runbook.md#level")

    assert compare("alert", [ALERT], [here]).differences == []


def test_records_are_compared_in_their_order_and_one_too_few_is_reported() -> None:
    other = changed(alert_id="a2")

    swapped = compare("alert", [ALERT, other], [other, ALERT])
    fewer = compare("alert", [ALERT, other], [ALERT])

    assert [each.field for each in swapped.differences] == ["alert_id", "alert_id"]
    assert fewer.differences == [
        Difference("alert 2 (feature/age firing)", "the record itself", "present", "absent")
    ]


def test_the_first_differences_are_sentences_and_the_rest_a_count() -> None:
    differences = [Difference(f"alert {number}", "value", 1.0, 2.0) for number in range(1, 8)]

    told = list(sentences("story", differences))

    assert told[0] == "story, alert 1: value is 1.0 at the base and 2.0 here"
    assert told[-1] == "story: 2 more differences"


def test_a_seed_gives_one_stream() -> None:
    assert mixed_stream(3) == mixed_stream(3)
    assert mixed_stream(3).predictions != mixed_stream(4).predictions


def test_the_parts_of_a_log_file_come_back_as_they_were() -> None:
    parts = [b"{}", b"", b"\n" * 70_000]

    assert list(unframed(framed(parts))) == parts


def line(row: int, minute: int, **fields: object) -> bytes:
    head = {"model_id": "mixed", "prediction_id": f"p{row}", "prediction": row % 2}
    return orjson.dumps(head | {"predicted_at": START_MS + minute * MINUTE_MS} | fields)


def outcome(row: int, minute: int) -> bytes:
    head = {"model_id": "mixed", "prediction_id": f"p{row}", "outcome": row % 2}
    return orjson.dumps(head | {"observed_at": START_MS + minute * MINUTE_MS})


def two_days(*, silent_minutes: int) -> Stream:
    """Return a prediction a minute for two days, an outcome of each, and a silence at the end."""
    rows = 2 * 24 * 60
    predictions = [line(row, row) for row in range(rows)]
    predictions.append(line(rows, rows + silent_minutes))
    outcomes = [outcome(row, row + 1) for row in range(rows)]
    return Stream("two days", predictions, outcomes, {})


def test_events_stand_in_the_order_of_their_instants_and_a_refused_line_is_one_of_them() -> None:
    refused = line(1, 1, prediction=None)
    stream = Stream("few", [line(0, 0), refused, line(2, 4)], [outcome(0, 2)], {})

    events = events_of(stream)

    kinds = [event.source.kind for event in events]
    assert kinds == ["prediction", "refused", "outcome", "prediction"]
    assert events[1].logged_at == START_MS


def test_a_log_has_full_records_and_ticks_only_where_a_silence_is_found() -> None:
    steady = record_log(events_of(two_days(silent_minutes=1)), {})
    silent = record_log(events_of(two_days(silent_minutes=600)), {})

    steady_batches = [decode_events(value) for value in steady.records]
    assert all(batch.tick_ms is None for batch in steady_batches)
    assert {len(batch.payloads) for batch in steady_batches[:-1]} == {MAX_BATCH_EVENTS}
    assert any(decode_events(value).tick_ms is not None for value in silent.records)
    assert len(silent.firings) == len(steady.firings) + 1
    assert silent.firings[-1].position == 2 * 24 * 60 * 2 + 1


def test_an_operated_log_has_every_command_after_its_firing_and_the_model_begins_again() -> None:
    events = events_of(two_days(silent_minutes=1))
    firings = [Firing(1_000 + number, "mixed", f"f{number}") for number in range(5)]

    log = operated(events, firings, {"alert_budget": 1.0})

    verbs = Counter(
        orjson.loads(event.payload)["verb"] for event in log if event.source.kind == "control"
    )
    assert verbs == {"ack": 2, "mute": 2, "unmute": 1, "accept": 1, "mark": 1}
    assert log[1_000 + AFTER_FIRING - 1].source.kind != "control"
    assert log[1_000 + AFTER_FIRING].source.kind == "control"
    specs = [orjson.loads(each.payload)["spec"] for each in log if each.source.kind == "spec"]
    assert [spec is None for spec in specs] == [False, False, True, False]
    assert [event for event in log if event.source.kind in {"prediction", "outcome"}] == events


def test_what_a_log_gives_is_written_with_the_place_of_its_event(tmp_path: Path) -> None:
    recorded = record_log(events_of(two_days(silent_minutes=600)), {})
    (tmp_path / "log").write_bytes(framed([b"{}", *recorded.records]))

    apply(tmp_path / "log", tmp_path)

    lines = (tmp_path / "alerts.jsonl").read_bytes().splitlines()
    silence = next(alert for alert in map(orjson.loads, lines) if alert["series"] == "predictions")
    offset, _ = silence["emitted_at"]
    assert decode_events(recorded.records[offset]).tick_ms is not None
    assert orjson.loads((tmp_path / "labelled.json").read_bytes())["rows"] == 2 * 24 * 60
