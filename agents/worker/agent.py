"""What an agent is to the worker: topics in, callbacks, and a few things it may ask in return.

The life of an agent in one worker:

    on_start                      the publisher is connected, nothing is assigned yet
    on_rebalance_complete(starts)   the assignment, and the offset at which each partition starts
    start_offset(tp)                asked for each: another offset, or None to keep that one
    on_fetch(fetch) ...             one at a time, from those offsets, without a gap
    on_revoked(tps)               flush and commit; then the partitions belong to others
    on_rebalance_complete(starts) ...
    on_shutdown                   flush and commit; no on_revoked comes before it

The callbacks never run at the same time as on_fetch, unless on_fetch takes longer than a rebalance
may wait. Every rebalance revokes everything first. An exception ends the worker: a `WorkerError`
with its sentence, anything else with its traceback.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from faust.types import TP

from agents.worker.transport import End, Fetch

if TYPE_CHECKING:
    from agents.worker.app import WorkerApp


class Partitions:
    """What an agent may ask of the transport. Usable once the worker runs.

    Parameters
    ----------
    app
        The worker's app.
    """

    def __init__(self, app: WorkerApp) -> None:
        self._app = app

    async def commit_fact(self, offsets: Mapping[TP, int]) -> bool:
        """Commit: all below these offsets is durably done; see `BatchConsumer.commit_fact`."""
        return await self._app.batches.commit_fact(offsets)

    def pause(self, tps: Iterable[TP]) -> None:
        """Fetch no more from these partitions until `resume`; what is on its way still comes."""
        self._app.batches.pause_partitions(tps)

    def resume(self, tps: Iterable[TP]) -> None:
        """Fetch from these partitions again. A rebalance does so too."""
        self._app.batches.resume_partitions(tps)

    def positions(self) -> dict[TP, int]:
        """Return, for each partition, the offset the next fetch begins at."""
        return self._app.batches.positions()

    def known_ends(self) -> dict[TP, End]:
        """Return the end of each partition as of the broker's last answer, an empty one included.

        A partition whose end equals its position had nothing more at that instant; one that is
        missing has not been answered yet.
        """
        return self._app.batches.known_ends()

    async def progress(self, topics: Iterable[str]) -> dict[TP, int]:
        """Return up to where the group has come in every partition of these topics, whoever's.

        What retention has deleted counts as done. Empty where a topic is not known yet.
        """
        return await self._app.batches.progress(topics)

    @property
    def can_ask_ends(self) -> bool:
        """Whether the broker says rightly where a partition ends: the one in memory does not."""
        return self._app.publisher.is_idempotent

    async def ask_ends(self, tps: Iterable[TP]) -> dict[TP, int]:
        """Ask the broker where these partitions end, whoever's they are."""
        return await self._app.batches.ask_ends(tps)


class Agent:
    """One agent of the worker. Override what is needed.

    Parameters
    ----------
    name
        Of the Faust agent; stable, it never derives from a Python path.
    topics
        What it consumes. No two agents of a worker consume the same topic.
    outputs
        What it publishes to: the worker does not start before these topics exist.
    """

    partitions: Partitions
    """Set by `build_app`."""

    def __init__(self, name: str, topics: Sequence[str], outputs: Sequence[str] = ()) -> None:
        self.name = name
        self.topics = tuple(topics)
        self.outputs = tuple(outputs)

    async def on_start(self) -> None:
        """Prepare: the publisher is connected, nothing is assigned yet."""

    async def on_fetch(self, fetch: Fetch) -> None:
        """Take what one fetch brought from one partition.

        Do not wait in here for what another partition may bring: nothing else is delivered until
        this returns. Pause partitions instead.
        """
        raise NotImplementedError

    async def run(self) -> None:
        """Work beside `on_fetch` for as long as the worker lives, from the first assignment on."""

    async def on_rebalance_complete(self, starts: Mapping[TP, int]) -> None:
        """Take over the partitions of this agent that are assigned now, all of them.

        Nothing is fetched until this returns; it may read from Kafka. A further rebalance cancels
        it and calls `on_revoked`.

        Parameters
        ----------
        starts
            Where each partition starts: its commit, else its beginning.
        """

    def start_offset(self, tp: TP) -> int | None:
        """Return where the partition starts instead, or None for what ``starts`` said."""
        return None

    async def on_revoked(self, tps: set[TP]) -> None:
        """Flush, commit and forget these partitions within 3 s, or be cancelled."""

    async def on_shutdown(self) -> None:
        """Flush and commit: the worker stops in good order. All agents together have 8 s."""

    def applied(self) -> Mapping[TP, int]:
        """Return, for each partition to be watched, the offset up to which everything is done."""
        return {}
