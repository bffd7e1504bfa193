"""Run schedules by the thousand: every crash point with every seed.

    .venv/bin/python -m tests.simulation                     the whole: 1,000 seeds, over an hour
    .venv/bin/python -m tests.simulation --seeds 20 --from 5000
    .venv/bin/python -m tests.simulation --each-step 3       a worker ends at each step it takes
    .venv/bin/python -m tests.simulation --point "send of chunks/late"

Prints a line for each crash point, and the seeds of what went wrong. Exit 0 only when nothing did.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from dataclasses import replace

from tests.simulation.simulation import POINTS, Point, Report, Schedule, run_schedule, silence


def main() -> int:
    parser = argparse.ArgumentParser(description="Crash simulation of a worker.")
    parser.add_argument("--seeds", type=int, default=1_000)
    parser.add_argument("--from", type=int, default=0, dest="first", metavar="SEED")
    parser.add_argument("--point", action="append", help="STEP/STAGE; all unless given")
    parser.add_argument("--each-step", type=int, default=0, metavar="SEEDS")
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds)
    points = [
        point for point in POINTS if options.point is None or "/".join(point) in options.point
    ]
    began_s = time.perf_counter()
    with silence():
        if options.each_step:
            totals = [_run("every step", _each_step(range(options.each_step)))]
        else:
            totals = [
                _run("/".join(point), (Schedule(seed=seed, point=point) for seed in seeds))
                for point in points
            ]
    schedules, red = (sum(column) for column in zip(*totals, strict=True))
    took_s = time.perf_counter() - began_s
    say(f"{len(totals)} crash points, {schedules:,} schedules, {took_s:.0f} s, {red:,} red")
    return 1 if red else 0


def _each_step(seeds: Iterable[int]) -> Iterable[Schedule]:
    for seed in seeds:
        yield from steps_of(seed)


def steps_of(seed: int, points: Iterable[Point] = POINTS) -> list[Schedule]:
    """Return, for every step that workers take under a seed, a schedule that strikes there."""
    calm = run_schedule(Schedule(seed=seed, faults=0))
    return [
        Schedule(seed=seed, point=point, nth=nth, faults=0)
        for point in points
        for nth in range(calm.comings[point])
    ]


def _run(name: str, schedules: Iterable[Schedule]) -> tuple[int, int]:
    began_s = time.perf_counter()
    reports = [replace(run_schedule(schedule), log=()) for schedule in schedules]
    red = [report for report in reports if report.wrong]
    struck = sum(report.has_struck for report in reports)
    say(
        f"{name:32} {len(reports):6,} schedules  {struck:6,} struck  "
        f"{sum(report.crashes for report in reports):6,} crashes  "
        f"{sum(report.zombies for report in reports):6,} zombies  "
        f"{sum(report.repeated for report in reports):8,} repeated  "
        f"{time.perf_counter() - began_s:6.0f} s  {len(red):5,} red"
    )
    for report in red[:3]:
        _say_wrong(report)
    return len(reports), len(red)


def _say_wrong(report: Report) -> None:
    say(f"    {report.schedule}: {'; '.join(report.wrong[:4])}")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
