"""What was known of predictions at one age."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams.series.age_table import AgeTable, Lot, Slot
from streams.series.label_codes import LabelCodes, code_of_number, number_of_code

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def read(codes: list[int], salt: int = 0) -> Lot:
    """Read a slot with labels of these codes, in this order, and a prediction without a label."""
    table, known = AgeTable.of(DAY_MS), dict[int, int]()
    for code in codes:
        known[code] = known.get(code, 0) + 1
    table.slots[0] = Slot(len(codes) + 1, known)
    return table.read(0, salt)


def test_slots_are_hours_at_most_or_whole_days() -> None:
    widths = {age_ms: AgeTable.of(age_ms).width_ms for age_ms in (600_000, DAY_MS, 3 * DAY_MS)}

    assert widths == {600_000: 60_000, DAY_MS: DAY_MS // 32, 3 * DAY_MS: HOUR_MS}
    assert AgeTable.of(7 * DAY_MS).width_ms == DAY_MS


@settings(max_examples=30)
@given(st.lists(st.integers(0, 1), max_size=60), st.randoms(use_true_random=False))
def test_the_order_of_a_slot_does_not_depend_on_the_order_of_its_labels(
    codes: list[int], random: object
) -> None:
    shuffled = list(codes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    lot = read(codes, salt=3)

    assert lot.codes == read(shuffled, salt=3).codes
    assert sorted(lot.codes) == sorted(codes)


def test_two_ages_read_a_slot_in_two_orders() -> None:
    codes = [row % 2 for row in range(40)]

    assert read(codes, salt=0).codes != read(codes, salt=1).codes


def covered(known_on: list[int]) -> AgeTable:
    """Read days of 100 predictions each, of which so many are known."""
    table = AgeTable.of(7 * DAY_MS)
    for day, known in enumerate(known_on):
        table.slots[day] = Slot(100, {0: known})
        table.read(day, salt=0)
    return table


def test_an_age_is_steady_while_days_know_alike() -> None:
    assert covered([60, 58, 62, 61, 59, 60, 63, 60, 61]).is_steady
    assert not covered([60, 58, 62]).is_steady


def test_an_age_by_which_some_days_know_nothing_is_not_steady() -> None:
    assert not covered([60, 60, 60, 60, 60, 5, 5, 60, 60, 60, 60, 60, 5, 5]).is_steady


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 0.999))
def test_a_number_is_read_again_within_a_quarter_of_its_size(x: float, fraction: float) -> None:
    again = number_of_code(code_of_number(x), fraction)

    if 2.0**-60 < abs(x) < 2.0**60:
        assert abs(again - x) <= abs(x) / 4
        assert code_of_number(again) == code_of_number(x)
    assert (again > 0) == (x > 0)
    assert (again < 0) == (x < 0)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
@example(-1e-160, -2.5e-234)
@example(1e300, 1.5e301)
def test_greater_numbers_have_no_smaller_codes(x: float, y: float) -> None:
    assert (code_of_number(x) <= code_of_number(y)) or x > y


def test_more_values_than_are_counted_are_counted_together() -> None:
    codes = LabelCodes(is_quantity=False)

    assert len({codes.code(f"v{row}") for row in range(100)}) == 33
    assert codes.value(codes.code("v99"), 0.5) == "(other)"
