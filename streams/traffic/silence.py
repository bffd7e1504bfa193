"""The arrival pattern of a model's events, and the silence that it does not explain.

Rule 1. For each hour of the week, the longest silence at any time within it is kept. A silence is
        too long at three times that, over this hour and its two neighbours; at more while the hour
        was seen in few weeks.
Rule 2. It is also longer than chance explains: at the rate of these hours, such a gap between
        independent events would exceed the budget.
Rule 3. An hour of the week that was never seen is judged by the longest silence of all hours. So is
        every hour of a model with fewer than ``SPARSE`` events an hour.
Rule 4. No silence is too long before ``FIRST_EVENTS`` events that span a day.
Rule 5. A silence is learned when it is over. A reported silence is learned as the longest allowed
        one: a silence that recurs becomes normal.
Rule 6. Time is the model's log time.
"""

from msgspec import Struct, field

from streams.clock import HOUR_MS, NEVER_MS, WEEK_HOURS
from streams.codec import Machine

FIRST_EVENTS = 200
"""Events before a silence can be too long: the fewest that a series is watched after, too."""
FIRST_SPAN_MS = 24 * HOUR_MS
"""Span of these events: one day, the shortest rhythm of people."""
FACTOR = 3
"""A silence is too long at this multiple of the longest one, twice as much after one week of its
hour. docs/detection.md has the false alarms simulated with it."""
SPARSE = 8
"""Events an hour below which single hours of the week say little about their silences."""
SHORTEST_MS = 120_000
"""Shortest silence that may be too long, in ms: a restart of a service takes less."""
NATS = 16.0
"""Mean gaps that are too long for chance, for the default alert budget."""


class _HourOfWeek(Struct, array_like=True):
    """One hour of the week: the weeks it was seen in, its events, its longest silence."""

    seen: int = 0
    events: int = 0
    longest_ms: int = 0


_NO_HOUR = _HourOfWeek()


