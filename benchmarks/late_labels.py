"""Measure alarms on an error whose labels come late: nothing wrong, and more errors than before.

    python -m benchmarks.late_labels            # the table of docs/detection-figures.md, 40 minutes
    python -m benchmarks.late_labels --quick    # under a minute; fails where a bound is broken

A world is a law of delays, drawn anew for each run: medians and widths vary by a quarter and more,
right answers and errors apart. Traffic goes by run: steady, three times as much on days 60 to 89,
little on weekends, growing six times. The error of a model is read as the product reads it, at its
half of the default budget. An alarm is counted against the rows read while the error was watched.
No parameter was chosen on these seeds.
"""

import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.findings import put
from schemas.model_spec import ModelSpec, OutcomeRules
from streams.emission import EventRow
from streams.series.reading import Column, Reading
from streams.series.series_set import SeriesSet
from streams.series.series_state import Label

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "detection-figures.md"
SEED = 9_100
DAY_MS = 86_400_000
START_MS = 1_767_225_600_000
BUDGET = 0.1
"""False alarms per 10,000 rows: the error's half of the default budget."""
MINUTE = 1 / 1440
CHANGE_DAY = 60
EARLY_DAYS = 14
"""Days in which all ages learn anew after an alarm: a week, and the rows of a reference."""
TRAFFIC = ("steady", "campaigns", "weekly", "growing")
Floats = NDArray[np.float64]
Rng = np.random.Generator


class World(NamedTuple):
    """A law of delays: family, median days of right answers and of errors, rows a day, errors."""

    family: str
    right: float
    wrong: float
    a_day: int = 400
    error: float = 0.06

    @property
    def name(self) -> str:
        """Its name in the table."""
        unit = "min" if 0 < self.right < MINUTE * 60 else "d"
        scale = 1 / MINUTE if unit == "min" else 1
        medians = f" {self.right * scale:g}/{self.wrong * scale:g} {unit}" if self.wrong else ""
        extra = "" if self.a_day == 400 else f", {self.a_day:,} a day"
        return f"{self.family}{medians}{extra}" + ("" if self.error == 0.06 else ", 1 % errors")


MEDIANS = ((4, 12), (8, 4), (2, 30), (5, 5))
WORLDS = (
    *(World(f, *m) for f in ("lognormal", "gamma", "Weibull", "bimodal") for m in MEDIANS),
    World("lognormal", 2 * MINUTE, 10 * MINUTE),
    World("none", 0, 0),
    World("nightly", 0.3, 1.5),
    World("nightly", 4, 12),
    World("monthly", 4, 12),
    World("lognormal", 4, 12, error=0.01),
    World("gamma", 2, 30, error=0.01),
    World("nightly", 0.3, 1.5, error=0.01),
    World("lognormal", 2 * MINUTE, 10 * MINUTE, error=0.01),
    World("none", 0, 0, error=0.01),
)
BUSY = (
    World("lognormal", 4, 12, 20_000),
    World("gamma", 2, 30, 20_000),
    World("nightly", 0.3, 1.5, 20_000),
    World("lognormal", 2 * MINUTE, 10 * MINUTE, 20_000),
    World("none", 0, 0, 20_000),
)


@dataclass(slots=True)
class Result:
    """What a world came to.

    Attributes
    ----------
    alarms, allowed
        Alarms with nothing wrong, and those of the budget over the rows watched.
    runs_with
        Runs with an alarm.
    watched_day
        The day from which each run was watched.
    delays
        Days until more errors are told, by odds; infinite for never. Of 400 rows a day, runs that
        alarmed in the ``EARLY_DAYS`` before are no part: what is learnt anew holds the change.
    delay_of_errors
        The median delay of errors.
    """

    runs: int = 0
    alarms: int = 0
    allowed: float = 0.0
    runs_with: int = 0
    watched_day: list[float] = field(default_factory=list)
    delays: dict[float, list[float]] = field(default_factory=dict)
    delay_of_errors: list[float] = field(default_factory=list)

    @property
    def is_met(self) -> bool:
        """Whether the alarms are within the budget and two standard errors."""
        return self.alarms <= self.allowed + 2 * math.sqrt(max(self.allowed, 1.0))


def rows_of_days(traffic: str, days: int, a_day: int) -> NDArray[np.int64]:
    """Return the predictions of each day."""
    day = np.arange(days)
    factor = np.ones(days)
    if traffic == "campaigns":
        factor[60:90] = 3
    elif traffic == "weekly":
        factor[day % 7 >= 5] = 0.3
    elif traffic == "growing":
        factor = np.exp(math.log(6) * day / days) / 2
    return np.round(a_day * factor).astype(np.int64)


