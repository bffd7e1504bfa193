"""The money of a model since an instant: what a change has cost, open answers included.

Rule 1. The days of a model are those of its history. What answers gain usually is that of settled
        days. A loss is compared with what was usual at its onset, and its part that answers of the
        same risk do not explain is told apart: a mix of more risk is not blamed on the model.
Rule 2. A sheet has one row a day, and is made whenever figures are published. Values are read later
        than they come (`streams.model.pending`), so an alert takes the sheet of its own instant:
        sheets are kept until the values before them have been read.
"""

import math
from typing import NamedTuple

import numpy as np

from schemas.metric import Value
from streams.change import Onset
from streams.clock import DAY_MS
from streams.codec import Machine
from streams.detect.compiled import Singles
from streams.detect.day_kernel import GROUPS, ROWS, SQUARES, SUMS
from streams.performance.cohort import MONEY, Cohort
from streams.performance.delay_law import FEWEST
from streams.performance.history import MATURE_DAYS
from streams.performance.nowcast import Outlook, wrong_among_open
from streams.values import Floats

NORMAL_95 = 1.96
"""Standard deviations of a two-sided interval of 95 %."""
NO_SUMS: Singles = np.zeros(0, np.float32)
"""In place of the sums of a day, for an answer without a price."""
MOST_DAYS = 366
"""Rows of a sheet, 15 kB: an alert that is older has the loss of its last year."""


class DayRow(NamedTuple):
    """A row of a sheet.

    Parameters
    ----------
    day
        The day, numbered from the epoch.
    answers, open, errors
        All answers, those without an outcome, and known errors.
    said
        Money gained: of known answers, and of open ones as they are to be expected.
    usual
        What an answer gained usually, as known at the end of the day.
    worse
        Money lost beyond what answers of the same risk usually do.
    variance
        Of `said`, but for the shift.
    spread
        Standard deviation of `said` that is due to the shift: alike in neighbouring days.
    settled
        Answers that `usual` was made of.
    """

    day: float
    answers: float
    open: float
    errors: float
    said: float
    usual: float
    worse: float
    variance: float
    spread: float
    settled: float


WIDTH = len(DayRow._fields)


class Sheet(Machine):
    """The rows of the days, the oldest first, as of an instant; the usual delay of outcomes."""

    as_of_ms: int
    delay_ms: int
    rows: Singles


class Loss(NamedTuple):
    """The money lost since a day, with its interval; None is not known yet."""

    as_of_ms: int
    since_ms: int
    lost: float | None = None
    low: float | None = None
    high: float | None = None
    per_day: float | None = None
    deterioration: float | None = None
    open: int | None = None


class Prices(NamedTuple):
    """What answers gain usually, by group: right ones, errors, and all.

    None is not known yet.
    """

    currency: str
    usual: Floats | None

    def value_of(self, cohort: Cohort, counts: Floats, wrong_open: Floats | None) -> Value:
        """Return the money of a cohort, from its counts by group and its open errors."""
        counted = cohort.gained / MONEY
        said = expected = None
        if self.usual is not None and wrong_open is not None:
            right, wrong, both = self.usual
            answers, rights, errors = counts.reshape(3, GROUPS)
            opened = np.maximum(answers - rights - errors, 0.0)
            gained = (wrong_open * wrong + (opened - wrong_open) * right).sum()
            said = round(counted + float(gained), 2)
            expected = round(float((answers * both).sum()), 2)
        return Value(
            currency=self.currency,
            counted=counted,
            unpriced=cohort.labelled - cohort.priced,
            said=said,
            expected=expected,
        )


