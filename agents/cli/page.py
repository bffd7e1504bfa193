"""The commands that show models in a browser."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import click

from agents.cli.options import cluster_options, since_ms


@click.command()
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default="127.0.0.1:8800",
    show_default=True,
    help="Where it listens.",
)
@click.option(
    "--host", "hosts", multiple=True, metavar="NAME[:PORT]", help="A further name that it answers."
)
@click.option("--allow-actions", "allows_actions", is_flag=True, help="Show the buttons.")
@click.option("--user-header", metavar="NAME", help="Header in which a proxy names the user.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
@cluster_options
def page(
    listen: str,
    hosts: tuple[str, ...],
    allows_actions: bool,
    user_header: str | None,
    **flags: Any,
) -> int:
    """Show models, alerts and figures in a browser, until a signal comes.

    It only reads topics, and listens on this machine alone unless --listen says otherwise; it has
    no users of its own, so elsewhere put a proxy that knows yours before it. With --allow-actions
    people can acknowledge, accept, mute and mark alerts, as with the commands of these names. A
    proxy names the person in the header of --user-header; without one the page asks once.

    \b
    Examples:
      ./tidegauge page
      ./tidegauge page --listen 127.0.0.1:9000 --allow-actions
      TIDEGAUGE_PAGE_URL=https://gauge.example.org ./tidegauge page --user-header X-Forwarded-User
    """
    from agents.page.serve import PageOptions, serve
    from agents.settings import load_settings
    from agents.telemetry import configure_logging

    settings = load_settings(**flags)
    configure_logging(settings.log_level)
    options = PageOptions(
        listen=listen, hosts=hosts, allows_actions=allows_actions, user_header=user_header
    )
    return asyncio.run(serve(settings, options))


@click.command(name="report-html")
@click.argument("model_id", metavar="MODEL")
@click.option("--since", "from_ms", metavar="DAY", callback=since_ms, help="First day or instant.")
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The file (default: MODEL.html).",
)
@cluster_options
def report_html(model_id: str, from_ms: int, out: Path | None, **flags: Any) -> None:
    """Write a model's page with its data into one file, which opens from disk.

    \b
    Examples:
      ./tidegauge report-html car_loan
      ./tidegauge report-html car_loan --since 2026-03-01 --out march.html
    """
    from agents.page.gather import write_report
    from agents.settings import load_settings

    path = out or Path(f"{re.sub(r'[^A-Za-z0-9._-]', '_', model_id)}.html")
    size = asyncio.run(write_report(load_settings(**flags), model_id, from_ms, path))
    click.echo(f"Wrote {path}, {size / 1_000:,.0f} kB.")


@click.command()
@click.argument("fingerprint", metavar="FINGERPRINT")
@cluster_options
def show(fingerprint: str, **flags: Any) -> None:
    """Show one alert, open or over: before and after, timeline, cause, and the action to take.

    FINGERPRINT may be the beginning of one, as `status` shows it. In a pipe it is one line of JSON.

    \b
    Examples:
      ./tidegauge show 3f9c2a71
      ./tidegauge show 3f9c2a71 | jq .alert.summary
    """
    import orjson

    from agents.page.show import as_lines, find_view
    from agents.settings import load_settings

    view = asyncio.run(find_view(load_settings(**flags), fingerprint))
    if not sys.stdout.isatty():
        click.echo(orjson.dumps(view).decode())
        return
    from rich.console import Console

    console = Console(highlight=False)
    for part in as_lines(view, time.time_ns() // 1_000_000):
        console.print(part)


@click.command()
@click.option(
    "--state",
    type=click.Choice(["all", "open", "critical", "muted", "calm"]),
    default="all",
    show_default=True,
    help="Only models in this state.",
)
@click.option("--search", metavar="TEXT", default="", help="Part of a model's name or owner.")
@cluster_options
def top(state: str, search: str, **flags: Any) -> int:
    """Show all models live in the terminal, those that need a person first, until Ctrl-C.

    Columns are the error to be expected, its last 14 days, the share of labels that are known, and
    the money and the sentence of the most urgent alert. In a pipe each model is one line of JSON,
    once.

    \b
    Examples:
      ./tidegauge top
      ./tidegauge top --state critical --search risk
      ./tidegauge top --state open | jq -r .model_id
    """
    import orjson

    from agents.page.top import read_rows, watch
    from agents.page.views import PortfolioQuery
    from agents.settings import load_settings
    from agents.telemetry import configure_logging

    settings, query = load_settings(**flags), PortfolioQuery(state=state, search=search)
    if not sys.stdout.isatty():
        for row in asyncio.run(read_rows(settings, query)):
            click.echo(orjson.dumps(row).decode())
        return 0
    from rich.console import Console

    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        configure_logging("error", nowhere)  # the frame says what is wrong
        return asyncio.run(watch(settings, Console(highlight=False), query))


COMMANDS: tuple[click.Command, ...] = (page, report_html, show, top)
