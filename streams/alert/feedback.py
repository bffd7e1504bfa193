"""Decide what a program should do about an alert.

Rule 1. A change of the error or of the outcome calls for ``retrain``: what the model learned is no
        longer so. A feature that drifts alone calls for nothing yet.
Rule 2. A command names the labelled rows since the estimated onset: what there is to learn from.
Rule 3. A command's id is made of the alert's id: the same log gives the same command.
"""

from schemas.alert import Alert
from schemas.feedback import Feedback, LabelledRange
from schemas.wire import to_epoch_ms, to_rfc3339
from streams.alert.record import identify

VALID_MS = 7 * 24 * 60 * 60 * 1_000
"""A command nobody acted on in a week is stale: its rows no longer show the present."""
_DRIFTS = frozenset({"level", "spread", "share"})


def calls_for_retraining(alert: Alert) -> bool:
    """Tell whether Rule 1 applies: when the alert fires, not while it goes on."""
    is_of_truth = alert.kind in {"performance", "labels"} and alert.aspect in _DRIFTS
    return is_of_truth and alert.status == "firing"


def retrain(alert: Alert, rows: LabelledRange) -> Feedback:
    """Write the command to retrain because of an alert."""
    detected_at_ms = to_epoch_ms(alert.detected_at)
    return Feedback(
        feedback_id=identify("feedback", "retrain", alert.alert_id),
        command="retrain",
        model_id=alert.model_id,
        model_version=alert.model_version,
        because=(alert.alert_id,),
        issued_at=alert.detected_at,
        expires_at=to_rfc3339(detected_at_ms + VALID_MS),
        labelled=rows,
        summary=(
            f"Retrain model {alert.model_id}: its {alert.series} changed; {rows.rows:,} labelled "
            f"row{'' if rows.rows == 1 else 's'} since the estimated onset."
        ),
        evidence=alert.evidence,
    )
