import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.trail import MARKS, ROWS_PER_MARK, Trail


def walked(rows: int) -> Trail:
    trail = Trail()
    for row in range(1, rows + 1):
        trail.note(row, 1_000 * row, row // 10)
    return trail


def test_a_trail_without_rows_has_no_marks() -> None:
    with pytest.raises(LookupError, match="a trail without rows"):
        Trail().find(1)


@given(st.integers(1, 500), st.data())
def test_the_mark_found_is_the_nearest_at_or_before_the_row(rows: int, data: st.DataObject) -> None:
    row = data.draw(st.integers(1, rows))

    mark = walked(rows).find(row)

    assert mark.row <= row < mark.row + ROWS_PER_MARK
    assert (mark.at_ms, mark.offset) == (1_000 * mark.row, mark.row // 10)


@pytest.mark.parametrize("row", [0, -1, -1_000_000])
def test_a_row_before_the_first_is_found_at_the_first(row: int) -> None:
    assert walked(100).find(row).row == 1


def test_only_the_latest_rows_are_remembered() -> None:
    forgotten = 10 * ROWS_PER_MARK

    trail = walked(ROWS_PER_MARK * MARKS + forgotten)

    assert trail.find(1).row == forgotten + 1
