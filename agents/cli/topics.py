"""The commands for the topics of a deployment."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import click

from agents.cli.options import cluster_options


@click.group()
def topics() -> None:
    """Create and list the topics that Tidegauge works with."""


@topics.command("create")
@cluster_options
def create_command(**flags: Any) -> None:
    """Create the missing topics; existing topics are not changed.

    \b
    Examples:
      ./tidegauge topics create
      ./tidegauge topics create --broker kafka-1:9092,kafka-2:9092 --prefix staging.
    """
    from agents.kafka.topics import create_topics
    from agents.settings import load_settings

    for found in asyncio.run(create_topics(load_settings(**flags))):
        name = found.wanted.name
        if found.exists:
            click.echo(f"{name} exists, with {found.partitions} partitions.")
        else:
            click.echo(f"{name} created, with {found.wanted.partitions} partitions.")
        for difference in found.differences:
            click.echo(f"  Note: {difference}. It is not changed.", err=True)


@topics.command("list")
@cluster_options
def list_command(**flags: Any) -> None:
    """List the topics, their purposes, and whether the cluster has them.

    In a pipe each topic is one line of JSON.

    \b
    Examples:
      ./tidegauge topics list
      ./tidegauge topics list | jq -r .name
    """
    from agents.kafka.topics import as_json_line, as_table, find_topics
    from agents.settings import load_settings

    found = asyncio.run(find_topics(load_settings(**flags)))
    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(as_table(found))
        return
    for each in found:
        click.echo(as_json_line(each))
