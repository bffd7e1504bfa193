"""The command that sends alerts to people and programs."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from agents.cli.options import cluster_options, prometheus_option


def _address(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    if text is not None and not text.startswith(("http://", "https://")):
        msg = f"an address begins with http:// or https://; got {text!r}"
        raise click.BadParameter(msg)
    return text


@click.command()
@click.option("--to", "targets", multiple=True, required=True, metavar="KIND=WHERE", help="Target.")
@click.option("--dry-run", is_flag=True, help="Print the first requests as JSON; send none.")
@click.option(
    "--links",
    metavar="URL",
    callback=_address,
    help="Base URL for runbook links.",
)
@click.option("--pagerduty-url", metavar="URL", help="PagerDuty's Events API.")
@click.option("--group", metavar="TEXT", help="The consumer group of the workers.")
@prometheus_option
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
@cluster_options
def notify(
    targets: tuple[str, ...],
    dry_run: bool,
    links: str | None,
    pagerduty_url: str | None,
    **flags: Any,
) -> int:
    """Send alerts to Alertmanager, PagerDuty, Slack or a program of yours, until a signal comes.

    \b
    --to may be given several times; KIND=WHERE is one of
      alertmanager=URL   Alertmanager's own address, without /api/v2
      pagerduty=FILE     a file with the integration key of Events API v2
      slack=URL          an incoming webhook; its address is a secret: slack=FILE
      webhook=URL        receives each alert as it is in the topic

    Instead of a URL, WHERE may be a file that holds it, or env:NAME for a variable that does.
    An unavailable target is tried again without limit, and no alert is lost meanwhile. A new
    target begins with the alerts that are firing now.

    \b
    Examples:
      ./tidegauge notify --to alertmanager=http://alertmanager:9093
      ./tidegauge notify --to slack=/run/secrets/slack --to pagerduty=env:PAGERDUTY_KEY
      ./tidegauge notify --to webhook=https://example.org/alerts --dry-run
    """
    from agents.notify.destinations import read_destinations
    from agents.notify.notify import PAGERDUTY_URL, NotifyOptions
    from agents.notify.notify import notify as run
    from agents.settings import load_settings
    from agents.telemetry import configure_logging

    pagerduty_url = pagerduty_url or PAGERDUTY_URL
    try:
        destinations = read_destinations(targets, pagerduty_url)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--to") from error
    options = NotifyOptions(destinations=destinations, pagerduty_url=pagerduty_url, links=links)
    settings = load_settings(**flags)
    if dry_run:
        from agents.notify.dry_run import preview

        asyncio.run(preview(settings, options, click.echo))
        return 0
    configure_logging(settings.log_level)
    return asyncio.run(run(settings, options))
