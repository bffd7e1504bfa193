"""When labels may be read in the order in which they arrive."""

import numpy as np

from streams.series.label_delays import LabelDelays

HOUR_MS = 3_600_000


def delays_of(
    rows: int, right_h: float, wrong_h: float, *, every_ms: int = 60_000, spread: float = 0.3
) -> LabelDelays:
    """Read the labels of a model, one prediction each ``every_ms``, in order of arrival."""
    rng = np.random.default_rng(3)
    wrong = rng.random(rows) < 0.1
    hours = np.where(wrong, wrong_h, right_h) * np.exp(spread * rng.normal(size=rows))
    at = np.arange(rows) * every_ms
    known = at + (hours * HOUR_MS).astype(np.int64)
    delays = LabelDelays()
    for row in np.argsort(known, kind="stable"):
        if known[row] <= at[-1]:
            seen = int(known[row]) // every_ms
            delay_ms, known_ms = int(known[row] - at[row]), int(known[row])
            delays.add(bool(wrong[row]), delay_ms, known_ms, seen, is_quantity=False)
    return delays


def test_labels_at_once_are_read_as_they_arrive() -> None:
    assert delays_of(300, 0, 0).is_prompt


def test_a_delay_of_a_few_rows_is_prompt() -> None:
    assert delays_of(300, 0.01, 0.05).is_prompt


def test_errors_that_come_later_than_right_answers_are_not() -> None:
    assert not delays_of(20_000, 4, 12).is_prompt


def test_right_answers_that_come_later_are_not_either() -> None:
    assert not delays_of(20_000, 12, 4).is_prompt


def test_delays_that_do_not_depend_on_the_answer_are_prompt_once_they_are_known() -> None:
    assert delays_of(3_000, 1, 1, spread=0.05).is_prompt


def test_delays_are_not_known_before_three_times_the_longest_has_passed() -> None:
    assert not delays_of(120, 1, 1, spread=0.05).is_prompt


def test_a_quantity_is_high_above_the_mean_so_far() -> None:
    delays = LabelDelays()
    classes = []
    for value in (1.0, 3.0, 1.0, 9.0):
        _, of_high = delays._rows
        delays.add(value, 0, 1, 1, is_quantity=True)
        classes.append(delays._rows[1] > of_high)

    assert classes == [False, True, False, True]
    assert delays.mean == 3.5
