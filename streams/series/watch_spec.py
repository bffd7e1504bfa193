"""The settings of a monitored series."""

from functools import cache
from typing import Literal, get_args

from msgspec import Struct

from streams.aspects import SeriesRole

FIRST_STAGES = (200, 500, 1_000)
"""Values after which a series is watched, and its reference made better (docs/detection.md)."""


class WatchSpec(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a series is watched.

    Parameters
    ----------
    role
        The role of the series in its model.
    kind
        ``auto`` decides from the first values: at most 10 different numbers are categories.
    reference_rows
        Values after which a series is fully learnt; after an alarm, an error needs half as many.
    """

    role: SeriesRole
    kind: Literal["auto", "numeric", "categorical"] = "auto"
    reference_rows: int = 2_000

    def __post_init__(self) -> None:
        if self.role not in get_args(SeriesRole):
            raise ValueError(f"role must be one of {get_args(SeriesRole)}, got {self.role!r}")
        if self.kind not in ("auto", "numeric", "categorical"):
            raise ValueError(f"kind must be auto, numeric or categorical, got {self.kind!r}")
        if self.reference_rows < FIRST_STAGES[0]:
            raise ValueError(f"reference_rows must be at least 200, got {self.reference_rows!r}")

    @property
    def first_stages(self) -> tuple[int, ...]:
        """Values after which the first reference is made, and made better."""
        return _first_stages(self.reference_rows)

    @property
    def season_stages(self) -> tuple[int, ...]:
        """Values after which a reference is made once an hourly profile is known."""
        return tuple(sorted({FIRST_STAGES[0], self.reference_rows // 2, self.reference_rows}))

    def later_stages(self, patience: int) -> tuple[int, ...]:
        """Values after which the reference that follows an alarm is made, and made better.

        ``patience`` 1, 2, 4 .. makes it so many times longer in the end.
        """
        half = max(self.reference_rows // 2, FIRST_STAGES[0])
        last = patience * (half if self.role == "error" else self.reference_rows)
        stages = [half]
        while stages[-1] < last:
            stages.append(min(2 * stages[-1], last))
        return tuple(stages)


@cache
def _first_stages(reference_rows: int) -> tuple[int, ...]:
    """Return one tuple for all the series that learn from as many rows."""
    early = [rows for rows in FIRST_STAGES if rows < reference_rows]
    return (*early, reference_rows)
