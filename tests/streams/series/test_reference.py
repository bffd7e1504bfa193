import numpy as np
import pytest

from streams.series.inputs import doubles
from streams.series.reference import TRUSTED_RUN_ROWS, Budget, Learnt, SeriesReference
from streams.series.watch_spec import WatchSpec
from streams.values import Value

BUDGET = Budget(0.01, 0.01)


def noise(rows: int, mean: float = 0.0, seed: int = 1) -> list[Value]:
    values: list[Value] = np.random.default_rng(seed).normal(mean, 1.0, rows).tolist()
    return values


def learn(
    reference: SeriesReference,
    values: list[Value],
    spec: WatchSpec | None = None,
    *,
    is_last: bool = True,
    may_wander: bool = False,
) -> Learnt | None:
    return reference.learn(
        values,
        None,
        spec or WatchSpec(role="feature"),
        BUDGET,
        is_last=is_last,
        may_wander=may_wander,
    )


def test_values_that_wander_have_no_reference_unless_their_order_says_nothing() -> None:
    counter: list[Value] = [float(row) for row in range(2_000)]
    live, table = SeriesReference(), SeriesReference()

    assert learn(live, counter) is None
    assert live.series is None
    assert learn(table, counter, may_wander=True) is not None
    assert table.series is not None


def test_a_short_reference_with_slow_motion_is_not_taken_before_the_last_stage() -> None:
    wave = np.sin(np.arange(500) * 2 * np.pi / 100) + np.random.default_rng(1).normal(size=500)
    reference = SeriesReference()

    learn(reference, wave.tolist(), is_last=False)
    assert reference.series is None
    learn(reference, wave.tolist(), is_last=True)
    assert reference.series is not None


def test_the_cause_of_an_alarm_that_is_near_does_not_become_part_of_the_reference() -> None:
    reference = SeriesReference()
    learn(reference, noise(1_000), is_last=False)
    series = reference.series
    assert series is not None
    later = noise(15, mean=1.2, seed=2)
    assert reference.run(later, doubles(later, {float}), None) is None
    assert not series.is_calm

    learn(reference, [*noise(1_000), *later], is_last=True)

    assert reference.series is series


@pytest.mark.parametrize(
    ("rows", "role", "is_learnt"),
    [
        (TRUSTED_RUN_ROWS, "feature", True),
        (TRUSTED_RUN_ROWS - 1, "feature", False),
        (TRUSTED_RUN_ROWS, "outcome", False),
    ],
)
def test_runs_are_learnt_from_enough_values_where_long_ones_are_not_ordinary(
    rows: int, role: str, is_learnt: bool
) -> None:
    reference = SeriesReference()

    learn(reference, noise(rows), WatchSpec(role=role))  # type: ignore[arg-type] # a role

    assert (reference.stuck.limit > 0) == is_learnt


def test_a_forgotten_reference_is_that_of_a_series_that_begins() -> None:
    reference = SeriesReference()
    learn(reference, noise(2_000))

    reference.forget()

    assert (reference.series, reference.unseen, reference.stuck.limit) == (None, None, 0)


@pytest.mark.parametrize(("role", "is_carried"), [("error", True), ("feature", False)])
def test_errors_that_came_in_clumps_are_held_against_a_wider_threshold_later(
    role: str, is_carried: bool
) -> None:
    rng = np.random.default_rng(5)
    usual: list[Value] = (rng.random(2_000) < 0.06).tolist()
    clumps: list[Value] = [*usual[:700], *(rng.random(120) < 0.5).tolist(), *usual[820:]]
    spec = WatchSpec(role=role)  # type: ignore[arg-type] # a role
    reference = SeriesReference()
    learn(reference, clumps, spec)
    reference.doubt()
    learn(reference, usual, spec)
    assert reference.series is not None

    found = reference.run((rng.random(90) < 0.5).tolist(), None, None)

    assert (found is None) == is_carried
