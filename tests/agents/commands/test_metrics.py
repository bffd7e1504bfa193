"""The command that shows figures by the hour or day of predictions."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiokafka import ConsumerRecord
from rich.console import Console

from agents.commands.metrics import MetricsQuery, as_csv, as_table, metrics_of, read_metrics
from agents.commands.metrics_part import PartQuery, part_table, read_part
from agents.errors import FileError, OperatorError
from schemas.metric import Metric, WithoutLabels
from schemas.series import Series

GOLDEN = Path(__file__).parents[2] / "golden" / "metric.json"
RECORD = Metric.model_validate_json(GOLDEN.read_bytes())
DAYS = MetricsQuery(model_id="car_loan", by="day")


def written(folder: Path, *records: Metric) -> Path:
    path = folder / "metrics.jsonl"
    path.write_text("".join(f"{each.model_dump_json()}\n" for each in records))
    return path


def test_the_last_record_of_a_cohort_counts(tmp_path: Path) -> None:
    restated = RECORD.model_copy(update={"labelled": 9})
    before = RECORD.model_copy(update={"start": "2018-08-19T00:00:00.000Z"})
    other = RECORD.model_copy(update={"model_id": "other"})
    part = RECORD.model_copy(update={"model_version": "2018-01"})
    hour = RECORD.model_copy(update={"kind": "hour"})

    found = read_metrics(written(tmp_path, RECORD, restated, before, other, part, hour), DAYS)

    assert found == [before, restated]


def test_what_is_no_record_of_ours_is_skipped_counted_and_said_with_its_offset() -> None:
    values = [
        RECORD.model_dump_json().encode(),
        b"hello",
        b'{"type":"tidegauge.metric.v1"}',
        b"\xff",
    ]
    told: list[str] = []

    found = metrics_of([record(*each) for each in enumerate(values, 40)], DAYS, told.append)

    assert found == [RECORD]
    [sentence] = told
    assert sentence.startswith(
        "Skipped 3 records of tidegauge.metrics-2 that are no figures, the last at offset 43. "
    )


def record(offset: int, value: bytes) -> ConsumerRecord:
    return ConsumerRecord(
        "tidegauge.metrics", 2, offset, 0, 0, b"car_loan|", value, None, 0, len(value), ()
    )


def test_a_table_shows_how_many_outcomes_are_known() -> None:
    console = Console(width=120, record=True)

    console.print(as_table([RECORD, RECORD.model_copy(update={"error": 0.25})], "day"))

    shown = console.export_text()
    for word in ("2018-08-20", "100%", "12.5%", "75.0%", "open", "error: ▁█ 12.5% to 25.0%"):
        assert word in shown


def test_csv_has_a_head_and_empty_cells() -> None:
    head, line = as_csv([RECORD]).splitlines()

    cells = dict(zip(head.split(","), line.split(","), strict=True))
    assert cells["error"] == "0.125"
    assert cells["mae"] == cells["model_version"] == ""


def test_a_file_of_something_else_is_an_operators_mistake(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_text('{"type": "tidegauge.alert.v1"}\n')

    with pytest.raises(OperatorError, match="record 1 is no record of metrics"):
        read_metrics(path, DAYS)
    with pytest.raises(FileError, match="cannot be read"):
        read_metrics(tmp_path / "missing", DAYS)


PART = PartQuery(model_id="car_loan", dimension="country", value="FR")


def test_the_days_of_a_part_are_those_of_its_segment(tmp_path: Path) -> None:
    whole = Series.model_validate_json((GOLDEN.parent / "series.json").read_bytes())
    days = [
        whole.model_copy(update={"segment": {"country": country}, "start": start})
        for country in ("DE", "FR")
        for start in ("2018-08-20T00:00:00.000Z", "2018-08-19T00:00:00.000Z")
    ]
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(f"{each.model_dump_json()}\n" for each in (whole, RECORD, *days)))

    found = read_part(path, PART)

    assert found == [days[3], days[2]]
    console = Console(width=120, record=True)
    console.print(part_table(found))
    assert console.export_text().count(whole.series[0].series) == 2


def test_a_week_is_shown_of_days(tmp_path: Path) -> None:
    days = [
        RECORD.model_copy(update={"start": f"2018-08-{day}T00:00:00.000Z"}) for day in (19, 20, 21)
    ]

    found = read_metrics(written(tmp_path, *days), MetricsQuery(model_id="car_loan", by="week"))

    assert [(each.kind, each.start[:10], each.n) for each in found] == [
        ("week", "2018-08-13", RECORD.n),
        ("week", "2018-08-20", 2 * RECORD.n),
    ]


def test_the_error_without_labels_stands_beside_the_realised_one() -> None:
    told = WithoutLabels(
        map_version=3, n=90, error=0.125, auc=None, f1=None, mae=None, missed_by=0.01
    )
    days = [RECORD, RECORD.model_copy(update={"without_labels": told})]
    console = Console(width=140, record=True)

    console.print(as_table(days, "day"))

    assert "12.5%" in console.export_text()
    assert as_csv(days).splitlines()[2].endswith(",0.125,,0.01")
