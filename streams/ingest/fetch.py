"""Accept the records of a fetch at once: those in their final form are not decoded.

It loads a compiled loop (`agents.kernels`): `streams.ingest.accept` needs none.
"""

from collections.abc import Iterable, Sequence
from itertools import repeat

from schemas.event import Source
from schemas.instants import FIRST_INSTANT_MS
from schemas.scan import check_all
from streams.ingest.accept import accept, is_untimed, with_own_time
from streams.ingest.records import Accepted, Raw, Record, Refused
from streams.ingest.spec_record import ProfileCheck, refuse_profile


def accept_all(
    source: Source,
    records: Iterable[Record],
    now_ms: int,
    max_payload_bytes: int,
    check_profile: ProfileCheck = refuse_profile,
) -> list[Accepted | Refused]:
    """Read the records that a fetch returned of one partition, each as `accept` does.

    The log gives a record the earlier of its timestamp and ``now_ms``: a producer's clock may be
    ahead, and a timestamp of -1 is none. See also `with_own_time`.
    """
    records = list(records)
    values = [record.value or b"" for record in records]
    if values and max(map(len, values)) > max_payload_bytes:
        values = [value if len(value) <= max_payload_bytes else b"" for value in values]
    models, instants = check_all(source.kind, values)
    stamps = [record.timestamp for record in records]
    if None not in models and all(FIRST_INSTANT_MS <= stamp < now_ms for stamp in _ends(stamps)):
        # The hot path of ingest: all are in their final form, and all timestamps are times.
        offsets = [record.offset for record in records]
        return list(map(Accepted, repeat(source), offsets, stamps, models, instants, values))
    accepted = []
    for record, model_id, at_ms in zip(records, models, instants, strict=True):
        timestamp_ms = record.timestamp
        is_time = FIRST_INSTANT_MS <= timestamp_ms < now_ms
        logged_at = timestamp_ms if is_time else now_ms
        item: Accepted | Refused
        if model_id is not None:
            item = Accepted(source, record.offset, logged_at, model_id, at_ms, record.value)
        else:
            raw = Raw(source, record.offset, logged_at, record.value, record.key)
            item = accept(raw, max_payload_bytes, check_profile)
        if not is_time and is_untimed(timestamp_ms):
            item = with_own_time(item, now_ms)
        accepted.append(item)
    return accepted


def _ends(numbers: Sequence[int]) -> tuple[int, ...]:
    """Return the least and the largest number."""
    return (min(numbers), max(numbers)) if numbers else ()
