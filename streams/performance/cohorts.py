"""The cohorts of one model: which are open, and when their figures are published.

Rule 1. A cohort is published when it ends; then, where its counts have changed, at each age of
        ``AGES_MS``, and once when each part of ``COMPLETE`` of its outcomes is here; and for the
        last time when its outcomes are awaited no longer. Ages are of log time.
Rule 2. A prediction older than the oldest open cohort is in none, and neither is its outcome.
Rule 3. Hours are followed for ``HOURS_KEPT_MS``, days for as long as an outcome is awaited.
Rule 4. All but the latest periods are packed. Outcomes of a packed one wait until there are
        ``MOST_LATE``, or until it is published: to unpack one for each outcome would take a
        hundred times as long. Which are packed follows from the order of events alone, so the
        bytes of a snapshot do.
"""

import math
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from schemas.metric import CohortKind, Completeness
from streams.clock import DAY_MS, HOUR_MS, NEVER_MS
from streams.codec import Machine, decode, encode
from streams.performance.cohort import Cohort, CountedOutcome
from streams.performance.estimate import Estimate
from streams.values import OTHER

LENGTH_MS: dict[CohortKind, int] = {"hour": HOUR_MS, "day": DAY_MS}
AGES_MS = tuple(
    hours * HOUR_MS for hours in (0, 1, 6, 24, 2 * 24, 4 * 24, 7 * 24, 14 * 24, 30 * 24)
)
"""Ages after its end at which a cohort is published again. With delays that are lognormal the part
of the outcomes that arrives between two of them is about the same."""
COMPLETE = (0.5, 0.8, 0.9, 0.95, 0.99)
"""Parts of the outcomes to be expected at which a cohort is published again: with the ages some 15
records of one cohort. From .95 on an estimate is compared with the realised figure."""
HOURS_KEPT_MS = 72 * HOUR_MS
"""Time for which hours are followed: an on-call engineer looks at the last three days by the
hour, and a day holds the rest."""
AHEAD_MS = DAY_MS
"""Time ahead of the log for which cohorts are begun: clocks that differ by a time zone."""
MOST_VERSIONS = 4
"""Versions of a cohort that are counted apart; further ones together."""
UNPACKED = 2
"""Periods of a kind held ready to be counted in: the present one and that before it."""
MOST_LATE = 16
"""Outcomes that wait for a packed period. To unpack and pack one takes some 100 us (measured)."""


class CohortRules(NamedTuple):
    """The kinds of cohorts of a model, and the milliseconds that an outcome is awaited."""

    kinds: tuple[CohortKind, ...]
    wait_ms: int

    def kept_ms(self, kind: CohortKind) -> int:
        """Return how long a cohort is followed after its end (Rule 3)."""
        return min(HOURS_KEPT_MS, self.wait_ms) if kind == "hour" else self.wait_ms


class Period(Machine):
    """The cohorts of one hour or day, by version.

    Attributes
    ----------
    kind, start_ms
        The hour or day.
    versions
        The cohort of each version; of predictions without one under an empty name.
    records
        The id of the record published last, by version; under an empty name that of all versions.
    estimates
        What the scores told at its end, likewise; None where they told nothing.
    passed
        Parts of ``COMPLETE`` of which a record has told that they are here.
    """

    kind: CohortKind
    start_ms: int
    versions: dict[str, Cohort] = {}
    records: dict[str, str] = {}
    estimates: dict[str, Estimate | None] = {}
    passed: int = 0

    @property
    def key(self) -> int:
        """Its key among those of a model."""
        return self.start_ms + (self.kind == "day")

    @property
    def end_ms(self) -> int:
        """The instant at which the hour or day is over."""
        return self.start_ms + LENGTH_MS[self.kind]

    def cohort_of(self, version: str) -> Cohort:
        """Return the cohort of a version, a new one where it has none."""
        cohort = self.versions.get(version)
        if cohort is None:
            name = version if len(self.versions) < MOST_VERSIONS else OTHER
            cohort = self.versions.setdefault(name, Cohort())
        return cohort

    def on_outcome(self, outcome: CountedOutcome, version: str) -> None:
        """Count an outcome where its prediction was counted, if it was."""
        cohort = self.versions.get(version) or self.versions.get(OTHER)
        if cohort is not None:
            cohort.on_outcome(outcome)

    def total(self) -> Cohort:
        """Return the counts of all versions: not to be changed."""
        if len(self.versions) == 1:
            return next(iter(self.versions.values()))
        total = Cohort()
        for cohort in self.versions.values():
            total.add_all(cohort)
        return total


class LateOutcome(NamedTuple):
    """An outcome for its period, and the version of its prediction."""

    outcome: CountedOutcome
    version: str


_encode_late = msgspec.json.Encoder().encode
_decode_late = msgspec.json.Decoder(LateOutcome).decode


class DuePeriod(NamedTuple):
    """A period to be published; ``is_final``: for the last time."""

    period: Period
    is_final: bool


