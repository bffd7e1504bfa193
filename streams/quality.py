"""Rules about the values themselves: missing, of another type, never seen before, stuck.

They cost nothing of the alert budget, because each is a fact and not a guess.

Rule 1. A value that was never missing in a whole reference is news when it is missing once.
Rule 2. A category is news only where the reference left no room for new ones.
Rule 3. The same news waits twice as long each time: a flood of it is one alarm, then silence.
Rule 4. A stuck value is said once, and its repetitions are nobody's new reference. Where the runs
        of the reference are so long that it has but a few of them, none is too long.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from streams import kernel
from streams.budget import longest_chance_run
from streams.detect import Finding, ShareDetector
from streams.reference import ShareReference
from streams.sample import Sample
from streams.values import Floats, Value

SHORTEST_STUCK_RUN = 20
FEWEST_RUNS = 4
COMMON_SHARE = 0.05
DOUBT = 5
MAX_KNOWN_CATEGORIES = 256
MAX_NEWS = 3
MAX_SILENT_ROWS = 64_000

_NO_RUNS: kernel.Runs = np.empty(0, dtype=np.int64)


class Hush:
    """Let the first alarm of a kind through, the next after ``rows`` inputs, then after twice that.

    Examples
    --------
    >>> hush = Hush(100)
    >>> [row for row in range(1_000) if hush.lets_through(row)]
    [0, 100, 300, 700]
    """

    __slots__ = ("_next", "_rows")

    def __init__(self, rows: int, next_row: int = 0) -> None:
        self._rows = rows
        self._next = next_row

    def lets_through(self, row: int) -> bool:
        """Return whether an alarm at this input may be raised; if so, it counts as raised."""
        if row < self._next:
            return False
        self._next = row + self._rows
        self._rows *= 2
        return True

    @classmethod
    def silent(cls) -> "Hush":
        """Return one that lets nothing through."""
        return cls(1, 2**62)

    def snapshot(self) -> list[int]:
        """Return what ``Hush(*snapshot)`` continues from."""
        return [self._rows, self._next]


class MissingRule:
    """Watch how often a series has no usable value.

    Parameters
    ----------
    stages
        Inputs after which the share of missing values is learnt, and learnt better.
    """

    __slots__ = ("_detector", "_flags", "_is_learning", "_is_news", "_rows", "_stages")

    def __init__(self, stages: tuple[int, ...]) -> None:
        self._stages = stages
        self._rows = 0  # since learning began
        self._is_learning = True
        self._flags: bytearray | None = None  # of what is being learnt; None while none is missing
        self._detector: ShareDetector | None = None
        self._is_news = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing was ever missing in a whole reference."""
        return self._is_news

    def passes_over(self, rows: int) -> bool:
        """Take ``rows`` inputs into account, none missing; return whether that was all to do.

        Nothing is to be done where none has ever been missing, up to the next stage. If it returns
        False, nothing has been done.
        """
        is_quiet = self.is_quiet(rows)
        if is_quiet:
            self.keep(rows)
        return is_quiet

    def is_quiet(self, rows: int) -> bool:
        """Whether there is nothing to do with ``rows`` inputs, none missing, but to `keep` them."""
        if self._is_news or self._detector is not None or not self._is_learning:
            return self._is_news
        return self._rows + rows < self._stages[bisect_right(self._stages, self._rows)]

    def keep(self, rows: int) -> None:
        """Take ``rows`` inputs into account, none missing, that `is_quiet` is true of."""
        self._rows += rows
        if self._flags is not None:
            self._flags += bytes(rows)

    def update(self, flags: Floats, false_alarms: float) -> list[Finding]:
        """Read flags, 1 where a value is missing."""
        findings: list[Finding] = []
        at = 0
        while at < len(flags):
            due = self._rows_until_stage()
            part = flags[at : at + due] if due else flags[at:]
            finding = self._read(part)
            if finding is None:
                at += len(part)
                self._learn(part, false_alarms)
                continue
            findings.append(replace(finding, row=at + finding.row))
            at += finding.row + 1
            self._relearn()
        return findings

    def _rows_until_stage(self) -> int:
        if not self._is_learning:
            return 0
        return self._stages[bisect_right(self._stages, self._rows)] - self._rows

    def _read(self, flags: Floats) -> Finding | None:
        if self._is_news:
            hits = np.flatnonzero(flags)
            if len(hits) == 0:
                return None
            return Finding(
                row=int(hits[0]),
                aspect="missing",
                detector="rule",
                direction="up",
                value=1 / (self._rows + int(hits[0]) + 1),
                baseline=0.0,
            )
        if self._detector is None:
            return None
        finding = self._detector.run(flags)
        return finding and replace(finding, aspect="missing")

    def _learn(self, flags: Floats, false_alarms: float) -> None:
        before, self._rows = self._rows, self._rows + len(flags)
        if not self._is_learning:
            return
        if self._flags is None and flags.any():
            self._flags = bytearray(before)
        if self._flags is not None:
            self._flags += flags.astype(np.uint8).tobytes()
        if self._rows not in self._stages:
            return
        seen = np.frombuffer(self._all_flags(), dtype=np.uint8).astype(np.float64)
        if seen.any():
            self._detector = ShareDetector(ShareReference.of(seen, [1]), false_alarms, seen)
        if self._rows == self._stages[-1]:
            self._is_news = not seen.any()
            self._is_learning, self._flags = False, None

    def _all_flags(self) -> bytes:
        """Return the flags of all inputs since learning began."""
        return bytes(self._rows if self._flags is None else self._flags)

    def _relearn(self) -> None:
        if self._is_news:  # a fact that was told: it takes a longer silence to be one again
            self._stages = (*self._stages[-2:], min(2 * self._stages[-1], MAX_SILENT_ROWS))
        self._rows = 0
        self._is_learning, self._flags = True, None
        self._detector = None
        self._is_news = False
        self._stages = tuple(dict.fromkeys(self._stages[-2:]))

    def begin_anew(self) -> None:
        """Learn the share anew from the next value on."""
        self._relearn()

    def settle(self, stages: tuple[int, ...]) -> None:
        """Take what has been learnt as it is; ``stages`` are for learning anew."""
        self._stages = stages

    def set_budget(self, false_alarms: float) -> None:
        """Set the thresholds."""
        if self._detector is not None:
            self._detector.set_budget(false_alarms)

    def snapshot(self) -> dict[str, Any]:
        """Return the state as a tree for :func:`streams.blob.pack`."""
        return {
            "stages": list(self._stages),
            "rows": self._rows,
            "flags": self._all_flags() if self._is_learning else None,
            "detector": None if self._detector is None else self._detector.snapshot(),
            "is_news": self._is_news,
        }

    @classmethod
    def restore(cls, tree: dict[str, Any]) -> "MissingRule":
        """Return the rule as it was."""
        rule = cls(tuple(tree["stages"]))
        rule._rows = tree["rows"]
        rule._is_learning = tree["flags"] is not None
        if tree["flags"] and any(tree["flags"]):
            rule._flags = bytearray(tree["flags"])
        rule._detector = tree["detector"] and ShareDetector.restore(tree["detector"])
        rule._is_news = tree["is_news"]
        return rule


