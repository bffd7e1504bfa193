"""The commands with which people take part in the loop."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from agents.cli.options import cluster_options, wait_option


@click.command()
@click.argument("model", metavar="MODEL")
@click.argument("command", metavar="COMMAND", type=click.Choice(["retrain"]), default="retrain")
@wait_option
@cluster_options
def done(model: str, command: str, wait_s: float, **flags: Any) -> None:
    """Say that the open command of a model has been carried out: it is over.

    A new `model_version` in the predictions says it as well.

    \b
    Examples:
      ./tidegauge done car_loan
      ./tidegauge done car_loan retrain
    """
    from agents.commands.loop import send_done
    from agents.settings import load_settings

    asyncio.run(send_done(load_settings(**flags), model, command, wait_s, click.echo))


COMMANDS: tuple[click.Command, ...] = (done,)
