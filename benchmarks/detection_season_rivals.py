"""The same rivals on series with a rhythm: how often they alarm, and how soon they see a change.

They read eight days, then 2,000 rows in which a number is one deviation higher, or errors are twice
as many. Alarms are counted after two days. As none but Tidegauge is quiet by then, a delay is that
of the first alarm after the change, whatever came before: one that alarms all the time is quick.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from river.drift import ADWIN, KSWIN, PageHinkley

from benchmarks.detection_cases import REFERENCE_ROWS, Delays, Floats, as_values, rng_of
from benchmarks.detection_rivals import CHUNK_ROWS, is_ks_drift, is_psi_drift
from benchmarks.detection_seasons import LEARNT_DAYS, Instants, alarm_rows, instants, seasonal
from streams.aspects import SeriesRole

Alarms = Callable[[Floats, Instants, SeriesRole], Iterator[int]]
"""Of values, their instants and what they are to the model: the row of each alarm."""

DAYS, LIMIT_ROWS = 8, 2_000
STREAMS = (("day", 10_000), ("error", 4_000))


def _tidegauge(values: Floats, at_ms: Instants, role: SeriesRole) -> Iterator[int]:
    return alarm_rows(as_values(values, role), at_ms, role)


def _river(make: Callable[[], ADWIN | KSWIN | PageHinkley]) -> Alarms:
    def alarms(values: Floats, _: Instants, __: SeriesRole) -> Iterator[int]:
        detector = make()
        update: Callable[[float], None] = detector.update
        for row, x in enumerate(values.tolist()):
            update(x)
            if detector.drift_detected:
                yield row

    return alarms


def _chunked(is_drift: Callable[[Floats, Floats, int], bool]) -> Alarms:
    def alarms(values: Floats, _: Instants, role: SeriesRole) -> Iterator[int]:
        learnt = np.sort(values[:REFERENCE_ROWS])
        for end in range(REFERENCE_ROWS + CHUNK_ROWS, len(values) + 1, CHUNK_ROWS):
            chunk = np.sort(values[end - CHUNK_ROWS : end])
            if is_drift(learnt, chunk, 1 if role == "error" else 100):
                yield end - 1

    return alarms


RIVALS: dict[str, tuple[Alarms, int]] = {
    "Tidegauge": (_tidegauge, 40),
    "River ADWIN": (_river(ADWIN), 40),
    "River PageHinkley": (_river(PageHinkley), 40),
    "River KSWIN": (_river(lambda: KSWIN(seed=1)), 2),
    "PSI > .2 on 1,000 rows": (_chunked(is_psi_drift), 40),
    "KS at 5 % on 1,000 rows": (_chunked(is_ks_drift), 40),
}
"""Each with the runs that are affordable."""


@dataclass(frozen=True, slots=True)
class SeasonComparison:
    """One rival on one series with a rhythm."""

    rival: str
    stream: str
    alarms_per_10k: float
    delays: Delays


def _compared(name: str, kind: str, rows_a_day: int, runs: int) -> SeasonComparison:
    role: SeriesRole = "error" if kind == "error" else "feature"
    start, counted, found, missed = DAYS * rows_a_day, 0, [], 0
    for run in range(runs):
        rng = rng_of(190, run)
        at_ms = instants(rng, DAYS + LIMIT_ROWS / rows_a_day, rows_a_day)
        x = seasonal(kind, rng, at_ms)
        if role == "error":
            more = rng.random(len(x) - start) < 0.14  # .12 become .24
            x[start:] = np.maximum(x[start:], more)
        else:
            x[start:] += 1.0
        rows = list(RIVALS[name][0](x, at_ms, role))
        counted += sum(LEARNT_DAYS * rows_a_day <= row < start for row in rows)
        late = [row - start + 1 for row in rows if row >= start]
        found += late[:1]
        missed += not late
    per_10k = counted * 10_000 / (runs * (DAYS - LEARNT_DAYS) * rows_a_day)
    return SeasonComparison(name, kind, per_10k, Delays(found, missed, 0))


def compare_seasons(scale: float) -> list[SeasonComparison]:
    """Put the rivals side by side on the same series with a rhythm."""
    return [
        _compared(name, kind, rows_a_day, max(round(most * scale), 2))
        for kind, rows_a_day in STREAMS
        for name, (_, most) in RIVALS.items()
    ]


def season_table(comparisons: list[SeasonComparison]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = ["| | series | false alarms | after the change |", "|---|---|---|---|"]
    for each in comparisons:
        delays = each.delays
        found = f"{delays.mean:.0f} / {delays.p95:.0f}" if delays.rows else "none"
        cell = f"{found} ({delays.missed_share:.0%})"
        lines.append(f"| {each.rival} | {each.stream} | {each.alarms_per_10k:.2g} | {cell} |")
    return lines
