"""The hourly profile of one series, and whether an alarm must wait until it is known better.

Rule 1. A series without instants, or whose instants lie within minutes, has no profile.
Rule 2. Before the first day is over, a change may be the motion of the day itself where the series
        had moved that way before. Then it is not reported: the series waits for the end of the day.
        While it waits, only a change many times as large as those held back is reported.
Rule 3. A profile of a single day is accepted where the series had to wait or had changed more than
        once, and dropped at the first alarm. From the second day on a profile must have recurred.
Rule 4. After two weeks the grid is dropped; after an alarm there is a new one.
Rule 5. Days of a kind that is not known yet, or that was unlike the others a month ago, are held
        against their own kind (`streams.season.day_kinds`).
"""

from collections.abc import Sequence

from msgspec import field

from streams.aspects import ASPECTS
from streams.change import Finding
from streams.clock import NEVER_MS, Minutes
from streams.codec import Machine
from streams.detect.sample import Sample
from streams.season.calendar import CYCLE_DAYS, HourlyGrid
from streams.season.day_kinds import DayKinds, Verdict
from streams.season.hour_profile import HourProfile
from streams.values import Floats, Value

RELEARNT_DAYS = (1, 2, 7, 14)
"""Days after which a profile is known so much better that the series relearns with it."""
CREPT, CREPT_AGAIN = 2.5, 2.0
"""Motion before a change, in deviations of chance, that may be the day's; the second holds after
the first alarm. Of 100 series without a profile, one or two wait (docs/detection.md)."""
QUICKEST_MINUTES = 20
"""A day's motion does not show within fewer minutes: a backlog of minutes is no day."""
WEEK_DAYS = 7
"""Days after which a series whose hours differ has seen each kind of day."""
MUCH_LARGER = 3.0
"""Times the largest change held back, less two standard errors, from which a change is no motion of
the day: such motion is found again each time that it has grown somewhat."""
LEAST_HELD = 0.5
"""Standard deviations that a change held back counts for at least: the mean of a long part of a day
is near that of the reference, whatever the day is like."""


