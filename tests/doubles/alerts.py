"""Alerts and their status, as a monitor publishes them."""

from __future__ import annotations

from typing import Any

from schemas.alert import Alert, Evidence
from schemas.status import Status

FINGERPRINT = "0f" * 16


def alert(status: str = "firing", **fields: Any) -> Alert:
    """Return a transition of one alert; ``fields`` say what is different."""
    told: dict[str, Any] = {
        "alert_id": f"{status}-{fields.get('fingerprint', FINGERPRINT)}",
        "status": status,
        "kind": "feature_drift",
        "model_id": "car_loan",
        "model_version": "2018-01",
        "series": "feature/car_value",
        "aspect": "level",
        "category": None,
        "segment": None,
        "severity": "warning",
        "detected_at": "2018-08-20T06:12:17.152Z",
        "started_at": "2018-08-20T05:58:00.000Z",
        "detector": "cusum",
        "value": 48_000.0,
        "baseline": 31_000.0,
        "effect": 0.9,
        "effect_unit": "sd",
        "direction": "up",
        "rows_since_onset": 50,
        "predictions_seen": 75_051,
        "series_seen": 75_051,
        "summary": "Model car_loan: feature car_value rose from 31,000 to 48,000.",
        "evidence": Evidence(partition=0, first_offset=10, last_offset=11),
        "fingerprint": FINGERPRINT,
        "episode": 1,
        "sequence": 0 if status == "firing" else 1,
        "fired_at": "2018-08-20T06:12:17.152Z",
        "resolved_because": "returned" if status == "resolved" else None,
        "is_flapping": False,
        "spec_version": 0,
        "categories": (),
        "followed_by": (),
        "moved_together": (),
        "acknowledged": None,
        "muted_until": None,
        "runbook": "docs/runbook.md#feature_drift-level",
    }
    return Alert.model_validate(told | fields)


def record(alert: Alert) -> bytes:
    """Return the record of a transition in ``alerts``."""
    return alert.model_dump_json().encode()


def status_of(alert: Alert, **fields: Any) -> bytes:
    """Return the record of an open alert in ``status``."""
    told: dict[str, Any] = {
        "fingerprint": alert.fingerprint,
        "alert": alert,
        "since": alert.fired_at,
        "acknowledged": alert.acknowledged,
        "muted_until": alert.muted_until,
    }
    return Status.model_validate(told | fields).model_dump_json().encode()
