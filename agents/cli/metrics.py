"""The command that shows figures by the hour or day of predictions."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from agents.cli.options import PIPE_WIDTH, cluster_options, since_ms


@click.command()
@click.argument("model_id", metavar="MODEL")
@click.option("--by", "kind", type=click.Choice(["hour", "day"]), default="day", show_default=True)
@click.option("--since", "since_ms", metavar="DAY", callback=since_ms, help="First day or instant.")
@click.option("--version", metavar="TEXT", help="One version of the model.")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), help="The output.")
@click.option(
    "--file", metavar="FILE", type=click.Path(path_type=Path), help="Read a backtest's figures."
)
@cluster_options
def metrics(form: str | None, file: Path | None, **options: Any) -> int:
    """Show how well a model did, by the hour or day of its predictions.

    The spec of the model asks for the figures: metrics: {every: day}. They are restated while
    outcomes come. A table on a terminal, one line of JSON for each cohort in a pipe. Exit 1 when
    there are no figures.

    \b
    Examples:
      ./tidegauge metrics car_loan --since 2026-03-01
      ./tidegauge metrics car_loan --by hour --format csv > figures.csv
      ./tidegauge metrics car_loan --file metrics.jsonl
    """
    from agents.commands.metrics import MetricsQuery, as_csv, as_table, find_metrics, read_metrics
    from agents.settings import load_settings

    warn = partial(click.echo, err=True)
    names = ("model_id", "kind", "version", "since_ms")
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
        Console(width=width).print(as_table(found, query.kind))
    return 0 if found else 1
