"""What is known of the rhythm of one series, and whether it must wait to know more.

Rule 1. A series without instants, or whose instants lie within minutes, is watched as if there
        were no rhythms.
Rule 2. Before a whole day is known, a change may be the day's own motion where the series had
        moved that way before. Then it is not told: the series waits until the day is over.
Rule 3. What a single day seems to say is believed where the series had to wait or had changed more
        than once, and dropped at the first alarm; from the second day on only what has come back.
Rule 4. After two weeks what was gathered is dropped; an alarm makes the question new.
"""

from collections.abc import Sequence

from streams.aspects import ASPECTS
from streams.change import Finding
from streams.clock import Minutes
from streams.codec import Machine
from streams.detect.sample import Sample
from streams.season.calendar import CYCLE_DAYS, HourlyGrid
from streams.season.hour_profile import HourProfile
from streams.values import Floats, Value

RELEARNT_DAYS = (1, 2, 7, 14)
CREPT, CREPT_AGAIN = 2.5, 1.0
"""Deviations of a move before a change that make it a rhythm's; less where one has been told."""
QUICKEST_MINUTES = 20
"""A day's motion cannot be told from none in less: a backlog within minutes is no day."""


class Seasonality(Machine):
    """What is known of the hourly profile of one series, and whether it must wait to know more."""

    profile: HourProfile | None = None
    _grid: HourlyGrid | None = None
    _is_waiting: bool = False
    _is_doubted: bool = False

    def learn(
        self,
        sample: Sample,
        names: Sequence[Value | None],
        minutes: Minutes,
    ) -> HourProfile | None:
        """Look at the values of a reference; return the rhythm to take off them, if any."""
        is_of_numbers = sample.categories is None
        known = self._grid or self.profile
        if known is not None and known.is_of_numbers != is_of_numbers:
            self.profile = self._grid = None
        if not self._is_doubted and self.profile is not None and self._grid is None:
            return self.profile
        if self._grid is not None and self._grid.rows > len(sample):
            return self.profile
        if is_of_numbers == bool(names) or sample.is_constant:
            return self.profile
        self._grid = HourlyGrid.of(sample, names, minutes)
        if self._grid is not None:
            self._is_doubted = False
            self._take(self._grid.find())
        return self.profile

    def rows_until_test(self, minutes: Minutes) -> int | None:
        """Return how many rows may be read before `test` is due; None for all of them."""
        return None if self._grid is None else self._grid.rows_until_test(minutes)

    @property
    def is_observed(self) -> bool:
        """Whether values are gathered, to know whether there is a rhythm."""
        return self._grid is not None

    def may_test_by(self, minute: int) -> bool:
        """Tell whether `test` may be due with rows that come until then."""
        return self._grid is not None and minute >= self._grid.due

    def read(
        self,
        values: Sequence[Value],
        x: Floats | None,
        minutes: Minutes,
        passed: Minutes | None,
    ) -> None:
        """Gather values, and let the time of all rows pass; None: no test may be due with them."""
        if self._grid is not None:
            self._grid.read(values, x, minutes)
            self._grid.pass_over(passed)

    def test(self) -> bool:
        """Make the test that is due; return whether the series must be learnt anew."""
        grid, before, was_waiting = self._grid, self.profile, self._is_waiting
        if grid is None:
            return False
        found = grid.test(may_guess=was_waiting or grid.alarms > 1)
        self._take(found)
        self._is_waiting = False
        return was_waiting or _kind_of(before) != _kind_of(self.profile)

    def _take(self, found: HourProfile | None) -> None:
        """Take over what a test has found, unless more is known."""
        grid, before = self._grid, self.profile
        is_over = grid is None or grid.is_over
        if is_over or before is None or before.is_guess or (found and found.days >= before.days):
            self.profile = found
        if is_over:
            self._grid, self._is_doubted = None, False

    def explains(self, finding: Finding, minute: int | None, *, is_steady: bool) -> bool:
        """Tell whether a change may be the first day's rhythm; then it waits to know more.

        That is so where the series had moved that way before, or moved within its reference, and
        no day has been seen to its end.
        """
        grid = self._grid
        if grid is None or not grid.is_young or not ASPECTS[finding.aspect].is_drift:
            return False
        if minute is None or grid.minutes_until(minute) < QUICKEST_MINUTES:
            return False
        enough = CREPT_AGAIN if grid.alarms else CREPT
        has_moved = finding.crept > enough or (grid.has_seen_hours and not is_steady)
        self._is_waiting = has_moved
        return has_moved

    def note(self, finding: Finding) -> None:
        """Take note of an alarm: what one day seemed to say is refuted by it."""
        if not ASPECTS[finding.aspect].is_drift:
            return
        self._is_doubted = True
        if self._grid is not None:
            self._grid.alarms += 1
        if self.profile is not None and self.profile.days == CYCLE_DAYS:
            self.profile = None

    def describe(self) -> dict[str, object]:
        """Return what is known of the rhythm, for display."""
        return {
            "hours": self.profile and self.profile.hours,
            "is_guess": self.profile is not None and self.profile.is_guess,
            "is_observed": self.is_observed,
            "is_waiting": self._is_waiting,
        }


def _kind_of(rhythm: HourProfile | None) -> tuple[int, int]:
    """Return what makes a reference another: the cycle, and roughly how well it is known."""
    if rhythm is None:
        return 0, 0
    return rhythm.hours, max(days for days in RELEARNT_DAYS if days <= rhythm.days)
