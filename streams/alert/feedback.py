"""The commands to programs that follow from alerts.

Rule 1. An error that rises, or an outcome that changes, calls for ``retrain``: the model learned
        another relation. An error that falls calls for nothing, nor does a feature that drifts
        alone, nor labels that come differently: the rows would teach their delay.
Rule 2. A command names the labelled rows since the estimated onset: the rows to learn from. Where
        labels come late, it names the predictions among them whose labels are complete.
Rule 3. A command's id is made of the alert's id: the same log gives the same command.
"""

from schemas.alert import Alert
from schemas.feedback import Feedback, LabelledRange
from schemas.wire import to_rfc3339
from streams.alert.record import identify
from streams.aspects import ASPECTS

_OF_TRUTH = {
    (aspect.kind(role), name)
    for role in ("error", "outcome")
    for name, aspect in ASPECTS.items()
    if aspect.is_drift
}
VALID_MS = 7 * 24 * 60 * 60 * 1_000
"""Milliseconds, a week: the rows of an older command no longer show the present. By judgement."""


def calls_for_retraining(alert: Alert) -> bool:
    """Tell whether Rule 1 applies: when the alert fires, not while it lasts."""
    is_better = alert.kind == "performance" and alert.direction == "down"
    is_of_truth = (alert.kind, alert.aspect) in _OF_TRUTH
    is_told_otherwise = is_better or alert.labels_come_differently
    return alert.status == "firing" and is_of_truth and not is_told_otherwise


def retrain(alert: Alert, rows: LabelledRange, detected_ms: int) -> Feedback:
    """Return the command to retrain because of an alert that was detected at an instant."""
    return Feedback(
        feedback_id=identify("feedback", "retrain", alert.alert_id),
        command="retrain",
        model_id=alert.model_id,
        model_version=alert.model_version,
        because=(alert.alert_id,),
        issued_at=alert.detected_at,
        expires_at=to_rfc3339(detected_ms + VALID_MS),
        labelled=rows,
        summary=(
            f"Retrain model {alert.model_id}: its {alert.series} changed; {rows.rows:,} labelled "
            f"row{'' if rows.rows == 1 else 's'} since the estimated onset."
        ),
        evidence=alert.evidence,
    )
