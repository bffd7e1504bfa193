"""Count the alerts that people marked as true or false, by rule; suggest budgets from the counts.

Rule 1. Of several marks of one episode the last counts. A mark names its rule; where it does not,
        the alert does. An alert that stood under another is in `status` alone, while it is open.
Rule 2. A budget is suggested where at least ``FEWEST_MARKS`` alerts of a model are marked and more
        than one in ``TOLERATED`` of them was false. Nothing is ever changed by itself.
Rule 3. False alarms are in proportion to the budget, true ones hardly depend on it: so a budget of
        b * true / ((TOLERATED - 1) * false) has one false in TOLERATED. It is never less than a
        tenth of b: so few marks support no more.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

FEWEST_MARKS = 5
"""Marked alerts of a model from which a budget is suggested: fewer are chance, by judgement."""
TOLERATED = 4
"""One false alert in so many is tolerated: an operator who is right three times in four keeps
looking, by judgement."""
_SMALLEST_PART = 0.1
"""The smallest suggested budget, as a part of the present one (Rule 3)."""


class RuleName(NamedTuple):
    """A rule that raises alerts: a model, a kind of alert, an aspect."""

    model_id: str
    kind: str
    aspect: str


@dataclass(slots=True)
class Verdicts:
    """How many alerts were marked true, and false."""

    true: int = 0
    false: int = 0

    @property
    def marked(self) -> int:
        """Alerts that were marked."""
        return self.true + self.false


def count_marks(
    controls: Iterable[Mapping[str, Any]], alerts: Iterable[Mapping[str, Any]]
) -> dict[RuleName, Verdicts]:
    """Count the marks among controls, by the rule that raised the marked alert.

    Parameters
    ----------
    controls
        Controls as they travel, the oldest first.
    alerts
        Alerts as they travel, for marks that do not name their rule.
    """
    about = {
        alert["fingerprint"]: RuleName(alert["model_id"], alert["kind"], alert["aspect"])
        for alert in alerts
    }
    marks: dict[tuple[str, int | None], tuple[RuleName, str]] = {}
    for control in controls:
        if control["verb"] == "mark":
            fingerprint, model_id = control["fingerprint"], control["model_id"]
            rule = about.get(fingerprint, RuleName(model_id, "forgotten", ""))
            if (kind := control.get("kind")) and (aspect := control.get("aspect")):
                rule = RuleName(model_id, kind, aspect)
            marks[fingerprint, control.get("episode")] = rule, control["verdict"]
    counted: dict[RuleName, Counter[str]] = {}
    for rule, verdict in marks.values():
        counted.setdefault(rule, Counter())[verdict] += 1
    return {
        rule: Verdicts(verdicts["true"], verdicts["false"])
        for rule, verdicts in sorted(counted.items())
    }


def by_model(counted: Mapping[RuleName, Verdicts]) -> dict[str, Verdicts]:
    """Add up the verdicts of each model."""
    total: dict[str, Verdicts] = {}
    for rule, verdicts in counted.items():
        of_model = total.setdefault(rule.model_id, Verdicts())
        of_model.true += verdicts.true
        of_model.false += verdicts.false
    return total


def suggested_budget(budget: float, verdicts: Verdicts) -> float | None:
    """Return the budget that the verdicts on a model's alerts speak for (Rules 2 and 3).

    Examples
    --------
    >>> suggested_budget(0.2, Verdicts(true=3, false=3))
    0.067
    >>> suggested_budget(0.2, Verdicts(true=9, false=3)) is None
    True
    """
    if verdicts.marked < FEWEST_MARKS or verdicts.false * TOLERATED <= verdicts.marked:
        return None
    part = verdicts.true / ((TOLERATED - 1) * verdicts.false)
    return float(f"{budget * max(part, _SMALLEST_PART):.2g}")
