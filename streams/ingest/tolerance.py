"""Optional fields that are not legal never cost an event: they are left out, and counted.

Rule 1. Required fields are strict. Ids may be numbers: they are taken as text.
Rule 2. A feature that is NaN or infinite, or no legal value, is missing; Python writes NaN for a
        missing number.
Rule 3. Probabilities are held to 0 and 1 within ``ROUNDING``; further off they are left out.
Rule 4. Any other optional field that is not legal is left out whole.
Rule 5. The event in the log names the fields of which something was left out.
"""

import json
import math
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError

from schemas.event import EventKind

LEFT_OUT = "left_out"
"""The field of an accepted event that names them. No producer can set it: it is unknown."""
ROUNDING = 1e-6
"""The most that a probability may exceed its bounds: sums of single floats are off by 1e-7."""
_ATTEMPTS = 3
"""Validations of one event: a field that was left out can bring no new mistake but one of a limit
on the number of entries."""
_TOLERANT = frozenset[EventKind](("prediction", "half", "outcome", "inputs"))
_STRICT = frozenset(("prediction",))
"""Fields that may be absent, and are strict where they are not."""
IDS = ("prediction_id", "model_id", "report_id")
"""Fields whose numbers are taken as text."""


def parse_json(text: str | bytes) -> Any:
    """Read JSON, with NaN and Infinity as Python writes them.

    Raises
    ------
    ValueError
        When it is no JSON.
    RecursionError
        When it nests too deep.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        # Bytes would be guessed to be UTF-16 or UTF-32 where they look so.
        return json.loads(text if isinstance(text, str) else text.decode())


def id_text(given: Any) -> Any:
    """Return a number as the text of an id; any other value as it is.

    Examples
    --------
    >>> id_text(75001), id_text(75001.0), id_text("75001"), id_text(True)
    ('75001', '75001', '75001', True)
    """
    if type(given) is int:
        return str(given)
    return str(int(given)) if type(given) is float and given.is_integer() else given


def read_tolerantly(
    kind: EventKind, model: type[BaseModel], given: dict[str, Any]
) -> tuple[BaseModel, list[str]]:
    """Return an event without its illegal optional fields, and the names of these.

    Parameters
    ----------
    kind, model
        Its kind, and the type of such events.
    given
        Its fields, as decoded; they are not changed.

    Raises
    ------
    ValidationError
        When a required field is wrong, or the kind is none of a service.
    """
    event, left_out = dict(given), dict[str, None]()
    if kind in _TOLERANT:
        _loosen(event, left_out)
    for _ in range(_ATTEMPTS):
        try:
            read = model.__pydantic_validator__.validate_json(json.dumps(event))
        except ValidationError as error:
            if kind not in _TOLERANT or not _drop(model, event, left_out, error):
                raise
        else:
            return read, list(left_out)
    return model.__pydantic_validator__.validate_json(json.dumps(event)), list(left_out)


def _loosen(event: dict[str, Any], left_out: dict[str, None]) -> None:
    """Bring fields to the form that is meant (Rules 1 to 3)."""
    for name in IDS:
        if name in event:
            event[name] = id_text(event[name])
    features = event.get("features")
    if isinstance(features, dict):
        finite = {name: None if _is_not_finite(each) else each for name, each in features.items()}
        if any(finite[name] is not features[name] for name in features):
            left_out["features"] = None
        event["features"] = finite
    if "score" in event:
        event["score"] = _held(event["score"])
    if isinstance(scores := event.get("scores"), dict):
        event["scores"] = {name: _held(each) for name, each in scores.items()}


def _drop(
    model: type[BaseModel],
    event: dict[str, Any],
    left_out: dict[str, None],
    error: ValidationError,
) -> bool:
    """Leave out the optional fields that are wrong; return False where another one is."""
    places = [each["loc"] for each in error.errors(include_url=False, include_input=False)]
    if not all(place and _is_optional(model, str(place[0])) for place in places):
        return False
    for name, *rest in places:
        left_out[str(name)] = None
        features = event.get("features")
        if name == "features" and rest and isinstance(features, dict):
            features.pop(str(rest[0]), None)
        else:
            event.pop(str(name), None)
    return True


def _is_optional(model: type[BaseModel], name: str) -> bool:
    field = model.model_fields.get(name)
    return field is not None and not field.is_required() and name not in _STRICT


def _is_not_finite(given: Any) -> bool:
    return isinstance(given, float) and not math.isfinite(given)


def _held(given: Any) -> Any:
    """Return a probability within its bounds (Rule 3)."""
    if isinstance(given, float) and -ROUNDING <= given <= 1 + ROUNDING:
        return min(max(given, 0.0), 1.0)
    return given
