"""The command that follows incidents over all models."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from agents.cli.options import cluster_options


@click.command()
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
@cluster_options
def incidents(**flags: Any) -> int:
    """Publish incidents: alerts of several models with one cause, until a signal comes.

    It reads alerts and writes incidents. One process serves all models; it keeps no state, and a
    second one does no harm. Specs name what models share: features.sources (the system that a
    feature comes from) and upstream (models whose answers are inputs).

    \b
    Examples:
      ./tidegauge incidents
      ./tidegauge tail incidents
    """
    from agents.commands.incidents import follow_until_signal
    from agents.settings import load_settings
    from agents.telemetry import configure_logging

    settings = load_settings(**flags)
    configure_logging(settings.log_level)
    return asyncio.run(follow_until_signal(settings))
