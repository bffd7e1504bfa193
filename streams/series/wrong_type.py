"""Values of another type than those of the series.

Rule 1. The commonest type of the first reference is the series' own.
Rule 2. A value of another type is raised under a `RepeatLimit`, and excluded from all statistics.
        Where the first reference was itself a mixture, their share is watched like that of missing
        values. A mixture of booleans and numbers is raised with the first reference.
Rule 3. After ``WRONG_TYPE_RUN_ROWS`` such values in a row the series has become another one, which
        is raised whatever the beginning was: it is learnt like a new series.
Rule 4. Text that holds numbers which are quantities is raised with the first reference.
"""

from collections import Counter
from collections.abc import Sequence
from typing import cast

import numpy as np

from streams.codec import Machine
from streams.season.hour_profile import Timestamps
from streams.series.inputs import (
    TYPES,
    CleanColumn,
    Family,
    doubles,
    family_of,
    is_number_as_text,
    other_type_text,
)
from streams.series.missing import MissingRule
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
    share
        Watches the share of such values; None where the first reference had none.
    due
        The aspect, and the words, of a fact that the first reference has shown.
    """

    _limit: RepeatLimit
    family: Family = "any"
    run: int = 0
    share: MissingRule | None = None
    due: tuple[str, str] | None = None

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
        others = {row: cast("Value", part[row]) for row in wrong_type}
        x = doubles(own, kinds)
        return CleanColumn(rows, own, kinds, x, when, places, missing, wrong_type, others)

    def is_quiet(self, rows: int) -> bool:
        """Whether ``rows`` inputs of the series' own type need only be counted, by `keep`."""
        return self.share is None or self.share.is_quiet(rows)

    @property
    def only_counts(self) -> bool:
        """Whether an input of the series' own type is only counted, before a stage."""
        return self.share is None or self.share.only_counts

    def quiet_rows(self, most: int) -> int:
        """Return the inputs of the series' own type that need only be counted, ``most`` at most."""
        return most if self.share is None else min(most, self.share.quiet_rows)

    def keep(self, rows: int) -> None:
        """Count ``rows`` inputs of the series' own type, for which `is_quiet` holds."""
        if self.run:  # a field is read faster than it is set
            self.run = 0
        if self.share is not None:
            self.share.keep(rows)

    def raised(self, rows: Sequence[int], seen: int) -> list[int]:
        """Return the rows, of inputs of another type, that raise an alarm.

        Parameters
        ----------
        seen
            Inputs before the first row.
        """
        found = [row for row in rows if self._limit.lets_through(seen + row)]
        if self.has_replaced_series and rows and rows[-1] not in found:
            found.append(rows[-1])
        return found

    def words_of(self, value: Scalar) -> str:
        """Return words for a value of another type; for any other value, the likeliest ones."""
        other: Family = "any" if value is None else family_of(value)
        if other in {"any", self.family}:
            other = "number" if self.family == "text" else "text"
        return other_type_text(other, self.family)

    def settle(
        self, values: Sequence[Value], stages: tuple[int, ...], *, are_quantities: bool
    ) -> list[int] | None:
        """Settle the series' own types by its first values; return the rows of them.

        None stands for all rows.

        Parameters
        ----------
        stages
            Inputs from here on after which the share of other types is learnt.
        are_quantities
            Whether numbers in text would be quantities: not where they are declared as codes.
        """
        families = Counter(map(family_of, values))
        self.family = families.most_common(1)[0][0]
        if self.family == "text" and are_quantities and is_number_as_text(values):
            self.due = "text", ""
        if len(families) == 1:
            return None
        self._limit = RepeatLimit.silent()
        self.share = MissingRule(stages, aspect="type")
        if families.keys() == {"truth", "number"}:
            self.due = "type", other_type_text(families.most_common()[-1][0], self.family)
        accepted = TYPES[self.family]
        return [row for row, value in enumerate(values) if type(value) in accepted]

    def forget(self) -> None:
        """Accept values of any type, as at the beginning."""
        self.family, self.run, self.share = "any", 0, None
