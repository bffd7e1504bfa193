"""Measure what docs/detection.md claims: false alarms, delays and cost of the watches.

    python -m benchmarks.detection            # the figures and plots of docs/, about 25 minutes
    python -m benchmarks.detection --quick    # two minutes; fails where a bound is broken
    python -m benchmarks.detection --only mixed    # 200 runs of a mixed model, and three budgets

Scoring. A false alarm is any change raised on a stream that did not change, after which the series
learns anew as it does in the product. A delay is the number of rows from the first changed row to
the alarm, over the runs that were quiet before it; a run without an alarm within its limit is a
miss and not part of the mean. Budgets and parameters are the product's defaults. No
parameter was chosen on the seed of detection_cases.py; when one is changed, so is the seed.
"""

import importlib
import platform
import sys
import time

import click

from benchmarks.detection_calendars import calendar_cases
from benchmarks.detection_cases import CASES, ROOT, Figure
from benchmarks.detection_footprint import footprint_cases
from benchmarks.detection_patterns import pattern_cases
from benchmarks.detection_rivals import CHANGES, Comparison, compare
from benchmarks.detection_season_rivals import SeasonComparison, compare_seasons, season_table
from benchmarks.detection_seasons import season_cases, wave_cases
from benchmarks.findings import sections_of
from benchmarks.late_labels import PAGE

NAMES = {
    case.__name__.removesuffix("_cases"): case
    for case in (
        *CASES,
        wave_cases,
        season_cases,
        pattern_cases,
        calendar_cases,
        footprint_cases,
    )
}


def figure_line(figure: Figure) -> str:
    """Return a line of the Markdown table."""
    asked = "" if figure.bound is None else f"{figure.bound:g}"
    verdict = "" if figure.bound is None else "yes" if figure.got <= figure.bound else "**no**"
    cells = (figure.case, figure.what, f"{figure.got:.3g}", asked, verdict, figure.note)
    return f"| {' | '.join(cells)} |"


def comparison_line(comparison: Comparison) -> str:
    """Return a line of the Markdown table of rivals."""
    cells = [
        f"{found.mean:.0f} / {found.p95:.0f} ({found.missed_share:.0%})"
        if found.rows
        else f"none (early {found.early})"
        for found in comparison.delays.values()
    ]
    alarms = f"{comparison.alarms_per_10k:.2g} ± {comparison.half:.1g}"
    return f"| {comparison.rival} | {comparison.features} | {alarms} | {' | '.join(cells)} |"


def report(
    figures: list[Figure],
    comparisons: list[Comparison],
    seasons: list[SeasonComparison],
    scale: float,
    seconds: float,
) -> str:
    """Return the Markdown page of all figures."""
    return "\n".join(
        (
            "# Detection: the figures",
            "",
            f"Made by `python -m benchmarks.detection --scale {scale:g}` "
            f"({platform.machine()}, Python {platform.python_version()}, "
            f"{seconds / 60:.0f} minutes of one core).",
            "How it is scored: the head of `benchmarks/detection.py`.",
            "",
            "| case | what | got | at most | met | |",
            "|---|---|---|---|---|---|",
            *map(figure_line, figures),
            "",
            "## Beside what one would use instead",
            "",
            "False alarms per 10,000 rows of the whole model; then, for a change of one feature,",
            "mean / 95th percentile of the rows until it is found (share missed in 2,000 rows), in",
            "the runs that were quiet before it.",
            "",
            f"| | features | false alarms | {' | '.join(CHANGES)} |",
            f"|---|---|---|{'---|' * len(CHANGES)}",
            *map(comparison_line, comparisons),
            "",
            "The same on one series with the rhythm of a day (10,000 rows of a number, 4,000 of an",
            "error): false alarms per 10,000 rows after two days; then, when a number is one",
            "deviation higher, or errors about twice as many, the rows until the next alarm,",
            "whatever came before: one that alarms all the time is quick.",
            "",
            *season_table(seasons),
            "",
            "![False alarms](detection/false-alarms.svg)",
            "![Delays](detection/delays.svg)",
            "",
        )
    )


@click.command()
@click.option("--quick", is_flag=True, help="Two minutes; exit 1 if a bound is broken.")
@click.option("--scale", default=1.0, show_default=True, help="Part of the runs to make.")
@click.option("--only", type=click.Choice(list(NAMES)), help="One group of cases; writes nothing.")
def main(quick: bool, scale: float, only: str | None) -> None:
    """Measure detection, and write docs/detection-figures.md and its plots."""
    start = time.process_time()
    scale = 0.06 if quick else scale
    figures = []
    for case in (NAMES[only],) if only else NAMES.values():
        for figure in case(scale):
            click.echo(figure_line(figure))
            figures.append(figure)
    if quick:
        broken = [f for f in figures if f.quick_bound is not None and not f.got <= f.quick_bound]
        for figure in broken:
            click.echo(f"{figure.what}: {figure.got:.3g}, at most {figure.quick_bound:g}", err=True)
        click.echo(f"{time.process_time() - start:.0f} s, {len(broken)} bounds broken")
        sys.exit(1 if broken else 0)
    if only:
        return
    comparisons, seasons = compare(scale), compare_seasons(scale)
    plots = importlib.import_module("benchmarks.plots")  # needs matplotlib, the quick form does not
    plots.plot(comparisons, ROOT / "docs" / "detection")
    seconds = time.process_time() - start
    page = report(figures, comparisons, seasons, scale, seconds)
    before = PAGE.read_text(encoding="utf-8")
    for section in sections_of(before):  # other commands make them
        page = f"{page}\n{section}\n"
    PAGE.write_text(page, encoding="utf-8")
    click.echo(page)


if __name__ == "__main__":
    main()
