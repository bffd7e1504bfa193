"""Find the category that becomes common, of those too rare to be watched by their own shares.

Rule 1. Such categories have one share together: one of them that rises moves it little, and gives
        it no name. So each has a CUSUM of log-likelihood ratios as well.
Rule 2. Rows are counted in blocks. A run begins with a block in which the category comes three
        times, and what has fallen to 0 is forgotten: all others cost nothing.
Rule 3. No threshold is below the highest CUSUM within the second half of the reference, held
        against the first: keys that come in clumps (the requests of one session) are no rise. Nor
        is one clump: the first two blocks of a run count up to half of the threshold.
"""

import math
from collections import Counter
from collections.abc import Container, Sequence
from functools import lru_cache
from typing import NamedTuple

from msgspec import field

from streams.change import Figures, Finding
from streams.codec import Machine
from streams.detect.budget import likelihood_threshold
from streams.detect.limits import TOP_MARGIN
from streams.values import Value, odds_of

BLOCK_ROWS = 64
"""Rows counted at once, and the longest clump that is no rise: as long as the longest burst of a
share (`streams.detect.share_kernel.BURST_ROWS`)."""
RISEN_SHARE = 0.05
"""The share that is found soonest: the least that concerns anybody, by judgement."""
TIMES = 3.0
"""The same as a multiple of the usual share, where that is the greater."""
LEAST_SHARE = 0.002
"""The usual share of a category that is rarer, or new, for the CUSUM: with it, one row in a block
is worth nothing."""
SURE = 2.0
"""Standard deviations of a count that are added to it: of many rare categories some are rarer in a
reference than they are."""
BUDGET_SHARE = 0.1
"""The part of a series' budget: it costs the other detectors 1 % of their delay."""
LEAST_CATEGORIES = 10
"""Categories among which the part is divided, at least: new ones come as well. By judgement."""
FIRST_BLOCKS = 2
"""Blocks that one clump of `BLOCK_ROWS` touches at most."""
YOUNG = 0.5
"""The part of the threshold that these blocks of a run reach at most. By judgement."""
FEWEST = 3
"""Rows of a category in the first block of a run: 5 % of it."""
MAX_USUAL = 256
"""Categories whose usual rows are kept, the commonest: as many as `streams.series.unseen` keeps."""


class Run(NamedTuple):
    """A CUSUM above 0: its nats, its rows, and the hits among them."""

    nats: float
    rows: int
    hits: int


_NO_RUN = Run(0.0, 0, 0)


class RisenCategory(Machine):
    """Watch all categories that have no share of their own.

    Attributes
    ----------
    name
        The category that has risen.

    Examples
    --------
    >>> risen = RisenCategory.learn([f"id {row}" for row in range(2_000)], (), is_closed=False)
    >>> risen.set_budget(0.1)
    >>> rows = ["new" if row % 8 == 0 else f"user {row}" for row in range(400)]
    >>> finding = risen.run(rows, ())
    >>> risen.name, finding.row, finding.figures.value
    ('new', 191, 0.125)
    """

    _learnt: int
    _usual: dict[Value, int]
    _categories: int
    _is_closed: bool
    _threshold: float = math.inf
    _top: float = 0.0
    _filled: int = 0
    _block: list[Value] = field(default_factory=list)
    """The rare values of the open block."""
    _runs: dict[Value, Run] = field(default_factory=dict)
    name: Value | None = None

    @classmethod
    def learn(
        cls, values: Sequence[Value], watched: Container[Value], *, is_closed: bool
    ) -> "RisenCategory":
        """Return the detector for the values of a reference; it has no budget yet.

        Parameters
        ----------
        watched
            The categories that have a share of their own.
        is_closed
            Whether a category that the reference had not is a finding at once.
        """
        half = len(values) // 2
        early = cls._of(values[:half], watched, is_closed=is_closed)
        early.run(values[half:], watched)
        risen = cls._of(values, watched, is_closed=is_closed)
        risen._top = early._top
        return risen

    @classmethod
    def _of(
        cls, values: Sequence[Value], watched: Container[Value], *, is_closed: bool
    ) -> "RisenCategory":
        counts = Counter(value for value in values if value not in watched)
        usual = {name: rows for name, rows in counts.most_common(MAX_USUAL) if rows > 1}
        return cls(len(values), usual, max(len(counts), LEAST_CATEGORIES), is_closed)

    def set_budget(self, false_alarms: float) -> None:
        """Set the threshold, for so many false alarms per 10,000 rows."""
        nats = likelihood_threshold(false_alarms / self._categories)
        self._threshold = max(nats, TOP_MARGIN * self._top)

    def renew(self) -> None:
        """Forget all values read since the reference was made."""
        self._filled, self._block, self._runs, self.name = 0, [], {}, None

    def run(self, values: Sequence[Value], watched: Container[Value]) -> Finding | None:
        """Read values until one category has become common.

        ``watched`` is as for `learn`.
        """
        start, rows = 0, len(values)
        while start < rows:
            end = min(start + BLOCK_ROWS - self._filled, rows)
            self._block += [value for value in values[start:end] if value not in watched]
            self._filled += end - start
            if self._filled == BLOCK_ROWS:
                found = self._read_block(end - 1)
                if found is not None:
                    return found
            start = end
        return None

    def _read_block(self, row: int) -> Finding | None:
        """Advance the runs by the block that is full with a row, and begin the next."""
        counts, before = Counter(self._block), self._runs
        self._filled, self._block, self._runs = 0, [], {}
        begun = (name for name, hits in counts.items() if hits >= FEWEST and name not in before)
        for name in (*before, *begun):
            if self._is_closed and name not in self._usual:
                continue
            run = self._advanced(before.get(name, _NO_RUN), counts[name], self._usual.get(name, 0))
            if run.nats > self._threshold:
                self.name = name
                return self._finding(row, run, self._usual.get(name, 0))
            if run.nats > 0:
                self._runs[name] = run
        return None

    def _advanced(self, run: Run, hits: int, usual: int) -> Run:
        """Return a run that is longer by a block with so many hits.

        ``usual`` is the number of rows of the category in the reference.
        """
        hit, miss = _ratios(usual, self._learnt)
        nats = run.nats + hits * hit - (BLOCK_ROWS - hits) * miss
        if self._threshold == math.inf:
            self._top = max(self._top, nats)
        elif run.rows < FIRST_BLOCKS * BLOCK_ROWS:
            nats = min(nats, YOUNG * self._threshold)
        return Run(nats, run.rows + BLOCK_ROWS, run.hits + hits)

    def _finding(self, row: int, run: Run, usual: int) -> Finding:
        value, baseline = run.hits / run.rows, usual / self._learnt
        figures = Figures(
            value=value,
            baseline=baseline,
            effect=odds_of(value, run.rows) / odds_of(baseline, self._learnt),
            unit="odds_ratio",
            direction="up",
            rows=run.rows,
        )
        return Finding(row=row, aspect="share", detector="cusum", figures=figures)


@lru_cache(maxsize=4_096)
def _ratios(usual: int, learnt: int) -> tuple[float, float]:
    """Return the log-likelihood ratio for a risen share of a hit, and against it of a miss.

    Parameters
    ----------
    usual, learnt
        Rows of the category in the reference, and all its rows.
    """
    surely = (usual + SURE * math.sqrt(usual) + SURE + 1) / learnt
    share = min(max(surely, LEAST_SHARE), 0.5)
    risen = max(RISEN_SHARE, min(TIMES * share, (1 + share) / 2))
    return math.log(risen / share), math.log((1 - share) / (1 - risen))
