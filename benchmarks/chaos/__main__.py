"""Run it: ``python -m benchmarks.chaos --kills 200 --seed 7``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from benchmarks.chaos.report import print_report
from benchmarks.chaos.run import ChaosOptions, run
from tests.kafka import missing_tools

LONG_BROKERS = 3
"""Of fewer, none can be missing."""


@click.command()
@click.option("--kills", default=20, show_default=True, type=click.IntRange(min=1))
@click.option("--seed", default=7, show_default=True, type=int)
@click.option("--brokers", default=3, show_default=True, type=click.IntRange(min=1))
@click.option("--per-second", default=400, show_default=True, type=click.IntRange(min=1))
@click.option(
    "--max-wait-s",
    default=0.8,
    show_default=True,
    type=click.FloatRange(0.0, 10.0),
    help="Longest random wait between two durable steps; 0 for none.",
)
@click.option(
    "--pace", default=1.0, show_default=True, type=float, help="Scales the waits between."
)
@click.option("--long", is_flag=True, help="Also miss copies of records, and upgrade the brokers.")
@click.option("--logs", type=click.Path(path_type=Path), help="Keep the workers' logs here.")
def main(logs: Path | None, **asked: Any) -> None:
    """Break a deployment on real Kafka in every way we know; exit 0 only when all is equal."""
    if missing := missing_tools():
        raise click.ClickException(f"real Apache Kafka needs {' and '.join(missing)} on the PATH")
    if asked["long"] and asked["brokers"] < LONG_BROKERS:
        msg = f"--long needs {LONG_BROKERS} brokers"
        raise click.UsageError(msg)
    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False)
    options = ChaosOptions(**asked, folder=logs)
    result = run(options, console)
    print_report(options, result, console)
    sys.exit(0 if result.holds else 1)


if __name__ == "__main__":
    main()
