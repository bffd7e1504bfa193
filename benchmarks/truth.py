"""Measure whether the words of alerts are true: figure, direction, onset, category.

    python -m benchmarks.truth            # 100 seeds a change; renews the table of docs/
    python -m benchmarks.truth --quick    # 12 seeds; fails where a bound is broken

Scoring. A series of every kind changes at a known row, at once or within 1,000 rows. The first
alarm after it is compared with the truth; a run that alarmed before is left out. The figure is
right within three standard errors of the truth: of the changed series, or, while it still changes,
of the told rows as they were drawn. The standard error of a figure of so many rows is simulated;
of a share it is one row at least. The onset is right within 50 rows or half of the delay. Rows to
learn from are right where at most a fifth of them lies before the change.
"""

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.findings import put
from benchmarks.late_labels import PAGE
from streams.aspects import SeriesRole
from streams.series.detection import Detection
from streams.series.series_set import SeriesKind
from streams.series.watch import SeriesWatch
from streams.series.watch_spec import WatchSpec
from streams.values import Scalar, text_of

SEED = 41_017
REFERENCE_ROWS = 2_000
QUIET_ROWS = (200, 3_000)
"""Fewest and most rows between the reference and the change."""
LIMIT_ROWS = 5_000
"""Rows after the change in which it must be found."""
GRADUAL_ROWS = 1_000
"""Rows that a gradual change takes."""
BUDGET = 0.004
"""False alarms per 10,000 rows: a feature of a model of twenty, at the default budget."""
ERROR_BUDGET = 0.1
BOUNDS = {"value": 0.9, "direction": 1.0, "category": 0.95, "onset": 0.8, "learnable": 0.8}
"""The part of the alerts in which each must be right, at least."""
QUICK_SLACK = 0.04
"""Part below its bound that may be chance in the quick form: two standard errors of 500 alerts."""
SIMULATED = 200
"""Samples by which the standard error of a figure is known to a twentieth."""

