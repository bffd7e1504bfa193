"""The event stream of the page: which models have changed.

An event names models and carries no data; the page asks for what it shows. The id of an event is
the offsets that it covers. A browser that reconnects sends the last id, and is told what changed
after those offsets: also by a page that was restarted meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import get_args

import orjson

from agents.page.store import PageStore, Position
from schemas.topics import TopicRole

MOST_NAMED = 100
"""Models that one event names; where more have changed it says so, and the page asks anew."""
LONGEST_ID = 4_000
"""Characters of an id at most: it returns in a header, and servers allow 8 kB."""
_ROLES = frozenset(get_args(TopicRole))


def event_id(positions: Mapping[Position, int]) -> str:
    """Return offsets as an id, empty where it would be too long.

    Examples
    --------
    >>> event_id({("alerts", 0): 12, ("status", 1): 3})
    'alerts.0.12_status.1.3'
    """
    parts = (f"{role}.{part}.{offset}" for (role, part), offset in sorted(positions.items()))
    text = "_".join(parts)
    return text if len(text) <= LONGEST_ID else ""


def positions_of(text: str) -> dict[Position, int] | None:
    """Return the offsets of an id; None where it is not one.

    Examples
    --------
    >>> positions_of("alerts.0.12_status.1.3")
    {('alerts', 0): 12, ('status', 1): 3}
    >>> positions_of("7") is None
    True
    """
    found: dict[Position, int] = {}
    for part in text.split("_") if text else ():
        role, *numbers = part.split(".")
        if role not in _ROLES or len(numbers) != 2 or not all(map(str.isdecimal, numbers)):
            return None
        found[role, int(numbers[0])] = int(numbers[1])  # type: ignore[index]
    return found or None


def changes(store: PageStore, model_ids: Iterable[str]) -> bytes:
    """Return the event that names these models; of too many, one that names none."""
    named = list(islice(model_ids, MOST_NAMED + 1))
    data = {"models": named if len(named) <= MOST_NAMED else None}
    return event("change", data, event_id(store.positions))


def event(name: str, data: object, its_id: str = "") -> bytes:
    """Return a server-sent event."""
    id_line = f"id: {its_id}\n" if its_id else ""
    return f"event: {name}\n{id_line}data: {orjson.dumps(data).decode()}\n\n".encode()
