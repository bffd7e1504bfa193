"""The values of a series that are missing, or of another type.

Rule 1. Where no value of a whole reference was missing, the first missing one is a fact.
Rule 2. Otherwise the share of missing values is watched by a detector, within the alert budget.
Rule 3. After either the share is learnt again. A fact needs twice as many inputs as before without
        a missing one to be a fact again, up to ``MAX_QUIET_ROWS``.
"""

from bisect import bisect_right

import numpy as np
from msgspec.structs import replace

from streams.change import Figures, Finding
from streams.codec import Machine
from streams.detect.share import ShareDetector
from streams.values import Floats, odds_of

MAX_QUIET_ROWS = 64_000
"""Inputs: the default reference of 2,000, doubled five times. It bounds the flags kept."""


class MissingRule(Machine):
    """Watch how often a series has no usable value.

    Attributes
    ----------
    aspect
        The name of its findings: for values that are missing, or of another type.
    """

    _stages: tuple[int, ...]
    aspect: str = "missing"
    """Inputs after which the share of missing values is learnt, and learnt better."""
    _rows: int = 0
    """Inputs since learning began."""
    _is_learning: bool = True
    _flags: bytearray | None = None
    """1 for each missing input since learning began, 0 for the others; None before the first."""
    _detector: ShareDetector | None = None
    _is_fact: bool = False
    """Whether the next missing value is a fact."""

    def __post_init__(self) -> None:
        if not self._stages or (self._is_learning and self._rows >= self._stages[-1]):
            raise ValueError(f"{self._rows} inputs do not fit the stages {self._stages}")

    @property
    def is_idle(self) -> bool:
        """Whether no value of a whole reference was missing."""
        return self._is_fact

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
        if self._is_fact or self._detector is not None or not self._is_learning:
            return self._is_fact
        return self._rows + rows < self._stages[bisect_right(self._stages, self._rows)]

    def keep(self, rows: int) -> None:
        """Count ``rows`` inputs, none missing, for which `is_quiet` holds."""
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
            finding = self._read(part)
            if finding is None:
                at += len(part)
                self._learn(part, false_alarms)
                continue
            findings.append(replace(finding, row=at + finding.row))
            at += finding.row + 1
            self.restart()
        return findings

    def _rows_until_stage(self) -> int:
        if not self._is_learning:
            return 0
        return self._stages[bisect_right(self._stages, self._rows)] - self._rows

    def _read(self, flags: Floats) -> Finding | None:
        if self._is_fact:
            hits = np.flatnonzero(flags)
            if len(hits) == 0:
                return None
            rows = self._rows + int(hits[0]) + 1
            if self.aspect != "missing":
                return Finding(row=int(hits[0]), aspect=self.aspect, detector="rule")
            return Finding(
                row=int(hits[0]),
                aspect=self.aspect,
                detector="rule",
                figures=Figures(
                    value=1 / rows,
                    baseline=0.0,
                    effect=odds_of(1 / rows, rows) / odds_of(0.0, rows),
                    unit="odds_ratio",
                    direction="up",
                ),
            )
        if self._detector is None:
            return None
        finding = self._detector.run(flags)
        return finding and replace(finding, aspect=self.aspect)

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
        if self._flags is not None:
            learnt = np.frombuffer(self._flags, dtype=np.uint8).astype(np.float64)
            self._detector = ShareDetector.learn(learnt, [1], false_alarms)
        if self._rows == self._stages[-1]:
            self._is_fact = self._flags is None
            self._is_learning, self._flags = False, None

    def restart(self) -> None:
        """Learn the share again from the next value on."""
        stages = self._stages[-2:]
        if self._is_fact:  # Rule 3
            stages = (self._stages[-1], min(2 * self._stages[-1], MAX_QUIET_ROWS))
        self._stages = tuple(dict.fromkeys(stages))
        self._rows = 0
        self._is_learning, self._flags = True, None
        self._detector = None
        self._is_fact = False

    def settle(self, stages: tuple[int, ...]) -> None:
        """Keep the share that was learnt; learn again at these stages."""
        self._stages = stages

    def set_budget(self, false_alarms: float) -> None:
        """Set the thresholds for so many false alarms per 10,000 inputs."""
        if self._detector is not None:
            self._detector.set_budget(false_alarms)
