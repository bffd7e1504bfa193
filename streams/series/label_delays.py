"""Tell whether the labels of a model may be read in the order in which they arrive.

An error that becomes known later than a right answer is missing among the first labels, and again
among those that follow a rise of the traffic: the share of errors moves, and the model does not.

Rule 1. Order of arrival is safe while at most ``MOST_DISPLACED`` values of the rarer class lie out
        of place: the rate of that class times the difference of the delays of the two classes.
Rule 2. Delays are known once ``MATURE`` times the longest of them has passed. Before that the
        longest stands for the difference: a delay of few rows is safe at once.
Rule 3. A difference counts as far as it exceeds chance.
Rule 4. After the first ``FULL_ROWS`` pairs every ``SAMPLED``-th is read.
"""

import math

from msgspec import field

from streams.codec import Machine
from streams.values import Value

MOST_DISPLACED = 1.0
"""Values. An error adds 0.56 nats to a CUSUM on odds of 1.75, whose threshold is 8.5: traffic that
doubles at once takes a fifteenth of the way to an alarm."""
MATURE = 3.0
"""Longest delays. The longest is a mean and ``SPREADS`` standard deviations; those of labels cut
off at the present instant never reach a third of the time."""
SPREADS = 3.0
FEW_ROWS = 30
"""Values of a class, below which its delay is not compared."""
NOISE_OF_MEAN, NOISE_OF_SPREAD = 2.0, 3.0
"""Standard errors of the difference of two means that are chance: of the means, and of the spreads,
which long tails make noisier."""
FULL_ROWS, SAMPLED = 2_000, 32
"""Pairs: a complete reference, and then one in 32, for the price of a pair."""
MEMORY_ROWS = 8_000
"""Pairs read, after which the sums are halved: delays of long ago fade."""
_MS = 1_000.0


class LabelDelays(Machine):
    """The delays of one series of pairs, by the class of its values.

    Attributes
    ----------
    is_prompt
        Whether values may be read as they arrive.

    Examples
    --------
    >>> delays = LabelDelays()
    >>> for row in range(1, 400):
    ...     turned = delays.add(row % 10 == 0, 5_000, 60_000 * row, row, is_quantity=False)
    >>> delays.is_prompt
    True
    """

    is_prompt: bool = True
    first_value: Value | None = None
    _first_ms: int | None = None
    _total: float = 0.0
    _rows: list[float] = field(default_factory=lambda: [0.0, 0.0])
    _sums: list[float] = field(default_factory=lambda: [0.0, 0.0])
    _squares: list[float] = field(default_factory=lambda: [0.0, 0.0])
    _due: float = 1.0

    @property
    def mean(self) -> float:
        """The mean of the quantities so far."""
        return self._total / max(sum(self._rows), 1.0)

    def add(
        self, value: Value, delay_ms: int, known_ms: int, predictions: int, *, is_quantity: bool
    ) -> bool:
        """Take in a pair; return whether the verdict has changed.

        Parameters
        ----------
        value
            A quantity is of the high class above the mean so far; of other values, each but the
            first is.
        delay_ms
            From the prediction to its outcome; 0 or more.
        known_ms
            The instant of the outcome.
        predictions
            Predictions of the model so far.
        """
        if self.first_value is None:
            self.first_value = False if value is True else value
        is_high = value != self.first_value
        if is_quantity and not isinstance(value, str):
            self._total += float(value)
            is_high = float(value) * (sum(self._rows) + 1) > self._total
        delay_s = delay_ms / _MS
        if self._first_ms is None:
            self._first_ms = known_ms - delay_ms
        self._rows[is_high] += 1.0
        self._sums[is_high] += delay_s
        self._squares[is_high] += delay_s * delay_s
        rows = self._rows[0] + self._rows[1]
        if rows < self._due:
            return False
        if rows >= MEMORY_ROWS:
            self._halve()
        self._due = rows + min(max(rows // 8, 1.0), 1_000.0)
        elapsed_s = (known_ms - self._first_ms) / _MS
        displaced = self._displaced(elapsed_s, predictions)
        # A verdict that has turned needs a margin, so that it does not turn to and fro.
        limit = MOST_DISPLACED * (1.0 if self.is_prompt else 0.5)
        before, self.is_prompt = self.is_prompt, displaced <= limit
        return before != self.is_prompt

    def _displaced(self, elapsed_s: float, predictions: int) -> float:
        """Return the values of the rarer class that lie out of place."""
        low, high = self._rows
        (low_mean, low_sd), (high_mean, high_sd) = self._moments(0), self._moments(1)
        longest_s = max(low_mean + SPREADS * low_sd, high_mean + SPREADS * high_sd)
        if longest_s <= 0 or elapsed_s <= 0:
            return 0.0
        share = (min(low, high) + 0.5) / (low + high + 1)
        of_class = share * predictions / elapsed_s
        if elapsed_s < MATURE * longest_s or min(low, high) < FEW_ROWS:  # Rule 2
            return of_class * longest_s
        noise = math.sqrt(low_sd * low_sd / low + high_sd * high_sd / high)
        apart = max(abs(low_mean - high_mean) - NOISE_OF_MEAN * noise, 0.0)
        wider = max(abs(low_sd - high_sd) - NOISE_OF_SPREAD * noise, 0.0)
        return of_class * (apart + wider)

    def _moments(self, index: int) -> tuple[float, float]:
        rows = max(self._rows[index], 1.0)
        mean = self._sums[index] / rows
        return mean, math.sqrt(max(self._squares[index] / rows - mean * mean, 0.0))

    def _halve(self) -> None:
        self._total /= 2
        for sums in (self._rows, self._sums, self._squares):
            sums[:] = [each / 2 for each in sums]
