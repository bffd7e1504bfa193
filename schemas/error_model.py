"""A model of the errors of a regression, made offline by ``tidegauge profile --estimate``."""

from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from schemas.wire import Name, Wire

MOST_CODES = 255
"""Codes of a column: edges, or categories."""
MOST_COLUMNS = 64
MOST_TREES = 100
DEEPEST = 6
"""Levels of a tree: 64 leaves."""
_MOST_NODES = MOST_TREES * 2**DEEPEST
_Whole = Annotated[int, Field(ge=-(2**31), le=2**31)]
_Code = Annotated[int, Field(ge=0, le=MOST_CODES)]


class ErrorColumn(Wire):
    """A column of the model: its values by number."""

    model_config = ConfigDict(extra="forbid")

    feature: Name | None = Field(description="The feature; null: the prediction.")
    edges: Annotated[list[float], Field(max_length=MOST_CODES - 1)] = Field(
        description="Of a number, the rising edges between codes 1, 2 and so on."
    )
    categories: Annotated[list[Name], Field(max_length=MOST_CODES)] = Field(
        description="Else the categories with the codes 1, 2 and so on. Code 0 is all else."
    )


class ErrorModel(Wire):
    """Boosted trees that tell the absolute error of an answer, in whole units.

    The error is `base` and one leaf of each tree. A tree has levels of inner nodes, from its root
    on, each level from left to right; a row goes right where its code of the column is above the
    limit.
    """

    model_config = ConfigDict(extra="forbid")

    rows: Annotated[int, Field(ge=1)] = Field(description="Labelled rows that it was made of.")
    unit: Annotated[float, Field(gt=0, le=1e100)] = Field(description="The error of one unit.")
    base: _Whole = Field(description="Units of every answer.")
    columns: Annotated[list[ErrorColumn], Field(min_length=1, max_length=MOST_COLUMNS)] = Field(
        description="The columns."
    )
    trees: Annotated[int, Field(ge=1, le=MOST_TREES)] = Field(description="Number of trees.")
    splits: Annotated[list[_Code], Field(max_length=_MOST_NODES)] = Field(
        description="The column of each inner node, tree by tree."
    )
    limits: Annotated[list[_Code], Field(max_length=_MOST_NODES)] = Field(
        description="The largest code that goes left there."
    )
    leaves: Annotated[list[_Whole], Field(max_length=_MOST_NODES)] = Field(
        description="Units of each leaf, tree by tree, from left to right."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """Refuse trees that do not fit each other or the columns.

        Raises
        ------
        ValueError
            Then.
        """
        inner, rest = divmod(len(self.splits), self.trees)
        if rest or inner + 1 not in (2**depth for depth in range(1, DEEPEST + 1)):
            msg = f"{len(self.splits)} splits make no {self.trees} complete trees"
            raise ValueError(msg)
        if len(self.limits) != len(self.splits):
            msg = f"{len(self.limits)} limits for {len(self.splits)} splits"
            raise ValueError(msg)
        if len(self.leaves) != self.trees * (inner + 1):
            msg = f"{len(self.leaves)} leaves for {self.trees} trees of {inner + 1}"
            raise ValueError(msg)
        if max(self.splits) >= len(self.columns):
            msg = f"a split by column {max(self.splits)} of {len(self.columns)}"
            raise ValueError(msg)
        if any(each.edges != sorted(set(each.edges)) for each in self.columns):
            msg = "the edges of a column rise"
            raise ValueError(msg)
        return self
