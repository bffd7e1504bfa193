"""The partition in which Kafka's clients put a record with a key."""

from __future__ import annotations

from functools import lru_cache

from aiokafka.partitioner import murmur2

_KNOWN = 65_536
"""Keys that are remembered: three times as many as models by default. A hash takes 6 us in Python,
as long as all else that ingest does for an event."""
_POSITIVE = 0x7FFF_FFFF


@lru_cache(maxsize=_KNOWN)
def home_of(key: str, partitions: int) -> int:
    """Return the partition of a key: murmur2 of its UTF-8, the sign bit cleared, modulo the number.

    Clients for Java, franz-go, kafka-python and aiokafka use it unless told otherwise; clients on
    librdkafka with ``partitioner=murmur2_random``.

    Examples
    --------
    >>> home_of("credit-risk", 4)
    2
    """
    return int(murmur2(key.encode()) & _POSITIVE) % partitions
