"""The fields that nothing reads, of a prediction without features.

Rule 1. Names alone are kept, never a value: printable, at most ``MAX_CHARACTERS`` long, at most
        ``MAX_NAMES`` of them.
Rule 2. A prediction that has features may carry further fields: nothing is kept of these.
"""

from typing import Any

import orjson

from schemas.prediction import Prediction

UNREAD = "unread"
"""The field of an accepted prediction that holds them. No producer can set it: it is unknown."""
MAX_NAMES = 3
MAX_CHARACTERS = 14
"""Three names of so many characters fit into the sentence of an alert."""
_KNOWN = frozenset(Prediction.model_fields)


def unread_fields(value: bytes) -> dict[str, Any] | None:
    """Return how many fields of a prediction are unknown, and the first names; None for none.

    Examples
    --------
    >>> unread_fields(b'{"prediction_id": "p1", "inputs": {"age": 40}}')
    {'fields': 1, 'names': ['inputs']}
    """
    try:
        given = orjson.loads(value)
    except orjson.JSONDecodeError:  # pydantic reads a little more than orjson
        return None
    return unread_names(given)


def unread_names(given: dict[str, Any]) -> dict[str, Any] | None:
    """Return the same of a prediction that is decoded."""
    names = [name for name in given if name not in _KNOWN]
    if not names:
        return None
    return {"fields": len(names), "names": [_shown(name) for name in names[:MAX_NAMES]]}


def _shown(name: str) -> str:
    """Return a name without control and direction characters, and not too long."""
    text = "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in name)
    return text if len(text) <= MAX_CHARACTERS else f"{text[: MAX_CHARACTERS - 1]}…"
