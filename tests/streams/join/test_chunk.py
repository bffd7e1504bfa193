from hypothesis import given
from hypothesis import strategies as st

from streams.join.chunk import entries_of, lines_of

texts = st.binary(min_size=1).map(lambda text: text.replace(b"\n", b" "))
entries = st.lists(
    st.tuples(st.integers(0, 127), st.integers(0, 2**60), texts), unique_by=lambda each: each[0]
)


# Rule 1


@given(entries, st.integers(0, 2**128 - 1))
def test_entries_that_have_left_are_passed_over(
    stored: list[tuple[int, int, bytes]], live: int
) -> None:
    assert list(entries_of(lines_of(stored), live)) == [
        entry for entry in stored if live >> entry[0] & 1
    ]


# Rule 2


@given(entries)
def test_lines_are_read_as_they_were_written(stored: list[tuple[int, int, bytes]]) -> None:
    assert list(entries_of(lines_of(stored))) == stored
