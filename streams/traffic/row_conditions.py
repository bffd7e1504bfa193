"""Conditions that begin and end with a row: shares of rows, facts about fields, a new version.

Rule 1. A row of a plain producer changes nothing here: `TrafficMonitor` compares its number with
        ``due_prediction`` or ``due_outcome``, and its version with ``latest_version``.
Rule 2. Refused and repeated events, and reports by people, are no rows of the model. The share of
        each is of the rows and these events together.
"""

from collections.abc import Sequence

from msgspec import field

from schemas.event import EventKind
from streams.change import Figures
from streams.codec import Machine
from streams.traffic.conditions import ConditionKind, ConditionState, condition_of
from streams.traffic.daily import DailyShare
from streams.traffic.event_rate import EventRate
from streams.traffic.noted import NotedEvents
from streams.traffic.versions import NEW_ROWS, Versions

NEVER_ROW = 1 << 62
"""A row that no model reaches."""
OF_PREDICTIONS: tuple[ConditionKind, ...] = ("fallback", "error", "prediction_clock")
OF_OUTCOMES: tuple[ConditionKind, ...] = ("outcome_clock", "conflicting")
BESIDE: dict[EventKind, tuple[ConditionKind, ...]] = {
    "prediction": ("prediction_refused", "repeated", "reported"),
    "outcome": ("outcome_refused",),
}
"""Conditions of the share of events that are no rows of the model."""
NOTED: dict[EventKind, tuple[ConditionKind, ...]] = {
    "prediction": ("unread", "left_out", "new_features"),
    "outcome": ("outcome_left_out",),
}
"""Facts about the fields of events, by the events whose rows end them."""
NEW_FEATURE_ROWS = 100
"""Predictions for which a feature is new: those of one deployment come with it at once."""