class ArrivalPattern(Machine):
    """The arrivals of one kind of events of one model.

    Parameters
    ----------
    _events_before
        Events before it was made.
    nats
        Mean gaps that are too long for chance: the natural logarithm of one over the probability.

    Attributes
    ----------
    last_ms
        Instant of the latest event; 0 before the first.
    is_silent
        Whether the present silence has been reported.
    excused_ms
        Instant up to which a silence has another cause, or is accepted.

    Examples
    --------
    An event a minute for two days, then none:

    >>> pattern, minute_ms = ArrivalPattern(), 60_000
    >>> for count in range(2_880):
    ...     _ = pattern.on_event((60 + count) * minute_ms, count)
    >>> (pattern.deadline_ms() - pattern.last_ms) / minute_ms
    16.0
    """

    _events_before: int = 0
    nats: float = NATS
    last_ms: int = 0
    is_silent: bool = False
    excused_ms: int = 0
    _first_ms: int = 0
    _hour: int = 0
    _hour_end_ms: int = 0
    _longest_ms: int = -1  # a longer gap changes state; -1 where every event does
    _events: int = 0
    _overall_ms: int = 0  # the longest silence of all hours
    _hours: dict[int, _HourOfWeek] = field(default_factory=dict)

    def on_event(self, now_ms: int, events_before: int) -> bool:
        """Take in an event; return whether it ends a reported silence."""
        ends = False
        if now_ms >= self._hour_end_ms or now_ms - self.last_ms > self._longest_ms:
            ends = self._on_gap(now_ms, events_before)
        self.last_ms = now_ms
        return ends

    def deadline_ms(self) -> int:
        """Return the instant at which the silence since the latest event becomes too long."""
        if self._events < FIRST_EVENTS or self.last_ms - self._first_ms < FIRST_SPAN_MS:
            return NEVER_MS
        since_ms = max(self.last_ms, self.excused_ms)
        first = since_ms // HOUR_MS
        if self._is_sparse:
            return since_ms + self.allowed_ms(first)
        for hour in range(first, first + 2 * WEEK_HOURS):
            at_ms = max(hour * HOUR_MS, since_ms + self.allowed_ms(hour))
            if at_ms < (hour + 1) * HOUR_MS:
                return at_ms
        return (first + 2 * WEEK_HOURS) * HOUR_MS

    @property
    def _mean_ms(self) -> float:
        return (self._hour * HOUR_MS - self._first_ms) / max(self._events, 1)

    @property
    def _is_sparse(self) -> bool:
        return self._mean_ms * SPARSE > HOUR_MS

    def allowed_ms(self, hour: int) -> int:
        """Return the longest silence that is not too long in an hour, counted since the epoch."""
        of_hour = self._hours.get(hour % WEEK_HOURS, _NO_HOUR)
        if not of_hour.seen or self._is_sparse:  # Rule 3
            by_chance_ms = round(self.nats * self._mean_ms)
            return max(FACTOR * self._overall_ms, by_chance_ms, SHORTEST_MS)
        seen = events = longest_ms = 0
        for near in (hour - 1, hour, hour + 1):
            of_near = self._hours.get(near % WEEK_HOURS, _NO_HOUR)
            seen += of_near.seen
            events += of_near.events
            longest_ms = max(longest_ms, of_near.longest_ms)
        by_chance_ms = round(self.nats * seen * HOUR_MS / events) if events else 0
        return max((FACTOR + FACTOR // of_hour.seen) * longest_ms, by_chance_ms, SHORTEST_MS)

    def normal_ms(self, hour: int) -> int:
        """Return the longest silence at this hour of the week; of all hours, if it is unseen."""
        of_hour = self._hours.get(hour % WEEK_HOURS, _NO_HOUR)
        return of_hour.longest_ms if of_hour.seen else self._overall_ms

    def fall_silent(self) -> None:
        """Take note that the silence is reported: the next event ends it."""
        self.is_silent = True
        self._longest_ms = -1

    def excuse(self, now_ms: int) -> None:
        """Count the silence from now on: the time before has another cause, or is accepted."""
        self.excused_ms = max(self.excused_ms, now_ms)
        self.is_silent = False

    def _on_gap(self, now_ms: int, events_before: int) -> bool:
        """Learn from a silence that ends now, or from an hour that has ended."""
        was_silent, self.is_silent = self.is_silent, False
        hour = now_ms // HOUR_MS
        if not self.last_ms:
            self._first_ms, self._hour = now_ms, hour
        if self.last_ms and not was_silent and hour == self._hour:
            silence_ms = now_ms - max(self.last_ms, self.excused_ms)
            self._longest_ms = max(self._longest_ms, silence_ms)
            self._learn(hour, silence_ms)
            return False
        hours = range(max(self._hour, hour - WEEK_HOURS), hour + 1)
        since_ms = max(self.last_ms, self.excused_ms)
        silences = [min((each + 1) * HOUR_MS, now_ms) - since_ms for each in hours]
        if was_silent:  # Rule 5
            pairs = zip(hours, silences, strict=True)
            silences = [min(silence, self.allowed_ms(each)) for each, silence in pairs]
        if self.last_ms:
            for each, silence_ms in zip(hours, silences, strict=True):
                self._learn(each, silence_ms)
        if hour > self._hour:
            self._end_hours(hours[:-1], events_before)
            self._hour = hour
        self._hour_end_ms = (hour + 1) * HOUR_MS
        self._longest_ms = self._hour_of_week(hour).longest_ms
        return was_silent

    def _end_hours(self, hours: range, events_before: int) -> None:
        events = events_before - self._events_before
        self._events += events
        self._events_before = events_before
        seen = [each for each in hours if each * HOUR_MS - self._first_ms >= FIRST_SPAN_MS]
        for each in seen:  # on the first day, the silence that led up to an hour was cut short
            self._hour_of_week(each).seen += 1
        if seen and seen[0] == self._hour:
            self._hour_of_week(self._hour).events += events

    def _learn(self, hour: int, silence_ms: int) -> None:
        of_hour = self._hour_of_week(hour)
        of_hour.longest_ms = max(of_hour.longest_ms, silence_ms)
        self._overall_ms = max(self._overall_ms, silence_ms)

    def _hour_of_week(self, hour: int) -> _HourOfWeek:
        return self._hours.setdefault(hour % WEEK_HOURS, _HourOfWeek())
