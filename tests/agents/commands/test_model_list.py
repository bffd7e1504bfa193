from __future__ import annotations

import io
from collections import Counter

import orjson
from rich.console import Console

from agents.commands.model_list import Snapshots, WatchedModel, as_json_line, as_table, models_of
from agents.commands.models import KeptSpec
from schemas.status import Status
from schemas.topics import Topics
from streams.model.state import ModelSummary
from streams.monitor import Monitor
from streams.state.records import StateRecord, manifest_records
from tests.doubles.alerts import alert, status_of
from tests.doubles.core import log_of, taken_in
from tests.doubles.inputs import Removal, prediction

LIVE = ModelSummary(1, 5_000, 4_000, 9, 1_772_323_200_000, is_quarantined=False, is_away=False)


def snapshot_of(model_id: str, predictions: int) -> tuple[Monitor, bytes]:
    monitor = Monitor(0, Topics())
    events = taken_in(prediction(f"p{row}", model_id) for row in range(predictions))
    for offset, value in enumerate(log_of(events, 100)):
        monitor.apply(offset, value)
    return monitor, monitor.models[model_id].snapshot()


def taken(*records: StateRecord) -> Snapshots:
    snapshots = Snapshots()
    for record in records:
        snapshots.take(*record)
    return snapshots


def kept(model_id: str, problem: str | None = None) -> KeptSpec:
    value = orjson.dumps({"model_id": model_id, "owner": "risk"})
    return KeptSpec(model_id, value, 0, 1, 1_772_323_200_000, problem)


def test_the_newest_snapshot_of_a_model_counts_whatever_lies_around_it() -> None:
    _, young = snapshot_of("loan", 120)
    _, older = snapshot_of("loan", 80)

    snapshots = taken(
        *manifest_records("loan", 9, young),
        StateRecord(b"a stranger's", b"x"),
        StateRecord(b'["chunk","loan","predictions",1]', b"lines"),
        *manifest_records("loan", 3, older),
        *(record._replace(value=None) for record in manifest_records("loan", 9, young)),
        StateRecord(b'["manifest","broken",1,0,1]', b"TDGS"),
    )

    (found,) = models_of({}, snapshots, [])
    assert (found.model_id, found.state) == ("loan", "learning, 120 of 200")
    assert found.summary is not None
    assert found.summary.spec_version == 0
    assert found.summary.series >= 1


def test_a_snapshot_in_parts_counts_once_all_of_them_are_there() -> None:
    _, whole = snapshot_of("loan", 120)
    half = len(whole) // 2
    keys = [orjson.dumps(["manifest", "loan", 9, number, 2]) for number in (0, 1)]

    snapshots = taken(StateRecord(keys[1], whole[half:]))
    assert not snapshots.summaries
    snapshots.take(keys[0], whole[:half])

    assert snapshots.summaries["loan"].predictions == 120


def test_every_watched_model_is_named_with_its_state_and_its_alerts() -> None:
    snapshots = Snapshots()
    away = LIVE._replace(is_away=True)
    snapshots.summaries = {
        "car_loan": LIVE,
        "stuck": LIVE._replace(is_quarantined=True),
        "resting": away,
        "gone": away,
        "tidegauge.events-0": LIVE._replace(series=0),
    }
    specs = {name: kept(name) for name in ("resting", "planned")}

    found = models_of(specs, snapshots, [Status.model_validate_json(status_of(alert()))])

    assert {each.model_id: each.state for each in found} == {
        "car_loan": "watched",
        "planned": "no data yet",
        "resting": "put away",
        "stuck": "in quarantine",
    }
    assert found[0].alerts == {"warning": 1}
    line = orjson.loads(as_json_line(found[0]))
    assert (line["predictions"], line["spec"], line["problem"]) == (5_000, None, None)


def test_people_get_a_table_of_80_columns() -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    models = [
        WatchedModel("car_loan" * 9, None, LIVE, Counter(critical=2)),
        WatchedModel("pricing", kept("pricing", "alert_budge: unknown"), None, Counter()),
        WatchedModel("fraud", kept("fraud"), LIVE, Counter()),
    ]

    console.print(as_table(models))

    text = console.export_text()
    for words in ("watched", "2 critical", "5,000", "defaults", "refused:", "risk"):
        assert words in text


def test_a_model_that_was_removed_is_no_longer_watched() -> None:
    monitor, before = snapshot_of("loan", 120)
    for offset, value in enumerate(log_of(taken_in([Removal("loan")]), 1), 2):
        monitor.apply(offset, value)

    after = monitor.models["loan"].snapshot()
    snapshots = taken(*manifest_records("loan", 1, before), *manifest_records("loan", 2, after))

    assert models_of({}, snapshots, []) == []
    (found,) = models_of({"loan": kept("loan")}, snapshots, [])
    assert found.state == "removed"
