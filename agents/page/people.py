"""Reviews and challengers: what people are asked, and what they may decide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agents.page.store import PageStore

MOST_CASES = 200
"""Cases in one answer, the dearest and riskiest first."""


def reviews_view(store: PageStore) -> dict[str, Any]:
    """Return the cases that wait, and the error that verdicts showed last, by model."""
    cases = sorted(store.reviews.values(), key=_dearest)
    latest = (model.latest("reviewed", 1) for model in store.models.values())
    return {
        "open": len(cases),
        "cases": cases[:MOST_CASES],
        "reviewed": [record for records in latest for record in records],
    }


def _dearest(case: Mapping[str, Any]) -> tuple[float, float, str]:
    cost, risk = (float(case.get(name) or 0.0) for name in ("expected_cost", "risk"))
    return -cost, -risk, str(case.get("review_id"))


def challenges_view(store: PageStore) -> dict[str, Any]:
    """Return the latest comparison of each challenger, with its earlier evidence."""
    return {
        "challenges": [
            found
            for _, model in sorted(store.models.items())
            for found in _by_variant(model.records("challenge"))
        ]
    }


def _by_variant(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for record in sorted(records, key=lambda each: str(each.get("as_of"))):
        found[str(record.get("variant"))] = record
    return list(found.values())
