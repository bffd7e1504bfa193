import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.alert.onset import (
    COARSE_REACH,
    COARSE_ROWS,
    EXACT_ROWS,
    FINE_REACH,
    FINE_ROWS,
    RowIndex,
    RowPosition,
)
from streams.codec import decode, encode


def walked(rows: int) -> RowIndex:
    trail = RowIndex()
    go_on(trail, range(1, rows + 1))
    trail.forget()
    return trail


def go_on(trail: RowIndex, rows: range) -> None:
    trail.note(rows.start, [RowPosition(row, 1_000 * row, row // 10) for row in rows])


def test_an_index_without_rows_has_no_positions() -> None:
    with pytest.raises(LookupError, match="an index without rows"):
        RowIndex().find(1, now_row=1)


# Rule 1


@given(st.integers(1, 5_000), st.data())
@settings(max_examples=50)
def test_the_mark_found_is_at_or_before_the_row_and_near_it(rows: int, data: st.DataObject) -> None:
    row = data.draw(st.integers(1, rows))

    mark = walked(rows).find(row, now_row=rows)

    apart = FINE_ROWS if row > rows - FINE_REACH else COARSE_ROWS
    apart = 1 if row > rows - EXACT_ROWS else apart
    assert mark.row <= row < mark.row + apart
    assert (mark.at_ms, mark.offset) == (1_000 * mark.row, mark.row // 10)


# Rule 2


@pytest.mark.parametrize("now_row", [1, 700, 5_000, 2 * COARSE_REACH])
def test_rows_noted_later_do_not_change_what_is_found(now_row: int) -> None:
    then, later = walked(now_row), walked(now_row)
    go_on(later, range(now_row + 1, now_row + 2_000))

    for row in range(1, now_row + 1, 13):
        assert later.find(row, now_row) == then.find(row, now_row)


# Rule 3


@pytest.mark.parametrize("row", [0, -1, -1_000_000])
def test_a_row_before_the_first_is_found_at_the_first(row: int) -> None:
    assert walked(100).find(row, now_row=100).row == 1
    assert walked(3_000).find(row, now_row=3_000).row == 1


def test_only_the_latest_rows_are_remembered() -> None:
    rows = COARSE_REACH + 10 * COARSE_ROWS

    assert walked(rows).find(1, now_row=rows).row == 10 * COARSE_ROWS - COARSE_ROWS + 1


@pytest.mark.parametrize("rows", [0, 1, 99, 5_000])
def test_a_restored_trail_finds_what_the_first_one_found(rows: int) -> None:
    trail = walked(rows)

    restored = decode(encode(trail), RowIndex)

    latest = rows + 49
    for other in (trail, restored):
        go_on(other, range(rows + 1, latest + 1))
    assert [restored.find(row, latest) for row in range(latest)] == [
        trail.find(row, latest) for row in range(latest)
    ]
