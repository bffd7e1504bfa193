"""Growth told: what is varied, a table for a terminal and one for the docs, a plot."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import pyplot as plt
from rich.console import Console
from rich.table import Table

from benchmarks.core import Footprint

VARIED = {
    "features": "features of the model",
    "models": "models",
    "waiting": "predictions that wait",
    "workers": "workers, 50 models",
    "delay": "predictions between one and its outcome",
    "payload": "bytes added to a payload of 170",
}
COLUMNS = ("varied", "", "CPU s per 100,000 pairs", "us per value", "times the first", "MB")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sizes:
    pairs: int = 50_000
    warm: int = 5_000
    models: int = 1
    features: int = 10
    waiting: int = 0
    lag: int = 1_000
    padding: int = 0
    workers: int = 1


@dataclass(frozen=True, slots=True)
class Case(_Sizes):
    """One thing varied, and what it is set to; all the others are as usual."""

    series: str
    value: int


@dataclass(frozen=True, slots=True)
class Grown:
    """What a case took.

    Parameters
    ----------
    cpu_s
        CPU seconds of all workers per 100,000 pairs.
    resident_mb
        Memory of all workers at the end.
    waiting_mb
        What the waiting predictions added.
    """

    series: str
    value: int
    pairs: int
    cpu_s: float
    resident_mb: float
    waiting_mb: float


def _a_value(each: Grown) -> str:
    """Return microseconds by value: a pair brings its features and the usual four."""
    if each.series != "features":
        return ""
    values = each.value + len(("score", "prediction", "error", "outcome"))
    return f"{each.cpu_s * 10 / values:.2f}"


def rows(grown: Sequence[Grown]) -> Iterator[tuple[str, ...]]:
    """Yield the rows of the table."""
    for series, words in VARIED.items():
        own = [each for each in grown if each.series == series]
        for each in own:
            yield (
                words,
                f"{each.value:,}",
                f"{each.cpu_s:.2f}",
                _a_value(each),
                f"{each.cpu_s / own[0].cpu_s:.2f}",
                f"{each.resident_mb:,.0f}",
            )


def memory(grown: Sequence[Grown], footprints: Sequence[Footprint]) -> Iterator[tuple[str, str]]:
    """Yield what one more of something takes."""
    few_series, many_series, one_model, models = footprints
    for words, less, more, count in (
        ("a series that is learnt", few_series, many_series, many_series.features - 10),
        ("a model of 10 features that is learnt", one_model, models, models.models - 1),
    ):
        held_kb = (more.held_mb - less.held_mb) * 1_000 / count
        resident_kb = (more.resident_mb - less.resident_mb) * 1_000 / count
        yield words, f"{held_kb:,.0f} kB held, {resident_kb:,.0f} kB resident after learning"
    own = sorted((each for each in grown if each.series == "models"), key=lambda g: g.value)
    if len(own) >= 2:
        more_mb = own[-1].resident_mb - own[0].resident_mb
        per_model = more_mb * 1_000 / (own[-1].value - own[0].value)
        yield "a model of 10 features with a dozen rows, in the worker", f"{per_model:,.0f} kB"
    own = sorted((each for each in grown if each.series == "waiting"), key=lambda g: g.value)
    if own:
        a_prediction = own[-1].waiting_mb * 1e6 / own[-1].value
        yield "a waiting prediction of 10 features, in the worker", f"{a_prediction:,.0f} B"


def show(grown: Sequence[Grown], footprints: Sequence[Footprint]) -> None:
    """Print the tables."""
    console = Console()
    table = Table(*COLUMNS)
    for row in rows(grown):
        table.add_row(*row)
    console.print(table)
    for words, figure in memory(grown, footprints):
        console.print(f"memory of {words}: {figure}")


def page(results: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of this part of docs/benchmarks.md."""
    grown = [Grown(**each) for each in results["grown"]]
    footprints = [Footprint(*each) for each in results["footprints"]]
    yield "## How it grows"
    yield ""
    yield f"`{results['command']}` ({results['minutes']} minutes): {results['machine']}."
    yield "No start is in the figures; MB is of all workers at the end. A value is one number or"
    yield "category that a series reads; a pair brings its features and four more."
    yield ""
    yield "What bends by models is what each of them gets: 50 models learn in half of their 4,400"
    yield "rows. Each of 1,000 has 220, and a fifth of the time (py-spy) goes to the first"
    yield "references of its series, which are learnt from 200; none of 10,000 gets that far."
    yield ""
    yield "| " + " | ".join(COLUMNS) + " |"
    yield "|" + "---|" * len(COLUMNS)
    for row in rows(grown):
        yield "| " + " | ".join(row) + " |"
    yield "\n![CPU seconds by what is varied](benchmarks/growth.svg)\n"
    yield "| memory | |"
    yield "|---|---|"
    for words, figure in memory(grown, footprints):
        yield f"| {words} | {figure} |"


def summary(results: dict[str, Any]) -> Iterator[str]:
    """Yield the rows of docs/figures.md."""
    grown = [Grown(**each) for each in results["grown"]]
    footprints = [Footprint(*each) for each in results["footprints"]]
    command = "`make bench-growth`"
    for series, words in VARIED.items():
        own = [each for each in grown if each.series == series]
        if own:
            values = "; ".join(f"{each.value:,}" for each in own)
            figures = "; ".join(f"{each.cpu_s:.1f}" for each in own)
            yield f"| CPU s per 100,000 pairs by {words}: {values} | {figures} | {command} |"
    figures = "; ".join(f"{words} {figure}" for words, figure in memory(grown, footprints))
    yield f"| memory | {figures} | {command} |"


def plot(results: dict[str, Any], folder: Path) -> None:
    """Draw CPU seconds by each thing varied; the same figures give the same SVG."""
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "tidegauge"
    grown = [Grown(**each) for each in results["grown"]]
    figure, panels = plt.subplots(2, 3, figsize=(9, 5), layout="constrained")
    for axes, (series, words) in zip(panels.flat, VARIED.items(), strict=True):
        own = [each for each in grown if each.series == series]
        axes.plot([each.value for each in own], [each.cpu_s for each in own], marker="o")
        axes.set_xscale("symlog" if series == "delay" else "log")
        axes.set_ylim(bottom=0)
        axes.set_xlabel(words, fontsize="small")
    figure.supylabel("CPU s per 100,000 pairs")
    figure.savefig(folder / "growth.svg", metadata={"Date": None})
    plt.close(figure)
