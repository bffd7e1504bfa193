"""The rhythm of a model's events, and how long a silence is longer than it allows.

Rule 1. For each hour of the week, the longest silence that had lasted at some time within it is
        kept. A silence is too long at three times that, of this hour and its two neighbours; at
        more while the hour was seen in few weeks.
Rule 2. It is also shorter than chance explains: at the rate of these hours, such a gap between
        events that come independently of each other would exceed the budget.
Rule 3. An hour of the week that was never seen is judged by the longest silence of all, and so is
        every hour of a model with fewer than ``SPARSE`` events an hour.
Rule 4. Nothing is judged before ``FIRST_EVENTS`` events that span a day.
Rule 5. A silence is learnt from when it is over. One that was told counts as the longest that would
        not have been: what becomes the rhythm is told less and less.
Rule 6. Time is the model's log time.
"""

from typing import Any

from streams.clock import HOUR_MS, NEVER_MS, WEEK_HOURS

FIRST_EVENTS = 200
FIRST_SPAN_MS = 24 * HOUR_MS
FACTOR = 3
SPARSE = 8
SHORTEST_MS = 120_000
NATS = 16.0


class ArrivalPattern:
    """One kind of events of one model.

    Parameters
    ----------
    events
        Events that came before it was made.
    nats
        Mean gaps that are too long for chance: the natural logarithm of one over the probability.

    Attributes
    ----------
    last_ms
        Instant of the latest event; 0 before the first.
    is_silent
        Whether the silence has been told.

    Examples
    --------
    An event a minute for two days, then nothing:

    >>> rhythm, minute_ms = ArrivalPattern(), 60_000
    >>> for count in range(2_880):
    ...     _ = rhythm.on_event((60 + count) * minute_ms, count)
    >>> (rhythm.deadline_ms() - rhythm.last_ms) / minute_ms
    16.0
    """

    def __init__(self, events: int = 0, nats: float = NATS) -> None:
        self.nats = nats
        self.last_ms = 0
        self._longest_ms = -1
        self.is_silent = False
        self._first_ms = 0
        self._hour = 0
        self._hour_end_ms = 0
        self._events = 0
        self._events_before = events
        self._overall_ms = 0
        self._hours: dict[int, list[int]] = {}  # times seen, events, longest silence

    def on_event(self, now_ms: int, events_before: int) -> bool:
        """Take in an event; tell whether it ends a silence that was told."""
        ends = False
        if now_ms >= self._hour_end_ms or now_ms - self.last_ms > self._longest_ms:
            ends = self._on_gap(now_ms, events_before)
        self.last_ms = now_ms
        return ends

    def deadline_ms(self) -> int:
        """Return when the silence since the latest event will have been too long."""
        if self._events < FIRST_EVENTS or self.last_ms - self._first_ms < FIRST_SPAN_MS:
            return NEVER_MS
        first = self.last_ms // HOUR_MS
        if self._is_sparse:
            return self.last_ms + self.allowed_ms(first)
        for hour in range(first, first + 2 * WEEK_HOURS):
            at_ms = max(hour * HOUR_MS, self.last_ms + self.allowed_ms(hour))
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
        slot = self._hours.get(hour % WEEK_HOURS)
        if slot is None or not slot[0] or self._is_sparse:  # Rule 3
            by_chance_ms = round(self.nats * self._mean_ms)
            return max(FACTOR * self._overall_ms, by_chance_ms, SHORTEST_MS)
        seen = events = longest_ms = 0
        for near in (hour - 1, hour, hour + 1):
            of_hour = self._hours.get(near % WEEK_HOURS, (0, 0, 0))
            seen += of_hour[0]
            events += of_hour[1]
            longest_ms = max(longest_ms, of_hour[2])
        by_chance_ms = round(self.nats * seen * HOUR_MS / events) if events else 0
        return max((FACTOR + 3 // slot[0]) * longest_ms, by_chance_ms, SHORTEST_MS)

    def usual_ms(self, hour: int) -> int:
        """Return the longest silence that there has been at this hour of the week, or ever."""
        slot = self._hours.get(hour % WEEK_HOURS)
        return self._overall_ms if slot is None or not slot[0] else slot[2]

    def fall_silent(self) -> None:
        """Take note that the silence is told: the next event ends it."""
        self.is_silent = True
        self._longest_ms = -1

    def excuse(self, now_ms: int) -> None:
        """Count the silence from now on: what lies behind has another reason, or is accepted."""
        if self.last_ms:
            self.last_ms = max(self.last_ms, now_ms)
        self.is_silent = False

    def snapshot(self) -> dict[str, Any]:
        """Return the state."""
        return {
            "last_ms": self.last_ms,
            "until": [self._hour_end_ms, self._longest_ms],
            "is_silent": self.is_silent,
            "first_ms": self._first_ms,
            "hour": self._hour,
            "events": [self._events, self._events_before],
            "overall_ms": self._overall_ms,
            "hours": [[hour, *slot] for hour, slot in self._hours.items()],
        }

    def restore(self, tree: dict[str, Any]) -> None:
        """Go on from what `snapshot` returned."""
        self.last_ms = tree["last_ms"]
        self._hour_end_ms, self._longest_ms = tree["until"]
        self.is_silent = tree["is_silent"]
        self._first_ms = tree["first_ms"]
        self._hour = tree["hour"]
        self._events, self._events_before = tree["events"]
        self._overall_ms = tree["overall_ms"]
        self._hours = {hour: slot for hour, *slot in tree["hours"]}

    def _on_gap(self, now_ms: int, events_before: int) -> bool:
        """Take note of a silence that ends now, or of an hour that has ended."""
        was_silent, self.is_silent = self.is_silent, False
        hour = now_ms // HOUR_MS
        if not self.last_ms:
            self._first_ms, self._hour = now_ms, hour
        if self.last_ms and not was_silent and hour == self._hour:
            silence_ms = now_ms - self.last_ms
            self._longest_ms = max(self._longest_ms, silence_ms)
            self._note(hour, silence_ms)
            return False
        hours = range(max(self._hour, hour - WEEK_HOURS), hour + 1)
        silences = [min((each + 1) * HOUR_MS, now_ms) - self.last_ms for each in hours]
        if was_silent:  # Rule 5
            pairs = zip(hours, silences, strict=True)
            silences = [min(silence, self.allowed_ms(each)) for each, silence in pairs]
        if self.last_ms:
            for each, silence_ms in zip(hours, silences, strict=True):
                self._note(each, silence_ms)
        if hour > self._hour:
            self._end_hours(hours[:-1], events_before)
            self._hour = hour
        self._hour_end_ms = (hour + 1) * HOUR_MS
        self._longest_ms = self._slot(hour)[2]
        return was_silent

    def _end_hours(self, hours: range, events_before: int) -> None:
        events = events_before - self._events_before
        self._events += events
        self._events_before = events_before
        seen = [each for each in hours if each * HOUR_MS - self._first_ms >= FIRST_SPAN_MS]
        for each in seen:  # before, the silence that led up to the hour was not seen to its end
            self._slot(each)[0] += 1
        if seen and seen[0] == self._hour:
            self._slot(seen[0])[1] += events

    def _note(self, hour: int, silence_ms: int) -> None:
        slot = self._slot(hour)
        slot[2] = max(slot[2], silence_ms)
        self._overall_ms = max(self._overall_ms, silence_ms)

    def _slot(self, hour: int) -> list[int]:
        return self._hours.setdefault(hour % WEEK_HOURS, [0, 0, 0])
