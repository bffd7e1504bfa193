import numpy as np
import pytest

from streams.codec import decode, encode
from streams.series.missing import MissingRule

STAGES = (200, 500, 1_000, 2_000)


def flags(share: float, rows: int, seed: int = 1) -> np.ndarray:
    return (np.random.default_rng(seed).random(rows) < share).astype(np.float64)


def test_a_few_missing_values_of_a_whole_column_are_none() -> None:
    rule = MissingRule(STAGES)
    rule.update(flags(0.0, 2_000), 0.01)

    assert rule.update(flags(0.0002, 40_000), 0.01) == []


@pytest.mark.parametrize(("share", "rows"), [(1.0, 6), (0.3, 40), (0.03, 500)])
def test_a_whole_column_of_which_values_are_missing_is_told_with_their_share(
    share: float, rows: int
) -> None:
    rule = MissingRule(STAGES)
    rule.update(flags(0.0, 2_300), 0.01)

    finding = rule.update(flags(share, 2_000, seed=3), 0.01)[0]

    assert finding.row < rows
    assert finding.row - rows < finding.figures.rows <= finding.row + 1
    assert finding.figures.value == pytest.approx(share, rel=0.7)


@pytest.mark.parametrize("batch", [1, 70, 200, 999])
def test_inputs_that_are_not_missing_are_counted_up_to_the_next_stage(batch: int) -> None:
    for first_missing in (0, 300, 2_500):
        flag = flags(0.0, 3_000)
        flag[first_missing : first_missing + 150 : 10] = 1.0
        plain, quick = MissingRule(STAGES), MissingRule(STAGES)
        for start in range(0, 3_000, batch):
            part = flag[start : start + batch]

            plain.update(part, 0.01)
            if part.any() or not quick.passes_over(len(part)):
                quick.update(part, 0.01)

            assert encode(quick) == encode(plain)


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


@pytest.mark.parametrize("share", [0.0, 0.01])
def test_a_restart_while_missing_values_are_learnt_changes_nothing(share: float) -> None:
    inputs = flags(share, 3_000)
    whole, parted = MissingRule(STAGES), MissingRule(STAGES)
    whole.update(inputs, 0.01)

    for start in range(0, len(inputs), 75):
        parted.update(inputs[start : start + 75], 0.01)
        parted = decode(encode(parted), MissingRule)

    assert encode(parted) == encode(whole)
