"""The states of an alert: `TRANSITIONS` is the table of the events in each.

Rule 1. A fingerprint (model, series, aspect, segment) has at most one open alert: a further change
        renews its figures.
Rule 2. An event that a state does not list is a fault of ours, and raises.
Rule 3. Time is the model's log time.
Rule 4. An alert flaps when it fires the ``FLAPS``-th time within `renotify_s`. Then it is over once
        the series has been back for as long as these firings took.
"""

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple, cast

from schemas.alert import AlertStatus, Because
from schemas.model_spec import AlertRules
from streams.alert.transition import OperatorNote, Transition
from streams.change import Change, Condition
from streams.clock import NEVER_MS
from streams.codec import Machine

FLAPS = 3
"""Firings within `renotify_s` that are flapping: two may be one fault and its repair."""
OTHER_EFFECT = 2.0
"""The factor by which an effect must grow or shrink to be published again before `renotify_s`."""

StateName = Literal["quiet", "pending", "firing"]
Event = Literal[
    "change",  # a series has changed, or a condition holds
    "held change",  # a series has changed, and `hold` blocks must confirm it first
    "away",  # a block of values, or the condition, is as it was published
    "held",  # as many blocks as `hold` asks for were away
    "news",  # the figures are much other ones, or `renotify_s` have passed
    "acknowledged",
    "muted",  # or unmuted
    "back",  # back at the reference, but flapping
    "returned",
    "accepted",  # a person takes the change for normal
    "relearned",  # the series begins a new reference
    "removed",  # the series, or its model, is no longer monitored
]


class Next(NamedTuple):
    """The state after an event, and the status that is published, if any."""

    state: StateName
    status: AlertStatus | None = None


TRANSITIONS: dict[StateName, dict[Event, Next]] = {
    "quiet": {
        "change": Next("firing", "firing"),
        "held change": Next("pending"),
    },
    "pending": {
        "away": Next("pending"),
        "held": Next("firing", "firing"),
        "returned": Next("quiet"),
        "accepted": Next("quiet"),
        "relearned": Next("quiet"),
        "removed": Next("quiet"),
    },
    "firing": {
        "away": Next("firing"),
        "news": Next("firing", "ongoing"),
        "acknowledged": Next("firing", "ongoing"),
        "muted": Next("firing", "ongoing"),
        "back": Next("firing"),
        "returned": Next("quiet", "resolved"),
        "accepted": Next("quiet", "resolved"),
        "relearned": Next("quiet", "resolved"),
        "removed": Next("quiet", "resolved"),
    },
}


class AlertEventError(Exception):
    """An alert got an event that its state does not list: our mistake."""


