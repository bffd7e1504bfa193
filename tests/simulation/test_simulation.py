"""The quick form of the simulation; `python -m tests.simulation` is the whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from faust.types import TP

from agents.state import Commit, Held, StateKeeper
from streams.audit import ID_FIELDS
from tests.simulation.simulation import (
    POINTS,
    CountingKeeper,
    Keeper,
    Point,
    Report,
    Schedule,
    run_schedule,
    silence,
)


@pytest.fixture(autouse=True)
def silent() -> Iterator[None]:
    with silence():
        yield


@pytest.mark.parametrize("point", POINTS, ids="/".join)
def test_a_worker_may_end_at_any_step(point: Point) -> None:
    report = run_schedule(Schedule(seed=len("/".join(point)), point=point))

    assert not report.wrong


def test_lost_state_is_rebuilt() -> None:
    reports = [run_schedule(Schedule(seed=seed, faults=2, loses_state=True)) for seed in range(6)]

    assert [report.wrong for report in reports] == [[]] * 6
    assert sum(report.rebuilt > 0 for report in reports) >= 2


def test_schedules_hold_what_they_are_about() -> None:
    reports = [run_schedule(Schedule(seed=seed, faults=0)) for seed in range(6)]

    assert set().union(*(report.comings for report in reports)) == set(POINTS)
    assert set().union(*(+report.emitted for report in reports)) == {*ID_FIELDS, "status"}


def test_a_schedule_follows_from_its_seed() -> None:
    schedule = Schedule(seed=3, point=("send of manifests", "late"))

    first, again = run_schedule(schedule), run_schedule(schedule)

    assert (first.log, first.comings) == (again.log, again.comings)
    assert first.log != run_schedule(Schedule(seed=4)).log


# The simulation can fail


class CommitsFirst(CountingKeeper):
    """Commits before the snapshot is durable."""

    async def save(self, tp: TP, held: Held, commit: Commit) -> None:
        if held.monitor.touched and held.monitor.next_offset is not None:
            await commit({tp: held.monitor.next_offset})
        await super().save(tp, held, commit)


class Forgets(CountingKeeper):
    """Saves one model of those that have changed, and commits all."""

    async def save(self, tp: TP, held: Held, commit: Commit) -> None:
        held.monitor.touched = dict(list(held.monitor.touched.items())[:1])
        await super().save(tp, held, commit)


def first_red(keeper: Keeper, point: Point, seeds: int) -> Report | None:
    reports = (run_schedule(Schedule(seed=seed, point=point), keeper) for seed in range(seeds))
    return next((report for report in reports if report.wrong), None)


@pytest.mark.parametrize(
    ("keeper", "point"),
    [
        (CommitsFirst, ("send of manifests", "lost")),
        (Forgets, ("commit of monitor", "after")),
    ],
)
def test_a_broken_rule_is_found(keeper: type[StateKeeper], point: Point) -> None:
    assert first_red(keeper, point, seeds=20)
