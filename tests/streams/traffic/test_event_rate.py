import random

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.codec import decode, encode
from streams.traffic.event_rate import FIRST_ROWS, MOST_ROWS, EventRate


def read(share: EventRate, hits: list[bool], first_row: int = 1) -> list[int]:
    """Read rows; return those at which something began or ended."""
    changed = []
    for row, is_hit in enumerate(hits, first_row):
        was_on = share.is_on
        if is_hit:
            share.on_hit(row)
        elif share.due_row is not None and row >= share.due_row:
            share.advance(row)
        if share.is_on != was_on:
            changed.append(row)
    return changed


def drawn(share: float, rows: int, seed: int = 7) -> list[bool]:
    rng = random.Random(seed)  # noqa: S311 - a simulation
    return [rng.random() < share for _ in range(rows)]


# Rule 1


@given(st.lists(st.booleans(), max_size=60), st.data())
@settings(max_examples=60)
def test_misses_taken_in_one_by_one_or_together_are_the_same(
    hits: list[bool], data: st.DataObject
) -> None:
    usual = [row % 100 == 0 for row in range(FIRST_ROWS + 100)]
    together, apart = EventRate(), EventRate()
    cuts = data.draw(st.sets(st.integers(1, len(hits) + len(usual))))

    read(together, usual + hits)
    for row, is_hit in enumerate(usual + hits, 1):
        if is_hit:
            apart.on_hit(row)
        elif row in cuts or (apart.due_row is not None and row >= apart.due_row):
            apart.advance(row)

    assert apart.is_on == together.is_on
    assert abs(apart.share - together.share) < 1e-9 or not together.is_on


# Rule 2


def test_a_usual_share_is_quiet_for_long() -> None:
    for share in (0.001, 0.01, 0.1, 0.5):
        assert read(EventRate(0, 0.01), drawn(share, 50_000)) == [], share


def test_the_first_hits_after_a_short_time_without_any_say_nothing() -> None:
    share = EventRate()

    assert read(share, [False] * FIRST_ROWS + drawn(0.004, 3_000)) == []


def test_a_larger_share_is_seen_and_told_with_its_figures() -> None:
    share = EventRate()
    quiet = drawn(0.01, 5_000)

    changed = read(share, quiet + drawn(0.3, 200, seed=3))

    assert changed
    assert 5_000 < changed[0] < 5_100
    assert share.is_on
    assert 0.2 < share.share < 0.4
    assert 0.005 < share.normal < 0.015
    assert share.odds_ratio > 20


# Rule 3


def test_an_episode_ends_when_the_share_is_back_and_not_at_the_first_pause() -> None:
    share = EventRate()

    changed = read(share, drawn(0.01, 5_000) + drawn(0.5, 400, seed=4) + drawn(0.01, 500, seed=5))

    assert len(changed) == 2
    assert 5_400 < changed[1] < 5_450
    assert not share.is_on


def test_it_ends_at_the_row_that_was_foretold() -> None:
    share = EventRate()
    read(share, [False] * 5_000 + [True] * 40)

    due_row = share.due_row
    assert due_row is not None
    share.advance(due_row - 1)
    assert share.is_on
    share.advance(due_row)

    assert not share.is_on


# Rule 4


def test_an_episode_counts_for_the_usual_share_but_for_a_tenth_at_most() -> None:
    share = EventRate()

    read(share, [False] * 5_000 + [True] * 4_000 + [False] * 100)

    assert not share.is_on
    assert 0.05 < share.normal < 0.1


def test_what_a_person_accepts_is_usual_from_then_on() -> None:
    share = EventRate()
    read(share, [False] * 5_000 + drawn(0.4, 1_000))

    share.relearn()

    assert not share.is_on
    assert 0.3 < share.normal < 0.5
    assert read(share, drawn(0.4, 5_000, seed=9), 6_001) == []


def test_what_is_remembered_is_bounded() -> None:
    share = EventRate()

    read(share, drawn(0.3, 3 * MOST_ROWS))

    assert share._normal_rows == MOST_ROWS
    assert 0.25 < share.normal < 0.35


def test_a_restart_in_the_middle_changes_nothing() -> None:
    hits = drawn(0.01, 3_000) + drawn(0.5, 300, seed=4) + drawn(0.01, 700, seed=5)
    whole = EventRate()
    changed = read(whole, hits)

    for cut in (200, 3_004, 3_100, 3_310):
        first = EventRate()
        before = read(first, hits[:cut])
        then = decode(encode(first), EventRate)
        assert before + read(then, hits[cut:], cut + 1) == changed
        assert encode(then) == encode(whole)