class NewsRule:
    """Say when a category comes that the reference did not have.

    Parameters
    ----------
    known
        The categories of the reference.
    is_closed
        Whether the reference looked complete.
    hush_rows
        Inputs between the first and the second alarm.
    """

    __slots__ = ("_hush", "_known", "_rows", "_said")

    def __init__(self, known: Iterable[Value], *, is_closed: bool, hush_rows: int) -> None:
        self._known: set[Value] | None = set(known) if is_closed else None
        self._hush = Hush(hush_rows)
        self._rows = 0
        self._said = 0

    def learn(self, values: Iterable[Value]) -> None:
        """Add categories without a word."""
        if self._known is not None:
            self._known.update(values)
            self._bound()

    def _bound(self) -> None:
        """Stop where categories prove to be without number, or new ones are nothing new."""
        if self._known is None:
            return
        if len(self._known) > MAX_KNOWN_CATEGORIES or self._said >= MAX_NEWS:
            self._known = None

    def knows(self, values: Sequence[Value]) -> bool:
        """Whether none of these values is news."""
        return self._known is None or self._known.issuperset(values)

    def keep(self, rows: int) -> None:
        """Take so many values into account that are no news."""
        self._rows += rows

    def update(self, values: Sequence[Value]) -> list[tuple[int, Value]]:
        """Read values; return place and category of what is news."""
        known = self._known
        start, self._rows = self._rows, self._rows + len(values)
        if known is None or self.knows(values):
            return []
        news: list[tuple[int, Value]] = []
        for row, value in enumerate(values):
            if value in known:
                continue
            known.add(value)
            if self._hush.lets_through(start + row):
                self._said += 1
                news.append((row, value))
            self._bound()
            if self._known is None:
                break
        return news

    def snapshot(self) -> dict[str, Any]:
        """Return the state as a tree for :func:`streams.blob.pack`."""
        return {
            "known": None if self._known is None else sorted(self._known, key=_order),
            "hush": self._hush.snapshot(),
            "rows": self._rows,
            "said": self._said,
        }

    @classmethod
    def restore(cls, tree: dict[str, Any]) -> "NewsRule":
        """Return the rule as it was."""
        rule = cls(tree["known"] or (), is_closed=tree["known"] is not None, hush_rows=1)
        rule._hush = Hush(*tree["hush"])
        rule._rows = tree["rows"]
        rule._said = tree["said"]
        return rule


