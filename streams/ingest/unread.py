"""The fields that nothing reads, of a prediction without features.

Rule 1. Names alone are kept, never a value: printable, at most ``MAX_CHARACTERS`` long, at most
        ``MAX_NAMES`` of them.
Rule 2. A prediction that has features may carry further fields: nothing is kept of these.
"""

from collections.abc import Sequence
from typing import Any, TypedDict

import orjson

from schemas.prediction import Prediction
from streams.values import printable

UNREAD = "unread"
"""The field of an accepted prediction that holds them. No producer can set it: it is unknown."""
MAX_NAMES = 3
MAX_CHARACTERS = 14
"""Three names of so many characters fit into the sentence of an alert."""
_KNOWN = frozenset(Prediction.model_fields)


class Noted(TypedDict):
    """Fields of which something is told: how many, and the names of the first for a sentence."""

    fields: int
    names: list[str]


def unread_fields(value: bytes) -> Noted | None:
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


def unread_names(given: dict[str, Any]) -> Noted | None:
    """Return the same of a prediction that is decoded."""
    names = [name for name in given if name not in _KNOWN]
    return noted(names) if names else None


def noted(names: Sequence[str]) -> Noted:
    """Return how many fields these are, and the first names, fit for a sentence."""
    return {"fields": len(names), "names": [_shown(name) for name in names[:MAX_NAMES]]}


def _shown(name: str) -> str:
    """Return a name without control and direction characters, and not too long."""
    text = printable(name)
    return text if len(text) <= MAX_CHARACTERS else f"{text[: MAX_CHARACTERS - 1]}…"
