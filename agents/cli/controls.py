"""The commands with which people respond to alerts."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import click

from agents.cli.options import Command, cluster_options, wait_option

if TYPE_CHECKING:
    from schemas.control import Verb


_SECONDS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


class Duration(click.ParamType):
    """A time like 90s, 30m, 2h or 7d, in seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the seconds."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", value)
        if found is None:
            self.fail(f"{value!r} is not a time like 90s, 30m, 2h or 7d", param, ctx)
        return float(found[1]) * _SECONDS[found[2]]


def _control_options(command: Command) -> Command:
    for option in (
        cluster_options,
        wait_option,
        click.option("--by", metavar="NAME", help="Author (default: your user name)."),
        click.option("--because", metavar="TEXT", help="Reason."),
        click.argument("fingerprint", metavar="FINGERPRINT"),
    ):
        command = option(command)
    return command


def _send(verb: Verb, wait_s: float, flags: dict[str, Any], **fields: Any) -> None:
    from agents.commands.control_record import ControlRequest
    from agents.commands.controls import send_control
    from agents.settings import load_settings

    wanted = ControlRequest(verb=verb, **fields)
    asyncio.run(send_control(load_settings(**flags), wanted, wait_s, click.echo))


@click.command()
@_control_options
def ack(fingerprint: str, by: str | None, because: str | None, wait_s: float, **flags: Any) -> None:
    """Acknowledge an open alert: author, time and reason are part of it from then on.

    FINGERPRINT is the alert's, or enough of its beginning.

    \b
    Examples:
      ./tidegauge ack 3f9c2a71
      ./tidegauge ack 3f9c2a71 --because "the new loan form went live"
    """
    _send("ack", wait_s, flags, fingerprint=fingerprint, by=by, because=because)


@click.command()
@_control_options
def accept(
    fingerprint: str, by: str | None, because: str | None, wait_s: float, **flags: Any
) -> None:
    """Accept the present values of a series as its new normal: the alert is resolved.

    \b
    Examples:
      ./tidegauge accept 3f9c2a71
      ./tidegauge accept 3f9c2a71 --because "prices were raised" --by ann
    """
    _send("accept", wait_s, flags, fingerprint=fingerprint, by=by, because=because)


@click.command()
@click.option("--for", "for_s", type=Duration(), metavar="TIME", help="90s, 30m, 2h, 7d ...")
@_control_options
def mute(
    fingerprint: str,
    by: str | None,
    because: str | None,
    for_s: float | None,
    wait_s: float,
    **flags: Any,
) -> None:
    """Mute an open alert, for a while or until it is unmuted.

    \b
    Examples:
      ./tidegauge mute 3f9c2a71 --for 2h
      ./tidegauge mute 3f9c2a71 --because "known until the next release"
    """
    _send("mute", wait_s, flags, fingerprint=fingerprint, by=by, because=because, for_s=for_s)


@click.command()
@_control_options
def unmute(
    fingerprint: str, by: str | None, because: str | None, wait_s: float, **flags: Any
) -> None:
    """Unmute an alert.

    \b
    Examples:
      ./tidegauge unmute 3f9c2a71
      ./tidegauge unmute 3f9c2a71 --by ann
    """
    _send("unmute", wait_s, flags, fingerprint=fingerprint, by=by, because=because)


@click.command()
@_control_options
@click.argument("verdict", metavar="VERDICT", type=click.Choice(["true", "false"]))
def mark(
    fingerprint: str,
    verdict: str,
    by: str | None,
    because: str | None,
    wait_s: float,
    **flags: Any,
) -> None:
    """Mark an alert, open or resolved, as true or false. `rules` counts the verdicts.

    \b
    Examples:
      ./tidegauge mark 3f9c2a71 true
      ./tidegauge mark 3f9c2a71 false --because "a test of the loan form"
    """
    _send("mark", wait_s, flags, fingerprint=fingerprint, by=by, because=because, verdict=verdict)


@click.command()
@click.option("--apply", "model", metavar="MODEL", help="Put the budget suggested in its spec.")
@wait_option
@cluster_options
def rules(model: str | None, wait_s: float, **flags: Any) -> None:
    """Count true and false alerts by the rule that raised them, and suggest budgets.

    For a model with more than one false alert in four the command suggests the alert_budget that
    would make it one in four: false alarms are proportional to the budget. Nothing is changed
    without --apply.

    \b
    Examples:
      ./tidegauge rules
      ./tidegauge rules --apply car_loan
    """
    from rich.console import Console

    from agents.commands.controls import apply_budget, show_rules
    from agents.settings import load_settings

    if model is not None:
        asyncio.run(apply_budget(load_settings(**flags), model, wait_s, click.echo))
        return
    table = asyncio.run(show_rules(load_settings(**flags), click.echo))
    if table is not None:
        Console().print(table)


COMMANDS: tuple[click.Command, ...] = (ack, accept, mute, unmute, mark, rules)
