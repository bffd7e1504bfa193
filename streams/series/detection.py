"""A change of a series, as its watch finds it."""

from typing import Any

from streams.change import Change
from streams.season.hour_profile import HourProfile

MAX_MOVED_CATEGORIES = 5
"""Categories named with a change: as many as a sentence of an alert carries."""


class Detection(Change, frozen=True, kw_only=True):
    """A change, where it was found, and the first reference as it was then.

    Parameters
    ----------
    index
        Its place among the values of the read, from 0.
    profile
        The hourly profile of the series, where one is known and the change is one of its values.
    reference
        The first reference of the series, as `SeriesWatch.describe` gives it.
    """

    index: int
    profile: HourProfile | None = None
    reference: dict[str, Any] | None = None

    @property
    def change(self) -> Change:
        """The change alone: without anything that depends on how values were cut into reads."""
        return Change(
            aspect=self.aspect,
            detector=self.detector,
            figures=self.figures,
            category=self.category,
            moved=self.moved,
            left_out=self.left_out,
            at_age=self.at_age,
            is_of_training=self.is_of_training,
        )
