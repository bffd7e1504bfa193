"""A dimension of segments: a key of ``segment``, or a feature, with a code for each value.

Rule 1. A code names a value, or a range of a number, for good; code 0 is all other values.
Rule 2. The edges of a number's ranges are those of its reference's grid: no value of a row.
"""

from bisect import bisect_right
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from streams.codec import Machine
from streams.detect.outline import Outline
from streams.performance.grid import Grid
from streams.values import OTHER, text_of

RANGES = 8
"""Ranges of a number, of about the same share: each has enough rows for a rate of errors."""
MOST_CHARACTERS = 40
"""Characters of a value that has a code: longer ones are counted together."""
NOTHING = "(none)"
"""Name of rows without a value."""


class Dimension(Machine, dict=True):
    """One dimension.

    Attributes
    ----------
    name
        Its name in ``segment`` of an alert.
    is_feature
        Whether it is a feature; else a key of ``segment``.
    names
        The name of each code.
    edges
        Of a number the edges of its ranges, in rising order.
    """

    name: str
    is_feature: bool
    names: list[str]
    edges: list[float] = []

    def __post_init__(self) -> None:
        if len(self.names) < len(self.edges) + 2 * bool(self.edges):
            raise ValueError(f"{len(self.edges)} edges need more than {len(self.names)} names")
        self._code_of = {name: code for code, name in enumerate(self.names)}
        self._code_of_text: dict[str, int] = {}  # of text as it comes: most values are text

    @classmethod
    def of(cls, name: str, outline: Outline | None, *, is_feature: bool) -> "Dimension":
        """Return a dimension; of a number by ranges of its reference."""
        if outline is None or not len(outline.numbers):
            return cls(name, is_feature, [OTHER, NOTHING])
        grid, rows = Grid.of(outline.numbers), len(outline.numbers)
        places = [float(outline.numbers[rows * part // RANGES]) for part in range(1, RANGES)]
        every = grid.edges.tolist()
        edges = sorted({every[min(bisect_right(every, x), len(every) - 1)] for x in places})
        shown = [f"{edge:.4g}" for edge in edges]
        ranges = [f"{low} to {high}" for low, high in pairwise(shown)]
        names = [OTHER, f"below {shown[0]}", *ranges, f"{shown[-1]} and above", NOTHING]
        return cls(name, is_feature, names, edges)

    def keep(self, codes: list[int]) -> None:
        """Keep the values of these codes, which become 1, 2 ..; all others have code 0."""
        self.names = [self.names[0], *(self.names[code] for code in codes)]
        self._code_of = {name: code for code, name in enumerate(self.names)}
        self._code_of_text = {}

    def code(self, fields: Mapping[str, Any] | None, most: int) -> int:
        """Return the code of a row, a new one while there are at most ``most``.

        Parameters
        ----------
        fields
            The features of the row, or its ``segment``.
        """
        value = None if fields is None else fields.get(self.name)
        if type(value) is str and (known := self._code_of_text.get(value)) is not None:
            return known
        code = self._range_of(value) if self.edges else self._number_of(value, most)
        if code and type(value) is str:
            self._code_of_text[value] = code
        return code

    def _range_of(self, value: Any) -> int:
        if value is None:
            return len(self.names) - 1
        return 1 + bisect_right(self.edges, value) if type(value) in (int, float) else 0

    def _number_of(self, value: Any, most: int) -> int:
        name = NOTHING if value is None else text_of(value)
        code = self._code_of.get(name)
        if code is not None:
            return code
        if len(self.names) >= most or len(name) > MOST_CHARACTERS:
            return 0
        self._code_of[name] = len(self.names)
        self.names.append(name)
        return self._code_of[name]
