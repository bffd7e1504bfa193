"""The policy of retraining of one model: when it is asked for, when that is over, and its effect.

Rule 1. A cause is an alert that says that the model has come to answer worse, or that its world is
        another one: of a series that the spec names, when it fires. It counts while it is open.
        An error that falls is none, unless it turns, nor are labels that come differently.
Rule 2. A command is issued once the rows since the earliest onset are as many as the policy asks
        for, no other is open, and the last one ended long enough ago. By the clock it needs no
        cause.
Rule 3. A cause that comes while a command is open joins it: the command is renewed, at most once in
        ``RENEW_MS``.
Rule 4. A command ends with a version that is new, when a person or a program says that it is done,
        or when it expires. The causes end with it.
Rule 5. After the first two the errors since the cause are compared with as many of the new version.
Rule 6. All this happens at labelled rows, in their order. A model without rows asks for nothing.
"""

from collections.abc import Iterable
from typing import NamedTuple

from msgspec import field

from schemas.alert import Alert
from schemas.model_spec import RetrainRules
from streams.action.comparison import Errors
from streams.action.tally import Tally
from streams.aspects import ASPECTS
from streams.change import AtAge
from streams.clock import NEVER_MS
from streams.codec import Machine

NEVER_ROW = 1 << 62
"""A row that no model reaches."""
RENEW_MS = 60_000
"""Milliseconds between two records of one command at least: programs need not read faster."""
MOST_FAULTS = 32
"""Periods of wrong inputs that are remembered: the latest. More in the rows of one command are a
reason not to learn from them at all."""


class Cause(Machine):
    """An open alert that calls for retraining.

    Parameters
    ----------
    alert_id, series
        The alert, as it fired.
    first_row
        The labelled row at its onset.
    onset_ms
        The instant of its onset.
    onset_of_labels_ms, age_ms
        Where labels come late: the instant of the predictions, and their age, in milliseconds.
    """

    alert_id: str
    series: str
    first_row: int
    onset_ms: int
    onset_of_labels_ms: int | None = None
    age_ms: int | None = None


class Fault(Machine):
    """A period in which the inputs of the model were wrong; ``until_ms`` is None while it lasts."""

    fingerprint: str
    from_ms: int
    until_ms: int | None = None


class OpenRetraining(Machine):
    """The command that is open."""

    said_ms: int
    expires_ms: int
    version: str | None
    first_row: int
    causes: dict[str, Cause]
    is_joined: bool = False


class Trial(Machine):
    """A new version whose errors are compared; ``rows`` of them are needed."""

    before: Errors
    before_version: str | None
    version: str | None
    begins_ms: int
    rows: int
    after: Errors = field(default_factory=Errors)


class Due(NamedTuple):
    """Whatever is due at a labelled row: an end, a command or its renewal, a result."""

    is_expired: bool = False
    is_issued: bool = False
    is_told: bool = False


