"""The data-quality rules of one series: missing, of another type, unseen, stuck.

They are facts, and cost nothing of the alert budget, except a change of a share of missing values
or of those of another type, which a detector finds.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from streams.change import NO_FIGURES, Figures, Finding
from streams.codec import Machine
from streams.series.inputs import CleanColumn
from streams.series.missing import MissingRule
from streams.series.reference import SeriesReference
from streams.series.repeat_limit import RepeatLimit
from streams.series.watch_spec import WatchSpec
from streams.series.wrong_type import WrongTypeRule
from streams.values import number_of, text_of

MISSING_SHARE = 0.6
"""The part of a series' budget for its missing values, unless none is ever missing. Chosen: with it
a rise from .10 to .22 is found within 130 rows (docs/detection-figures.md, case 6)."""
TYPE_SHARE = 0.2
"""The part of its budget for values of another type, where the first reference had some. Chosen:
half of the part that missing values leave."""


class Fact(NamedTuple):
    """A finding of a rule, its row counted in the column; the value, or words for it.

    Of an unseen category also the names of those that the reference has.
    """

    finding: Finding
    words: str | None = None
    known: tuple[str, ...] = ()


class DataQuality(Machine):
    """The rules with a state of their own; those of a reference are unseen and stuck values.

    Parameters
    ----------
    missing, types
        The rules for missing values, and for those of another type.
    stuck_limit
        The limit of repeated facts about stuck values.
    """

    missing: MissingRule
    types: WrongTypeRule
    stuck_limit: RepeatLimit

    @classmethod
    def of(cls, spec: WatchSpec) -> "DataQuality":
        """Return the rules of a new series."""
        rows = spec.reference_rows
        types = WrongTypeRule(RepeatLimit(rows))
        return cls(MissingRule(spec.first_stages), types, RepeatLimit(rows))

    def set_budget(self, false_alarms: float) -> None:
        """Set how many false alarms the series may cost per 10,000 inputs."""
        self.missing.set_budget(MISSING_SHARE * false_alarms)
        if self.types.share is not None:
            self.types.share.set_budget(TYPE_SHARE * false_alarms)

    @property
    def values_share(self) -> float:
        """The part of the budget that is left for the values themselves."""
        share = 1.0 if self.missing.is_idle else 1 - MISSING_SHARE
        return share if self.types.share is None else share - TYPE_SHARE

    def restart(self, aspect: str) -> None:
        """Relearn a share after a change of this aspect is over."""
        if aspect == "missing":
            self.missing.restart()
        if aspect == "type" and self.types.share is not None:
            self.types.share.restart()

    def facts(
        self,
        column: CleanColumn,
        stuck: Sequence[int],
        reference: SeriesReference,
        seen: int,
        false_alarms: float,
    ) -> list[Fact]:
        """Apply the rules to inputs.

        Parameters
        ----------
        column, stuck
            The inputs, and the values of them that stick.
        reference
            The reference of the series.
        seen
            Inputs of the series before the column.
        false_alarms
            The budget of the series.
        """
        found: list[Fact] = []
        if column.missing is not None or not self.missing.passes_over(column.rows):
            missing = np.zeros(column.rows) if column.missing is None else column.missing
            found += map(Fact, self.missing.update(missing, MISSING_SHARE * false_alarms))
        found += self._type_facts(column, seen, false_alarms)
        if reference.unseen is not None and column.values:
            for place, value, known in reference.unseen.update(column.values):
                fact = fact_of("unseen", column.places[place])
                found.append(Fact(fact, text_of(value), tuple(map(text_of, known))))
        for index in stuck:
            row, value = column.places[index], column.values[index]
            if self.stuck_limit.lets_through(seen + row):
                figures = Figures(value=number_of(value), rows=reference.stuck.limit)
                found.append(Fact(fact_of("stuck", row, figures)))
        return found

    def _type_facts(self, column: CleanColumn, seen: int, false_alarms: float) -> list[Fact]:
        """Apply the rule for values of another type."""
        types = self.types
        found = [fact_of("type", row) for row in types.raised(column.wrong_type, seen)]
        if types.share is not None:
            flags = np.zeros(column.rows)
            flags[list(column.wrong_type)] = 1.0
            found += types.share.update(flags, TYPE_SHARE * false_alarms)
        return [Fact(each, types.words_of(column.others.get(each.row))) for each in found]


def fact_of(aspect: str, row: int, figures: Figures = NO_FIGURES) -> Finding:
    """Return the finding of a rule."""
    return Finding(row=row, aspect=aspect, detector="rule", figures=figures)
