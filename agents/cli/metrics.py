"""The command that shows figures by the hour or day of predictions."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from agents.cli.options import PIPE_WIDTH, cluster_options, since_ms


def _part(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> tuple[str, str] | None:
    if value is None:
        return None
    dimension, equals, name = value.partition("=")
    if not equals or not dimension:
        msg = f"{value!r} names no part; write it as country=FR"
        raise click.BadParameter(msg)
    return dimension, name


@click.command()
@click.argument("model_id", metavar="MODEL")
@click.option(
    "--by", "by", type=click.Choice(["hour", "day", "week"]), default="day", show_default=True
)
@click.option("--since", "since_ms", metavar="DAY", callback=since_ms, help="First day or instant.")
@click.option(
    "--segment",
    metavar="KEY=VALUE",
    callback=_part,
    help="The distributions of this part of the traffic by the day: segments: {drift: true}.",
)
@click.option("--version", metavar="TEXT", help="One version of the model.")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), help="The output.")
@click.option(
    "--file", metavar="FILE", type=click.Path(path_type=Path), help="Read a backtest's figures."
)
@cluster_options
def metrics(
    form: str | None, file: Path | None, segment: tuple[str, str] | None, **options: Any
) -> int:
    """Show how well a model did, by the hour, day or week of its predictions.

    The spec of the model asks for the figures: metrics: {every: day}. They are restated while
    outcomes come. A week is the sum of its days: figures that are no sums, as the AUC, are empty.
    A table on a terminal, one line of JSON for each cohort in a pipe. Exit 1 when
    there are no figures.

    \b
    Examples:
      ./tidegauge metrics car_loan --since 2026-03-01
      ./tidegauge metrics car_loan --by week
      ./tidegauge metrics car_loan --by hour --format csv > figures.csv
      ./tidegauge metrics car_loan --segment country=FR
      ./tidegauge metrics car_loan --file metrics.jsonl
    """
    from agents.commands.metrics import MetricsQuery, as_csv, as_table, find_metrics, read_metrics
    from agents.settings import load_settings

    if segment is not None:
        return _show_part(segment, form, file, options)
    warn = partial(click.echo, err=True)
    names = ("model_id", "by", "version", "since_ms")
    query = MetricsQuery(**{name: options.pop(name) for name in names})
    if file is not None:
        found = read_metrics(file, query)
    else:
        found = asyncio.run(find_metrics(load_settings(**options), query, warn))
    form = form or ("table" if sys.stdout.isatty() else "json")
    if not found:
        msg = f"No figures of {query.model_id!r}; its spec asks for them: metrics: {{every: day}}."
        click.echo(msg, err=True)
    elif form == "csv":
        click.echo(as_csv(found), nl=False)
    elif form == "json":
        for each in found:
            click.echo(each.model_dump_json())
    else:
        from rich.console import Console

        width = None if sys.stdout.isatty() else PIPE_WIDTH
        Console(width=width).print(as_table(found, query.by))
    return 0 if found else 1


def _show_part(
    part: tuple[str, str], form: str | None, file: Path | None, options: dict[str, Any]
) -> int:
    """Show the days of a part of the traffic."""
    from agents.commands.metrics_part import PartQuery, find_part, part_table, read_part
    from agents.settings import load_settings

    by, version = options.pop("by"), options.pop("version")
    if by != "day" or version is not None or form == "csv":
        msg = "--segment shows days of all versions, as a table or JSON; leave the others out"
        raise click.UsageError(msg)
    model_id, since_ms = options.pop("model_id"), options.pop("since_ms")
    query = PartQuery(model_id=model_id, dimension=part[0], value=part[1], since_ms=since_ms)
    if file is not None:
        found = read_part(file, query)
    else:
        found = asyncio.run(find_part(load_settings(**options), query))
    if not found:
        msg = (
            f"No figures of {part[0]}={part[1]}: they are of the 20 largest values of a day, and "
            "the spec asks for them: segments: {drift: true}."
        )
        click.echo(msg, err=True)
    elif (form or ("table" if sys.stdout.isatty() else "json")) == "json":
        for each in found:
            click.echo(each.model_dump_json())
    else:
        from rich.console import Console

        width = None if sys.stdout.isatty() else PIPE_WIDTH
        Console(width=width).print(part_table(found))
    return 0 if found else 1
