from __future__ import annotations

import asyncio
from collections.abc import Iterable

from faust.types import TP
from prometheus_client import Metric

from agents.worker.agent import Agent
from agents.worker.figures import Progress, lag_figures, worker_figures
from agents.worker.transport import End
from schemas.event import encode_tick
from tests.agents.worker.test_ingest import PREDICTIONS
from tests.agents.worker.test_ingest import Desk as IngestDesk
from tests.agents.worker.test_monitor import EVENTS, LOG, STATE, STORY, Desk
from tests.doubles.inputs import START_MS, prediction
from tests.doubles.sender import fetch_of

NOW_S = START_MS / 1_000


def figures(agents: Iterable[Agent], now_s: float = NOW_S) -> dict[str, float]:
    """Return the samples by name and labels, as Prometheus shows them."""
    found: Iterable[Metric] = worker_figures(list(agents), lambda: now_s)()
    return {
        ",".join([sample.name.removeprefix("tidegauge_"), *map(str, sample.labels.values())]): (
            sample.value
        )
        for each in found
        for sample in each.samples
    }


def test_a_worker_without_partitions_has_figures_too() -> None:
    found = figures([Desk().agent, IngestDesk().agent])

    assert found["pairs_total"] == found["models"] == found["state_bytes"] == 0
    assert found["alerts_firing,critical,performance"] == 0
    assert found["dead_letters_total,not_json"] == 0


def test_a_monitor_counts_the_records_that_ingest_has_not_written() -> None:
    desk = Desk()
    desk.assign()
    before = figures([desk.agent])

    asyncio.run(desk.agent.on_fetch(fetch_of(EVENTS, [*LOG[:2], b"hello"])))

    assert before["skipped_records_total,tidegauge.events"] == 0
    assert figures([desk.agent])["skipped_records_total,tidegauge.events"] == 1


def test_a_monitor_tells_its_pairs_its_state_and_how_far_it_is_behind() -> None:
    desk = Desk()
    desk.assign()
    desk.partitions.ends[EVENTS] = End(len(LOG) + 3, 0.0)

    with_record = fetch_of(EVENTS, LOG, at_ms=START_MS - 5_000)
    asyncio.run(desk.agent.on_fetch(with_record))
    desk.stop()
    found = figures([desk.agent])

    assert found["pairs_total"] == len(desk.labelled()) > 0
    assert found["models"] == 1
    assert found["applied_lag_records,tidegauge.events,0"] == 3
    last_s = (START_MS - 5_000 + 8 * ((len(LOG) - 1) // 8)) / 1_000
    assert found["applied_lag_seconds,0"] == NOW_S - last_s
    assert found["save_seconds_count"] >= 1
    manifests = [each for each in desk.sender.to(STATE) if b"manifest" in (each.key or b"")]
    assert found["state_bytes"] >= len(manifests[-1].value or b"")


def test_who_is_at_the_end_has_no_lag_however_old_the_last_record_is() -> None:
    (found,) = lag_figures({TP("e", 0): 0, TP("e", 1): 2, TP("e", 2): 1}, {TP("e", 1): 7_000}, 9.0)

    assert {each.labels["partition"]: each.value for each in found.samples} == {"0": 0.0, "1": 2.0}


def test_open_alerts_are_counted_by_severity_and_kind() -> None:
    desk = Desk()
    desk.assign()

    desk.take_log(STORY)
    desk.stop()
    found = figures([desk.agent])

    shown = sum(value for name, value in found.items() if name.startswith("alerts_firing"))
    models = desk.agent._held[EVENTS].monitor.models.values()
    assert shown == sum(len(model.open_alerts) for model in models) > 0


def test_pairs_never_fall_and_count_from_the_assignment() -> None:
    progress = Progress()
    progress.assigned(1.5, 1_000)

    told = [progress.pairs(1_200), progress.pairs(1_100), progress.pairs(1_250)]
    progress.assigned(0.5, 9_000)

    assert told == [200, 200, 250]
    assert progress.pairs(9_010) == 260


def test_the_age_of_a_tick_begins_with_the_assignment_and_falls_with_a_tick() -> None:
    desk = Desk()
    desk.assign()
    desk.now_s += 30.0

    before = figures([desk.agent])["tick_age_seconds,0"]
    desk.take_log([encode_tick(START_MS - 4_000)])
    after = figures([desk.agent])["tick_age_seconds,0"]

    assert (before, after) == (30.0, 4.0)


def test_dead_letters_are_counted_by_reason() -> None:
    desk = IngestDesk()

    desk.take(fetch_of(PREDICTIONS, [prediction("p0"), b"{"]))

    assert figures([desk.agent])["dead_letters_total,not_json"] == 1


def test_the_bytes_of_the_state_are_the_same_after_a_restart() -> None:
    desk = Desk()
    desk.assign()
    desk.take(0, len(LOG))
    desk.stop()

    again = Desk(reader=desk.reader)
    again.assign(desk.partitions.committed()[EVENTS])

    assert figures([again.agent])["state_bytes"] == figures([desk.agent])["state_bytes"] > 0