class AlertState(Machine):
    """The state of one fingerprint of a model.

    Parameters
    ----------
    series, role, aspect
        Its subject. The role of a condition is its kind.
    state
        Its state.
    episode, sequence
        Firings so far, and records published in the present one.
    change
        The change that raised the alert, with the figures of the latest block.
    condition
        The condition, where it is not a change of a series.
    published, published_ms
        The change as it was published last, and when.
    fired_ms
        The last ``FLAPS`` firings.
    back_since_ms
        Since when it has been back without being resolved.
    """

    series: str
    role: str
    aspect: str
    state: StateName = "quiet"
    episode: int = 0
    sequence: int = 0
    change: Change | None = None
    condition: Condition | None = None
    published: Change | None = None
    published_ms: int = 0
    fired_ms: list[int] = []
    back_since_ms: int | None = None
    is_flapping: bool = False
    acknowledged: OperatorNote | None = None
    muted_until_ms: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether it has been published and is not over."""
        return self.state == "firing"

    @property
    def calm_ms(self) -> int:
        """The instant at which a flapping alert has been back for long enough (Rule 4)."""
        if self.back_since_ms is None:
            return NEVER_MS
        return self.back_since_ms + self.fired_ms[-1] - self.fired_ms[0]

    def renewal_ms(self, rules: AlertRules) -> int:
        """Return the instant from which an open alert is published again."""
        return self.published_ms + math.ceil(1_000 * rules.renotify_s)

    def on(self, event: Event, now_ms: int, rules: AlertRules) -> list[Transition]:
        """Take in an event; return the transition to publish, if there is one.

        Raises
        ------
        AlertEventError
            When the state does not list the event.
        """
        step = TRANSITIONS[self.state].get(event)
        if step is None:
            msg = f"alert {self.series}/{self.aspect} is {self.state} and cannot take {event!r}"
            raise AlertEventError(msg)
        if step.status == "firing":
            self._begin_episode(now_ms, rules)
        self.state = step.state
        published = [] if step.status is None else [self._publish(step.status, event, now_ms)]
        if step.state == "quiet":
            self._reset()
        return published

    def on_away(
        self, now_ms: int, rules: AlertRules, *, is_settled: bool = True
    ) -> list[Transition]:
        """Take in that the change lasts, with the figures of ``change``.

        ``is_settled`` tells whether the figures may be compared with the published ones.
        """
        self.back_since_ms = None
        is_news = (is_settled and self.differs) or now_ms >= self.renewal_ms(rules)
        return self.on("news" if self.is_open and is_news else "away", now_ms, rules)

    def on_news(self, now_ms: int, rules: AlertRules) -> list[Transition]:
        """Take in a further change, with its figures in ``change``."""
        self.back_since_ms = None
        return self.on("news" if self.is_open else "away", now_ms, rules)

    def on_back(self, now_ms: int, rules: AlertRules) -> list[Transition]:
        """Take in that it is back at the reference: over, unless it flaps (Rule 4)."""
        if self.back_since_ms is None:
            self.back_since_ms = now_ms
        is_flapping = self.is_open and self.is_flapping and now_ms < self.calm_ms
        return self.on("back" if is_flapping else "returned", now_ms, rules)

    def end(
        self, because: Because, now_ms: int, rules: AlertRules, note: OperatorNote | None = None
    ) -> list[Transition]:
        """End an open alert or drop a pending one, whatever its figures; a quiet one stays."""
        if self.state == "quiet":
            return []
        self.acknowledged = note or self.acknowledged
        return self.on(because, now_ms, rules)

    @property
    def differs(self) -> bool:
        """Whether the figures are much other ones than the published ones."""
        if self.change is None or self.published is None:
            return False
        now, then = self.change.figures, self.published.figures
        if now.direction != then.direction:
            return True
        strong, weak = now.strength, then.strength
        if not (strong or weak):
            return False
        return not weak / OTHER_EFFECT < strong < OTHER_EFFECT * weak

    def _begin_episode(self, now_ms: int, rules: AlertRules) -> None:
        self.episode += 1
        self.sequence = -1
        self.fired_ms = [*self.fired_ms, now_ms][-FLAPS:]
        is_often = len(self.fired_ms) == FLAPS
        took_ms = now_ms - self.fired_ms[0]
        self.is_flapping = is_often and took_ms <= 1_000 * rules.renotify_s
        self.acknowledged = None

    def _publish(self, status: AlertStatus, event: Event, now_ms: int) -> Transition:
        if self.change is None:
            msg = f"alert {self.series}/{self.aspect} has no figures to publish"
            raise AlertEventError(msg)
        self.sequence += 1
        self.published, self.published_ms = self.change, now_ms
        if self.muted_until_ms is not None and self.muted_until_ms <= now_ms:
            self.muted_until_ms = None
        return Transition(
            series=self.series,
            role=self.role,
            aspect=self.aspect,
            status=status,
            because=cast("Because", event) if status == "resolved" else None,
            change=self.change,
            episode=self.episode,
            sequence=self.sequence,
            is_flapping=self.is_flapping,
            acknowledged=self.acknowledged,
            muted_until_ms=self.muted_until_ms,
            condition=self.condition,
        )

    def _reset(self) -> None:
        """Forget the episode; the number of firings and the last instants stay."""
        self.back_since_ms = self.change = self.published = self.condition = None


class ConditionAlerts(Machine):
    """The alerts about the arrival of a model's events, by series and aspect."""

    _states: list[AlertState] = []

    def on_condition(
        self, condition: Condition, now_ms: int, rules: AlertRules, *, is_on: bool
    ) -> list[Transition]:
        """Take in whether a condition holds, with its present figures."""
        state = self._state_of(condition)
        if not is_on and state.state == "quiet":
            return []
        state.change, state.condition = condition.change, condition
        if not is_on:
            return state.on_back(now_ms, rules)
        if state.state == "quiet":
            return state.on("change", now_ms, rules)
        return state.on_away(now_ms, rules)

    def settle(self, now_ms: int, rules: AlertRules) -> list[Transition]:
        """End the flapping alerts that have been back for long enough."""
        return [
            transition
            for state in self.states()
            if state.is_open and now_ms >= state.calm_ms
            for transition in state.on_back(now_ms, rules)
        ]

    def settling_due_ms(self) -> int:
        """Return the instant at which `settle` will end something, if nothing happens before."""
        return min((state.calm_ms for state in self._states if state.is_open), default=NEVER_MS)

    def renewal_due_ms(self, series: str, aspect: str, rules: AlertRules) -> int:
        """Return the instant at which an open alert is published again; without one, never."""
        state = self.get(series, aspect)
        return state.renewal_ms(rules) if state is not None and state.is_open else NEVER_MS

    def get(self, series: str, aspect: str) -> AlertState | None:
        """Return the state of an alert, if it has ever fired."""
        return next(
            (each for each in self._states if (each.series, each.aspect) == (series, aspect)), None
        )

    def states(self) -> Iterator[AlertState]:
        """Yield all states in an order that does not depend on how the log was cut."""
        yield from sorted(self._states, key=lambda each: (each.series, each.aspect))

    def _state_of(self, condition: Condition) -> AlertState:
        state = self.get(condition.series, condition.aspect)
        if state is None:
            state = AlertState(condition.series, condition.kind, condition.aspect)
            self._states.append(state)
        return state
