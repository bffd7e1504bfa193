"""Flags that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

PIPE_WIDTH = 120
"""Columns of a table that is not written to a terminal; rich would take 80."""
Command = Callable[..., Any]


def cluster_options(command: Command) -> Command:
    """Add the flags for the cluster and the prefix of its topics."""
    for option in (
        click.option("--prefix", metavar="TEXT", help="Prefix of our own topics."),
        click.option("--broker", metavar="HOST:PORT", help="Addresses of Kafka, with commas."),
    ):
        command = option(command)
    return command


def prometheus_option(command: Command) -> Command:
    """Add the flag for the port with figures for Prometheus."""
    return click.option(
        "--prometheus-port",
        metavar="PORT",
        type=click.IntRange(1, 65_535),
        help="Port of 127.0.0.1 with /metrics.",
    )(command)


def wait_option(command: Command) -> Command:
    """Add the flag for the time to wait for a worker."""
    return click.option(
        "--wait",
        "wait_s",
        metavar="SECONDS",
        type=click.FloatRange(min=0),
        default=15.0,
        show_default=True,
        help="Time to wait until a worker has read it.",
    )(command)


def since_ms(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int:
    """Return the instant of a day or an instant, epoch milliseconds; 0 without one."""
    from schemas.wire import to_epoch_ms

    if text is None:
        return 0
    try:
        return to_epoch_ms(text if "T" in text else f"{text}T00:00:00Z")
    except ValueError as error:
        msg = f"{text!r}: {error}; a day like 2026-03-01 will do"
        raise click.BadParameter(msg) from error
