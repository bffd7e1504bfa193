"""Run schedules by the thousand: every crash point with every seed.

    .venv/bin/python -m tests.simulation --processes 2       the whole: 1,000 seeds
    .venv/bin/python -m tests.simulation --seeds 20 --from 5000
    .venv/bin/python -m tests.simulation --each-step 3       a worker ends at each step it takes
    .venv/bin/python -m tests.simulation --point "send of chunks/late"
    .venv/bin/python -m tests.simulation --poison        models are quarantined and released
    .venv/bin/python -m tests.simulation --feed backlog --seeds 500 [--by-model]
    .venv/bin/python -m tests.simulation --people        reports, verdicts, a challenger, a fallback

Prints a line for each crash point, and the seeds of what went wrong. Exit 0 only when nothing did.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import NamedTuple, get_args

from agents.worker.assembly import tune_gc
from tests.simulation.simulation import (
    POINTS,
    POISON_POINTS,
    Feed,
    Point,
    Report,
    Schedule,
    run_schedule,
    silence,
)


def main() -> int:
    parser = argparse.ArgumentParser(description="Crash simulation of a worker.")
    parser.add_argument("--seeds", type=int, default=1_000)
    parser.add_argument("--from", type=int, default=0, dest="first", metavar="SEED")
    parser.add_argument("--point", action="append", help="STEP/STAGE; all unless given")
    parser.add_argument("--feed", choices=get_args(Feed), help="without crash points; see Schedule")
    parser.add_argument("--by-model", action="store_true", help="several workers read the inputs")
    parser.add_argument("--each-step", type=int, default=0, metavar="SEEDS")
    parser.add_argument("--poison", action="store_true")
    parser.add_argument("--people", action="store_true")
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds)
    points = [
        point
        for point in (*POINTS, *(POISON_POINTS if options.poison else ()))
        if options.point is None or "/".join(point) in options.point
    ]
    began_s = time.perf_counter()
    with silence(), ProcessPoolExecutor(options.processes, initializer=tune_gc) as processes:
        if options.feed:
            names = [f"{options.feed} of workers at random speeds"]
            found = processes.map(
                _run,
                names,
                [
                    [
                        Schedule(seed=seed, feed=options.feed, is_by_model=options.by_model)
                        for seed in seeds
                    ]
                ],
            )
        elif options.each_step:
            names = [f"every step, seed {seed}" for seed in range(options.each_step)]
            found = processes.map(_run, names, map(steps_of, range(options.each_step)))
        else:
            names = ["/".join(point) for point in points]
            plans = (
                [
                    Schedule(
                        seed=seed,
                        point=point,
                        is_poisoned=options.poison,
                        is_by_model=options.by_model,
                        has_people=options.people,
                    )
                    for seed in seeds
                ]
                for point in points
            )
            found = processes.map(_run, names, plans)
        totals = [_say(*each) for each in found]
    schedules, red = (sum(column) for column in zip(*totals, strict=True))
    took_s = time.perf_counter() - began_s
    say(f"{len(totals)} crash points, {schedules:,} schedules, {took_s:.0f} s, {red:,} red")
    return 1 if red else 0


def steps_of(seed: int, points: Iterable[Point] = POINTS) -> list[Schedule]:
    """Return, for every step that workers take under a seed, a schedule that strikes there."""
    calm = run_schedule(Schedule(seed=seed, faults=0))
    return [
        Schedule(seed=seed, point=point, nth=nth, faults=0)
        for point in points
        for nth in range(calm.comings[point])
    ]


class Found(NamedTuple):
    """What some schedules came to."""

    line: str
    schedules: int
    red: list[Report]


def _run(name: str, schedules: Iterable[Schedule]) -> Found:
    began_s = time.perf_counter()
    with silence():
        reports = [replace(run_schedule(schedule), log=()) for schedule in schedules]
    red = [report for report in reports if report.wrong]
    struck = sum(report.has_struck for report in reports)
    line = (
        f"{name:32} {len(reports):6,} schedules  {struck:6,} struck  "
        f"{sum(report.crashes for report in reports):6,} crashes  "
        f"{sum(report.zombies for report in reports):6,} zombies  "
        f"{sum(report.repeated for report in reports):8,} repeated  "
        f"{time.perf_counter() - began_s:6.0f} s  {len(red):5,} red"
    )
    return Found(line, len(reports), red)


def _say(line: str, schedules: int, red: list[Report]) -> tuple[int, int]:
    say(line)
    for report in red[:3]:
        _say_wrong(report)
    return schedules, len(red)


def _say_wrong(report: Report) -> None:
    say(f"    {report.schedule}: {'; '.join(report.wrong[:4])}")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
