"""Pack accepted events into records of ``events``.

Rule 1. An event's log partition is a pure function of its model: see `model_partition`.
Rule 2. Events of one source partition keep their order.
Rule 3. A recorded log has the ticks of a live one, except those that change nothing.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from operator import attrgetter

from schemas.event import EventBatch, encode_events, encode_tick
from schemas.topics import model_partition
from streams.ingest.records import Accepted

MAX_BATCH_EVENTS = 500
"""Events of a record at most."""
MAX_BATCH_BYTES = 512 * 1024
"""Bytes of the payloads of a record at most, unless its first alone has more."""
TICK_EVERY_MS = 10_000
"""Milliseconds between two ticks of a live worker: a twelfth of the shortest silence."""
_payload_of, _model_of = attrgetter("payload"), attrgetter("model_id")
TICKS_AT_MOST = 1_000
"""Ticks between two events of a recorded log. One wrong instant, decades ahead, would otherwise
repeat every open alert for decades; at the default of a repetition a day this is three years."""


def pack(
    events: Iterable[Accepted], partitions: int, appended_at: int | None = None
) -> list[tuple[int, str, bytes, int]]:
    """Pack accepted events, in order, into records of ``events``.

    Parameters
    ----------
    events
        The events.
    partitions
        Partitions of ``events``.
    appended_at
        Instant of the append, in epoch milliseconds; None where only the log's clock is known.

    Returns
    -------
    list of (partition, key, value, timestamp_ms)
        In the order in which the records of one partition must be appended. The key is the model of
        the record's first event, for people; the monitor reads every event's own model.
    """
    by_partition: defaultdict[int, list[Accepted]] = defaultdict(list)
    events = list(events)
    models = list(map(_model_of, events))
    of_model = {model: by_partition[model_partition(model, partitions)] for model in set(models)}
    for event, model in zip(events, models, strict=True):
        of_model[model].append(event)
    return [
        (partition, batch[0].model_id, *_encode(batch, appended_at))
        for partition in sorted(by_partition)
        for batch in _batches(by_partition[partition])
    ]


def pack_with_ticks(
    events: Sequence[Accepted],
    clock_ms: int,
    tick_due_ms: Callable[[int], int],
    quiet_ms: int,
) -> Iterator[bytes]:
    """Yield events as records of a log of one partition, with ticks between them.

    Ticks stand at multiples of ``TICK_EVERY_MS`` of the log's clock, which is the latest instant of
    an event so far. Left out are those before which nothing is due: a tick that changes nothing has
    no influence on what follows. So the monitor finds the same as in a log that has them all. It
    must have applied each record before the next one is asked for.

    Parameters
    ----------
    events
        In log order.
    clock_ms
        The log's clock before them; 0 if there was nothing.
    tick_due_ms
        Returns the instant from which on a tick changes something, or any instant after its
        argument: `Monitor.tick_due_ms`.
    quiet_ms
        No tick sooner than this after an event is due because of that event. A larger figure makes
        larger records.
    """
    first = 0
    quiet_until_ms = clock_ms
    for place, event in enumerate(events):
        at_ms = event.logged_at
        if at_ms <= quiet_until_ms:
            continue
        stretch = events[first:place]
        yield from _values(stretch)
        first = place
        clock_ms = max([clock_ms, *(each.logged_at for each in stretch)])
        for _ in range(TICKS_AT_MOST):
            tick_ms = _tick_from(max(clock_ms, tick_due_ms(at_ms)))
            if tick_ms >= at_ms:
                break
            yield encode_tick(tick_ms)
            clock_ms = tick_ms + 1
        quiet_until_ms = min(tick_ms, _tick_from(at_ms + quiet_ms))
    yield from _values(events[first:])


def _values(events: Sequence[Accepted]) -> list[bytes]:
    return [value for _, _, value, _ in pack(events, 1)]


def _tick_from(at_ms: int) -> int:
    """Return the instant of the first tick that is not before an instant."""
    return -(-at_ms // TICK_EVERY_MS) * TICK_EVERY_MS


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
    sources = [event.source for event in events]
    index_of = {source: index for index, source in enumerate(dict.fromkeys(sources))}
    logged_at = [event.logged_at for event in events]
    items = [event.item for event in events]
    batch = EventBatch(
        sources=tuple(index_of),
        source_index=[index_of[source] for source in sources],
        source_offset=[event.offset for event in events],
        logged_at=logged_at,
        payloads=[event.payload for event in events],
        appended_at=appended_at,
        source_item=items if any(items) else None,
    )
    return encode_events(batch), max(logged_at)