class RowConditions(Machine):
    """The conditions of one model that rest on the numbers of its rows.

    Parameters
    ----------
    _rates
        The share of each condition. Those of `BESIDE` are there once such an event has come.

    Attributes
    ----------
    beside
        Events that are no rows of the model, by the condition of their share.
    due_prediction, due_outcome
        The row at which a condition ends unless something happens before, among valid predictions
        and among valid outcomes.
    """

    _rates: dict[ConditionKind, EventRate] = field(default_factory=dict)
    beside: dict[ConditionKind, int] = field(default_factory=dict)
    _versions: Versions = field(default_factory=Versions)
    _noted: dict[ConditionKind, NotedEvents] = field(default_factory=dict)
    _false_alarms: float = 0.0
    due_prediction: int = NEVER_ROW
    due_outcome: int = NEVER_ROW

    @classmethod
    def of(cls, predictions: int, outcomes: int) -> "RowConditions":
        """Return the conditions of a model with so many rows before."""
        of_predictions = {kind: EventRate(predictions) for kind in OF_PREDICTIONS}
        return cls({**of_predictions, **{kind: EventRate(outcomes) for kind in OF_OUTCOMES}})

    def set_budget(self, false_alarms: float) -> None:
        """Set the budget of each share: false alarms per 10,000 rows."""
        self._false_alarms = false_alarms
        for rate in self._rates.values():
            rate.set_budget(false_alarms)

    @property
    def latest_version(self) -> str | None:
        """The version of the latest prediction."""
        return self._versions.latest

    @property
    def is_any_on(self) -> bool:
        """Whether a share may have to be renewed by the hour.

        Refused and repeated events count, whether or not they are a condition at present: a model
        that has had any keeps its hours.
        """
        is_due = self.due_prediction < NEVER_ROW or self.due_outcome < NEVER_ROW
        return is_due or bool(self.beside)

    def is_first_of_version(self, row: int) -> bool:
        """Tell whether the latest prediction, of this row, was the first of a new version."""
        return self._versions.due_row == row + NEW_ROWS

    def on_prediction(
        self, row: int, *, status: str | None, version: str | None, is_ahead: bool
    ) -> list[ConditionState]:
        """Take in a prediction; ``is_ahead`` where its instant lies ahead of log time."""
        states = self._on_version(version, row) + self._end_noted("prediction", row)
        states += self._update("fallback", row, is_hit=status == "fallback")
        states += self._update("error", row, is_hit=status == "error")
        states += self._update("prediction_clock", row, is_hit=is_ahead)
        return states + self._on_valid("prediction", row)

    def on_outcome(self, row: int, *, is_ahead: bool, is_conflicting: bool) -> list[ConditionState]:
        """Take in an outcome; ``is_conflicting`` where it contradicts an earlier one."""
        states = self._end_noted("outcome", row)
        states += self._update("outcome_clock", row, is_hit=is_ahead)
        states += self._update("conflicting", row, is_hit=is_conflicting)
        return states + self._on_valid("outcome", row)

    def on_beside(self, kind: ConditionKind, rows: int) -> list[ConditionState]:
        """Take in an event that is no row of the model; ``rows`` events were."""
        if kind not in self.beside:
            self.beside[kind] = 0
            self._rates[kind] = EventRate(0, self._false_alarms)
        self.beside[kind] += 1
        states = self._update(kind, rows + self.beside[kind], is_hit=True)
        self._set_due_rows()
        return states

    def on_noted(self, kind: ConditionKind, row: int, names: str) -> Sequence[ConditionState]:
        """Take in a fact about the fields of an event: ``names`` of these, and its row."""
        is_first = kind not in self._noted
        if is_first:
            is_at_once = kind == "new_features"
            self._noted[kind] = NotedEvents(1, NEW_FEATURE_ROWS) if is_at_once else NotedEvents()
        noted = self._noted[kind]
        is_told_now = noted.on_hit(row)
        if is_first:  # at the row that is due now, a later one is set
            self._set_due_rows()
        if not is_told_now:
            return ()
        return (ConditionState(condition_of(kind, Figures(rows=noted.rows), names), is_on=True),)

    def relearn(self, kind: ConditionKind) -> None:
        """Take a share, as it is now, as normal; nothing happens where it is none of these."""
        if kind in self._rates:
            self._rates[kind].relearn()
            self._set_due_rows()

    def lasting(self) -> list[ConditionState]:
        """Return the shares that are above normal, with their present figures."""
        return [share_state(kind, rate) for kind, rate in self._rates.items() if rate.is_on]

    def _on_version(self, version: str | None, row: int) -> list[ConditionState]:
        versions = self._versions
        was_new = versions.due_row is not None
        if version != versions.latest:
            versions.on_change(version, row)
        versions.advance(row)
        is_new = versions.due_row is not None
        return [ConditionState(condition_of("version"), is_new)] if is_new != was_new else []

    def _end_noted(self, event: EventKind, row: int) -> list[ConditionState]:
        """End the facts about fields that no event up to a row has shown for long enough."""
        over = [kind for kind, noted in self._noted.items() if row >= noted.due_row]
        ended = [(kind, self._noted.pop(kind)) for kind in over if kind in NOTED[event]]
        return [
            ConditionState(condition_of(kind, Figures(rows=noted.rows)), is_on=False)
            for kind, noted in ended
            if noted.is_told
        ]

    def _on_valid(self, kind: EventKind, row: int) -> list[ConditionState]:
        """Count an event as one that was not refused, for a producer that has been refused any."""
        states: list[ConditionState] = []
        for beside in BESIDE[kind]:
            if beside in self.beside:
                states += self._update(beside, row + self.beside[beside], is_hit=False)
        self._set_due_rows()
        return states

    def _update(self, kind: ConditionKind, row: int, *, is_hit: bool) -> list[ConditionState]:
        """Take in a row of a share; return its condition where that begins or ends with it."""
        rate = self._rates[kind]
        was_on = rate.is_on
        if is_hit:
            rate.on_hit(row)
        elif rate.due_row is not None and row >= rate.due_row:
            rate.advance(row)
        return [share_state(kind, rate)] if rate.is_on != was_on else []

    def _set_due_rows(self) -> None:
        """Set the rows that end an episode, numbered among valid events."""
        due = {kind: rate.due_row for kind, rate in self._rates.items() if rate.due_row is not None}
        for kind, beside in self.beside.items():
            if kind in due:
                due[kind] -= beside
        due |= {kind: noted.due_row for kind, noted in self._noted.items()}
        of_predictions = (*OF_PREDICTIONS, *BESIDE["prediction"], *NOTED["prediction"])
        of_outcomes = (*OF_OUTCOMES, *BESIDE["outcome"], *NOTED["outcome"])
        known = self._versions.due_row or NEVER_ROW
        self.due_prediction = min(known, *(due.get(kind, NEVER_ROW) for kind in of_predictions))
        self.due_outcome = min(due.get(kind, NEVER_ROW) for kind in of_outcomes)


def share_state(kind: ConditionKind, share: EventRate | DailyShare) -> ConditionState:
    """Return the condition of a share, with its present figures."""
    figures = Figures(share.share, share.normal, share.odds_ratio, rows=share.rows)
    return ConditionState(condition_of(kind, figures), share.is_on)
