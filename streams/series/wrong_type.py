"""Values of another type than those of the series.

Rule 1. The commonest type of the first reference is the series' own.
Rule 2. A value of another type is raised under a `RepeatLimit`, and excluded from all statistics.
        Where the first reference was itself a mixture, none is raised.
Rule 3. After ``WRONG_TYPE_RUN_ROWS`` such values in a row the series has become another one: it
        is learnt like a new series.
"""

from collections import Counter
from collections.abc import Sequence
from typing import cast

import numpy as np

from streams.codec import Machine
from streams.season.hour_profile import Timestamps
from streams.series.inputs import TYPES, CleanColumn, Family, doubles, family_of
from streams.series.repeat_limit import RepeatLimit
from streams.values import Scalar, Value

WRONG_TYPE_RUN_ROWS = 200
"""Inputs (docs/detection.md, Facts): as many as the first reference is made from."""


class WrongTypeRule(Machine):
    """Take values of another type out of a series, and raise them.

    Attributes
    ----------
    family
        The series' own types; ``any`` before they are settled.
    run
        The latest values of another type in a row.
    """

    _limit: RepeatLimit
    family: Family = "any"
    run: int = 0

    @property
    def has_replaced_series(self) -> bool:
        """Whether values of another type are all that comes (Rule 3)."""
        return self.run == WRONG_TYPE_RUN_ROWS

    def clean(
        self, part: Sequence[Scalar], kinds: set[type], moments: Timestamps | None
    ) -> CleanColumn:
        """Take out missing values and those of another type.

        The column ends early, at the input that completes a run of Rule 3.
        """
        accepted, rows = TYPES[self.family], len(part)
        if kinds <= accepted:
            self.run = 0
            own = cast("Sequence[Value]", part)
            return CleanColumn(rows, own, kinds, doubles(own, kinds), moments, range(rows))
        places, wrong_type = [], []
        for row, value in enumerate(part):
            if type(value) in accepted:
                places.append(row)
                self.run = 0
            elif value is not None:
                wrong_type.append(row)
                self.run += 1
                if self.run == WRONG_TYPE_RUN_ROWS:
                    rows = row + 1
                    break
        missing = np.ones(rows)
        missing[places] = 0.0
        missing[wrong_type] = 0.0
        own = cast("list[Value]", [part[row] for row in places])
        kinds = set(map(type, own))
        when = moments and moments.at(places)
        return CleanColumn(rows, own, kinds, doubles(own, kinds), when, places, missing, wrong_type)

    def raised(self, rows: Sequence[int], seen: int) -> list[int]:
        """Return the rows, of inputs of another type, that raise an alarm.

        Parameters
        ----------
        seen
            Inputs before the first row.
        """
        return [row for row in rows if self._limit.lets_through(seen + row)]

    def settle(self, values: Sequence[Value]) -> list[int] | None:
        """Settle the series' own types by its first values; return the rows of them.

        None stands for all rows.
        """
        families = Counter(map(family_of, values))
        self.family = families.most_common(1)[0][0]
        if len(families) == 1:
            return None
        self._limit = RepeatLimit.silent()
        accepted = TYPES[self.family]
        return [row for row, value in enumerate(values) if type(value) in accepted]

    def forget(self) -> None:
        """Accept values of any type, as at the beginning."""
        self.family, self.run = "any", 0
