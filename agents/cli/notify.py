"""The command that sends alerts to people and programs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agents.cli.options import cluster_options, prometheus_option

if TYPE_CHECKING:  # a command imports its modules when it runs
    from agents.notify.destinations import Destination
    from agents.notify.selection import Selection


def _address(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    if text is not None and not text.startswith(("http://", "https://")):
        msg = f"an address begins with http:// or https://; got {text!r}"
        raise click.BadParameter(msg)
    return text


def _host_and_port(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> tuple[str, int] | None:
    if text is None:
        return None
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isdecimal() and 0 < int(port) < 65_536):
        msg = f"write HOST:PORT; got {text!r}"
        raise click.BadParameter(msg)
    return host, int(port)


@click.command()
@click.option("--to", "targets", multiple=True, metavar="KIND=WHERE", help="Target.")
@click.option(
    "--targets", "file", metavar="FILE", type=click.Path(path_type=Path), help="YAML with targets."
)
@click.option(
    "--only",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Alerts of a severity or kind alone; for --to.",
)
@click.option(
    "--model", "models", multiple=True, metavar="PATTERN", help="Of these models alone; for --to."
)
@click.option(
    "--owner", "owners", multiple=True, metavar="PATTERN", help="Of these owners alone; for --to."
)
@click.option("--heartbeat", metavar="KIND=WHERE", help="Receives a beat while workers tick.")
@click.option("--dry-run", is_flag=True, help="Print the first requests as JSON; send none.")
@click.option(
    "--links",
    metavar="URL",
    callback=_address,
    help="Base URL for runbook links.",
)
@click.option("--pagerduty-url", metavar="URL", help="PagerDuty's Events API.")
@click.option(
    "--webhook",
    metavar="HOST:PORT",
    callback=_host_and_port,
    help="Where annotations of Label Studio arrive; 127.0.0.1:8801 unless given.",
)
@click.option("--group", metavar="TEXT", help="The consumer group of the workers.")
@prometheus_option
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
@cluster_options
def notify(
    *,
    targets: tuple[str, ...],
    file: Path | None,
    only: tuple[str, ...],
    models: tuple[str, ...],
    owners: tuple[str, ...],
    heartbeat: str | None,
    dry_run: bool,
    links: str | None,
    pagerduty_url: str | None,
    webhook: tuple[str, int] | None,
    **flags: Any,
) -> int:
    """Send alerts to Alertmanager, PagerDuty, Slack or a program of yours, until a signal comes.

    \b
    --to may be given several times; KIND=WHERE is one of
      alertmanager=URL   Alertmanager's own address, without /api/v2
      pagerduty=FILE     a file with the integration key of Events API v2
      slack=URL          an incoming webhook; its address is a secret: slack=FILE
      webhook=URL        receives each alert as it is in the topic
      labelstudio=FILE   a project of Label Studio: cases for people become its tasks

    Instead of a URL, WHERE may be a file that holds it, or env:NAME for a variable that does.
    An unavailable target is tried again without limit, and no alert is lost meanwhile. A new
    target begins with the alerts that are firing now.

    --only, --model and --owner select alerts; of one of them several may be given, and any may
    fit. A pattern has * and ?. A file of --targets has a selection for each target.

    \b
    Examples:
      ./tidegauge notify --to alertmanager=http://alertmanager:9093
      ./tidegauge notify --to slack=/run/secrets/slack --to pagerduty=env:PAGERDUTY_KEY
      ./tidegauge notify --to slack=env:RISK --only severity=critical --model 'loan*' --owner risk
      ./tidegauge notify --targets targets.yaml --heartbeat webhook=env:DEAD_MANS_SWITCH
      ./tidegauge notify --to webhook=https://example.org/alerts --dry-run
    """
    from agents.commands.status import last_tick_ms
    from agents.notify.notify import ANNOTATIONS, PAGERDUTY_URL, NotifyOptions
    from agents.notify.notify import notify as run
    from agents.settings import load_settings
    from agents.telemetry import configure_logging

    pagerduty_url = pagerduty_url or PAGERDUTY_URL
    chosen = _targets(targets, _selection(only, models, owners), file, heartbeat, pagerduty_url)
    options = NotifyOptions(
        destinations=chosen[0],
        pagerduty_url=pagerduty_url,
        links=links,
        heartbeat=chosen[1],
        last_tick=last_tick_ms,
        webhook=webhook or ANNOTATIONS,
    )
    settings = load_settings(**flags)
    if dry_run:
        from agents.notify.dry_run import preview

        asyncio.run(preview(settings, options, click.echo))
        return 0
    configure_logging(settings.log_level)
    return asyncio.run(run(settings, options))


def _selection(
    only: tuple[str, ...], models: tuple[str, ...], owners: tuple[str, ...]
) -> Selection:
    from agents.notify.selection import read_only

    try:
        return read_only(only, models, owners)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--only") from error


def _targets(
    targets: tuple[str, ...],
    selection: Selection,
    file: Path | None,
    heartbeat: str | None,
    pagerduty_url: str,
) -> tuple[list[Destination], Destination | None]:
    """Return the targets of the flags and of the file, and that of the heartbeat."""
    from agents.notify.destinations import read_destinations, read_heartbeat
    from agents.notify.routes import Route, read_routes

    routes = [Route(text, selection) for text in targets]
    if file is not None:
        of_file = read_routes(file)
        routes += of_file.routes
        heartbeat = heartbeat or of_file.heartbeat
    if selection.text and not targets:
        msg = "--only, --model and --owner are for --to; a file has fields for them"
        raise click.UsageError(msg)
    if not routes and heartbeat is None:
        msg = "name a target: --to KIND=WHERE, --targets FILE or --heartbeat KIND=WHERE"
        raise click.UsageError(msg)
    try:
        destinations = read_destinations(routes, pagerduty_url)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--to") from error
    try:
        return destinations, None if heartbeat is None else read_heartbeat(heartbeat)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--heartbeat") from error