class Seasonality(Machine):
    """The hourly profile of one series, and whether it waits to know more.

    Attributes
    ----------
    profile
        The profile to take off the values of the series, if it has one.
    grid
        The values by the hour, while they may show a profile.
    days
        The kinds of days of its reference, and the wait for one to be over.
    """

    profile: HourProfile | None = None
    grid: HourlyGrid | None = None
    days: DayKinds = field(default_factory=DayKinds)
    _is_waiting: bool = False
    _held: float = 0.0
    """The largest change that was held back, in standard deviations (`Figures.strength`)."""
    _is_doubted: bool = False
    _alarms: int = 0
    """Alarms since a profile was taken, further ones of an open alert left out."""

    def learn(
        self,
        sample: Sample,
        names: Sequence[Value | None],
        minutes: Minutes,
    ) -> HourProfile | None:
        """Read the values of a reference; return the profile to take off them, if any.

        Parameters
        ----------
        names
            The categories watched by their shares, None for all others; none for numbers.
        minutes
            The minute of each value.
        """
        self.days.learn(minutes)
        is_of_numbers = sample.categories is None
        known = self.grid or self.profile
        if known is not None and known.is_of_numbers != is_of_numbers:
            self.profile = self.grid = None
        if not self._is_doubted and self.profile is not None and self.grid is None:
            return self.profile
        if self.grid is not None and self.grid.rows > len(sample):
            return self.profile
        if is_of_numbers == bool(names) or sample.is_constant:
            return self.profile
        self.grid = HourlyGrid.of(sample, names, minutes)
        if self.grid is not None:
            self._is_doubted = False
            self._take(self.grid.find())
        return self.profile

    @property
    def due(self) -> int:
        """The minute at which a test, or the end of a wait, may be due."""
        test = NEVER_MS if self.grid is None else self.grid.due
        return min(test, self.days.until or NEVER_MS)

    @property
    def needs_minutes(self) -> bool:
        """Whether the minutes of values are read."""
        return self.grid is not None or self.days.until > 0

    def rows_until_due(self, minutes: Minutes) -> int | None:
        """Return how many rows may be read before anything is due; None for all of them."""
        test = None if self.grid is None else self.grid.rows_until_test(minutes)
        over = self.days.rows_until_over(minutes) if self.days.until else None
        return min((each for each in (test, over) if each is not None), default=None)

    def ends_wait(self, minutes: Minutes) -> bool:
        """End the wait for a day to be over, if it ends with the first of these minutes."""
        if not self.days.until or self.days.rows_until_over(minutes) != 0:
            return False
        self.days.end()
        return True

    def read(
        self,
        values: Sequence[Value],
        x: Floats | None,
        minutes: Minutes,
        passed: Minutes | None,
    ) -> None:
        """Count values, and advance by the minutes of all rows.

        Parameters
        ----------
        values, x, minutes
            The values, as doubles where they are numbers, and the minute of each.
        passed
            The minutes of all rows; None where nothing may be due with them.
        """
        if self.grid is not None:
            self.grid.read(values, x, minutes)
            self.grid.pass_over(passed)
        if self.days.until:
            self.days.pass_over(passed)

    def test(self) -> bool:
        """Make the test that is due; return whether the series must relearn."""
        grid, before, was_waiting = self.grid, self.profile, self._is_waiting
        if grid is None:
            return False
        found = grid.test(may_guess=was_waiting or grid.alarms > 1)
        self._take(found)
        self._is_waiting, self._held = False, 0.0
        return was_waiting or _kind_of(before) != _kind_of(self.profile)

    def _take(self, found: HourProfile | None) -> None:
        """Take the result of a test, unless the present profile is known better."""
        grid, before = self.grid, self.profile
        is_over = grid is None or grid.is_over
        if is_over or before is None or before.is_guess or (found and self._beats(found, before)):
            self.profile, self._alarms = found, 0
        if is_over:
            self.grid, self._is_doubted = None, False

    def _beats(self, found: HourProfile, before: HourProfile) -> bool:
        """Tell whether a profile is known better than the one before it, or has refuted it.

        It has where the series has alarmed twice meanwhile, as when summer time begins.
        """
        is_refuted = self._alarms > 1 and found.hours >= before.hours
        return is_refuted or found.days >= before.days

    def explains(self, finding: Finding, minute: int | None, *, is_steady: bool) -> bool:
        """Tell whether a change may be the motion of the first day; then the series waits.

        So it is where the series had moved to that side before, or moved within its reference, and
        its first day is not over.

        Parameters
        ----------
        minute
            Of the change; None without instants.
        is_steady
            Whether the reference has no slow motion.
        """
        grid = self.grid
        if grid is None or not grid.is_young or not ASPECTS[finding.aspect].is_drift:
            return False
        if minute is None or grid.minutes_until(minute) < QUICKEST_MINUTES:
            return False
        enough = CREPT_AGAIN if grid.alarms else CREPT
        figures, held = finding.figures, self._held
        if self._is_waiting and held:
            has_moved = figures.strength - 2 * figures.chance < MUCH_LARGER * held
        else:
            has_moved = finding.crept > enough or (grid.has_seen_hours and not is_steady)
        self._is_waiting = has_moved
        self._held = max(held, figures.strength, LEAST_HELD) if has_moved else 0.0
        return has_moved

    def judge(self, finding: Finding, minute: int | None) -> Verdict:
        """Return what becomes of a change, by the day of its last row (Rule 5)."""
        if minute is None or not ASPECTS[finding.aspect].is_drift:
            return "told"
        return self.days.judge(minute, finding.figures, is_first_week=self.is_first_week)

    @property
    def is_first_week(self) -> bool:
        """Whether the hours of the series differ, and no week of them has been seen."""
        return self.profile is not None and self.profile.days < WEEK_DAYS

    def note(self, finding: Finding, *, is_further: bool) -> None:
        """Take note of an alarm: it refutes the profile of a single day.

        Parameters
        ----------
        is_further
            Whether an alert is open.
        """
        if not ASPECTS[finding.aspect].is_drift:
            return
        self._is_doubted = True
        self._alarms += not is_further
        if self.grid is not None:
            self.grid.alarms += 1
        if self.profile is not None and self.profile.days == CYCLE_DAYS:
            self.profile = None

    def describe(self) -> dict[str, object]:
        """Return the state for display: hours of the profile, and whether it waits or learns."""
        return {
            "hours": self.profile and self.profile.hours,
            "is_guess": self.profile is not None and self.profile.is_guess,
            "is_observed": self.grid is not None,
            "is_waiting": self._is_waiting or self.days.until > 0,
            "is_first_week": self.is_first_week,
        }


def _kind_of(profile: HourProfile | None) -> tuple[int, int]:
    """Return the hours and the rounded days of a profile: with others, a series relearns."""
    if profile is None:
        return 0, 0
    return profile.hours, max(days for days in RELEARNT_DAYS if days <= profile.days)
