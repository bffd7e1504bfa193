"""The ages of one series: predictions and labels are counted in slots of each."""

import msgspec
import numpy as np
import pytest

from streams.clock import NEVER_MS
from streams.codec import decode, encode
from streams.series.age_table import AgeTable
from streams.series.label_codes import LabelCodes
from streams.series.lane import Lane
from streams.series.late_labels import AgeLane, LateLabels
from streams.series.watch import SeriesWatch
from streams.series.watch_spec import WatchSpec

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
DAY_MS = 24 * HOUR_MS


def ages_of(*ages_ms: int, since_ms: int = 0) -> LateLabels:
    """Return ages that count from an instant."""
    spec = WatchSpec(role="error", kind="categorical", reference_rows=500)
    late = LateLabels(
        [AgeLane(AgeTable.of(age_ms), Lane(SeriesWatch(spec))) for age_ms in ages_ms],
        LabelCodes(is_quantity=False, values=[False, True]),
    )
    late.set_budget(1.0)
    for age in late.ages:
        age.table.since_ms = since_ms
    return late


def lots(late: LateLabels, now_ms: int) -> list[tuple[int, int, list[int]]]:
    """Return the age, predictions and codes of each slot that is due and has a label."""
    return [
        (each.age.table.age_ms, each.lot.predictions, sorted(each.lot.codes))
        for each in late.due(now_ms)
    ]


def test_predictions_count_in_the_slot_of_their_instant_at_each_age() -> None:
    late = ages_of(MINUTE_MS, HOUR_MS)
    for at_ms in (0, 59_999, 60_000, 119_000):
        late.begin_run(at_ms, at_ms)
        late.on_label(at_ms, 0, value=True, now_ms=at_ms)

    assert lots(late, 3 * HOUR_MS) == [
        (MINUTE_MS, 2, [1, 1]),
        (MINUTE_MS, 2, [1, 1]),
        (HOUR_MS, 3, [1, 1, 1]),  # slots of 112.5 s
        (HOUR_MS, 1, [1]),
    ]


def test_predictions_of_one_run_count_as_if_each_had_begun_its_own() -> None:
    rng, now_ms = np.random.default_rng(5), 0
    singly, together = (ages_of(MINUTE_MS, 10 * MINUTE_MS, HOUR_MS) for _ in range(2))
    read = []
    for _ in range(2_000):
        now_ms += int(rng.integers(20_000))
        found = lots(singly, now_ms)
        assert lots(together, now_ms) == found
        read += found
        at_ms = max(now_ms - int(rng.integers(200_000) * rng.integers(2)), 0)
        singly.begin_run(at_ms, now_ms)
        run = together.run
        if run.from_ms <= at_ms < run.to_ms:
            run.predictions += 1
        else:
            together.begin_run(at_ms, now_ms)
        for late in (singly, together):
            late.on_label(at_ms, 0, value=True, now_ms=now_ms)

    assert len(read) > 500


@pytest.mark.parametrize("since_ms", [0, NEVER_MS])
def test_labels_counted_together_count_as_one_by_one(
    since_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, now_ms = np.random.default_rng(6), 0
    singly, together = (
        ages_of(MINUTE_MS, 10 * MINUTE_MS, HOUR_MS, since_ms=since_ms) for _ in range(2)
    )
    runs: list[int] = []
    begin_labels = LateLabels._begin_labels

    def begin(late: LateLabels, at_ms: int) -> None:
        if late is together:
            begin_labels(late, at_ms)
            runs.append(at_ms)

    monkeypatch.setattr(LateLabels, "_begin_labels", begin)
    read = []
    for _ in range(2_000):
        now_ms += int(rng.integers(6_000))
        found = lots(singly, now_ms)
        assert lots(together, now_ms) == found
        read += found
        at_ms = max(now_ms - int(rng.integers(90_000)), 0)
        delay_ms = int(rng.choice([0, 30_000, 70_000, 150_000, HOUR_MS]))
        value = bool(rng.integers(2))
        for late in (singly, together):
            late.begin_run(now_ms, now_ms)
            for label_ms in (now_ms, now_ms, at_ms):
                late.on_label(label_ms, delay_ms, value=value, now_ms=now_ms)

    assert len(read) > 200
    assert 50 < len(runs) < 2_000
    together._count_runs()
    singly._count_runs()
    tables, expected = (
        [msgspec.to_builtins(age.table) for age in late.ages] for late in (together, singly)
    )
    assert tables == expected


def test_a_prediction_that_comes_when_its_slot_has_been_read_is_left_out() -> None:
    late = ages_of(MINUTE_MS, HOUR_MS)
    late.begin_run(0, 0)
    late.on_label(0, 0, value=True, now_ms=0)
    assert lots(late, 2 * MINUTE_MS) == [(MINUTE_MS, 1, [1])]
    late.begin_run(0, 2 * MINUTE_MS)

    assert lots(late, 3 * HOUR_MS) == [(HOUR_MS, 2, [1])]
    late.begin_run(0, 3 * HOUR_MS)
    assert [age.table.slots for age in late.ages] == [{}, {}]


def test_a_label_counts_where_it_came_within_the_age() -> None:
    late = ages_of(DAY_MS)
    for _ in range(3):
        late.begin_run(0, 0)
    late.on_label(0, DAY_MS, value=True, now_ms=0)
    late.on_label(0, DAY_MS + 1, value=False, now_ms=0)
    late.on_label(0, 2 * DAY_MS + 1, value=False, now_ms=0)

    assert lots(late, 4 * DAY_MS) == [(DAY_MS, 3, [1])]
    table = late.ages[0].table
    assert (table.known, table.labelled) == ([0, 1], [2, 1])
    assert table.slots == {}


def test_a_label_of_a_slot_that_was_read_is_evidence_and_is_not_read() -> None:
    late = ages_of(DAY_MS)
    late.begin_run(0, 0)
    lots(late, DAY_MS + HOUR_MS)
    late.on_label(0, DAY_MS, value=True, now_ms=DAY_MS + HOUR_MS)
    lots(late, 4 * DAY_MS)

    table = late.ages[0].table
    assert (table.known, table.labelled) == ([0, 0], [0, 1])


def test_predictions_count_from_the_first_label_within_twice_the_age() -> None:
    late = ages_of(MINUTE_MS, HOUR_MS, since_ms=1 << 62)
    late.begin_run(1_000, 1_000)
    late.on_label(1_000, 3 * MINUTE_MS, value=False, now_ms=2_000)
    late.begin_run(2_000, 2_000)
    late.on_label(2_000, 0, value=True, now_ms=2_000)

    assert lots(late, 3 * HOUR_MS) == [(HOUR_MS, 1, [1])]


def test_a_run_ends_where_an_age_begins_to_count() -> None:
    late = ages_of(HOUR_MS, since_ms=2_000)
    late.begin_run(1_000, 1_000)

    assert (late.run.from_ms, late.run.to_ms) == (0, 2_000)


def test_a_run_continues_after_it_was_stored() -> None:
    late = ages_of(HOUR_MS)
    late.begin_run(0, 0)
    late.on_label(0, 0, value=True, now_ms=0)
    again = decode(encode(late), LateLabels)
    again.run.predictions += 1

    assert lots(again, 3 * HOUR_MS) == [(HOUR_MS, 2, [1])]
