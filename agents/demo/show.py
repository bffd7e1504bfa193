"""Show the results of a demo on the terminal."""

from typing import Any

import orjson
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agents.commands.tail import describe
from agents.demo.car_loan import (
    CHANGED_FROM,
    CHANGED_SERIES,
    UNCHANGED_SERIES,
)
from agents.demo.collect import Collected


def row_of(alert: dict[str, Any]) -> int:
    """Return the row at which an alert was raised; labelled rows where it needs outcomes."""
    counter = "series_seen" if alert["series"] in {"error", "outcome"} else "predictions_seen"
    row: int = alert[counter]
    return row


def summarise(collected: Collected, published: dict[str, int], seconds: float) -> dict[str, Any]:
    """Return the closing figures."""
    return {
        "predictions": published["prediction"],
        "outcomes": published["outcome"],
        "pairs": len(collected.labelled_ids),
        "dead_letters": collected.dead_letters,
        "feedback": len(collected.feedback),
        "seconds": round(seconds, 1),
        "resolved": len(collected.resolved),
        "alerts": [
            {
                "series": alert["series"],
                "aspect": alert["aspect"],
                "category": alert["category"],
                "row": row_of(alert),
                "alert_id": alert["alert_id"],
            }
            for alert in collected.alerts.values()
        ],
    }


def print_alert(console: Console, alert: dict[str, Any]) -> None:
    """Print a firing or a resolution as one line."""
    colour = {"critical": "bold red", "warning": "yellow"}.get(alert["severity"], "cyan")
    word = alert["severity"].upper()
    if alert["status"] == "resolved":
        colour, word = "green", "RESOLVED"
    console.print(
        f"[{colour}]{word:8}[/] {escape(alert['summary'])}",
        highlight=False,
        soft_wrap=True,
    )


def print_closing(console: Console, figures: dict[str, Any]) -> None:
    """Print the series that changed, the delays of their alerts, and the counts."""
    rows: dict[str, list[int]] = {}
    for alert in figures["alerts"]:
        rows.setdefault(alert["series"], []).append(alert["row"])
    has_changed = figures["predictions"] > CHANGED_FROM
    table = Table(
        title=f"The model changed at row {CHANGED_FROM:,}"
        if has_changed
        else f"The model would have changed at row {CHANGED_FROM:,}, which was not played"
    )
    for title in ("series", "changed", "alerted", "rows late"):
        table.add_column(title, justify="right" if title == "rows late" else "left")
    others = [name for name in rows if name not in (*CHANGED_SERIES, *UNCHANGED_SERIES)]
    for series in (*CHANGED_SERIES, *UNCHANGED_SERIES, *others):
        first = min(rows.get(series, ()), default=None)
        changed = "-" if series in others else "no"
        if has_changed and series in CHANGED_SERIES:
            changed = "yes"
        late = "" if first is None else f"{first - CHANGED_FROM:,}"
        table.add_row(series, changed, "no" if first is None else "yes", late)
    console.print(table)
    counts = ("predictions", "outcomes", "pairs", "dead_letters", "feedback")
    counted = ", ".join(f"{figures[name]:,} {name.replace('_', ' ')}" for name in counts)
    closing = (
        f"{counted}, {len(figures['alerts'])} alerts, {figures['resolved']} of them resolved, in "
        f"{figures['seconds']} s."
    )
    console.print(closing, soft_wrap=True)


def print_nothing(console: Console, alert: dict[str, Any]) -> None:
    """Print nothing: alerts of several models arrive unordered, and are printed at the end."""


def print_story(console: Console, collected: Collected, figures: dict[str, Any]) -> None:
    """Show each transition of each alert as `tail alerts` does."""
    for alert in collected.transitions():
        line = describe("alerts", orjson.dumps(alert))
        console.print(line, highlight=False, soft_wrap=True)
    fired = len(figures["alerts"])
    left = fired - figures["resolved"] or "none"
    closing = (
        f"{figures['predictions']:,} predictions, {figures['outcomes']:,} outcomes, "
        f"{fired} alerts, {left} of them still firing, in {figures['seconds']} s."
    )
    console.print(closing, soft_wrap=True)
