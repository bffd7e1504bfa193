"""The quick form of the simulation; `python -m tests.simulation` is the whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from faust.types import TP

from agents.worker.assignor import Shares
from agents.worker.state import Commit, Held, Publish, StateKeeper
from schemas.topics import Topics
from tests.simulation import simulation
from tests.simulation.simulation import (
    POINTS,
    POISON_POINTS,
    CountingKeeper,
    Feed,
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
    reports = [run_schedule(Schedule(seed=seed, faults=2, loses_state=True)) for seed in range(9)]

    assert [report.wrong for report in reports] == [[]] * 9
    assert sum(report.rebuilt > 0 for report in reports) >= 2


@pytest.mark.parametrize("point", [*POINTS[::6], *POISON_POINTS], ids="/".join)
def test_models_are_quarantined_and_released_wherever_a_worker_ends(point: Point) -> None:
    report = run_schedule(Schedule(seed=len("/".join(point)), point=point, is_poisoned=True))

    assert not report.wrong
    assert report.quarantined == 1


@pytest.mark.parametrize("point", POINTS[::5], ids="/".join)
def test_halves_of_another_system_are_joined_once_wherever_a_worker_ends(point: Point) -> None:
    report = run_schedule(Schedule(seed=len("/".join(point)), point=point, has_calls=True))

    assert not report.wrong
    assert report.joined_halves > 20


@pytest.mark.parametrize("point", POINTS[2::7], ids="/".join)
def test_what_people_say_and_the_commands_are_the_same_wherever_a_worker_ends(point: Point) -> None:
    report = run_schedule(Schedule(seed=len("/".join(point)), point=point, has_people=True))

    assert not report.wrong
    assert report.emitted["commands"] > 0
    assert report.emitted["reviews"] > 40


@pytest.mark.parametrize("feed", ["backlog", "live"])
def test_however_many_workers_the_log_has_the_order_of_a_backtest(feed: Feed) -> None:
    reports = [run_schedule(Schedule(seed=seed, feed=feed)) for seed in range(1, 8)]

    assert [report.wrong for report in reports] == [[]] * len(reports)
    assert sum(report.rebalances > 1 for report in reports) > 3


def test_workers_that_share_inputs_by_model_give_the_order_of_a_backtest() -> None:
    reports = [
        run_schedule(Schedule(seed=s, feed="backlog", is_by_model=True)) for s in range(1, 6)
    ]

    assert [report.wrong for report in reports] == [[]] * len(reports)
    assert sum(report.rebalances > 1 for report in reports) > 3


def test_schedules_hold_what_they_are_about() -> None:
    reports = [run_schedule(Schedule(seed=seed, faults=0)) for seed in (*range(6), 10, 40)]

    assert set().union(*(report.comings for report in reports)) == set(POINTS)
    assert set().union(*(+report.emitted for report in reports)) == {
        topic.role for topic in Topics().outputs()
    }


def test_a_schedule_follows_from_its_seed() -> None:
    schedule = Schedule(seed=3, point=("send of manifests", "late"))

    first, again = run_schedule(schedule), run_schedule(schedule)

    assert (first.log, first.comings) == (again.log, again.comings)
    assert first.log != run_schedule(Schedule(seed=4)).log


# The simulation can fail


def test_inputs_that_are_shared_out_are_found_in_another_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(simulation, "share_out", share_partition_by_partition)

    reports = [run_schedule(Schedule(seed=seed, feed="backlog")) for seed in range(12)]

    assert any("order of a backtest" in wrong for report in reports for wrong in report.wrong)


def share_partition_by_partition(
    subscriptions: Mapping[str, object],
    partitions: Mapping[str, int],
    _inputs: object,
    *,
    by_model: bool,
) -> Shares:
    """Give partition n of every topic to one member, though inputs are not by model."""
    assert not by_model
    members = list(subscriptions)
    return {
        member: {
            topic: [n for n in range(count) if members[n % len(members)] == member]
            for topic, count in partitions.items()
        }
        for member in members
    }


class CommitsFirst(CountingKeeper):
    """Commits before the snapshot is durable."""

    async def save_some(self, held: Mapping[TP, Held], publish: Publish, commit: Commit) -> bool:
        for tp, each in held.items():
            if each.began_at is not None:
                await commit({tp: each.began_at})
        return await super().save_some(held, publish, commit)


class CommitsTooMuch(CountingKeeper):
    """Commits all that is applied when a round is over, not what the round covers."""

    async def save_some(self, held: Mapping[TP, Held], publish: Publish, commit: Commit) -> bool:
        async def commit_all(offsets: Mapping[TP, int]) -> bool:
            return await commit({tp: held[tp].monitor.next_offset or 0 for tp in offsets})

        return await super().save_some(held, publish, commit_all)


class Forgets(CountingKeeper):
    """Saves one model of those that have changed, and commits all."""

    def begin(self, held: Held) -> None:
        held.monitor.touched = dict(list(held.monitor.touched.items())[:1])
        super().begin(held)


def first_red(keeper: Keeper, point: Point, seeds: range) -> Report | None:
    reports = (run_schedule(Schedule(seed=seed, point=point), keeper) for seed in seeds)
    return next((report for report in reports if report.wrong), None)


@pytest.mark.parametrize(
    ("keeper", "point", "seeds"),
    [
        (CommitsFirst, ("send of manifests", "lost"), range(40)),
        (CommitsTooMuch, ("slice of state", "over"), range(50, 110)),  # one seed in fifty finds it
        (Forgets, ("commit of monitor", "after"), range(40)),
    ],
)
def test_a_broken_rule_is_found(keeper: type[StateKeeper], point: Point, seeds: range) -> None:
    assert first_red(keeper, point, seeds)
