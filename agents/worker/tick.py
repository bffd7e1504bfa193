"""Append ticks to the log: records that show that time has passed, by which silences are detected.

A tick carries an instant. It states that every input that was in the input topics at that instant
is in ``events`` before this record. The statement is true of the log, whichever worker appends it
and however often.

Rule 1. The instant is read before the ends of all input partitions, whichever workers hold these.
Rule 2. The tick is appended when the group's commits have reached all these ends. Ingest commits an
        input once it is acknowledged in ``events`` or refused, so no tick comes during a backlog.
Rule 3. A commit beyond an end belongs to a topic that was deleted and created again: no tick then.
Rule 4. The embedded broker answers ListOffsets wrongly. There the ends are those of its answers to
        fetches, so only a worker that holds all input partitions ticks. An answer counts when it is
        the second one since the instant: the first may have been on its way.
Rule 5. The worker that holds the first input partition ticks.
Rule 6. Before a tick a record without events is appended: its acknowledgement shows the broker's
        clock. No tick comes while the worker's clock is wrong; the log says so once a minute,
        and an event, for an alert; another event says that it is right again, also after a start. A
        tick is never later than the broker's clock, so between two of them no more time passes than
        has passed.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping

from aiokafka.errors import KafkaError
from faust.types import TP

from agents.telemetry import RateLimit, get_logger
from agents.worker.agent import Partitions
from agents.worker.clock import CheckedClock
from agents.worker.publish import Outgoing
from agents.worker.state import Sender
from schemas.event import encode_nothing, encode_tick
from schemas.topics import Topics
from streams.ingest.batches import TICK_EVERY_MS, pack
from streams.ingest.clock_event import clock_event

TICK_EVERY_S = TICK_EVERY_MS / 1_000
RETRY_S = 0.5
"""Seconds until commits are compared again that have not reached the ends."""
_ASK_S = 5.0
"""Seconds for the answers of one attempt."""
_ANSWERS = 2
"""Answers after the instant until an end counts (Rule 4)."""
_SAY_EVERY_S = 60.0
"""Seconds between two log lines about a clock that is wrong."""
_NOTHING = encode_nothing()
_log = get_logger(__name__)


class Ticker:
    """Appends the ticks of one worker.

    Parameters
    ----------
    topics
        Names and partitions.
    sender
        Publishes records.
    clock
        Seconds since the epoch.
    every_s
        Seconds between two ticks.
    worker_id
        Distinguishes the worker from all others that have ever been.
    """

    def __init__(
        self, topics: Topics, sender: Sender, clock: CheckedClock, every_s: float, worker_id: str
    ) -> None:
        self._topics = topics
        self._sources = topics.read_by_ingest()
        self._sender = sender
        self._clock = clock
        self._every_s = every_s
        self._held: frozenset[TP] = frozenset()
        self._tried_s = 0.0
        self._pause_s = 0.0
        self._says = RateLimit(_SAY_EVERY_S)
        self._worker_id = worker_id
        self._told = 0
        self._is_known_right = False
        self._at_s: float | None = None
        self._ends: dict[TP, int] = {}
        self._answers: dict[TP, list[float]] = {}

    def assign(self, tps: Iterable[TP]) -> None:
        """Continue with these partitions; an attempt under way is given up."""
        self._held = frozenset(tps)
        self._at_s = None

    async def tick_if_due(self, partitions: Partitions) -> None:
        """Append a tick, if one is due and its statement is true."""
        held = self._held
        if not self._is_due or TP(self._topics.predictions, 0) not in held:
            return
        self._tried_s, self._pause_s = self._clock(), min(RETRY_S, self._every_s)
        at_s = None
        # Without an answer of the broker the statement cannot be checked.
        with contextlib.suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(_ASK_S):
                at_s = await self._true_instant(partitions)
                if at_s is not None:
                    await self.ask_clock()
        if at_s is None or self._held is not held:
            return
        self._at_s = None
        self._tried_s, self._pause_s = self._clock(), self._every_s
        if off_s := self._clock.off_s:
            await self._say_wrong(off_s)
        else:
            await self._say_right()
            await self._append(int(min(at_s, self._clock.latest_s()) * 1_000))

    async def ask_clock(self) -> None:
        """Append a record without events: its acknowledgement shows the broker's clock (Rule 6)."""
        await self._sender.send([Outgoing(self._topics.name("events"), 0, None, _NOTHING, None)])

    @property
    def _is_due(self) -> bool:
        # A clock that was set back lets the next attempt through.
        return not 0.0 <= self._clock() - self._tried_s < self._pause_s

    async def _say_wrong(self, off_s: float) -> None:
        if self._says.admit("clock", self._clock()) is None:
            return
        side = "ahead of" if off_s > 0 else "behind"
        _log.critical(
            f"The clock of this worker is {abs(off_s):,.0f} s {side} the broker's: until it is "
            "set right (NTP), silences are not reported and waiting predictions do not expire",
            off_s=round(off_s, 3),
        )
        await self._tell(is_wrong=True)

    async def _say_right(self) -> None:
        if self._is_known_right:
            return
        self._says = RateLimit(_SAY_EVERY_S)
        await self._tell(is_wrong=False)

    async def _tell(self, *, is_wrong: bool) -> None:
        """Append an event about the clock; an earlier worker may have told otherwise."""
        self._is_known_right = not is_wrong
        at_ms = int(self._clock() * 1_000)
        event = clock_event(self._worker_id, self._told, at_ms, is_wrong=is_wrong)
        self._told += 1
        await self._sender.send(
            [
                Outgoing(self._topics.name("events"), partition, key.encode(), value, tick_ms)
                for partition, key, value, tick_ms in pack([event], self._topics.partitions, at_ms)
            ]
        )

    async def _true_instant(self, partitions: Partitions) -> float | None:
        """Return the instant that a tick may carry now; None when there is none."""
        commits = await partitions.progress(self._sources)
        if not commits:
            return None
        if self._at_s is None:
            await self._read_ends(partitions, commits)
        if not partitions.can_ask_ends:
            self._note_answers(partitions)
        is_reached = all(
            tp in self._ends and commit >= self._ends[tp] for tp, commit in commits.items()
        )
        return self._at_s if is_reached else None

    async def _read_ends(self, partitions: Partitions, commits: Mapping[TP, int]) -> None:
        """Read the instant, then the ends (Rule 1)."""
        at_s = self._clock()
        self._ends = {}
        self._answers = {
            tp: [end.seen_at_s] for tp, end in partitions.known_ends().items() if tp in commits
        }
        if partitions.can_ask_ends:
            ends = await partitions.ask_ends(commits)
            if any(commit > ends[tp] for tp, commit in commits.items()):  # Rule 3
                return
            self._ends = ends
        self._at_s = at_s

    def _note_answers(self, partitions: Partitions) -> None:
        """Note the ends in the broker's answers to fetches (Rule 4)."""
        for tp, end in partitions.known_ends().items():
            answers = self._answers.setdefault(tp, [])
            if end.seen_at_s not in answers[-1:]:
                answers.append(end.seen_at_s)
            if len(answers) > _ANSWERS:
                self._ends.setdefault(tp, end.offset)

    async def _append(self, tick_ms: int) -> None:
        value = encode_tick(tick_ms)
        await self._sender.send(
            [
                Outgoing(self._topics.name("events"), partition, None, value, tick_ms)
                for partition in range(self._topics.partitions)
            ]
        )
