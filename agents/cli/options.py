"""Flags that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

PIPE_WIDTH = 120
"""Columns of a table that is not written to a terminal; rich would take 80."""
Command = Callable[..., Any]


def cluster_options(command: Command) -> Command:
    """Add the flags that say which cluster, and which topics there."""
    for option in (
        click.option("--prefix", metavar="TEXT", help="What our own topics' names begin with."),
        click.option("--broker", metavar="HOST:PORT", help="Kafka's addresses, with commas."),
    ):
        command = option(command)
    return command


def wait_option(command: Command) -> Command:
    """Add the flag that says how long to wait for a worker."""
    return click.option(
        "--wait",
        "wait_s",
        metavar="SECONDS",
        type=click.FloatRange(min=0),
        default=15.0,
        show_default=True,
        help="How long to wait until a worker has taken it in.",
    )(command)