class Cohorts(Machine):
    """The cohorts of one model.

    Their key is the instant at which they begin; that of a day is one more.

    Attributes
    ----------
    due_ms
        Log time at which `due` returns a period; ``NEVER_MS`` without one.
    """

    due_ms: int = NEVER_MS
    _packed: dict[int, bytes] = {}
    _ready: dict[int, Period] = {}
    _late: dict[int, bytes] = {}  # lines of JSON: a fifth of the memory of objects
    _due: dict[int, int] = {}
    _awaited: dict[int, int] = {}  # outcomes until the next part of `COMPLETE` is here
    _changed: dict[int, None] = {}  # those that are due for a change, before their last time

    def places(self, at_ms: int, now_ms: int, rules: CohortRules) -> list[Period]:
        """Return the periods of a prediction's instant, in which it is to be counted (Rule 2)."""
        found: list[Period] = []
        for kind in rules.kinds:
            length_ms = LENGTH_MS[kind]
            start_ms = at_ms - at_ms % length_ms
            key = start_ms + (kind == "day")
            period = self._ready.get(key) or self._period(key)
            if period is None:
                age_ms = now_ms - start_ms - length_ms
                if age_ms >= rules.kept_ms(kind) or at_ms > now_ms + AHEAD_MS:
                    continue
                period = self._hold(key, Period(kind, start_ms))
            found.append(period)
            if key not in self._changed:
                self._note_change(key, period, now_ms, rules)
        return found

    def on_outcome(
        self,
        outcome: CountedOutcome,
        version: str,
        at_ms: int,
        now_ms: int,
        rules: CohortRules,
    ) -> None:
        """Count the outcome of a prediction of the instant ``at_ms``."""
        for kind in rules.kinds:
            length_ms = LENGTH_MS[kind]
            start_ms = at_ms - at_ms % length_ms
            key = start_ms + (kind == "day")
            period = self._ready.get(key)
            if period is not None:
                period.on_outcome(outcome, version)
            elif key in self._packed:
                self._wait(key, LateOutcome(outcome, version))
            else:
                continue
            if key not in self._changed:
                self._note_change(key, Period(kind, start_ms), now_ms, rules)

            if key in self._awaited:
                self._await_less(key, outcome.sign, now_ms)

    def on_known(self, period: Period, labelled: int, known: Completeness) -> None:
        """Take in how complete a period was in its record; note when it is to be published again.

        Parameters
        ----------
        period
            It is over, and has just been yielded by `due`.
        labelled, known
            Its known outcomes, and their part of those to be expected.
        """
        period.passed = max(period.passed, bisect_right(COMPLETE, known.share))
        self._awaited.pop(period.key, None)
        if period.passed < len(COMPLETE) and period.key in self._due:
            due = labelled / known.share if known.share else known.due
            wanted = math.ceil(COMPLETE[period.passed] * due)
            self._awaited[period.key] = max(wanted - labelled, 1)

    def _await_less(self, key: int, sign: int, now_ms: int) -> None:
        """Count an outcome, or take it back; the period is due now where enough have come."""
        self._awaited[key] -= sign
        if self._awaited[key] <= 0:
            del self._awaited[key]
            self._due[key] = now_ms
            self.due_ms = min(self.due_ms, now_ms)

    def _wait(self, key: int, late: LateOutcome) -> None:
        """Let an outcome wait for its period, which is packed (Rule 4)."""
        waiting = self._late.get(key, b"") + _encode_late(late) + b"\n"
        self._late[key] = waiting
        if waiting.count(b"\n") >= MOST_LATE:
            self._period(key)

    def due(self, now_ms: int, rules: CohortRules) -> Iterator[DuePeriod]:
        """Yield the periods to be published at ``now_ms``, the oldest first.

        One may be changed until the next is asked for: it may be packed then.
        """
        for key in sorted(key for key, due_ms in self._due.items() if due_ms <= now_ms):
            period = self._known(key)
            last_ms = period.end_ms + rules.kept_ms(period.kind)
            self._due[key] = last_ms
            self._changed.pop(key, None)
            yield DuePeriod(period, now_ms >= last_ms)
            if now_ms >= last_ms:
                del self._due[key], self._ready[key]
                self._awaited.pop(key, None)
        self.due_ms = min(self._due.values(), default=NEVER_MS)

    def open(self) -> Iterator[Period]:
        """Yield the open periods, the oldest first: at the end of a recording."""
        for key in sorted(self._due):
            yield self._known(key)

    def days_between(self, first_ms: int, last_ms: int) -> Iterator[Period]:
        """Yield the open days that begin between two instants, both included, the oldest first."""
        for key in sorted(self._due):
            if key % HOUR_MS == 1 and first_ms <= key - 1 <= last_ms:
                yield self._known(key)

    def _known(self, key: int) -> Period:
        period = self._period(key)
        if period is None:
            raise KeyError(key)
        return period

    def _period(self, key: int) -> Period | None:
        """Return a period, unpacked."""
        period = self._ready.get(key)
        if period is not None:
            return period
        packed = self._packed.pop(key, None)
        if packed is None:
            return None
        period = decode(zlib.decompress(packed), Period)
        for line in self._late.pop(key, b"").split(b"\n")[:-1]:
            period.on_outcome(*_decode_late(line))
        return self._hold(key, period)

    def _hold(self, key: int, period: Period) -> Period:
        """Hold a period ready; pack those before it (Rule 4)."""
        self._ready[key] = period
        of_kind = [each for each, held in self._ready.items() if held.kind == period.kind]
        for oldest in of_kind[:-UNPACKED]:
            self._packed[oldest] = zlib.compress(encode(self._ready.pop(oldest)), 1)
        return period

    def _note_change(self, key: int, period: Period, now_ms: int, rules: CohortRules) -> None:
        end_ms = period.end_ms
        last_ms = end_ms + rules.kept_ms(period.kind)
        if self._due.get(key, last_ms) < last_ms:  # another change is to be published
            return
        due_ms = next((end_ms + age for age in AGES_MS if end_ms + age > now_ms), last_ms)
        self._due[key] = due_ms = min(due_ms, last_ms)
        if due_ms < last_ms:
            self._changed[key] = None
        self.due_ms = min(self.due_ms, due_ms)
