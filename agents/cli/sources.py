"""The commands for sources: records of other systems."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from agents.cli.options import cluster_options

_FILE = click.Path(path_type=Path)


@click.group()
def sources() -> None:
    """Try and draft the map from records of other systems to events: docs/sources.md."""


@sources.command("try")
@click.argument("file", metavar="FILE", type=_FILE)
@click.option("--topic", metavar="TOPIC", help="A topic of the file, where it has several.")
@click.option("--sample", metavar="FILE", help="Records of a file: JSON lines, kcat -J, CSV ...")
@cluster_options
def try_command(file: Path, topic: str | None, sample: str | None, **flags: Any) -> None:
    """Show the events that the last 20 records of a topic become, field by field.

    Nothing is published. With --sample the records are those of a file, and no broker is needed.

    \b
    Examples:
      ./tidegauge sources try sources.yaml --topic knative-broker-default-iris
      ./tidegauge sources try sources.yaml --sample records.jsonl
    """
    from agents.commands.sources import mapped_topic, try_sample, try_topic
    from agents.settings import load_settings

    settings = load_settings(**flags)
    mapped = mapped_topic(settings, file, topic)
    click.echo(try_sample(mapped, sample) if sample else asyncio.run(try_topic(settings, mapped)))


@sources.command("init")
@click.option("--from", "topic", required=True, metavar="TOPIC", help="The topic to look at.")
@cluster_options
def init_command(topic: str, **flags: Any) -> None:
    """Draft a map from the last records of a topic: its envelope, ids, times and scores.

    \b
    Examples:
      ./tidegauge sources init --from dbz.public.loan_outcomes > sources.yaml
    """
    from agents.commands.sources import draft_topic
    from agents.settings import load_settings

    click.echo(asyncio.run(draft_topic(load_settings(**flags), topic)), nl=False)