def delays_of(family: str, median: float, rows: int, rng: Rng) -> Floats:
    """Return delays in days."""
    if median == 0:
        return np.zeros(rows)
    median *= math.exp(0.25 * rng.normal())
    match family:
        case "gamma":
            shape = rng.uniform(0.7, 3)
            drawn = rng.gamma(shape, size=20_000)
            return rng.gamma(shape, size=rows) * median / float(np.median(drawn))
        case "Weibull":
            shape = rng.uniform(0.8, 2.5)
            return np.asarray(rng.weibull(shape, size=rows) * median / math.log(2) ** (1 / shape))
        case "bimodal":  # one in three within a fifth of the time
            early = rng.random(rows) < 1 / 3
            width = rng.uniform(0.3, 0.6)
            modes = np.where(early, 0.2, 1.3) * median
            delays: Floats = modes * np.exp(width * rng.normal(size=rows))
            return delays
        case _:
            usual: Floats = np.exp(rng.uniform(0.4, 1.1) * rng.normal(size=rows))
            return median * usual


def draw(
    world: World, run: int, days: int, odds: float, change_day: int
) -> tuple[Floats, NDArray[np.bool_], Floats]:
    """Return the instants of predictions, whether each is wrong, and when its label is known."""
    rng = np.random.default_rng([SEED, run, round(1_000 * world.error)])
    counts = rows_of_days(TRAFFIC[run % 4] if odds == 1 else "steady", days, world.a_day)
    day = np.repeat(np.arange(days), counts)
    at = np.sort(day + rng.random(len(day)))
    usual = world.error / (1 - world.error)
    ratio = usual * np.where(at >= change_day, odds, 1.0)
    wrong = rng.random(len(at)) < ratio / (1 + ratio)
    delay = delays_of(world.family, world.right, len(at), rng)
    delay[wrong] = delays_of(world.family, world.wrong, int(wrong.sum()), rng)
    known = at + delay
    if world.family == "nightly":
        known = np.ceil(known - 2 / 24) + 2 / 24
    elif world.family == "monthly":
        known = np.ceil((known - 3) / 30) * 30 + 3
    return at, wrong, known


class ErrorOnly:
    """The error of one model, read as the product reads it."""

    def __init__(self, wait_days: float) -> None:
        spec = ModelSpec(outcome=OutcomeRules(wait_s=86_400 * wait_days))
        self._series = SeriesSet(spec)
        self._rules = spec.alerts
        self._pairs: list[tuple[bool, int]] = []
        self._now_ms = 0
        self._predictions = 0
        self.rows_watched = 0.0
        self.watched_day: float | None = None

    def read(self, at_ms: list[int], wrong: list[bool], known_ms: list[int]) -> Iterator[float]:
        """Yield the day of each alarm; the last event ends the log."""
        end_ms = max(at_ms)
        events = [(at, 0, row) for row, at in enumerate(at_ms)]
        events += [(at, 1, row) for row, at in enumerate(known_ms) if at <= end_ms]
        events.sort()
        series = self._series
        for now_ms, is_label, row in events:
            self._now_ms = now_ms
            if now_ms >= series.late.due_ms:
                yield from self._read_late()
            if not is_label:
                self._predictions += 1
                if series.late.series:
                    series.late.on_prediction(now_ms, now_ms)
                continue
            label = Label(wrong[row], None, at_ms[row], now_ms)
            turned = series.turned_by(label, self._predictions)
            if turned:
                yield from self._read_pairs()
                series.turn(turned, now_ms)
            if series.late.series:
                series.late.on_label(label, now_ms)
            self._pairs.append((wrong[row], at_ms[row]))
            if len(self._pairs) >= 500:
                yield from self._read_pairs()
        yield from self._read_pairs()

    def _reading(self) -> Reading:
        row = EventRow(0, 0, self._now_ms, self._now_ms, self._predictions, 0, None)
        return Reading(lambda _role, _row: row, self._rules)

    def _read_late(self) -> Iterator[float]:
        (series,) = self._series.late.series
        late = series.late
        if late is None:
            return
        watched = [age.lane.watch for age in late.watched]
        seen = sum(watch.seen for watch in watched)
        for transition in self._series.late.read(self._now_ms, self._reading()):
            if transition.status == "firing":
                yield (self._now_ms - START_MS) / DAY_MS
        if watched:
            self._note_watched()
            self.rows_watched += (sum(watch.seen for watch in watched) - seen) / len(watched)

    def _read_pairs(self) -> Iterator[float]:
        if not self._pairs:
            return
        errors, at = zip(*self._pairs, strict=True)
        self._pairs = []
        column = Column("error", "error", errors, np.array(at, dtype=np.int64))
        for _, each in self._series.read([column], self._reading()):
            if each.transition.status == "firing":
                yield (self._now_ms - START_MS) / DAY_MS
        if not self._series.late.series and not self._series["error"].watch.is_learning:
            self._note_watched()
            self.rows_watched += len(errors)

    def _note_watched(self) -> None:
        if self.watched_day is None:
            self.watched_day = (self._now_ms - START_MS) / DAY_MS


