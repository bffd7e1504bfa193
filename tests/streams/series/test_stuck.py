import numpy as np
import pytest

from streams.detect.sample import Categories, Sample
from streams.series.inputs import doubles
from streams.series.missing import MissingRule
from streams.series.repeat_limit import RepeatLimit
from streams.series.stuck import StuckRule
from streams.series.unseen import UnseenRule
from streams.tree_codec import pack
from streams.values import Value

STAGES = (200, 500, 1_000, 2_000)


def flags(share: float, rows: int, seed: int = 1) -> np.ndarray:
    return (np.random.default_rng(seed).random(rows) < share).astype(np.float64)


def test_the_first_missing_value_of_a_whole_column_is_news() -> None:
    rule = MissingRule(STAGES)
    rule.update(flags(0.0, 2_000), 0.01)
    later = flags(0.0, 300)
    later[[120, 200]] = 1.0

    findings = rule.update(later, 0.01)

    assert [(finding.row, finding.aspect) for finding in findings] == [(120, "missing")]


@pytest.mark.parametrize("batch", [1, 70, 200, 999])
def test_what_is_not_missing_is_passed_over_up_to_the_next_stage(batch: int) -> None:
    for first_missing in (0, 300, 2_500):
        flag = flags(0.0, 3_000)
        flag[first_missing : first_missing + 150 : 10] = 1.0
        plain, quick = MissingRule(STAGES), MissingRule(STAGES)
        for start in range(0, 3_000, batch):
            part = flag[start : start + batch]

            plain.update(part, 0.01)
            if part.any() or not quick.passes_over(len(part)):
                quick.update(part, 0.01)

            assert pack(quick.snapshot()) == pack(plain.snapshot())


def test_a_column_that_is_missing_now_and_then_may_be() -> None:
    rule = MissingRule(STAGES)

    assert rule.update(flags(0.1, 12_000), 0.01) == []


def test_a_column_that_is_missing_more_often_is_found() -> None:
    rule = MissingRule(STAGES)
    rule.update(flags(0.1, 4_000), 0.01)

    findings = rule.update(flags(0.25, 600, seed=2), 0.01)

    assert [(finding.aspect, finding.figures.direction) for finding in findings] == [
        ("missing", "up")
    ]
    assert findings[0].row < 250


def test_a_category_that_the_reference_did_not_have_is_said_at_its_first_row() -> None:
    rule = UnseenRule(["a", "b"], is_closed=True, hush_rows=2_000)

    assert rule.update(["a", "b", "c", "c"]) == [(2, "c")]
    assert rule.update(["c", "a"]) == []


def test_a_flood_of_new_categories_is_one_alarm_then_silence() -> None:
    rule = UnseenRule(["a", "b"], is_closed=True, hush_rows=100)
    ids = [f"id {row}" for row in range(10_000)]

    assert len(rule.update(ids)) <= 3
    assert rule.snapshot()["known"] is None


def test_where_the_reference_left_room_for_new_categories_none_is_news() -> None:
    rule = UnseenRule(["a", "b"], is_closed=False, hush_rows=100)

    assert rule.update(["x", "y", "z"]) == []


def test_the_same_news_waits_twice_as_long_each_time() -> None:
    hush = RepeatLimit(10)

    assert [row for row in range(100) if hush.lets_through(row)] == [0, 10, 30, 70]


def read(rule: StuckRule, values: list[Value]) -> tuple[list[int], list[int] | None]:
    return rule.filter(values, doubles(values, set(map(type, values))))


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_a_stuck_value_is_said_once_and_left_out_from_then_on(batch: int) -> None:
    rng = np.random.default_rng(1)
    rule = StuckRule()
    rule.learn(Sample(rng.normal(size=2_000).tolist()), 0.01)
    values = [*rng.normal(size=50).tolist(), *[0.25] * 300, *rng.normal(size=50).tolist()]
    stuck, kept = [], []

    for start in range(0, len(values), batch):
        part = values[start : start + batch]
        found, rows = read(rule, part)
        stuck += [start + row for row in found]
        kept += [start + row for row in (range(len(part)) if rows is None else rows)]

    assert stuck == [50 + 20 - 1]
    assert kept == [*range(69), *range(350, 400)]


def test_runs_as_long_as_the_references_own_are_believed() -> None:
    rule = StuckRule()
    rule.learn(Sample([float(row // 40) for row in range(2_000)]), 0.01)

    assert read(rule, [7.0] * 119) == ([], None)
    assert read(rule, [7.0] * 2)[0] == [0]


def test_a_common_value_may_come_often_in_a_row() -> None:
    rng = np.random.default_rng(1)
    rule = StuckRule()
    rule.learn(Sample((rng.random(2_000) < 0.95).tolist()), 0.01)

    assert rule.limit > 200


def test_words_stick_like_numbers() -> None:
    rng = np.random.default_rng(1)
    rule = StuckRule()
    words = [str(word) for word in rng.integers(0, 30, 2_000)]
    rule.learn(Sample(words, Categories.of(words, rarest_rows=3)), 0.01)

    assert read(rule, ["7"] * 15)[0] == []
    assert read(rule, ["7"] * 10)[0] == [4]
    assert read(rule, ["8", "7"]) == ([], None)


@pytest.mark.parametrize("share", [0.0, 0.01])
def test_a_restart_while_missing_values_are_learnt_changes_nothing(share: float) -> None:
    inputs = flags(share, 3_000)
    whole, parted = MissingRule(STAGES), MissingRule(STAGES)
    whole.update(inputs, 0.01)

    for start in range(0, len(inputs), 75):
        parted.update(inputs[start : start + 75], 0.01)
        parted = MissingRule.restore(parted.snapshot())

    assert repr(parted.snapshot()) == repr(whole.snapshot())