def _order(value: Value) -> tuple[str, str]:
    return type(value).__name__, str(value)


class RunRule:
    """Notice a value that has stuck, and leave its repetitions out.

    A run is too long when neither the reference's own runs, three times over, nor chance at the
    share of the commonest value explain it.

    Attributes
    ----------
    limit
        Equal values in a row that are one too many; 0 before it is learnt.
    """

    __slots__ = ("_last", "_run", "_top_share", "limit")

    def __init__(self) -> None:
        self._last: Value | None = None
        self._run = 0
        self._top_share = 0.0
        self.limit = 0

    def learn(self, sample: Sample, false_alarms: float) -> None:
        """Set the longest run that is still believed."""
        if sample.levels is None:
            codes, commonest_rows = sample.x, sample.commonest_rows
        else:
            is_text = str in map(type, sample.values)
            codes, _ = _codes(sample.values, None if is_text else sample.x, None)
            commonest_rows = kernel.longest_equal(np.sort(codes))
        top = commonest_rows / len(codes)
        self._top_share = top
        longest = kernel.longest_equal(codes)
        if FEWEST_RUNS * longest > len(codes):
            self.limit = 0
            return
        chance = longest_chance_run(top, false_alarms)
        self.limit = max(SHORTEST_STUCK_RUN, 3 * longest, chance)

    def filter(
        self, values: Sequence[Value], x: Floats | None
    ) -> tuple[list[int], list[int] | None]:
        """Read values; return the rows where one has stuck, and the rows to keep if not all.

        A run's ``limit``-th value has stuck; what repeats it after that is not to be kept either.

        Parameters
        ----------
        x
            The values as doubles; None where one is text.
        """
        if self.passes_over(values, x):
            return [], None
        codes, last = _codes(values, x, self._last)
        runs = np.empty(len(codes), dtype=np.int64)
        _, self._run = kernel.run_equal(codes, last, self._run, runs)
        self._last = values[-1]
        stuck, kept = np.flatnonzero(runs == self.limit), np.flatnonzero(runs < self.limit)
        return stuck.tolist(), kept.tolist()

    def passes_over(self, values: Sequence[Value], x: Floats | None) -> bool:
        """Read values among which none has stuck; if one has, do nothing and return False."""
        if self.limit == 0 or not values:
            return True
        codes, last = _codes(values, x, self._last)
        longest, run = kernel.run_equal(codes, last, self._run, _NO_RUNS)
        if longest >= self.limit:
            return False
        self._run, self._last = run, values[-1]
        return True

    def doubt(self) -> None:
        """Believe longer runs while the shares that the limit rests on are being learnt anew."""
        if self._top_share >= COMMON_SHARE:
            self.limit *= DOUBT
            self._top_share = 0.0

    def mark(self) -> tuple[int, Value | None]:
        """Return what :meth:`rewind` goes back to."""
        return self._run, self._last

    def rewind(self, mark: tuple[int, Value | None]) -> None:
        """Go back to where :meth:`mark` was called."""
        self._run, self._last = mark

    def snapshot(self) -> dict[str, Any]:
        """Return the state as a tree for :func:`streams.blob.pack`."""
        state = np.array([0.0, self._run, self.limit])
        return {"state": state, "last": self._last, "top_share": self._top_share}

    @classmethod
    def restore(cls, tree: dict[str, Any]) -> "RunRule":
        """Return the rule as it was."""
        rule = cls()
        rule._run, rule.limit = map(int, tree["state"][1:])
        rule._last = tree["last"]
        rule._top_share = tree["top_share"]
        return rule


def _codes(values: Sequence[Value], x: Floats | None, last: Value | None) -> tuple[Floats, float]:
    """Return numbers that are equal where values are, and the number that stands for ``last``.

    They stand for words within one batch only.
    """
    if x is not None and not isinstance(last, str):
        return x, math.nan if last is None else float(last)
    numbers = {value: float(number) for number, value in enumerate(dict.fromkeys(values))}
    codes = np.fromiter(map(numbers.__getitem__, values), dtype=np.float64, count=len(values))
    return codes, math.nan if last is None else numbers.get(last, math.nan)
