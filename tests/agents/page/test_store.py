from __future__ import annotations

import orjson

from agents.page.live import changes, event_id, positions_of
from agents.page.records import pack, unpack
from agents.page.store import Entry, PageStore
from tests.agents.page.sample import Log, alert, day, golden, small_log, status


def test_a_record_is_packed_and_comes_back_as_it_was() -> None:
    record = alert("car_loan")

    packed = pack(orjson.dumps(record))

    assert unpack(packed) == record
    assert len(packed) < 0.45 * len(orjson.dumps(record))


def test_a_model_keeps_the_latest_of_each_key_and_drops_the_oldest_of_what_is_most() -> None:
    log = Log(PageStore(budget_bytes=64 * 12_000))
    log.fire(alert("car_loan"))
    log.days("car_loan", 200)
    log.put("metrics", "car_loan|day|last", day("car_loan", 199, n=7))
    log.put("metrics", "car_loan|day|last", day("car_loan", 199, n=8))
    model = log.store.models["car_loan"]

    kept = model.records("day")

    assert sum(shelf.size for shelf in model.shelves.values()) <= 12_000
    assert len(model.records("alert")) == 1
    assert kept[-1]["n"] == 8
    assert [each["start"] for each in kept[:-1]] == [
        day("", number)["start"] for number in range(201 - len(kept), 200)
    ]


def test_the_store_is_the_same_whoever_reads_the_log_and_when() -> None:
    def told(log: Log) -> list[object]:
        models = sorted(log.store.models.items())
        return [(name, model.firing, model.records("day")) for name, model in models]

    assert told(small_log()) == told(small_log())


def test_the_end_of_an_alert_takes_it_from_the_open_ones_and_leaves_its_history() -> None:
    log = Log()
    fired = alert("car_loan")
    log.fire(fired)

    log.resolve(fired)

    model = log.store.models["car_loan"]
    assert not model.firing
    assert [each["status"] for each in model.records("alert")] == ["firing", "resolved"]


def test_many_models_share_the_memory_and_open_alerts_are_always_kept() -> None:
    log = Log(PageStore(budget_bytes=2_000_000))
    for number in range(300):
        log.days(f"model {number}", 20)
        log.fire(alert(f"model {number}"))

    models = log.store.models.values()
    size = sum(shelf.size for model in models for shelf in model.shelves.values())

    assert size < 2_000_000
    assert all(len(model.firing) == 1 and model.records("day") for model in models)


def test_records_of_strangers_are_passed_over() -> None:
    log = Log()
    log.store.take(Entry("alerts", 0, 0, "k", b"not json"))
    log.put("alerts", "k", {"model_id": "x"})
    log.put("alerts", "k", alert("x", started_at="yesterday"))
    log.put("status", "k", {"alert": 7})
    log.put("metrics", "k", {"model_id": ["x"]})
    log.put("metrics", "k", golden("metric", type="other"))

    assert not any(model.firing or model.records("alert") for model in log.store.models.values())


def test_a_removed_model_that_was_never_seen_does_not_appear() -> None:
    log = Log()

    log.put("models", "gone", None)

    assert not log.store.models


def test_an_event_names_the_models_that_changed_and_resumes_by_its_offsets() -> None:
    log = Log()
    log.fire(alert("first"))
    seen, last_id = log.store.revision, event_id(log.store.positions)
    log.put("metrics", "second|day", day("second", 0))
    log.fire(alert("third"))

    positions = positions_of(last_id)

    assert list(log.store.changed_since(seen)) == ["third", "second"]
    assert positions is not None
    assert sorted(log.store.changed_after(positions)) == ["second", "third"]
    assert b'"models":["third","second"]' in changes(log.store, log.store.changed_since(seen))


def test_more_changes_than_an_event_names_are_not_named() -> None:
    log = Log()
    for number in range(200):
        log.put("status", f"{number}", status(alert(f"model {number}")))

    assert b'"models":null' in changes(log.store, log.store.changed_since(0))


def test_ids_of_strangers_are_no_offsets() -> None:
    for text in ("", "7", "alerts.0", "alerts.0.x", "other.0.1", "alerts.0.1_", "alerts.0.-1"):
        assert positions_of(text) is None, text
