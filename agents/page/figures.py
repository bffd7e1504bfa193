"""The figures of models for Prometheus, from the rows of the portfolio."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import Metric

from agents.page.store import PageStore
from agents.page.views import row_of
from agents.prometheus import MODEL_TEXTS, ModelRow, model_families


def page_figures(store: PageStore) -> Iterable[Metric]:
    """Return the figures of at most `MOST_MODELS` models, and of the others together."""
    return model_families(map(_row, map(row_of, store.models.values())), MODEL_TEXTS)


def _row(row: Mapping[str, Any]) -> ModelRow:
    missed_by = row["missed_by"]
    found = {
        "said_error": row["error"],
        "completeness": row["completeness"],
        "money_lost_per_day": row["per_day"],
        "estimated_minus_realised": None if missed_by is None else -missed_by,
    }
    figures = {name: float(value) for name, value in found.items() if value is not None}
    return ModelRow(row["model_id"], sum(row["open"].values()), row["n"] or 0, figures)
