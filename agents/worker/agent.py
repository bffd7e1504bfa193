"""The base class of an agent: the topics it consumes, its callbacks, and its partitions.

The life of an agent in one worker:

    attach(partitions)              the publisher is connected, nothing is assigned yet
    on_connected()                  publish what has to be there first
    on_rebalance_complete(starts)   the assignment, and the offset at which each partition starts
    start_offset(tp)                asked for each: another offset, or None to keep that one
    on_fetch(fetch) ...             one at a time, from those offsets, without a gap
    on_revoked(tps)                 flush and commit; then the partitions belong to others
    on_rebalance_complete(starts)   ...
    on_shutdown                     flush and commit; no on_revoked comes before it

The callbacks never run at the same time as on_fetch, unless on_fetch takes longer than a rebalance
may wait. Every rebalance revokes everything first. An exception ends the worker: a `WorkerError`
with its sentence, any other with its traceback.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from faust.types import TP
from prometheus_client import Metric

from agents.worker.publish import Publisher
from agents.worker.transport import BatchConsumer, End, Fetch


class Partitions:
    """The part of the transport that an agent may use.

    Parameters
    ----------
    consumer
        Fetches and commits.
    publisher
        Knows which broker this is.
    """

    def __init__(self, consumer: BatchConsumer, publisher: Publisher) -> None:
        self._consumer = consumer
        self._publisher = publisher

    async def commit_fact(self, offsets: Mapping[TP, int]) -> bool:
        """Commit: all below these offsets is durably done; see `BatchConsumer.commit_fact`."""
        return await self._consumer.commit_fact(offsets)

    def pause(self, tps: Iterable[TP]) -> None:
        """Fetch no more from these partitions until `resume`; a fetch under way still arrives."""
        self._consumer.pause_partitions(tps)

    def resume(self, tps: Iterable[TP]) -> None:
        """Fetch from these partitions again. A rebalance does so too."""
        self._consumer.resume_partitions(tps)

    def known_ends(self) -> dict[TP, End]:
        """Return the end of each partition as of the broker's last answer, an empty one included.

        A partition whose end equals its position had no more records at that instant; for one that
        is missing the broker has not answered yet.
        """
        return self._consumer.known_ends()

    async def progress(self, topics: Iterable[str]) -> dict[TP, int]:
        """Return the group's commit in every partition of these topics, whoever holds it.

        Records that retention has deleted count as done. Empty where a topic is not known yet.
        """
        return await self._consumer.progress(topics)

    @property
    def can_ask_ends(self) -> bool:
        """Whether ListOffsets(latest) answers the end of a partition: the embedded broker errs."""
        return self._publisher.is_idempotent

    async def ask_ends(self, tps: Iterable[TP]) -> dict[TP, int]:
        """Ask the broker for the ends of these partitions, whoever holds them."""
        return await self._consumer.ask_ends(tps)


class Agent:
    """One agent of the worker. Override the callbacks it needs.

    Parameters
    ----------
    name
        Of the Faust agent. It is stable and does not derive from a Python path.
    topics
        The topics it consumes. No two agents of a worker consume the same topic.
    outputs
        The topics it publishes to: the worker does not start before these exist.
    """

    partitions: Partitions
    """Available from `attach` on."""

    def __init__(self, name: str, topics: Sequence[str], outputs: Sequence[str] = ()) -> None:
        self.name = name
        self.topics = tuple(topics)
        self.outputs = tuple(outputs)

    def attach(self, partitions: Partitions) -> None:
        """Use these partitions from now on: the publisher is connected, nothing is assigned yet."""
        self.partitions = partitions

    async def on_connected(self) -> None:
        """Publish what has to be there before the first assignment."""

    async def on_fetch(self, fetch: Fetch) -> None:
        """Process one fetch from one partition.

        Do not wait in here for another partition: nothing else is delivered until this returns.
        Pause partitions instead.
        """
        raise NotImplementedError

    async def run(self) -> None:
        """Work beside `on_fetch` for as long as the worker lives, from the first assignment on."""

    async def on_rebalance_complete(self, starts: Mapping[TP, int]) -> None:
        """Take over all the partitions of this agent that are assigned now.

        Nothing is fetched until this returns; it may read from Kafka. A further rebalance cancels
        it and calls `on_revoked`.

        Parameters
        ----------
        starts
            The offset at which each partition starts: its commit, else its beginning.
        """

    def start_offset(self, tp: TP) -> int | None:
        """Return another offset at which the partition starts, or None to keep the given one."""
        return None

    async def on_revoked(self, tps: set[TP]) -> None:
        """Flush, commit and forget these partitions within 3 s, or be cancelled."""

    async def on_shutdown(self) -> None:
        """Flush and commit: the worker stops cleanly. All agents together have 8 s."""

    def applied(self) -> Mapping[TP, int]:
        """Return, for each partition to be watched, the offset up to which all records are done."""
        return {}

    def lags(self) -> dict[TP, int]:
        """Return, for each partition to be watched, the records that are not done, as far known."""
        applied = self.applied()
        ends = self.partitions.known_ends() if applied else {}
        return {
            tp: max(0, ends[tp].offset - offset) for tp, offset in applied.items() if tp in ends
        }

    def figures(self, now_s: float) -> Iterable[Metric]:
        """Return figures for Prometheus; ``now_s`` is the wall clock, in seconds of the epoch."""
        return ()
