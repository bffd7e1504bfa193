"""The terminal of a reviewer."""

from __future__ import annotations

from typing import Any

from agents.commands.review import answer_all, open_cases

CASE: dict[str, Any] = {
    "review_id": "loan/p1/1",
    "prediction_id": "p1",
    "model_id": "loan",
    "why": "uncertain",
    "unit": "rate",
    "risk": 0.4,
    "expected_cost": None,
    "answer": 1,
    "score": 0.6,
    "features": None,
    "status": "open",
    "due_at": "2026-01-02T00:00:00.000Z",
}
NOW_MS = 1_767_225_600_000


def case(number: int, **fields: Any) -> dict[str, Any]:
    names = {"review_id": f"loan/p{number}/1", "prediction_id": f"p{number}"}
    return CASE | names | fields


async def answered(keys: str, cases: list[dict[str, Any]]) -> tuple[list[Any], list[str]]:
    published: list[Any] = []
    written: list[str] = []
    given = iter(keys)

    async def publish(verdict: dict[str, Any]) -> None:
        published.append((verdict["review_id"], verdict["outcome"]))

    await answer_all(cases, [0, 1], lambda: next(given), written.append, publish)
    return published, written


async def test_one_key_answers_and_back_and_skip_go_on() -> None:
    published, written = await answered("1sxb2q", [case(1), case(2), case(3)])

    assert published == [("loan/p1/1", 0), ("loan/p2/1", 1)]
    assert written[0].startswith("3 left. p1 of loan (uncertain)")
    assert written[-1] == "2 answered, 1 left."


async def test_a_quantity_is_typed() -> None:
    cases = [case(number, unit="distance", answer=12.5) for number in (1, 2)]

    published, written = await answered("13\x7f4.5\r-.\r7\nq", cases)

    assert published == [("loan/p1/1", 14.5), ("loan/p2/1", 7.0)]
    assert "the number, then Enter" in written[0]


async def test_features_are_shown_where_the_case_has_them() -> None:
    _, written = await answered("q", [case(1, features={"income": 3})])

    assert "income: 3" in written[0]


def test_the_dearest_open_case_comes_first_then_the_most_uncertain() -> None:
    records = [
        case(1, risk=0.1),
        case(2, risk=0.5),
        case(3, status="answered"),
        case(4, model_id="other"),
        case(5, due_at="2025-12-31T00:00:00.000Z"),
        case(6, risk=0.01, expected_cost=3.0),
        None,
    ]

    found = [each["prediction_id"] for each in open_cases(records, "loan", NOW_MS)]
    assert found == ["p6", "p2", "p1"]
