"""Refuse events that are not in their model's partition, where inputs are partitioned by model.

Several workers then put events in order, each those of its own partition numbers. All events of a
model must pass one of them, or nobody knows their order: see docs/decisions/0087.
"""

from collections.abc import Callable, Iterable, Sequence

from streams.ingest.dead_letter import refuse
from streams.ingest.records import Accepted, Raw, Record, Refused

Home = Callable[[str, int], int]
"""Returns the partition of a model, of so many."""


def refuse_strangers(
    items: Sequence[Accepted | Refused],
    records: Iterable[Record],
    partitions: int,
    home: Home,
) -> list[Accepted | Refused]:
    """Return the items of one partition, those of models that belong in another one as refused.

    Parameters
    ----------
    items
        What was read of the records.
    records
        The records of a fetch.
    partitions
        Number of partitions of their topic.
    home
        The partition of a model.
    """
    values: dict[int, Record] = {}
    kept: list[Accepted | Refused] = []
    for item in items:
        event = item.event if isinstance(item, Refused) else item
        if event is None or home(event.model_id, partitions) == item.source.partition:
            kept.append(item)
            continue
        values = values or {record.offset: record for record in records}
        # Without any event of the model: its place among the others is not known.
        detail = (
            f"records of this model belong in partition {home(event.model_id, partitions)} of "
            f"{partitions}: key them by model_id, with Kafka's own partitioner (librdkafka: "
            "partitioner=murmur2_random)"
        )
        record = values[item.offset]
        raw = Raw(item.source, item.offset, item.logged_at, record.value, record.key, item.item)
        kept.append(refuse(raw, "wrong_partition", detail))
    return kept
