"""The distributions of a part of one model's traffic, a day each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from agents.commands.metrics import SERIES, figure, lines_of, records_of
from agents.settings import Settings
from schemas.series import Series
from schemas.wire import to_epoch_ms


@dataclass(frozen=True, kw_only=True, slots=True)
class PartQuery:
    """A part of the traffic whose distributions are wanted, a day each.

    Parameters
    ----------
    model_id
        The model.
    dimension, value
        The part.
    since_ms
        The first instant of the first day, in epoch milliseconds.
    """

    model_id: str
    dimension: str
    value: str
    since_ms: int = 0

    def wants(self, record: Series) -> bool:
        """Tell whether a record is of a wanted day."""
        return (
            record.model_id == self.model_id
            and record.segment == {self.dimension: self.value}
            and to_epoch_ms(record.start) >= self.since_ms
        )


async def find_part(settings: Settings, query: PartQuery) -> list[Series]:
    """Return the days of a part, the oldest first.

    Raises
    ------
    OperatorError, BrokerUnreachableError
        When the topic or the broker is not there.
    """
    records = await records_of(settings, query.model_id)
    return part_of((record.value for record in records), query)


def read_part(path: Path, query: PartQuery) -> list[Series]:
    """Return the same from the file that `backtest --metrics` has written.

    Raises
    ------
    FileError
        When the file cannot be read.
    OperatorError
        When it holds something else.
    """
    return part_of(lines_of(path), query)


def part_of(values: Iterable[bytes], query: PartQuery) -> list[Series]:
    """Return the wanted days of records; all others are passed over."""
    found = (Series.model_validate_json(v) for v in values if v.startswith(SERIES))
    return sorted(filter(query.wants, found), key=lambda record: record.start)


def part_table(days: Sequence[Series]) -> Table:
    """Return the days of a part as a table: a line for each series with a reference."""
    table = Table()
    for title in ("day", "series", "rows", "missing", "mean", "PSI", "by chance", "JS", "distance"):
        table.add_column(title, justify="left" if title in {"day", "series"} else "right")
    for day in days:
        for each in day.series:
            drift, distances = each.drift, list[float | None]([None] * 4)
            if drift is not None:
                distances = [drift.psi, drift.psi_by_chance, drift.js, drift.wasserstein]
            shown = [figure(told, "") for told in (each.mean, *distances)]
            missing = f"{each.missing:.1%}"
            table.add_row(day.start[:10], each.series, f"{each.rows:,}", missing, *shown)
    return table