Rng = np.random.Generator
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A series of some kind, and its change.

    Parameters
    ----------
    draw
        Gives values, from the part of the change that is made at each row.
    figure
        The figure of values that an alert should tell.
    direction
        The side to which it moves.
    aspects
        Those that name the change rightly, that of ``figure`` first.
    category
        The category that moves; None for a series without.
    """

    name: str
    draw: Callable[[Rng, Floats], list[Scalar]]
    figure: Callable[[list[Scalar]], float]
    direction: str
    aspects: tuple[str, ...]
    category: str | None = None
    role: SeriesRole = "feature"
    kind: SeriesKind = "auto"


@dataclass(slots=True)
class Told:
    """How many alerts of a kind of change were right, and in what."""

    alerts: int = 0
    early: int = 0
    missed: int = 0
    value: int = 0
    direction: int = 0
    category: int = 0
    onset: int = 0
    learnable: int = 0
    delays: list[int] = field(default_factory=list)


def numbers(
    name: str, make: Callable[[Rng, Floats], Floats], figure: str, *, without_zero: bool = False
) -> Kind:
    """Return a kind of numbers whose mean or standard deviation rises."""

    def of(values: list[Scalar]) -> float:
        x = np.array(values, dtype=np.float64)
        x = x[x != 0] if without_zero else x
        return float(x.mean() if figure == "level" else x.std())

    return Kind(
        name=f"{name}, {figure}",
        draw=lambda rng, part: make(rng, part).tolist(),
        figure=of,
        direction="up",
        aspects=(figure,),
    )


def shares_of(
    name: str, before: Mapping[str | bool, float], after: Mapping[str | bool, float], moving: Scalar
) -> Kind:
    """Return a kind of categories whose shares move; ``moving`` is the one that moves most."""
    names = list(before)
    old, new = np.cumsum(list(before.values())), np.cumsum([after[each] for each in names])

    def draw(rng: Rng, part: Floats) -> list[Scalar]:
        edges = old + part[:, None] * (new - old)
        places = (rng.random(len(part))[:, None] > edges[:, :-1]).sum(axis=1)
        return [names[place] for place in places.tolist()]

    return Kind(
        name=name,
        draw=draw,
        figure=lambda values: values.count(moving) / len(values),
        direction="up",
        aspects=("share",),
        category=text_of(moving),
    )


def rate(name: str, old: float, new: float, role: SeriesRole = "feature") -> Kind:
    """Return a kind of truth values of which the share of true rises."""
    before: dict[str | bool, float] = {True: old, False: 1 - old}
    after: dict[str | bool, float] = {True: new, False: 1 - new}
    made = shares_of(f"{name} {old:g} to {new:g}", before, after, True)
    return replace(made, role=role, kind="categorical" if role == "error" else "auto")


def many(categories: int, rise: float) -> Kind:
    """Return a kind of uneven categories of which one gains a part of all rows."""
    weights = 1.0 / (np.arange(categories) + 3.0)
    before: dict[str | bool, float] = {
        f"c{k}": float(weight) for k, weight in enumerate(weights / weights.sum())
    }
    moving = f"c{categories // 4}"
    after = {key: share * (1 - rise) for key, share in before.items()}
    after[moving] += rise
    return shares_of(f"{categories} categories", before, after, moving)


def gone(old: float, new: float) -> Kind:
    """Return a kind of numbers of which more are missing."""

    def draw(rng: Rng, part: Floats) -> list[Scalar]:
        away = rng.random(len(part)) < old + part * (new - old)
        x = rng.normal(size=len(part)).tolist()
        return [None if is_away else value for is_away, value in zip(away, x, strict=True)]

    return Kind(
        name=f"missing {old:g} to {new:g}",
        draw=draw,
        figure=lambda values: sum(value is None for value in values) / len(values),
        direction="up",
        aspects=("missing",),
    )


def _zero_heavy(rng: Rng, x: Floats) -> Floats:
    return np.where(rng.random(len(x)) < 0.6, 0.0, x)


KINDS: tuple[Kind, ...] = (
    numbers("normal", lambda rng, part: rng.normal(part, 1.0), "level"),
    numbers("normal, small", lambda rng, part: rng.normal(0.4 * part, 1.0), "level"),
    numbers("normal, large", lambda rng, part: rng.normal(6.0 * part, 1.0), "level"),
    numbers("lognormal", lambda rng, part: np.exp(rng.normal(3 + 0.8 * part, 0.8)), "level"),
    numbers(
        "zero-heavy",
        lambda rng, part: _zero_heavy(rng, rng.normal(100 + 60 * part, 30.0)),
        "level",
        without_zero=True,
    ),
    numbers("normal", lambda rng, part: rng.normal(0.0, 1.0 + part), "spread"),
    numbers("lognormal", lambda rng, part: np.exp(rng.normal(3, 0.4 * (1 + part))), "spread"),
    numbers(
        "zero-heavy",
        lambda rng, part: _zero_heavy(rng, rng.normal(200.0, 20.0 * (1 + part))),
        "spread",
        without_zero=True,
    ),
    rate("boolean", 0.1, 0.3),
    rate("boolean", 0.4, 0.55),
    rate("boolean", 0.01, 0.06),
    shares_of("2 categories", {"a": 0.7, "b": 0.3}, {"a": 0.45, "b": 0.55}, "b"),
    many(12, 0.15),
    many(120, 0.15),
    gone(0.1, 0.25),
    gone(0.0, 0.3),
    rate("error", 0.002, 0.02, "error"),
    rate("error", 0.01, 0.05, "error"),
    rate("error", 0.05, 0.15, "error"),
    rate("error", 0.05, 1.0, "error"),
    rate("error", 0.3, 0.5, "error"),
    Kind(
        name="absolute error",
        draw=lambda rng, part: np.abs(rng.normal(0.0, 3.0 * (1 + part))).tolist(),
        figure=lambda values: float(np.mean(np.array(values, dtype=np.float64))),
        direction="up",
        aspects=("level", "spread"),
        role="error",
        kind="numeric",
    ),
)


def first_change(kind: Kind, values: list[Scalar]) -> tuple[int, Detection] | None:
    """Return the first change, with its row."""
    watch = SeriesWatch(WatchSpec(role=kind.role, kind=kind.kind))
    watch.set_budget(ERROR_BUDGET if kind.role == "error" else BUDGET)
    for start in range(0, len(values), 500):
        for change in watch.update(values[start : start + 500]):
            return start + change.index, change
    return None


def part_of(rows: int, change_at: int, gradual_rows: int) -> Floats:
    """Return the part of the change that is made at each row."""
    since = np.arange(rows) - change_at + 1.0
    return np.clip(since / max(gradual_rows, 1), 0.0, 1.0)


def score(told: Told, kind: Kind, rng: Rng, gradual_rows: int) -> None:
    """Make one run, and add its alert to those counted."""
    change_at = REFERENCE_ROWS + int(rng.integers(*QUIET_ROWS))
    part = part_of(change_at + LIMIT_ROWS, change_at, gradual_rows)
    found = first_change(kind, kind.draw(rng, part))
    if found is None:
        told.missed += 1
        return
    row, change = found
    if row < change_at:
        told.early += 1
        return
    rows = change.figures.rows
    onset, delay = row - rows + 1, row - change_at + 1
    told.alerts += 1
    told.delays.append(delay)
    told.direction += change.figures.direction == kind.direction
    told.category += kind.category in {None, change.category}
    told.onset += abs(onset - change_at) <= max(50, delay / 2)
    told.learnable += change_at - onset <= rows / 5
    drawn = part[max(onset, 0) : row + 1] if gradual_rows else np.ones(rows)
    told.value += is_true(kind, change, rng, drawn)


def is_true(kind: Kind, change: Detection, rng: Rng, drawn: Floats) -> bool:
    """Whether the figure told is that of rows drawn alike, within three standard errors."""
    value = change.figures.value
    if value is None or change.aspect not in kind.aspects:
        return False
    figure = kind.figure if change.aspect == kind.aspects[0] else deviation
    samples = [figure(kind.draw(rng, drawn)) for _ in range(SIMULATED)]
    usable = [each for each in samples if math.isfinite(each)]
    truth = figure(kind.draw(rng, np.repeat(drawn, max(20_000 // len(drawn), 1))))
    least = 0.0 if kind.category is None else 1 / len(drawn)
    return abs(value - truth) <= 3 * max(float(np.std(usable)), least)


def deviation(values: list[Scalar]) -> float:
    """Return the standard deviation, the figure of an absolute error whose spread is told."""
    return float(np.std(np.array(values, dtype=np.float64)))


def measure(kind: Kind, seeds: range, gradual_rows: int) -> Told:
    """Make the runs of one kind of change."""
    told = Told()
    for seed in seeds:
        rng = np.random.default_rng([SEED, KINDS.index(kind), seed, gradual_rows])
        score(told, kind, rng, gradual_rows)
    return told


def line_of(name: str, told: Sequence[Told]) -> str:
    """Return a line of the table."""
    alerts = sum(each.alerts for each in told)
    parts = [f"{sum(getattr(each, what) for each in told) / max(alerts, 1):.0%}" for what in BOUNDS]
    delays = [rows for each in told for rows in each.delays]
    missed, early = (sum(getattr(each, what) for each in told) for what in ("missed", "early"))
    delay = f"{np.mean(delays):.0f}" if delays else ""
    return f"| {' | '.join((name, str(alerts), *parts, delay, str(missed), str(early)))} |"


def table(rows: Sequence[tuple[str, Sequence[Told]]]) -> list[str]:
    """Return the table of all kinds."""
    asked = " | ".join(f"{least:.0%}" for least in BOUNDS.values())
    return [
        "| change | alerts | value | direction | category | onset | rows to learn from "
        "| rows until it is told | missed | early |",
        f"|{'---|' * 10}",
        f"| *asked* | | {asked} | | | |",
        *(line_of(name, told) for name, told in rows),
    ]


def broken(told: Sequence[Told], slack: float) -> Iterator[str]:
    """Yield the bounds that all alerts together break."""
    alerts = sum(each.alerts for each in told)
    for what, least in BOUNDS.items():
        got = sum(getattr(each, what) for each in told) / max(alerts, 1)
        if got < least - slack:
            yield f"{what}: {got:.1%} of {alerts:,} alerts, at least {least:.0%} are asked"


def write(lines: Sequence[str], seeds: int) -> None:
    """Renew the section of docs/detection-figures.md."""
    head = (
        f"Made by `python -m benchmarks.truth`, {seeds} seeds a change; how it is scored: the head "
        "of that file."
    )
    put("truth", ("## Whether the words of an alert are true", "", head, "", *lines), PAGE)


@click.command()
@click.option("--quick", is_flag=True, help="12 seeds; exit 1 if a bound is broken.")
@click.option("--seeds", default=100, show_default=True, help="Runs of each change.")
@click.option("--first", default=1_000, show_default=True, help="The first seed.")
@click.option("--only", default="", help="Kinds whose names begin so; writes nothing.")
def main(quick: bool, seeds: int, first: int, only: str) -> None:
    """Measure the truth of alerts, and renew the table in docs/detection-figures.md."""
    start, seeds = time.process_time(), 12 if quick else seeds
    rows: list[tuple[str, Sequence[Told]]] = []
    for gradual_rows, how in ((0, "at once"), (GRADUAL_ROWS, "within 1,000 rows")):
        for kind in KINDS:
            if kind.name.startswith(only):
                told = measure(kind, range(first, first + seeds), gradual_rows)
                rows.append((f"{kind.name}, {how}", (told,)))
                click.echo(line_of(*rows[-1]))
    everything = [told for _, each in rows for told in each]
    lines = table([*rows, ("all", everything)])
    click.echo(lines[-1])
    faults = list(broken(everything, QUICK_SLACK if quick else 0.0))
    click.echo(f"{time.process_time() - start:.0f} s, {len(faults)} bounds broken")
    for fault in faults:
        click.echo(fault, err=True)
    if not (quick or only):
        write(lines, seeds)
    sys.exit(1 if faults and quick else 0)


if __name__ == "__main__":
    main()
