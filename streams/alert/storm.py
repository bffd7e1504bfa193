"""Many series of a model that move at once: one alert for all of them.

Rule 1. Where ``MANY`` alerts of different series fire within ``WITHIN_MS``, one alert opens that
        names the strongest and counts the rest. Those that fire later stand under it: they are
        published in `status` alone. So are those that follow within the same time.
Rule 2. It lasts while one of them is open, also of those that fired before it opened.
Rule 3. Errors and outcomes stand alone: their alerts call for an action of their own. So do faults
        in the arrival of events.
"""

from typing import NamedTuple

from streams.alert.transition import Transition
from streams.aspects import BEHIND
from streams.change import Condition, Figures
from streams.clock import HOUR_MS
from streams.codec import Machine

MANY = 6
"""Series: one more than the alert names. By judgement: five alerts can be looked at one by one."""
WITHIN_MS = HOUR_MS
"""Milliseconds. By judgement: one cause upstream reaches all features of a model within an hour."""
STORM_SERIES, STORM_ASPECT = "features", "together"
ALONE = ("error", "outcome", *BEHIND)
NAMED = 5
NAME_CHARACTERS = 14
"""Characters of a name: five of them leave room in a sentence of 200 characters."""


class Member(NamedTuple):
    """An alert of the storm: its series, the size of its change, and whether it is told alone."""

    series: str
    strength: float
    is_alone: bool


class Place(NamedTuple):
    """Where a transition stands: beside others, or under the alert of a storm."""

    is_under: bool
    condition: Condition | None
    is_on: bool = False


class Storm(Machine):
    """The alerts of a model that fired together."""

    _recent: dict[str, int] = {}
    """The instants of the latest firings, by series and aspect."""
    _open: dict[str, Member] = {}
    """The open alerts that may be of a storm."""
    _is_on: bool = False
    _latest_ms: int = 0

    def on_transition(self, transition: Transition, now_ms: int) -> Place:
        """Take in a transition; return where it stands, and the alert of the storm if it changes.

        Parameters
        ----------
        now_ms
            The model's log time.
        """
        if transition.condition is not None or transition.role in ALONE:
            return Place(False, None)
        name = f"{transition.series}/{transition.aspect}"
        if transition.status == "firing":
            return self._on_firing(name, transition, now_ms)
        member = self._open.get(name)
        if member is None:
            return Place(False, None)
        if transition.status != "resolved":
            strength = transition.change.figures.strength
            self._open[name] = member._replace(strength=strength)
            return Place(not member.is_alone, None)
        del self._open[name]
        if not self._is_on or self._open:
            return Place(not member.is_alone, None)
        self._is_on = False
        return Place(not member.is_alone, self._condition(), is_on=False)

    def _on_firing(self, name: str, transition: Transition, now_ms: int) -> Place:
        self._recent = {
            each: at_ms for each, at_ms in self._recent.items() if at_ms > now_ms - WITHIN_MS
        }
        self._recent[name] = now_ms
        series = {each.rsplit("/", 1)[0] for each in self._recent}
        is_many = len(series) >= MANY
        follows = self._is_on and now_ms - self._latest_ms < WITHIN_MS
        is_under = is_many or follows
        strength = transition.change.figures.strength
        member = Member(transition.series, strength, is_alone=not is_under)
        if not is_under:
            if not self._is_on:  # it may become the first of a storm, with those of the same hour
                recent = {each: self._open[each] for each in self._open if each in self._recent}
                self._open = {**recent, name: member}
            return Place(False, None)
        self._open[name] = member
        self._is_on, self._latest_ms = True, now_ms
        return Place(True, self._condition(), is_on=True)

    def _condition(self) -> Condition:
        strengths: dict[str, float] = {}
        for member in self._open.values():
            before = strengths.get(member.series, 0.0)
            strengths[member.series] = max(member.strength, before)
        ranked = sorted(strengths, key=lambda series: (-strengths[series], series))
        count = len(ranked)
        named = [_short(series) for series in ranked[:NAMED]]
        rest = f" and {count - len(named)} more" if count > len(named) else ""
        return Condition(
            kind="feature_drift",
            series=STORM_SERIES,
            aspect=STORM_ASPECT,
            severity="warning",
            says=f"{count} series moved within an hour: {', '.join(named)}{rest}. "
            "Check their common source",
            over="the series that moved together are back to normal",
            figures=Figures(value=float(count), effect=float(count)),
        )


def _short(series: str) -> str:
    """Return the name of a series, cut in the middle."""
    name = series.removeprefix("feature/")
    half = NAME_CHARACTERS // 2
    return name if len(name) <= NAME_CHARACTERS else f"{name[:half]}…{name[-half + 1 :]}"
