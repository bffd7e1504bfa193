"""The commands with which people take part in the loop."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from agents.cli.options import cluster_options, wait_option


@click.command()
@click.argument("model", metavar="MODEL")
@click.argument(
    "command", metavar="COMMAND", type=click.Choice(["retrain", "challenge"]), default="retrain"
)
@wait_option
@cluster_options
def done(model: str, command: str, wait_s: float, **flags: Any) -> None:
    """Say that the open command of a model has been carried out: it is over.

    A new `model_version` in the predictions says it as well.

    \b
    Examples:
      ./tidegauge done car_loan
      ./tidegauge done car_loan challenge
    """
    from agents.commands.loop import send_done
    from agents.settings import load_settings

    asyncio.run(send_done(load_settings(**flags), model, command, wait_s, click.echo))


@click.command()
@click.argument("model", metavar="MODEL")
@cluster_options
def review(model: str, **flags: Any) -> None:
    """Review the cases of a model: one key an answer.

    The spec of the model asks for reviews with `review`. Features are shown where it allows that.

    \b
    Examples:
      ./tidegauge review car_loan
      ./tidegauge review car_loan --prefix staging.
    """
    from agents.commands.review import review as run
    from agents.settings import load_settings

    asyncio.run(run(load_settings(**flags), model, click.getchar, click.echo))


@click.command()
@click.argument("prediction_id", metavar="PREDICTION_ID")
@click.option("--model", required=True, metavar="MODEL", help="The model that made it.")
@click.option("--because", metavar="TEXT", help="Reason.")
@cluster_options
def report(prediction_id: str, model: str, because: str | None, **flags: Any) -> None:
    """Report that an answer of a model was wrong.

    \b
    Examples:
      ./tidegauge report p-17 --model car_loan
      ./tidegauge report p-17 --model car_loan --because "the customer earns more"
    """
    from agents.commands.review import send_report
    from agents.settings import load_settings

    asyncio.run(send_report(load_settings(**flags), prediction_id, model, because, click.echo))


@click.command()
@click.argument("model", metavar="MODEL")
@cluster_options
def challenge(model: str, **flags: Any) -> None:
    """Show where each challenger of a model stands, and what is missing to decide.

    \b
    Examples:
      ./tidegauge challenge car_loan
      ./tidegauge challenge car_loan --prefix staging.
    """
    from rich.console import Console

    from agents.commands.challenge import show_challenge
    from agents.settings import load_settings

    Console().print(asyncio.run(show_challenge(load_settings(**flags), model)))


COMMANDS: tuple[click.Command, ...] = (done, review, report, challenge)
