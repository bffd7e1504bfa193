"""Days of a kind that a reference has not seen, and days that are unlike the others each month.

Rule 1. In its first week a series whose hours differ may have been learnt on one kind of day. A
        change in the first hours of a day of another kind may be that kind: one of a weekend is
        held back until the weekend is over, and the first working day after a weekend is learnt.
Rule 2. A change that was over within days may come back a month later: at the same place of the
        month, to the same side and less than twice as large, it is held back as long as it lasted.
Rule 3. What is held back is compared again afterwards: a change that lasts is reported then.
Rule 4. One instant from the future ends no wait: three values in a row do.
"""

from datetime import date, timedelta
from typing import Literal

from msgspec import Struct

from streams.change import Figures
from streams.clock import DAY_MINUTES, Minutes
from streams.codec import Machine
from streams.season import hour_kernel

WEEKEND = (2, 3)
"""Saturday and Sunday, in days from a Thursday, as the epoch was."""
MONDAY = 4
NEARLY_ALL = 0.8
"""Part of a reference from one kind of day, from which it is of that kind. By judgement."""
SETTLED_MINUTES = DAY_MINUTES // 2
"""Minutes of a day after which its kind is no reason for a change: a zone that is not named is at
most so far from UTC."""
BRIEF_DAYS = 5
"""Days within which a change is over that may come back: a weekend and a holiday beside it, and the
day that it takes to find the series back."""
PLACE_DAYS = 2
"""Days by which a place in the month varies: the last working day."""
MONTH_DAYS = (25, 70)
"""Days after which a change may come back: a month, or two where one was left out."""
LARGER = 2.0
"""A change so many times as large as the last one is none that came back (docs/decisions/0079)."""
MAX_PAST = 4
"""Changes kept: one at the end of a month, and some that do not come back."""
_EPOCH = date(1970, 1, 1)
_UNKNOWN = -1.0

Verdict = Literal["told", "held", "learnt"]
"""What becomes of a change: it is told, held back, or its values are learnt as a new reference."""


class Episode(Struct, frozen=True):
    """A change that was over within days.

    Parameters
    ----------
    minute
        Of its alarm.
    figures
        The change.
    minutes
        How long it lasted; 0 while it is open.
    """

    minute: int
    figures: Figures
    minutes: int = 0

    def may_be_again(self, minute: int, figures: Figures) -> bool:
        """Tell whether a change may be this one, which has come back (Rule 2)."""
        first, last = MONTH_DAYS
        return (
            first <= (minute - self.minute) / DAY_MINUTES <= last
            and figures.direction == self.figures.direction
            and figures.strength < LARGER * self.figures.strength
            and any(
                abs(place - before) <= PLACE_DAYS
                for place, before in zip(places(minute), places(self.minute), strict=True)
            )
        )


class DayKinds(Machine):
    """The days of one series: what its reference has seen of them, and what may come back.

    Attributes
    ----------
    until
        The minute until which the series is not compared; 0 while it is.
    """

    until: int = 0
    _late: int = 0
    _weekend: float = _UNKNOWN
    """Part of the reference from weekends."""
    _open: Episode | None = None
    _past: tuple[Episode, ...] = ()

    def learn(self, minutes: Minutes) -> None:
        """Take note of the days that a reference is made from."""
        days = minutes // DAY_MINUTES % 7
        is_weekend = (days == WEEKEND[0]) | (days == WEEKEND[1])
        self._weekend = float(is_weekend.mean()) if len(minutes) else _UNKNOWN

    def judge(self, minute: int, figures: Figures, *, is_first_week: bool) -> Verdict:
        """Return what becomes of a change.

        Parameters
        ----------
        is_first_week
            Whether the hours of the series differ, and no week of them has been seen.
        """
        verdict = self._in_first_week(minute) if is_first_week else "told"
        if verdict == "held":
            self.until = _next_monday(minute)
        if verdict != "told":
            return verdict
        for episode in self._past:
            if episode.may_be_again(minute, figures):
                self.until = minute + episode.minutes
                again = Episode(minute, episode.figures, episode.minutes)
                self._past = tuple(again if each is episode else each for each in self._past)
                return "held"
        self._open = Episode(minute, figures)  # one before it has ended as the new state
        return "told"

    def _in_first_week(self, minute: int) -> Verdict:
        """Tell what becomes of a change on a day whose kind is not known (Rule 1)."""
        day = minute // DAY_MINUTES % 7
        is_of_weekend = self._weekend >= NEARLY_ALL
        is_of_one = is_of_weekend or 0 <= self._weekend <= 1 - NEARLY_ALL
        if not is_of_one or minute % DAY_MINUTES >= SETTLED_MINUTES:
            return "told"
        if day in WEEKEND:
            return "told" if is_of_weekend else "held"
        return "learnt" if is_of_weekend and day == MONDAY else "told"

    def on_back(self, minute: int | None) -> None:
        """Take note that the series is back at its first reference."""
        episode, self._open = self._open, None
        if episode is None or minute is None:
            return
        lasted = minute - episode.minute
        if 0 < lasted <= BRIEF_DAYS * DAY_MINUTES:
            over = Episode(episode.minute, episode.figures, lasted)
            self._past = (*self._past, over)[-MAX_PAST:]

    def forget_open(self) -> None:
        """Take note that the change that was told is the new state."""
        self._open = None

    def rows_until_over(self, minutes: Minutes) -> int | None:
        """Return how many rows may be read before the wait is over; None for all of them."""
        row, _ = hour_kernel.first_late(minutes, self.until, self._late)
        return None if row < 0 else row

    def pass_over(self, minutes: Minutes | None) -> None:
        """Advance by the minutes of rows; None if all of them are before ``until``."""
        self._late = (
            0 if minutes is None else hour_kernel.first_late(minutes, self.until, self._late)[1]
        )

    def end(self) -> None:
        """End the wait."""
        self.until = self._late = 0

    def forget(self) -> None:
        """End the wait, and forget the changes so far: they may have been the hours."""
        self.end()
        self._open, self._past = None, ()


def places(minute: int) -> tuple[int, int]:
    """Return the place of a minute in its month: days from its beginning, and from its end.

    Examples
    --------
    >>> [places(DAY_MINUTES * day) for day in (0, 30, 31)]
    [(0, 30), (30, 0), (0, 27)]
    """
    on = _EPOCH + timedelta(days=minute // DAY_MINUTES)
    following = (on.replace(day=1) + timedelta(days=31)).replace(day=1)
    return on.day - 1, (following - on).days - 1


def _next_monday(minute: int) -> int:
    day = minute // DAY_MINUTES
    return DAY_MINUTES * (day + (MONDAY - day - 1) % 7 + 1)
