"""Which features of a prediction stand against which inputs of its id."""

from typing import Any

import orjson

from schemas.feature_row import as_dict
from streams.join.outcome_join import OutcomeJoin
from streams.traffic.skew import Compared


def of_prediction(join: OutcomeJoin, event: dict[str, Any]) -> Compared | None:
    """Return the comparison with inputs that came before a prediction; None without either."""
    features, prediction_id = event.get("features"), event["prediction_id"]
    if not features:
        return None
    inputs = join.halves.compare(prediction_id=prediction_id)
    if inputs is None:
        return None
    return Compared(prediction_id, as_dict(features), orjson.loads(inputs)["features"])


def of_inputs(join: OutcomeJoin, event: dict[str, Any], payload: bytes) -> Compared | None:
    """Return the comparison with a prediction that came before inputs.

    None where it has no features of its own, or no longer waits for its outcome.
    """
    prediction_id = event["prediction_id"]
    known = join.waiting(prediction_id)
    features = None if known is None else orjson.loads(known.payload).get("features")
    if not features:
        return None
    join.halves.compare(payload)
    return Compared(prediction_id, features, event["features"])