class Retraining(Machine):
    """The policy of one model, and where it stands.

    Attributes
    ----------
    good
        Open alerts that say that the model answers better: they may turn.
    """

    causes: dict[str, Cause] = field(default_factory=dict)
    open: OpenRetraining | None = None
    trial: Trial | None = None
    errors: Errors = field(default_factory=Errors)
    tally: Tally | None = None
    faults: list[Fault] = []
    good: dict[str, None] = {}
    due_row: int = NEVER_ROW
    due_ms: int = NEVER_MS
    _ended_ms: int | None = None
    _began_ms: int | None = None
    _last_row: int = 0

    @property
    def is_awake(self) -> bool:
        """Whether labelled rows have to be shown to it."""
        return bool(self.causes or self.open or self.trial or self.tally is not None)

    def respec(self, rules: RetrainRules | None) -> None:
        """Put another policy in force; rows are counted where the spec asks for one."""
        if rules is None:
            self.tally = None
        elif self.tally is None:
            self.tally = Tally()
        self._plan(rules or RetrainRules())

    def clear(self) -> None:
        """Forget all but the place of the last command: the model is removed or put away."""
        tally = None if self.tally is None else Tally()
        self.causes, self.open, self.trial, self.errors = {}, None, None, Errors()
        self.tally, self.faults, self._began_ms = tally, [], None
        self.good = {}
        self.due_row, self.due_ms = NEVER_ROW, NEVER_MS

    def on_cause(self, fingerprint: str, cause: Cause, rules: RetrainRules) -> None:
        """Take in an alert that calls for retraining (Rule 1)."""
        if not self.causes and self.open is None:
            self.errors = Errors()
        self.causes[fingerprint] = cause
        if self.open is not None:
            self.open.is_joined = True
        self._plan(rules)

    def on_over(self, fingerprint: str, rules: RetrainRules) -> None:
        """Take in that an alert is over; an open command stays."""
        if self.causes.pop(fingerprint, None) is not None and self.open is None:
            self._plan(rules)

    def on_fault(self, fingerprint: str, from_ms: int, until_ms: int | None) -> None:
        """Take in a period of wrong inputs; ``until_ms`` is None where it begins."""
        known = next(
            (x for x in self.faults if x.fingerprint == fingerprint and not x.until_ms), None
        )
        if known is not None:
            known.until_ms = until_ms
        elif until_ms is None:
            self.faults = [*self.faults, Fault(fingerprint, from_ms)][-MOST_FAULTS:]

    def on_row(
        self, now_ms: int, error: float | None, version: str | None, predicted_ms: int
    ) -> None:
        """Count the error of a labelled row.

        Parameters
        ----------
        now_ms
            Log time.
        error
            0, 1 or the size of the error; None where it cannot be judged.
        version
            The version that answered.
        predicted_ms
            The instant of the answer.
        """
        if self._began_ms is None:
            self._began_ms = now_ms
        if error is None:
            return
        trial = self.trial
        if trial is None:
            self.errors.add(error)
        elif trial.version in {None, version} and predicted_ms >= trial.begins_ms:
            trial.after.add(error)

    def due(self, row: int, now_ms: int, rules: RetrainRules) -> Due:
        """Return what is due at a labelled row; an expired command is ended."""
        is_told = self.trial is not None and self.trial.after.rows >= self.trial.rows
        if row < self.due_row and now_ms < self.due_ms:
            return Due(is_told=is_told)
        if self.open is not None:
            if now_ms >= self.open.expires_ms:
                self.end(now_ms, rules)
                return Due(is_expired=True, is_told=is_told)
            return Due(is_issued=True, is_told=is_told)
        needed_row, needed_ms = self._needed(rules)
        if now_ms < needed_ms:
            self.due_row, self.due_ms = NEVER_ROW, needed_ms
        else:
            self.due_row, self.due_ms = needed_row, NEVER_MS
        return Due(is_issued=now_ms >= needed_ms and row >= needed_row, is_told=is_told)

    def issue(
        self, row: int, now_ms: int, version: str | None, rules: RetrainRules
    ) -> OpenRetraining:
        """Take note that a command is issued, or renewed, at a labelled row."""
        causes = dict(self.causes)
        first_row = min(
            (each.first_row for each in causes.values()), default=self._first(row, rules)
        )
        if self.open is None:
            expires_ms = now_ms + round(1_000 * rules.valid_s)
            self.open = OpenRetraining(now_ms, expires_ms, version, first_row, causes)
        else:
            given = self.open
            given.causes = given.causes | causes
            given.said_ms, given.is_joined = now_ms, False
            given.first_row = min(given.first_row, first_row)
        self._last_row = row
        self._plan(rules)
        return self.open

    def end(self, now_ms: int, rules: RetrainRules) -> None:
        """Take note that the command is over (Rule 4)."""
        self.causes, self.open, self._ended_ms = {}, None, now_ms
        self._plan(rules)

    def begin_trial(self, version: str | None, now_ms: int, rules: RetrainRules) -> None:
        """Compare the errors so far with those of a new version (Rule 5); None: of all answers."""
        if self.errors.rows >= 2 and self.open is not None:
            self.trial = Trial(
                self.errors, self.open.version, version, now_ms, max(rules.min_labelled, 2)
            )
        self.errors = Errors()

    def _first(self, row: int, rules: RetrainRules) -> int:
        """Return the first row of a command by the clock."""
        return max(1, self._last_row + 1 if rules.rows is None else row - rules.rows + 1)

    def _plan(self, rules: RetrainRules) -> None:
        """Set the row and the instant from which `due` has to be asked."""
        self.due_row, self.due_ms = NEVER_ROW, NEVER_MS
        if self.open is None:
            self.due_row, _ = self._needed(rules)
        elif self.open.is_joined:
            self.due_ms = min(self.open.expires_ms, self.open.said_ms + RENEW_MS)
        else:
            self.due_ms = self.open.expires_ms

    def _needed(self, rules: RetrainRules) -> tuple[int, int]:
        """Return the row and the instant from which a command may be issued (Rule 2)."""
        ended_ms = self._ended_ms
        begins_ms = 0 if ended_ms is None else ended_ms + round(1_000 * rules.cooldown_s)
        first_row = min((each.first_row for each in self.causes.values()), default=None)
        if first_row is None and rules.every_s is not None:
            since_ms = ended_ms if ended_ms is not None else self._began_ms or 0
            begins_ms = max(begins_ms, since_ms + round(1_000 * rules.every_s))
            first_row = self._last_row + 1
        if first_row is None:
            return NEVER_ROW, NEVER_MS
        return first_row + rules.min_labelled - 1, begins_ms


def is_cause(alert: Alert, rules: RetrainRules) -> bool:
    """Tell whether an alert calls for retraining when it fires (Rule 1)."""
    is_named = alert.series in rules.on or alert.kind in rules.on
    is_drift = alert.aspect in ASPECTS and ASPECTS[alert.aspect].is_drift
    is_better = alert.kind == "performance" and alert.direction == "down"
    is_told_otherwise = is_better or alert.labels_come_differently
    return is_named and is_drift and not is_told_otherwise


def cause_of(alert: Alert, first_row: int, onset_ms: int, at_age: AtAge | None) -> Cause:
    """Return an alert as a cause."""
    if at_age is None:
        return Cause(alert.alert_id, alert.series, first_row, onset_ms)
    onset_of_labels_ms, age_ms = at_age.onset_ms, at_age.age_ms
    return Cause(alert.alert_id, alert.series, first_row, onset_ms, onset_of_labels_ms, age_ms)


def alert_ids(causes: Iterable[Cause]) -> tuple[str, ...]:
    """Return the ids of the alerts of causes, in a fixed order."""
    return tuple(sorted(each.alert_id for each in causes))