class Money(Machine):
    """The money of the days of a model.

    Attributes
    ----------
    first_row
        Number of the first labelled row with a price; None before it.
    """

    first_row: int | None = None
    _days: dict[int, Singles] = {}
    _usual: dict[int, Singles] = {}
    """What answers of a day gain usually, right ones, errors, and all, by group (Rule 1)."""
    _mature: Floats = np.zeros(0)
    _sheets: list[Sheet] = []

    def of_day(self, at_ms: int, row: int) -> Singles:
        """Return the sums of the day of an instant, to be added to.

        ``row`` is the number of the labelled row that is counted, or taken back; of one from before
        the prices there is nothing to take back: ``NO_SUMS``.
        """
        if self.first_row is None:
            self.first_row = row
        if row < self.first_row:
            return NO_SUMS
        start_ms = at_ms - at_ms % DAY_MS
        day = self._days.get(start_ms)
        if day is None:
            day = self._days[start_ms] = np.zeros(SUMS, np.float32)
        return day

    def advance(self, outlook: Outlook) -> None:
        """Make a sheet; let days that the outlook has no longer join the mature ones."""
        for start_ms in sorted(self._days.keys() - set(outlook.starts)):
            day = self._days.pop(start_ms).astype(np.float64)
            self._usual.pop(start_ms, None)
            fade = 1 - 1 / MATURE_DAYS
            self._mature = self._mature * fade + day if len(self._mature) else day
        base = outlook.base
        if base is None:
            return
        usual = self.usual(outlook)
        past = self._sheets[-1].rows.reshape(-1, WIDTH) if self._sheets else ()
        first_ms = outlook.starts[0] if outlook.starts else outlook.now_ms
        rows = [DayRow._make(row) for row in past if row[0] < first_ms // DAY_MS]
        for place, start_ms in enumerate(outlook.starts):
            if start_ms + DAY_MS > outlook.now_ms:
                as_then = usual
            else:
                as_then = self._usual.setdefault(start_ms, usual)
            rows.append(self._row(outlook, place, base, as_then.astype(np.float64)))
        self._sheets.append(
            Sheet(
                outlook.now_ms,
                outlook.median_delay_ms(),
                np.array(rows[-MOST_DAYS:], np.float32).ravel(),
            )
        )

    def usual(self, outlook: Outlook) -> Singles:
        """Return what answers gain usually: right ones, errors and all by group, and their rows."""
        sums = self._mature.copy() if len(self._mature) else np.zeros(SUMS)
        for start_ms in outlook.settled_starts:
            sums += self._days.get(start_ms, 0.0)
        gained, rows = sums[:SQUARES].reshape(2, GROUPS), sums[ROWS:].reshape(2, GROUPS)
        means = gained.sum(axis=1) / np.maximum(rows.sum(axis=1), 1.0)
        # A group without rows has the mean of all.
        right, wrong = (gained + means[:, None]) / (rows + 1.0)
        both = outlook.rates * wrong + (1 - outlook.rates) * right
        answers = outlook.settled[:GROUPS]
        mean = float((answers * both).sum() / max(answers.sum(), 1.0))
        tail = (mean, answers.sum())
        return np.concatenate((right, wrong, both, tail)).astype(np.float32)

    def prices(self, currency: str, outlook: Outlook) -> Prices:
        """Return what answers gain usually."""
        usual = None
        if outlook.base is not None:
            usual = self.usual(outlook)[:ROWS].astype(np.float64).reshape(3, GROUPS)
        return Prices(currency, usual)

    def loss_since(self, onset: Onset, at_ms: int) -> Loss:
        """Return the money lost by predictions since the day of an onset, as known at an instant.

        Predictions are older than their outcomes by the usual delay.
        """
        sheet = next((each for each in reversed(self._sheets) if each.as_of_ms <= at_ms), None)
        if sheet is None:
            return Loss(at_ms, onset.at_ms)
        since_ms = onset.at_ms - (sheet.delay_ms if onset.is_of_outcomes else 0)
        since_ms = since_ms // DAY_MS * DAY_MS
        rows = sheet.rows.reshape(-1, WIDTH)
        rows = rows[rows[:, 0] >= since_ms // DAY_MS].astype(np.float64)
        sums = DayRow._make(rows.sum(axis=0).tolist())
        if sums.errors < FEWEST:
            return Loss(sheet.as_of_ms, since_ms, open=round(sums.open))
        first = DayRow._make(rows[0].tolist())
        lost = sums.answers * first.usual - sums.said
        # The usual figure is an estimate, and the same one for all of these days.
        variance = sums.variance * (1 + sums.answers / max(first.settled, 1.0)) + sums.spread**2
        half = NORMAL_95 * math.sqrt(variance)
        days = max((sheet.as_of_ms - since_ms) / DAY_MS, 1.0)
        return Loss(
            sheet.as_of_ms,
            since_ms,
            lost=round(lost, 2),
            low=round(lost - half, 2),
            high=round(lost + half, 2),
            per_day=round(lost / days, 2),
            deterioration=round(sums.worse, 2),
            open=round(sums.open),
        )

    def on_read(self) -> None:
        """Let go of the sheets of values that have been read (Rule 2)."""
        del self._sheets[:-1]

    def _row(self, outlook: Outlook, place: int, base: Floats, usual: Floats) -> DayRow:
        """Return the row of a day."""
        start_ms = outlook.starts[place]
        right, wrong, both = usual[:ROWS].reshape(3, GROUPS)
        mean, settled = float(usual[-2]), float(usual[-1])
        answers, rights, errors = outlook.counts[place].astype(np.float64).reshape(3, GROUPS)
        opened = np.maximum(answers - rights - errors, 0.0)
        money = self._days.get(start_ms, np.zeros(SUMS)).astype(np.float64)
        gained = money[:SQUARES].reshape(2, GROUPS).sum(axis=0)
        known = money[ROWS:].reshape(2, GROUPS).sum(axis=0)
        logits = base + float(outlook.shifts[place, 0])
        post, slope = wrong_among_open(logits, outlook.unknown[place])
        to_come = opened * (post * wrong + (1 - post) * right)
        said = float((gained + to_come).sum())
        worse = float((both * (known + opened) - gained - to_come).sum())
        squares = money[SQUARES:ROWS] - 2 * mean * gained + known * mean * mean
        squares += opened * (post * (wrong - mean) ** 2 + (1 - post) * (right - mean) ** 2)
        shift_sd = math.sqrt(float(outlook.shifts[place, 1]))
        spread = abs(float((opened * slope * (wrong - right)).sum())) * shift_sd
        priced, left = float(known.sum()), float(opened.sum())
        variance = max(float(squares.sum()), 0.0)
        return DayRow(
            start_ms // DAY_MS, priced + left, left, float(errors.sum()),
            said, mean, worse, variance, spread, settled,
        )  # fmt: skip
