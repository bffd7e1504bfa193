"""The contest told: tables for a terminal, tables and plots for the docs, ratios for both."""

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import pyplot as plt
from rich.console import Console
from rich.table import Table

from benchmarks.standings import JOBS, Job, Run, Standing, standings

OURS = "Tidegauge"
COLUMNS = (
    "contender",
    "pairs/s, median (min to max)",
    "CPU s per 100,000 pairs (min to max)",
    "with start",
    "times ours",
    "peak MB",
    "pairs read back",
)

# What each ratio of CPU seconds without the start must reach, and against whom: ours is the
# divisor, but for the bare loop, which is the ceiling.
ASKED = (
    ("1 model", "Faust", 10.0),
    ("1 model", "Quix Streams", 2.5),
    ("1 model", "Bytewax", 1.0),
    ("1 model", "bare aiokafka", 1 / 1.6),
    ("50 models", "Faust", 10.0),
    ("50 models", "Quix Streams", 2.5),
    ("50 models", "Bytewax", 1.0),
    ("50 models", "bare aiokafka", 1 / 1.6),
    ("500 features", "Faust", 10.0),
)
ASKED_OF_MANY_MODELS = 0.5


def rows(runs: Sequence[Run], job: str) -> Iterator[tuple[str, ...]]:
    """Yield the rows of a job's table."""
    found = standings(runs, job)
    ours = next((each for each in found if each.contender == OURS), None)
    for each in found:
        times = f"{each.cpu_with_start / ours.cpu_with_start:.2f}" if ours else ""
        yield (
            each.contender,
            _median(each.rates, ",.0f"),
            _median(each.cpu_s, ".2f"),
            f"{each.cpu_with_start:.2f}",
            times,
            f"{each.peak_mb:,.0f}",
            _read_back(each),
        )


def _median(figures: list[float], form: str) -> str:
    told = format(statistics.median(figures), form)
    if len(figures) > 1:
        told += f" ({figures[0]:{form}} to {figures[-1]:{form}})"
    return told


def _read_back(standing: Standing) -> str:
    told = f"{standing.given - standing.lost:,} of {standing.given:,}"
    if standing.doubled:
        told += f", {standing.doubled:,} twice"
    return "; ".join([told, *standing.remarks])


def ratios(runs: Sequence[Run]) -> Iterator[tuple[str, float, float]]:
    """Yield each ratio that is asked for: in words, as it is, as it must at least be."""
    for job, rival, asked in ASKED:
        by_name = {each.contender: each for each in standings(runs, job)}
        if OURS not in by_name or rival not in by_name:
            continue
        ours, theirs = by_name[OURS], by_name[rival]
        for what, ratio in (
            ("CPU a pair, with start", theirs.cpu_with_start / ours.cpu_with_start),
            ("CPU a pair, without start", theirs.cpu / ours.cpu),
            ("pairs/s", ours.rate / theirs.rate),
        ):
            yield f"{job}: {rival} against ours, {what}", ratio, asked
    one, many = (
        next((each for each in standings(runs, job) if each.contender == OURS), None)
        for job in ("1 model", "10,000 models")
    )
    if one and many:
        words = "10,000 models against 1 model, pairs/s"
        yield words, many.rate / one.rate, ASKED_OF_MANY_MODELS


def show(runs: Sequence[Run], jobs: Sequence[Job]) -> None:
    """Print the tables and the ratios."""
    console = Console()
    for job in jobs:
        table = Table(*COLUMNS, title=f"{job.name}, {job.pairs:,} pairs")
        for row in rows(runs, job.name):
            table.add_row(*row)
        console.print(table)
    for words, ratio, asked in ratios(runs):
        met = "met" if ratio >= asked else "NOT met"
        console.print(f"{words}: {ratio:.2f}, at least {asked:.2f} asked: {met}")


def page(results: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of this part of docs/benchmarks.md."""
    runs = [Run(**each) for each in results["runs"]]
    yield "## The same job by everyone"
    yield ""
    yield f"`{results['command']}` ({results['minutes']} minutes): {results['machine']}."
    yield from (
        "Everything is published first; each contender takes it as one process, one after another,",
        "in rounds whose order turns. CPU seconds are user and system time of the process and its",
        "children; wall time is from the first pair in the output topic to the last. `with start`",
        "adds the start's share in a run over 200,000 pairs. `pairs read back` counts different",
        "pairs in the output topic. Faust, which is slow, is given fewer, as told there. What is",
        "and is not kept over a crash differs: each file of benchmarks/rivals/ says so itself.",
    )
    for line in results["left_out"]:
        yield f"\n{line}."
    for job in (Job(**{**each, "only": tuple(each["only"])}) for each in results["jobs"]):
        yield f"\n### {job.name}: {job.pairs:,} pairs of {job.features} features\n"
        yield "| " + " | ".join(COLUMNS) + " |"
        yield "|" + "---|" * len(COLUMNS)
        for row in rows(runs, job.name):
            yield "| " + " | ".join(row) + " |"
    yield "\n![CPU seconds per 100,000 pairs](benchmarks/contest.svg)\n"
    yield "| ratio | got | asked, at least | met |"
    yield "|---|---|---|---|"
    for words, ratio, asked in ratios(runs):
        met = "yes" if ratio >= asked else "**no**"
        yield f"| {words} | {ratio:.2f} | {asked:.2f} | {met} |"
    yield "\nVersions: " + "; ".join(f"{k}: {v}" for k, v in results["versions"].items()) + "."


def summary(results: dict[str, Any]) -> Iterator[str]:
    """Yield the rows of docs/figures.md."""
    runs = [Run(**each) for each in results["runs"]]
    for job in JOBS:
        found = standings(runs, job.name)
        if not found:
            continue
        figures = "; ".join(
            f"{each.contender} {each.rate:,.0f} and {each.cpu_with_start:.1f}" for each in found
        )
        what = f"{job.name}: pairs/s, and CPU s per 100,000 pairs with start"
        yield f"| {what} | {figures} | `make bench` |"


def plot(results: dict[str, Any], folder: Path) -> None:
    """Draw the cost of a pair and the pace; the same figures give the same SVG."""
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "tidegauge"
    runs = [Run(**each) for each in results["runs"]]
    drawn = [job for job in ("1 model", "50 models") if standings(runs, job)]
    figure, both = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained", sharey=True)
    for k, job in enumerate(drawn):
        found = standings(runs, job)
        height = 0.8 / len(drawn)
        places = [i + k * height for i in range(len(found))]
        both[0].barh(places, [each.cpu_with_start for each in found], height, label=job)
        both[1].barh(places, [each.rate for each in found], height, label=job)
        if k == 0:
            both[0].set_yticks(places, [each.contender for each in found])
    for axes, words in zip(both, ("CPU s per 100,000 pairs", "pairs per second"), strict=True):
        axes.set_xscale("log")
        axes.set_xlabel(words)
    both[0].invert_yaxis()
    both[1].legend(fontsize="small")
    figure.savefig(folder / "contest.svg", metadata={"Date": None})
    plt.close(figure)
