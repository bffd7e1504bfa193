from typing import NamedTuple

import numpy as np
import pytest

from schemas.model_spec import AlertRules, ModelSpec
from streams.series.reading import Reading
from streams.series.series_set import SeriesSet
from streams.values import Scalar

Row = dict[str, Scalar]


class Arrived(NamedTuple):
    """The event of a row."""

    offset: int
    place: int
    now_ms: int


SAME: list[Row] = [{"a": 1.0, "b": "x", "c": None}, {"a": 2.0, "b": "y", "c": 3}]
ANOTHER_ORDER: list[Row] = [SAME[0], {"c": 3, "b": "y", "a": 2.0}]
LESS: list[Row] = [SAME[0], {"b": "y", "c": 3}]


def columns_of(panel: SeriesSet, rows: list[Row]) -> dict[str, list[Scalar]]:
    columns = panel.features.columns(rows, np.arange(len(rows)))
    return {column.series: list(column.values) for column in columns}


def read(panel: SeriesSet, rows: list[Row]) -> None:
    reading = Reading(lambda _role, row: Arrived(0, row, 1_000 * row), AlertRules())
    panel.read(panel.features.columns(rows, np.arange(len(rows))), reading)


@pytest.mark.parametrize(
    ("rows", "a"), [(SAME, [1.0, 2.0]), (ANOTHER_ORDER, [1.0, 2.0]), (LESS, [1.0, None])]
)
def test_a_column_does_not_depend_on_how_rows_name_their_features(
    rows: list[Row], a: list[Scalar]
) -> None:
    columns = columns_of(SeriesSet(ModelSpec()), rows)

    assert columns == {"feature/a": a, "feature/b": ["x", "y"], "feature/c": [None, 3]}


def test_a_feature_that_no_row_names_any_more_is_missing() -> None:
    panel = SeriesSet(ModelSpec())
    columns_of(panel, SAME)

    columns = columns_of(panel, [{"a": 1.0}, {"a": 2.0}])

    assert columns["feature/c"] == [None, None]
    assert list(columns) == ["feature/a", "feature/b", "feature/c"]


def test_a_feature_that_is_not_ignored_any_more_begins_again() -> None:
    row: Row = {"a": 1.0, "b": 2.0}
    panel = SeriesSet(ModelSpec())
    read(panel, [row])
    begun = panel.features.begins(row)
    panel.respec(ModelSpec.model_validate({"features": {"ignore": ["a"]}}), 0)
    panel.respec(ModelSpec(), 0)

    assert not begun
    assert panel.features.begins(row)


def test_series_that_end_with_one_spec_are_stored_in_the_order_of_their_names() -> None:
    names = [f"f{number}" for number in range(9)]
    reference = {"rows": 200}
    panel = SeriesSet(ModelSpec.model_validate({"reference": reference}))
    usual: Row = dict.fromkeys(names, 1.0)
    other: Row = dict.fromkeys(names, 2.0)
    read(panel, [usual] * 200 + [other] * 10)
    codes = {"categorical": names}

    panel.respec(ModelSpec.model_validate({"reference": reference, "features": codes}), 0)

    assert list(panel.state.ended_alerts) == [f"feature/{name}" for name in names]
