"""The results of a backtest, and the tables that show them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agents.commands.recording import Refusals
from schemas.alert import Alert
from streams.detect.budget import BUDGET_ROWS
from streams.join.events import JoinCounts
from streams.values import printable


@dataclass(slots=True)
class Replayed:
    """The results of a backtest.

    Attributes
    ----------
    counts
        The counts of the join, over all models.
    refusals
        Lines that are not events.
    alerts
        The firings, in the order in which they were raised.
    resolved
        The number of resolved alerts.
    feedback
        The number of feedback commands.
    left_out
        Events of which an optional field was left out because it was not legal, by field.
    without_inputs
        Predictions whose inputs did not come in time.
    remarks
        Sentences about the input: outcomes that find no predictions, a spec that names nothing.
    """

    counts: JoinCounts = field(default_factory=JoinCounts)
    refusals: Refusals = field(default_factory=Refusals)
    alerts: list[Alert] = field(default_factory=list)
    resolved: int = 0
    feedback: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    without_inputs: int = 0
    remarks: list[str] = field(default_factory=list)

    def add(self, alert: Alert) -> None:
        """Add a transition of an alert."""
        if alert.status == "firing":
            self.alerts.append(alert)
        self.resolved += alert.status == "resolved"


def print_closing(replayed: Replayed, seconds: float, budget: float, console: Console) -> None:
    """Print what was refused, the alerts, the counts and what was left out."""
    counts = replayed.counts
    for refusal in replayed.refusals.first:
        console.print(f"Refused {escape(refusal)}")
    for topic, (count, first) in replayed.refusals.ahead.items():
        lines = f"line {first}:" if count == 1 else f"{count:,} lines, the first {first}:"
        console.print(
            f"Dated ahead: {topic}, {lines} more than a day later than the lines around. Taken as "
            "of the line before.",
            soft_wrap=True,
        )
    if replayed.alerts:
        console.print(_alert_table(replayed.alerts))
    console.print(
        f"{counts.predictions:,} predictions, {counts.outcomes:,} outcomes, {counts.pairs:,} pairs,"
        f" {len(replayed.alerts)} alerts ({replayed.resolved} of them resolved),"
        f" {replayed.feedback} feedback in {seconds:.1f} s"
        f" ({counts.pairs / max(seconds, 1e-9):,.0f} pairs/s).",
        soft_wrap=True,
    )
    console.print(
        f"At a budget of {budget:g} false alarms in {BUDGET_ROWS:,} predictions of each model, "
        f"chance alone would raise {_expected(budget, counts):.2g} alerts here.",
        soft_wrap=True,
    )
    dropped = {
        "duplicate predictions": counts.duplicate_predictions,
        "duplicate outcomes": counts.duplicate_outcomes,
        "conflicting outcomes": counts.conflicting_outcomes,
        "expired predictions": counts.expired_predictions,
        "orphan outcomes": counts.orphan_outcomes,
        "predictions dropped because too many waited": counts.pushed_out_predictions,
        "outcomes dropped because too many waited": counts.pushed_out_outcomes,
        "refused lines": replayed.refusals.by_reason.total(),
        "predictions without their inputs": replayed.without_inputs,
    } | {f"illegal values of {name}": count for name, count in replayed.left_out.items()}
    if parts := [f"{count:,} {name}" for name, count in dropped.items() if count]:
        console.print(f"Left out: {', '.join(parts)}.", soft_wrap=True)
    for remark in replayed.remarks:
        console.print(escape(remark), soft_wrap=True)


def _expected(budget: float, counts: JoinCounts) -> float:
    return budget * counts.predictions / BUDGET_ROWS


def _alert_table(alerts: list[Alert]) -> Table:
    by_series: dict[tuple[str, str], list[Alert]] = {}
    for alert in alerts:
        by_series.setdefault((alert.model_id, alert.series), []).append(alert)
    table = Table(title="Alerts")
    for title in ("model", "series", "alerts", "first at prediction", "aspect", "effect"):
        is_number = title in {"alerts", "first at prediction", "effect"}
        table.add_column(title, justify="right" if is_number else "left")
    for (model_id, series), found in by_series.items():
        first = found[0]
        aspect = first.aspect if first.category is None else f"{first.aspect} of {first.category!r}"
        effect = "" if first.effect is None else f"{first.effect:.2f} {first.effect_unit}"
        table.add_row(
            escape(printable(model_id)),
            escape(printable(series)),
            str(len(found)),
            f"{first.predictions_seen:,}",
            escape(printable(aspect)),
            effect,
        )
    return table


def what_if_table(runs: Sequence[tuple[float, Replayed]]) -> Table:
    """Return the table of runs with other budgets: the budget and the results of each."""
    table = Table(title="What if")
    for title in ("budget", "alerts", "series", "first at prediction", "by chance alone"):
        table.add_column(title, justify="right")
    for budget, replayed in sorted(runs, key=itemgetter(0)):
        alerts = replayed.alerts
        table.add_row(
            f"{budget:g}",
            str(len(alerts)),
            str(len({(alert.model_id, alert.series) for alert in alerts})),
            f"{alerts[0].predictions_seen:,}" if alerts else "",
            f"{_expected(budget, replayed.counts):.2g}",
        )
    return table
