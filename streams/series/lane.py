"""The reader of one series in one order: its watch, and the checks of the alerts that it raised."""

from streams.codec import Machine
from streams.series.recovery import RecoveryCheck
from streams.series.watch import SeriesWatch


class Recovery(Machine):
    """The check of an alert, and the blocks until its figures are those of a further change."""

    check: RecoveryCheck
    onset_rows: int
    settling_blocks: int = 0


class Lane(Machine):
    """One order of the values of a series: as they arrive, or at an age of their predictions."""

    watch: SeriesWatch
    recoveries: dict[str, Recovery] = {}
