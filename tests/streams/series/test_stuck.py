import numpy as np
import pytest

from streams.codec import decode, encode
from streams.detect.sample import Categories, Sample
from streams.series.inputs import doubles
from streams.series.stuck import StuckRule
from streams.values import Value


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

    assert read(rule, [True] * 5_000) == ([], None)


def test_words_stick_like_numbers() -> None:
    rng = np.random.default_rng(1)
    rule = StuckRule()
    words = [str(word) for word in rng.integers(0, 30, 2_000)]
    rule.learn(Sample(words, Categories.of(words, rarest_rows=3)), 0.01)

    assert read(rule, ["7"] * 15)[0] == []
    assert read(rule, ["7"] * 10)[0] == [4]
    assert read(rule, ["8", "7"]) == ([], None)


@pytest.mark.parametrize("restart_at", [0, 60, 69, 70, 200])
def test_a_restart_within_a_run_changes_nothing(restart_at: int) -> None:
    rng = np.random.default_rng(1)
    rule = StuckRule()
    rule.learn(Sample(rng.normal(size=2_000).tolist()), 0.01)
    whole = decode(encode(rule), StuckRule)
    values = [*rng.normal(size=50).tolist(), *[0.25] * 100, *rng.normal(size=50).tolist()]

    read(rule, values[:restart_at])
    restarted = decode(encode(rule), StuckRule)
    found, _ = read(restarted, values[restart_at:])

    expected, _ = read(whole, values)
    assert [restart_at + row for row in found] == [row for row in expected if row >= restart_at]
    assert encode(restarted) == encode(whole)
