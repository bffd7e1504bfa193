"""The event that the clock of a worker is wrong, or right again."""

import orjson

from schemas.event import Source
from streams.ingest.records import Accepted

ALL_WORKERS = "all workers"
"""The name under which alerts about workers are raised."""


def clock_event(worker_id: str, number: int, at_ms: int, *, is_wrong: bool) -> Accepted:
    """Return the event.

    Parameters
    ----------
    worker_id
        Distinguishes the worker from all others that have ever told anything.
    number
        Counts what this worker has told, from 0.
    at_ms
        The instant, in epoch milliseconds.
    is_wrong
        Whether the clock is wrong.
    """
    source = Source("clock", "workers", 0, worker_id)
    fact = orjson.dumps({"model_id": ALL_WORKERS, "is_wrong": is_wrong})
    return Accepted(source, number, at_ms, ALL_WORKERS, at_ms, fact)
