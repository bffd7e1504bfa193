"""The reader of one series in one order: its watch, and the checks of the alerts that it raised."""

from streams.codec import Machine
from streams.series.recovery import RecoveryCheck
from streams.series.watch import SeriesWatch


class Recovery(Machine):
    """The check of an alert; whether the last block was much other than what is published.

    Two such blocks are news: one may hold the end of the change.
    """

    check: RecoveryCheck
    onset_rows: int
    differs: bool = False

    @property
    def rows(self) -> int:
        """Values since the onset."""
        return self.onset_rows + self.check.rows


class Lane(Machine):
    """One order of the values of a series: as they arrive, or at an age of their predictions."""

    watch: SeriesWatch
    recoveries: dict[str, Recovery] = {}
