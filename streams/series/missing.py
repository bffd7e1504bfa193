"""The values of a series that are missing, or of another type.

Rule 1. The share of missing values is watched within the alert budget: by a detector, and where no
        value of a whole reference was missing, by `RareEvents`.
Rule 2. After a change the share is learnt again.
"""

from bisect import bisect_right

import numpy as np
from msgspec.structs import replace

from streams.change import Figures, Finding
from streams.codec import Machine
from streams.detect.rare import RareEvents
from streams.detect.share import ShareDetector
from streams.values import Floats, odds_of

_ALL = 2**62
"""Inputs: more than ever come."""


class MissingRule(Machine):
    """Watch how often a series has no usable value.

    Attributes
    ----------
    aspect
        The name of its findings: for values that are missing, or of another type.
    """

    _stages: tuple[int, ...]
    """Inputs after which the share of missing values is learnt, and learnt better."""
    aspect: str = "missing"
    _rows: int = 0
    """Inputs since learning began."""
    _is_learning: bool = True
    _flags: bytearray | None = None
    """1 for each missing input since learning began, 0 for the others; None before the first."""
    _detector: ShareDetector | None = None
    _rare: RareEvents | None = None
    """Watches a column of whose whole reference no value was missing."""

    def __post_init__(self) -> None:
        if not self._stages or (self._is_learning and self._rows >= self._stages[-1]):
            raise ValueError(f"{self._rows} inputs do not fit the stages {self._stages}")

    @property
    def is_idle(self) -> bool:
        """Whether no value of a whole reference was missing."""
        return self._rare is not None

    def passes_over(self, rows: int) -> bool:
        """Take ``rows`` inputs, none missing, where they need only be counted; else do nothing.

        Returns whether they were taken.
        """
        is_quiet = self.is_quiet(rows)
        if is_quiet:
            self.keep(rows)
        return is_quiet

    def is_quiet(self, rows: int) -> bool:
        """Whether ``rows`` inputs, none missing, need only be counted, by `keep`."""
        return rows <= self.quiet_rows

    @property
    def only_counts(self) -> bool:
        """Whether an input that is not missing is only counted, before a stage."""
        return self._rare is not None or (self._is_learning and self._detector is None)

    @property
    def quiet_rows(self) -> int:
        """Inputs, none missing, that need only be counted."""
        if self._rare is not None:
            return _ALL
        if not self.only_counts:
            return 0
        return self._stages[bisect_right(self._stages, self._rows)] - self._rows - 1

    def keep(self, rows: int) -> None:
        """Count ``rows`` inputs, none missing, for which `is_quiet` holds."""
        if self._rare is not None:
            if self._rare.hits:
                self._rare.take_rows(rows)
            return
        self._rows += rows
        if self._flags is not None:
            self._flags += bytes(rows)

    def update(self, flags: Floats, false_alarms: float) -> list[Finding]:
        """Read flags, 1 where a value is missing.

        Parameters
        ----------
        false_alarms
            Per 10,000 inputs.
        """
        findings: list[Finding] = []
        at = 0
        while at < len(flags):
            due = self._rows_until_stage()
            part = flags[at : at + due] if due else flags[at:]
            finding = self._read(part, false_alarms)
            if finding is None:
                at += len(part)
                self._learn(part, false_alarms)
                continue
            findings.append(replace(finding, row=at + finding.row))
            at += finding.row + 1
            self.restart()
        return findings

    def spanned(self, rows: int) -> int:
        """Return the latest inputs of which so many were not missing."""
        if self._detector is not None:
            return self._detector.spanned(1, rows)
        gone = 0 if self._flags is None else sum(self._flags)
        return round(rows * self._rows / (self._rows - gone)) if gone < self._rows else rows

    def _rows_until_stage(self) -> int:
        if not self._is_learning:
            return 0
        return self._stages[bisect_right(self._stages, self._rows)] - self._rows

    def _read(self, flags: Floats, false_alarms: float) -> Finding | None:
        if self._rare is not None:
            return self._read_rare(self._rare, flags, false_alarms)
        if self._detector is None:
            return None
        finding = self._detector.run(flags)
        return finding and replace(finding, aspect=self.aspect)

    def _read_rare(self, rare: RareEvents, flags: Floats, false_alarms: float) -> Finding | None:
        at = 0
        for row in np.flatnonzero(flags).tolist():
            rare.take_rows(row - at)
            at = row + 1
            if rare.take_hit(false_alarms):
                share = rare.hits / rare.rows
                return Finding(
                    row=row,
                    aspect=self.aspect,
                    detector="cusum",
                    figures=Figures(
                        value=share,
                        baseline=0.0,
                        effect=odds_of(share, rare.rows) / odds_of(0.0, self._stages[-1]),
                        unit="odds_ratio",
                        direction="up",
                        rows=rare.rows,
                    ),
                )
        rare.take_rows(len(flags) - at)
        return None

    def _learn(self, flags: Floats, false_alarms: float) -> None:
        if not self._is_learning:
            return
        before, self._rows = self._rows, self._rows + len(flags)
        if self._flags is None and flags.any():
            self._flags = bytearray(before)
        if self._flags is not None:
            self._flags += flags.astype(np.uint8).tobytes()
        if self._rows not in self._stages:
            return
        if self._flags is not None:
            learnt = np.frombuffer(self._flags, dtype=np.uint8).astype(np.float64)
            self._detector = ShareDetector.learn(learnt, [1], false_alarms)
        if self._rows == self._stages[-1]:
            if self._flags is None:
                self._rare = RareEvents(self._rows)
            self._is_learning, self._flags = False, None

    def restart(self) -> None:
        """Learn the share again from the next value on."""
        self._stages = self._stages[-2:]
        self._rows = 0
        self._is_learning, self._flags = True, None
        self._detector = self._rare = None

    def settle(self, stages: tuple[int, ...]) -> None:
        """Keep the share that was learnt; learn again at these stages."""
        self._stages = stages

    def set_budget(self, false_alarms: float) -> None:
        """Set the thresholds for so many false alarms per 10,000 inputs."""
        if self._detector is not None:
            self._detector.set_budget(false_alarms)
