"""The portfolio in a terminal, live: the rows of the page, those that need a person first."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from agents.commands.metrics import bars
from agents.commands.status import staleness
from agents.kafka.read import read_whole
from agents.page.feed import READ, Feed
from agents.page.serve import now_ms
from agents.page.store import Entry, PageStore
from agents.page.views import PAGE_SIZE, SEVERITIES, PortfolioQuery, portfolio
from agents.settings import Settings
from agents.text import printable
from schemas.wire import to_epoch_ms
from streams.clock import duration_text

REFRESH_S = 1.0
"""Seconds between two frames."""
_BESIDE_ROWS = 6
"""Lines of a frame beside the rows of models."""
_MODEL_WIDTH = 24
"""Columns of a model's name at most."""
_WIDE = 100
"""Columns from which there is place for the line of the last 14 days."""
_STYLE = {"critical": "bold red", "warning": "yellow", "info": "cyan"}
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Heading(NamedTuple):
    """What stands above the rows.

    Parameters
    ----------
    deployment
        Its name.
    trouble
        Sentence about a broker that is away, or about workers that do not tick.
    tick_ms, now_ms
        The latest tick, and the wall clock, epoch milliseconds.
    is_ready
        Whether the topics have been read to their ends.
    """

    deployment: str
    trouble: str | None
    tick_ms: int | None
    now_ms: int
    is_ready: bool = True


async def watch(settings: Settings, console: Console, query: PortfolioQuery) -> int:
    """Show the portfolio until a signal comes."""
    feed = Feed(settings, PageStore(), now_ms)
    stop = asyncio.Event()
    for number in _SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    reading = asyncio.create_task(feed.run())
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while not stop.is_set():
            view = portfolio(feed.store, query)
            shown = frame(view, _heading(settings, feed), *console.size)
            live.update(shown, refresh=True)
            if reading.done():
                reading.result()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), REFRESH_S)
    reading.cancel()
    return os.EX_OK


async def read_rows(settings: Settings, query: PortfolioQuery) -> list[dict[str, Any]]:
    """Return the rows once, as of now: for a pipe.

    Raises
    ------
    OperatorError, BrokerUnreachableError
        When a topic or the broker is not there.
    """
    store = PageStore()
    for role in READ:
        async for record in read_whole(settings, settings.topics.name(role)):
            key = (record.key or b"").decode(errors="replace")
            store.take(Entry(role, record.partition, record.offset, key, record.value))
    rows: list[dict[str, Any]] = []
    while True:
        view = portfolio(store, replace(query, page=len(rows) // PAGE_SIZE))
        rows += view["rows"]
        if len(rows) >= view["found"]:
            return rows


def _heading(settings: Settings, feed: Feed) -> Heading:
    now = now_ms()
    stale = staleness(feed.tick_ms, now) if feed.is_ready else None
    return Heading(settings.deployment, feed.trouble or stale, feed.tick_ms, now, feed.is_ready)


def frame(view: Mapping[str, Any], heading: Heading, width: int, height: int) -> Group:
    """Return the picture for a terminal of so many columns and lines."""
    rows = view["rows"][: max(1, height - _BESIDE_ROWS)]
    left = view["found"] - len(rows)
    more = f"{left:,} more models; " if left else ""
    keys = "Ctrl-C ends it. ./tidegauge show FINGERPRINT has the whole of an alert."
    return Group(
        _first_line(view, heading),
        Text(heading.trouble or "", style="bold red", no_wrap=True, overflow="ellipsis"),
        _table(rows, heading.now_ms, width),
        Text(_empty(view, heading) if not rows else f"{more}{keys}", style="dim"),
    )


def _empty(view: Mapping[str, Any], heading: Heading) -> str:
    if not heading.is_ready:
        return "Reading the topics ..."
    if view["models"]:
        return f"None of {view['models']:,} models is selected."
    return "No model has an alert, a spec or figures yet."


def _first_line(view: Mapping[str, Any], heading: Heading) -> Text:
    at = datetime.fromtimestamp(heading.now_ms / 1_000, UTC)
    text = Text.assemble(
        (printable(heading.deployment), "bold"),
        f"  {at:%Y-%m-%d %H:%M:%S} UTC  {view['models']:,} models  ",
        no_wrap=True,
        overflow="ellipsis",
    )
    for severity in SEVERITIES:
        if count := view["firing"][severity]:
            text.append(f"{count:,} {severity}  ", style=_STYLE[severity])
    if heading.tick_ms is not None:
        text.append(f"tick {duration_text(heading.now_ms - heading.tick_ms)} ago", style="dim")
    return text


def _table(rows: list[dict[str, Any]], now: int, width: int) -> Table:
    """Return the rows; a narrow terminal has no lines of days, and no column stays empty."""
    table = Table(box=None, padding=(0, 1, 0, 0), show_edge=False, expand=True)
    table.add_column("model", no_wrap=True, overflow="ellipsis", max_width=_MODEL_WIDTH)
    columns = {"error": _error, "14 days": _days, "labels": _labels, "money/d": _money}
    if width < _WIDE:
        del columns["14 days"]
    shown = {name: make for name, make in columns.items() if any(map(make, rows))}
    for name in shown:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("since", justify="right", no_wrap=True)
    table.add_column("most urgent alert", no_wrap=True, overflow="ellipsis", ratio=1)
    for row in rows:
        figures = [make(row) for make in shown.values()]
        table.add_row(Text(printable(row["model_id"])), *figures, *_alert(row, now))
    return table


def _error(row: Mapping[str, Any]) -> str:
    return "" if row["error"] is None else f"{row['error']:.1%}"


def _days(row: Mapping[str, Any]) -> str:
    return bars(row["line"]) if any(value is not None for value in row["line"]) else ""


def _labels(row: Mapping[str, Any]) -> str:
    return "" if row["completeness"] is None else f"{row['completeness']:.0%}"


def _money(row: Mapping[str, Any]) -> str:
    return "" if row["per_day"] is None else f"{row['per_day']:,.0f}"


def _alert(row: Mapping[str, Any], now: int) -> tuple[str, Text]:
    """Return the age and the sentence of the most urgent alert."""
    worst = row["worst"]
    if worst is None:
        return "", Text("none", style="dim green")
    age = duration_text(now - to_epoch_ms(str(worst["started_at"])))
    others = sum(row["open"].values()) - 1
    sentence = str(worst["summary"]).removeprefix(f"Model {row['model_id']}: ")
    notes = "muted " if row["muted"] > others else ""
    more = f"+{others} " if others > 0 else ""
    text = Text.assemble(
        (f"{worst['severity']} ", _STYLE.get(worst["severity"], "")),
        f"{str(worst['fingerprint'])[:8]} {notes}{more}{printable(sentence)}",
    )
    return " ".join(age.split()[:2]), text
