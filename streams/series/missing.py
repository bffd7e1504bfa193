"""The rate of missing values of a series."""

from bisect import bisect_right
from typing import Any

import numpy as np
from msgspec.structs import replace

from streams.change import Figures, Finding
from streams.codec import decode, encode
from streams.detect.share import ShareDetector
from streams.values import Floats

MAX_SILENT_ROWS = 64_000


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
                figures=Figures(
                    value=1 / (self._rows + int(hits[0]) + 1), baseline=0.0, direction="up"
                ),
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
            self._detector = ShareDetector.learn(seen, [1], false_alarms)
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

    def restart(self) -> None:
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
        """Return the state as a tree for :func:`streams.codec.pack`."""
        return {
            "stages": list(self._stages),
            "rows": self._rows,
            "flags": self._all_flags() if self._is_learning else None,
            "detector": self._detector and encode(self._detector),
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
        rule._detector = tree["detector"] and decode(tree["detector"], ShareDetector)
        rule._is_news = tree["is_news"]
        return rule
