"""The series of a model whose values are read at ages, because their labels come late."""

from collections.abc import Iterable

from streams.alert.transition import Transition
from streams.clock import HOUR_MS, NEVER_MS
from streams.series.label_codes import LabelCodes, code_of_number
from streams.series.label_delays import LabelDelays
from streams.series.late_labels import LateLabels
from streams.series.monitored import MonitoredSeries
from streams.series.reading import Reading
from streams.series.series_state import Label


class LateSeries:
    """Errors, outcomes, both or, nearly always, none.

    Parameters
    ----------
    series
        The series of the model.

    Attributes
    ----------
    series
        Those that are read at ages.
    due_ms
        The log time from which `read` has something to read.
    """

    def __init__(self, series: Iterable[MonitoredSeries]) -> None:
        self.series = [each for each in series if each.late is not None]
        self._ages = [each.late for each in self.series if each.late is not None]
        self.due_ms = NEVER_MS
        self._schedule()

    @property
    def tick_due_ms(self) -> int:
        """The full hour at which a tick has them read, where no event has: ticks are not free."""
        return -(-self.due_ms // HOUR_MS) * HOUR_MS

    def on_prediction(self, at_ms: int, now_ms: int) -> None:
        """Count a prediction; one that comes when its slot has been read is left out."""
        at_ms = min(at_ms, now_ms)
        for late in self._ages:
            run = late.run
            if run.from_ms <= at_ms < run.to_ms:
                run.predictions += 1
            else:
                late.begin_run(at_ms, now_ms)
                self._schedule()

    def on_label(self, label: Label, now_ms: int) -> None:
        """Count a label."""
        delay_ms = max(label.known_ms - label.predicted_ms, 0)
        for series, late in zip(self.series, self._ages, strict=True):
            value = label.error if series.role == "error" else label.outcome
            if value is not None:
                late.on_label(label.predicted_ms, delay_ms, value, now_ms)

    def read(self, now_ms: int, reading: Reading) -> list[Transition]:
        """Read the values of predictions that have reached an age."""
        found = [
            each.transition for series in self.series for each in series.read_late(now_ms, reading)
        ]
        self._schedule()
        return found

    def _schedule(self) -> None:
        self.due_ms = min((late.due_ms for late in self._ages), default=NEVER_MS)


def ages_of(
    series: MonitoredSeries, delays: LabelDelays, wait_s: float, *, is_quantity: bool
) -> LateLabels:
    """Return the ages of a series whose labels come late.

    Parameters
    ----------
    delays
        Its delays: they tell its low class.
    wait_s
        Seconds that a prediction waits for its label.
    is_quantity
        Whether its values are numbers.
    """
    codes = LabelCodes(is_quantity)
    if is_quantity:
        codes.split = code_of_number(delays.mean)
    elif delays.first_value is not None:
        codes.values = [delays.first_value]
    watch = series.watch
    return LateLabels.of(watch.spec, codes, wait_s, watch.false_alarms)
