"""Latency told: a table for a terminal and one for the docs, a plot."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from rich.console import Console
from rich.table import Table

COLUMNS = ("share of capacity", "pairs/s", "alerts", "p50", "p90", "p99", "longest")
ASKED_SHARE, ASKED_S = 0.5, 1.0
KEPT_PACE_S = 0.5


@dataclass(frozen=True, slots=True)
class Latency:
    """What one pace gave, in seconds.

    Parameters
    ----------
    late_s
        How far the publisher fell behind its pace by the end.
    """

    share: float
    pairs_a_second: float
    alerts: int
    p50_s: float
    p90_s: float
    p99_s: float
    longest_s: float
    late_s: float

    @classmethod
    def of(
        cls, share: float, pairs_a_second: float, latencies_s: Sequence[float], late_s: float
    ) -> "Latency":
        """Sum up what was measured."""
        if not latencies_s:
            raise SystemExit(f"no alert was read at {share:.0%} of the capacity")
        p50_s, p90_s, p99_s = np.quantile(latencies_s, (0.5, 0.9, 0.99)).round(4).tolist()
        return cls(
            share=share,
            pairs_a_second=round(pairs_a_second),
            alerts=len(latencies_s),
            p50_s=p50_s,
            p90_s=p90_s,
            p99_s=p99_s,
            longest_s=round(max(latencies_s), 4),
            late_s=round(late_s, 2),
        )


def rows(taken: Sequence[Latency]) -> Iterator[tuple[str, ...]]:
    """Yield the rows of the table."""
    for each in taken:
        figures = (each.p50_s, each.p90_s, each.p99_s, each.longest_s)
        pace = f"{each.pairs_a_second:,.0f}"
        if each.late_s > KEPT_PACE_S:
            pace += f" (the publisher came {each.late_s:.1f} s late)"
        yield (
            f"{each.share:.0%}",
            pace,
            f"{each.alerts:,}",
            *(f"{figure * 1_000:,.0f} ms" for figure in figures),
        )


def show(taken: Sequence[Latency]) -> None:
    """Print the table, and whether it is what is asked for."""
    console = Console()
    table = Table(*COLUMNS)
    for row in rows(taken):
        table.add_row(*row)
    console.print(table)
    for each in taken:
        if each.share == ASKED_SHARE:
            met = "met" if each.p99_s < ASKED_S else "NOT met"
            console.print(f"p99 under {ASKED_S:g} s at {ASKED_SHARE:.0%} of the capacity: {met}")


def page(results: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of this part of docs/benchmarks.md."""
    yield "## From an outcome to its alert"
    yield ""
    yield f"`{results['command']}` ({results['minutes']} minutes): {results['machine']}."
    yield "One worker on the default settings, 200 models, each of which begins to be wrong at an"
    yield "instant of its own. From the call that publishes the outcome until its alert is read."
    capacities = ", ".join(f"{each:,}" for each in results["capacities"])
    yield f"Capacity, from a backlog of the same models before each pace: {capacities} pairs/s;"
    yield "the smallest so far is taken for 100 %."
    yield ""
    yield "| " + " | ".join(COLUMNS) + " |"
    yield "|" + "---|" * len(COLUMNS)
    for row in rows([Latency(**each) for each in results["taken"]]):
        yield "| " + " | ".join(row) + " |"
    yield "\n![Latency by share of the capacity](benchmarks/latency.svg)"


def summary(results: dict[str, Any]) -> Iterator[str]:
    """Yield the rows of docs/figures.md."""
    taken = [Latency(**each) for each in results["taken"]]
    shares = "; ".join(f"{each.share:.0%}" for each in taken)
    figures = "; ".join(f"{each.p50_s * 1e3:,.0f} and {each.p99_s * 1e3:,.0f} ms" for each in taken)
    what = f"from publishing an outcome to reading its alert, p50 and p99, at {shares} of capacity"
    yield f"| {what} | {figures} | `make bench-latency` |"


def plot(results: dict[str, Any], folder: Path) -> None:
    """Draw the quantiles by share of the capacity; the same figures give the same SVG."""
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "tidegauge"
    taken = [Latency(**each) for each in results["taken"]]
    figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
    places = [each.share * 100 for each in taken]
    axes.plot(places, [each.p50_s for each in taken], marker="o", label="p50")
    axes.plot(places, [each.p99_s for each in taken], marker="o", label="p99")
    axes.axhline(ASKED_S, color="black", linestyle=":")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("% of the measured capacity")
    axes.set_ylabel("seconds (dotted: asked at 50 %)")
    axes.legend(fontsize="small")
    figure.savefig(folder / "latency.svg", metadata={"Date": None})
    plt.close(figure)
