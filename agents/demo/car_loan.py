"""The car-loan example as the events its services would have published.

One row of the table is one prediction; its outcome is published ``OUTCOME_LAG`` predictions later.
"""

import csv
import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import orjson

from schemas.event import EventKind

MODEL_ID = "car_loan"
CHANGED_FROM = 75_000
"""The row at which the data of the example change."""
OUTCOME_LAG = 1_000
"""Predictions between a prediction and its outcome."""
ROW_MS = 523_152
"""Mean milliseconds between two rows of the example."""
CHANGED_SERIES = (
    "feature/car_value",
    "feature/loan_length",
    "feature/repaid_loan_on_prev_car",
    "feature/salary_range",
    "score",
    "error",
)
UNCHANGED_SERIES = (
    "feature/debt_to_income_ratio",
    "feature/size_of_downpayment",
    "feature/driver_tenure",
)
DATA = Path(__file__).resolve().parents[2] / "examples" / "car_loan" / "car_loan.csv.gz"
_NUMBERS = ("car_value", "debt_to_income_ratio", "loan_length", "driver_tenure")
_TEXTS = ("salary_range", "size_of_downpayment")


class LoanMessage(NamedTuple):
    """One message of a service: its kind, the id of its prediction, its bytes."""

    kind: EventKind
    prediction_id: str
    payload: bytes


def published(path: Path = DATA, rows: int | None = None) -> Iterator[LoanMessage]:
    """Yield the messages of the services, in the order of publication."""
    outcomes: list[tuple[str, int]] = []
    at_ms = 0
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in islice(csv.DictReader(file), rows):
            prediction_id = f"loan-{row['id']}"
            at_ms = _at_ms(row["timestamp"])
            yield LoanMessage("prediction", prediction_id, _prediction(prediction_id, at_ms, row))
            outcomes.append((prediction_id, int(row["repaid"])))
            if len(outcomes) > OUTCOME_LAG:
                yield _outcome(*outcomes[-OUTCOME_LAG - 1], at_ms)
    for step, (prediction_id, repaid) in enumerate(outcomes[-OUTCOME_LAG:], start=1):
        yield _outcome(prediction_id, repaid, at_ms + step * ROW_MS)


def _prediction(prediction_id: str, at_ms: int, row: dict[str, str]) -> bytes:
    features: dict[str, float | str | bool | None] = {
        name: float(row[name]) if row[name] else None for name in _NUMBERS
    }
    features |= {name: row[name] or None for name in _TEXTS}
    repaid = row["repaid_loan_on_prev_car"]
    features["repaid_loan_on_prev_car"] = repaid == "True" if repaid else None
    return orjson.dumps(
        {
            "prediction_id": prediction_id,
            "model_id": MODEL_ID,
            "predicted_at": at_ms,
            "prediction": int(row["y_pred"]),
            "score": float(row["y_pred_proba"]),
            "features": features,
        }
    )


def _outcome(prediction_id: str, repaid: int, at_ms: int) -> LoanMessage:
    payload = orjson.dumps(
        {
            "prediction_id": prediction_id,
            "model_id": MODEL_ID,
            "observed_at": at_ms,
            "outcome": repaid,
        }
    )
    return LoanMessage("outcome", prediction_id, payload)


def _at_ms(timestamp: str) -> int:
    at = datetime.fromisoformat(timestamp).replace(tzinfo=UTC)
    return round(at.timestamp() * 1_000)
