"""Pack accepted events into records of ``events``."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate

from schemas.event import EventBatch, Source, encode_events
from schemas.topics import model_partition
from streams.ingest.records import Accepted, _payload_of

MAX_BATCH_EVENTS = 500
MAX_BATCH_BYTES = 512 * 1024


def pack(
    events: Iterable[Accepted], partitions: int, appended_at: int | None = None
) -> list[tuple[int, str, bytes, int]]:
    """Pack accepted events, in order, into records of ``events``.

    Parameters
    ----------
    events, partitions
        What goes where.
    appended_at
        When it is appended, in epoch milliseconds; None where no clock but the log's is known.

    Returns
    -------
    list of (partition, key, value, timestamp_ms)
        In the order in which the records of one partition must be appended. The key is the model of
        the record's first event, for people; the monitor reads every event's own model.
    """
    by_partition: dict[int, list[Accepted]] = {}
    of_model: dict[str, list[Accepted]] = {}
    for event in events:
        together = of_model.get(event.model_id)
        if together is None:
            partition = model_partition(event.model_id, partitions)
            together = of_model[event.model_id] = by_partition.setdefault(partition, [])
        together.append(event)
    return [
        (partition, batch[0].model_id, *_encode(batch, appended_at))
        for partition in sorted(by_partition)
        for batch in _batches(by_partition[partition])
    ]


def _batches(events: Sequence[Accepted]) -> Iterable[Sequence[Accepted]]:
    first = 0
    while first < len(events):
        batch = events[first : first + MAX_BATCH_EVENTS]
        ends = list(accumulate(map(len, map(_payload_of, batch))))
        if ends[-1] > MAX_BATCH_BYTES:
            batch = batch[: max(1, bisect_right(ends, MAX_BATCH_BYTES))]
        yield batch
        first += len(batch)


def _encode(events: Sequence[Accepted], appended_at: int | None) -> tuple[bytes, int]:
    """Return a record and its timestamp: the latest instant that the log gives one of them."""
    sources, offsets, logged_at, _, _, payloads = zip(*events, strict=True)
    # A source is one object while its partition is assigned: by its id, a third of the time.
    ids = list(map(id, sources))
    place: dict[Source, int] = {}
    by_id = dict(zip(ids, sources, strict=True))
    index_of = {each: place.setdefault(source, len(place)) for each, source in by_id.items()}
    batch = EventBatch(
        sources=tuple(place),
        source_index=list(map(index_of.__getitem__, ids)),
        source_offset=list(offsets),
        logged_at=list(logged_at),
        payloads=list(payloads),
        appended_at=appended_at,
    )
    return encode_events(batch), max(logged_at)
