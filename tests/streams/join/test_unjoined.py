"""Why outcomes do not find their predictions."""

import pytest

from streams.codec import decode, encode
from streams.join.unjoined import (
    ALONE_MS,
    FEWEST_IDS,
    ONE_IN,
    SAMPLE,
    WINDOW,
    Disjoint,
    Taken,
    Unjoined,
    form_of,
)

DAY_MS = 86_400_000
WAIT_MS = 30 * DAY_MS
SAME = (["p1"] * 32, ["p2"] * 32)


def judged(
    taken: Taken, ids: tuple[list[str], list[str]] = SAME, age_ms: int = 0
) -> Disjoint | None:
    return Unjoined().judge(taken, lambda _most: ids, age_ms, WAIT_MS)


@pytest.mark.parametrize(
    "taken",
    [Taken(WINDOW - 1, 999, 0), Taken(999, WINDOW - 1, 0), Taken(0, WINDOW - 1, 0)],
)
def test_nothing_is_said_of_few(taken: Taken) -> None:
    assert judged(taken, age_ms=9 * WAIT_MS) is None


def test_one_pair_in_a_hundred_is_a_pair() -> None:
    assert judged(Taken(1_000, 1_000, 1_000 // ONE_IN), age_ms=9 * WAIT_MS) is None
    assert judged(Taken(1_000, 1_000, 1_000 // ONE_IN - 1), age_ms=9 * WAIT_MS) is not None


def test_a_young_model_may_have_outcomes_of_predictions_before_its_beginning() -> None:
    taken = Taken(500, 500, 0)

    assert judged(taken, age_ms=WAIT_MS - 1) is None
    found = judged(taken, age_ms=WAIT_MS)
    assert found is not None
    assert (found.reason, found.share, found.rows) == ("unknown", 0.0, 500)


def test_a_model_without_predictions_is_told_after_a_day() -> None:
    assert judged(Taken(0, 500, 0), age_ms=ALONE_MS - 1) is None
    found = judged(Taken(0, 500, 0), age_ms=ALONE_MS)
    assert found is not None
    assert found.reason == "model"


@pytest.mark.parametrize(
    ("prediction", "outcome", "forms"),
    [
        ("p{}", "{}", ("a9999", "9999")),
        ("req-{}", "REQ-{}", ("aaa-9999", "AAA-9999")),
        ("req-{}", "ord-{}", ("aaa-9999", "aaa-9999")),
        ("00{}", "{}", ("999999", "9999")),
        ("{}", "{}.0", ("9999", "9999.9")),
        ("{}", " {}", ("9999", " 9999")),
        ("a_{}", "a-{}", ("a_9999", "a-9999")),
    ],
)
def test_ids_of_another_form_are_told_at_once(
    prediction: str, outcome: str, forms: tuple[str, str]
) -> None:
    numbers = range(1_000, 1_032)
    ids = [prediction.format(n) for n in numbers], [outcome.format(n + 900) for n in numbers]

    found = judged(Taken(WINDOW, WINDOW, 0), ids)

    assert found is not None
    assert (found.reason, found.forms) == ("form", forms)


@pytest.mark.parametrize(
    "ids",
    [
        (["p1000"] * 32, ["p2000"] * 32),
        ([str(n) for n in range(8, 40)], [str(n) for n in range(90, 122)]),
        (["3f-a1"] * 31 + ["33-11"], ["99-12"] * 32),
        (["p1"] * (FEWEST_IDS - 1), ["1"] * 32),
    ],
)
def test_ids_that_may_be_alike_are_not_told_apart(ids: tuple[list[str], list[str]]) -> None:
    assert judged(Taken(WINDOW, WINDOW, 0), ids) is None


def test_outcomes_of_predictions_that_nobody_waits_for_any_more_come_late() -> None:
    unjoined = Unjoined()
    for row in range(3_000):
        unjoined.on_expired(f"p{row}", row)
    for row in range(1_000):
        unjoined.on_unmatched(f"p{row}", row + 90 * DAY_MS)

    found = unjoined.judge(Taken(3_000, 1_000, 0), lambda _most: SAME, 0, WAIT_MS)

    assert found is not None
    assert (found.reason, found.late_ms) == ("late", 90 * DAY_MS)
    assert len(encode(unjoined)) < 20 * SAMPLE


def test_it_is_over_with_the_next_events_that_meet_and_told_once() -> None:
    unjoined, ids = Unjoined(), (["p1"] * 32, ["1"] * 32)

    def told(taken: Taken) -> bool | None:
        found = unjoined.judge(taken, lambda _most: ids, 0, WAIT_MS)
        return None if found is None else unjoined.is_on

    assert told(Taken(200, 200, 0)) is True
    assert told(Taken(400, 400, 0)) is None
    assert told(Taken(500, 500, 100)) is None
    assert told(Taken(600, 600, 200)) is False
    again = decode(encode(unjoined), Unjoined)
    assert again.is_on is False


def test_a_form_is_short_and_printable() -> None:
    assert form_of("a" * 40) == "a" * 11 + "…"
    assert form_of("a\nb") == "a?a"