def alarms_of(
    world: World, run: int, days: int, odds: float, change_day: int
) -> tuple[Iterator[float], ErrorOnly, float]:
    """Return the days of the alarms of a run, its reader, and the median delay of errors."""
    at, wrong, known = draw(world, run, days, odds, change_day)
    to_ms = [(START_MS + np.rint(each * DAY_MS)).astype(np.int64).tolist() for each in (at, known)]
    reader = ErrorOnly(wait_days=90)
    found = reader.read(to_ms[0], wrong.tolist(), to_ms[1])
    return found, reader, float(np.median((known - at)[wrong]))


def measure(world: World, runs: int, days: int, delays: int) -> Result:
    """Return what a world comes to, in so many runs, and so many of each change."""
    result = Result()
    for run in range(runs):
        alarms, reader, delay = alarms_of(world, run, days, 1.0, days)
        found = list(alarms)
        result.runs += 1
        result.alarms += len(found)
        result.runs_with += bool(found)
        result.allowed += BUDGET * reader.rows_watched / 10_000
        result.watched_day.append(math.inf if reader.watched_day is None else reader.watched_day)
        result.delay_of_errors.append(delay)
    # A change is planted when all but the slowest runs are watched.
    usual = float(np.median(result.watched_day)) if runs else 0.0
    change_day = max(CHANGE_DAY, math.ceil(usual) + 20) if usual < days else days
    early_days = EARLY_DAYS
    if world.a_day > 400:  # hardly any run is without an alarm for so long
        change_day, early_days = 30, 0
    for odds in (1.6, 2.5):
        told = result.delays.setdefault(odds, [])
        for run in range(1_000, 1_000 + delays):
            alarms, _, _ = alarms_of(world, run, change_day + 70, odds, change_day)
            first = next((day for day in alarms if day >= change_day - early_days), math.inf)
            if first >= change_day:
                told.append(first - change_day)
    return result


def table_line(world: World, result: Result) -> str:
    """Return a line of the table."""
    told = [
        "" if not days else f"{np.median(days):.1f} ({np.isinf(days).mean():.0%})"
        for days in result.delays.values()
    ]
    day = np.median(result.watched_day)
    cells = (
        world.name,
        f"{result.alarms} : {result.allowed:.1f}",
        "yes" if result.is_met else "**no**",
        f"{result.runs_with / result.runs:.2f}",
        "never" if np.isinf(day) else f"{day:.1f}",
        f"{np.median(result.delay_of_errors):.1f}",
        *told,
    )
    return f"| {' | '.join(cells)} |"


HEAD = (
    "| world (right/wrong, medians) | alarms : allowed | met | runs with any | watched from day "
    "| delay of errors | odds x 1.6 told after | odds x 2.5 |",
    "|---|---|---|---|---|---|---|---|",
)


def write(lines: list[str], runs: int, days: int, minutes: float) -> None:
    """Put the table into its section of the page."""
    head = (
        "## Labels that come late",
        "",
        f"Made by `python -m benchmarks.late_labels` ({runs} runs a world of {days} days at",
        f"400 predictions a day; {minutes:.0f} minutes of one core). With nothing wrong:",
        "alarms on the error, beside those of its budget over the rows watched. With more",
        "errors from a day on: the days until they are told, median (share missed in 70 days).",
        "",
    )
    put("late labels", (*head, *HEAD, *lines), PAGE)


@click.command()
@click.option("--quick", is_flag=True, help="Under a minute; exit 1 if a bound is broken.")
@click.option("--runs", default=20, show_default=True, help="Runs of each world.")
@click.option("--only", help="Worlds whose name contains this; writes nothing.")
def main(quick: bool, runs: int, only: str | None) -> None:
    """Measure alarms on errors whose labels come late."""
    start = time.process_time()
    days, delays = 160, runs // 2
    worlds = [*WORLDS, *BUSY]
    if quick:
        runs, days, delays = 2, 110, 0
        worlds = [World("lognormal", 4, 12), World("nightly", 0.3, 1.5), World("none", 0, 0)]
    if only is not None:
        worlds = [world for world in worlds if only in world.name]
    lines, broken, alarms, allowed = [], 0, 0, 0.0
    click.echo("\n".join(HEAD))
    for world in worlds:
        is_busy = world.a_day > 400
        result = measure(
            world,
            max(runs // 5, 1) if is_busy else runs,
            60 if is_busy else days,
            max(delays // 5, 1) if is_busy else delays,
        )
        lines.append(table_line(world, result))
        click.echo(lines[-1])
        broken += not result.is_met
        alarms, allowed = alarms + result.alarms, allowed + result.allowed
    lines.append(f"| all | {alarms} : {allowed:.1f} | | | | | | |")
    click.echo(lines[-1])
    seconds = time.process_time() - start
    click.echo(f"{seconds:.0f} s, {broken} bounds broken")
    if quick:
        sys.exit(1 if broken else 0)
    if only is None:
        write(lines, runs, days, seconds / 60)


if __name__ == "__main__":
    main()
