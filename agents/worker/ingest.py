"""IngestAgent: from the input topics to the one log, ``events``.

It keeps no durable state: after a crash it reads again from the last commit, and the monitor drops
repeated events by their source positions. Its rules (docs/design.md, "Exactness"):

Rule 1. Of each source partition a run without gaps is published, starting at the commit.
Rule 2. The next events are sent only after all earlier ones are acknowledged.
Rule 3. An offset is committed only when everything before it is acknowledged.
Rule 4. After a failed send no more is published: the process ends.
Rule 5. Where most inputs of a topic are refused, an event says so, and the log every minute. Where
        a limit is set and the share is above it, the process ends. The dead letters of its last
        batch are published, their offsets are not committed: an operator decides to skip them.
Rule 6. A partition far ahead of the others is fetched no further until they have caught up.
Rule 7. One worker of the group holds all source partitions (`agents.worker.assignor`), so it alone
        puts them into one order; it also appends ticks (`Ticker`). Its commits are cuts of that
        order, so the worker that takes over continues it.
Rule 8. Where inputs are partitioned by model, one worker holds the partitions of one number. An
        event that is not in its model's partition is refused.
"""

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import MappingProxyType
from typing import cast, get_args

from faust.types import TP
from prometheus_client import Metric

from agents.errors import OperatorError, WorkerError
from agents.kafka.home import home_of
from agents.prometheus import Labels, family
from agents.telemetry import RateLimit, get_logger
from agents.worker.agent import Agent
from agents.worker.clock import CheckedClock
from agents.worker.intake import Intake
from agents.worker.publish import Outgoing
from agents.worker.state import Sender
from agents.worker.tick import TICK_EVERY_S, Ticker
from agents.worker.transport import Fetch
from schemas.cloudevents import EventHeaders
from schemas.dead_letter import DeadLetter, Reason
from schemas.event import EventKind, Source
from schemas.topics import Topics
from streams.ingest.accept import is_untimed
from streams.ingest.batches import pack
from streams.ingest.dead_letter import (
    WINDOW,
    DeadLetterLimit,
    RefusedTopics,
    TooManyRefusedError,
    topic_event,
)
from streams.ingest.fetch import accept_all
from streams.ingest.home import refuse_strangers
from streams.ingest.merge import MAX_HELD_BYTES, PATIENCE, Item, TimeMerge
from streams.ingest.records import Accepted, Refused
from streams.ingest.spec_record import ProfileCheck, refuse_profile

RELEASED_AT_ONCE = 4_000
"""Events that are published and acknowledged together: eight full records of ``events``."""
COMMIT_EVERY_S = 1.0
"""Seconds between two commits: a crash repeats at most so much work."""
FLUSH_EVERY_S = 0.05
"""Seconds between two flushes without a fetch; it adds to the latency of an alert."""
HELD_AT_MOST = 50_000
"""Events held over all source partitions before those far ahead are paused. Half the bound of
`TimeMerge`, beyond which it would release events out of order: fetches under way still arrive."""
HELD_BYTES_AT_MOST = MAX_HELD_BYTES // 2
"""Bytes of payloads, likewise: beyond it every partition of which something is held is paused."""
_LOG_SHARE_EVERY_S = 60.0
"""Seconds between two log lines about a topic of which most records are refused."""
_LOG_EVERY_S = 10.0
"""Seconds between two log lines about refusals of the same reason."""
Incarnations = Callable[[], Awaitable[Mapping[str, str]]]
Counts = Callable[[], Awaitable[Mapping[str, int]]]
_log = get_logger(__name__)


class SourceRecreatedError(WorkerError):
    """An input topic was deleted and created again under a running worker. Restart it."""

    exit_code = os.EX_TEMPFAIL


class IngestAgent(Agent):
    """The ingest agent of one worker.

    Parameters
    ----------
    topics
        Names and partitions.
    sender
        Publishes records.
    merge
        Puts the events of the source partitions in order.
    limit
        Stops the worker when the share of refused inputs is too high.
    clock
        Seconds since the epoch.
    incarnations
        Returns the id of each input topic, which a topic created again does not share.
    max_payload_bytes
        Size of an input above which it is refused unread.
    check_profile
        Checks the profile of a spec that has one.
    tick_every_s
        Seconds between two ticks.
    worker_id
        Distinguishes the worker from all others that have ever been.
    intake
        Reads the topics that have sources.
    counts
        Returns the number of partitions of each input topic, where inputs are partitioned by model;
        None where they are not.
    """

    _counts: Mapping[str, int] = MappingProxyType({})  # of partitions, where inputs are by model

    def __init__(
        self,
        topics: Topics,
        sender: Sender,
        merge: TimeMerge,
        limit: DeadLetterLimit,
        clock: CheckedClock,
        *,
        incarnations: Incarnations,
        max_payload_bytes: int,
        check_profile: ProfileCheck = refuse_profile,
        tick_every_s: float = TICK_EVERY_S,
        worker_id: str = "",
        intake: Intake | None = None,
        counts: Counts | None = None,
    ) -> None:
        letters = next(topic for topic in topics.table() if topic.role == "dead_letters")
        super().__init__("ingest", topics.read_by_ingest(), [topics.name("events"), letters.name])
        self._topics = topics
        self._sender = sender
        self._merge = merge
        self._limit = limit
        self._clock = clock
        self._incarnations = incarnations
        self._max_payload_bytes = max_payload_bytes
        self._check_profile = check_profile
        self._letter_headers = EventHeaders.of_topic(letters)
        self._intake = intake or Intake()
        self._ask_counts = counts
        self._kind_of: dict[str, EventKind] = {
            topic: kind for kind, topic in topics.sources().items()
        } | self._intake.kinds()
        self._sources: dict[TP, Source] = {}
        self._expected: dict[TP, int] = {}
        self._done: dict[TP, int] = {}
        self._committed: dict[TP, int] = {}
        self._committed_at_s = 0.0
        self._is_uncertain = False  # whether a send has failed, or was cut short (Rule 4)
        self._turn = asyncio.Lock()
        self._has_news = asyncio.Event()
        self._paused: set[TP] = set()
        self._passed_over: set[Source] = set()
        self._refusals = RateLimit(_LOG_EVERY_S)
        self._dead_letters = Counter(dict.fromkeys(get_args(Reason), 0))
        self._untimed: Counter[str] = Counter()
        self._shares = RateLimit(_LOG_SHARE_EVERY_S)
        self._refused_topics = RefusedTopics()
        self._ticker = Ticker(topics, sender, clock, tick_every_s, worker_id)

    async def on_connected(self) -> None:
        """Learn the broker's clock before any instant is taken from the worker's."""
        await self._ticker.ask_clock()

    async def on_rebalance_complete(self, starts: Mapping[TP, int]) -> None:
        """Start at these offsets; events that were held are read again."""
        incarnations = await self._incarnations()
        self._counts = {} if self._ask_counts is None else await self._ask_counts()
        self._sources = {
            tp: Source(self._kind_of[tp.topic], *tp, incarnations.get(tp.topic, ""))
            for tp in starts
        }
        self._expected = dict(starts)
        self._done = dict(starts)
        self._committed = dict(starts)
        self._paused = set()
        self._is_uncertain = False
        self._merge.assign(self._sources.values())
        self._ticker.assign(starts)

    async def on_fetch(self, fetch: Fetch) -> None:
        """Validate the records of a fetch, hold them, and have `run` publish those that are due.

        It does not wait for an acknowledgement: the next fetch would wait as well, and a queue of
        fetches that each wait for one takes seconds.
        """
        await self._intake.prepare(fetch.topic, fetch.records)
        self._hold(fetch)
        self._has_news.set()

    async def run(self) -> None:
        """Publish the events that are due, whenever records come, and ticks."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._has_news.wait(), FLUSH_EVERY_S)
            self._has_news.clear()
            await self.flush()
            await self._ticker.tick_if_due(self.partitions)

    async def on_revoked(self, tps: set[TP]) -> None:
        """Commit the acknowledged offsets; the next owner reads the held events again."""
        await self.on_shutdown()
        self._expected = {}
        self._done = {}
        self._paused = set()
        self._merge.assign([])
        self._ticker.assign(())

    async def on_shutdown(self) -> None:
        """Commit the acknowledged offsets."""
        async with self._turn:
            await self._commit()

    def applied(self) -> Mapping[TP, int]:
        """Return, for each source partition, the offset up to which all events are published."""
        return {tp: end for tp, end in self._done.items() if tp in self._expected}

    def _hold(self, fetch: Fetch) -> None:
        source = self._sources[fetch.tp]
        if fetch.start_offset < self._expected[fetch.tp]:
            msg = (
                f"{source.name} continues at offset {fetch.start_offset} after "
                f"{self._expected[fetch.tp]}: the topic was deleted and created again; the worker "
                "ends, and after a restart it reads the new topic"
            )
            raise SourceRecreatedError(msg)
        now_ms = int(self._clock() * 1_000)
        items = self._intake.accept_all(source, fetch.records, now_ms)
        if items is None:
            items = accept_all(
                source, fetch.records, now_ms, self._max_payload_bytes, self._check_profile
            )
        if partitions := self._counts.get(fetch.topic):
            items = refuse_strangers(items, fetch.records, partitions, home_of)
        self._expected[fetch.tp] = fetch.next_offset
        if fetch.records and is_untimed(fetch.records[-1].timestamp):
            self._log_untimed(fetch)
        has_more = fetch.next_offset < fetch.end
        self._merge.add(source, items, has_more=has_more)
        if has_more and self._is_ahead(source, 1):
            self._paused.add(fetch.tp)
            self.partitions.pause([fetch.tp])

    def _log_untimed(self, fetch: Fetch) -> None:
        """Count and name the records of a topic whose timestamps are no time."""
        untimed = sum(is_untimed(record.timestamp) for record in fetch.records)
        self._untimed[fetch.topic] += untimed
        if self._shares.admit(f"untimed {fetch.topic}", self._clock()) is None:
            return
        _log.warning(
            f"{self._untimed[fetch.topic]:,} records of {fetch.topic} so far have a timestamp of "
            "1970, as of epoch seconds: the instants of their events are used. Have their producer "
            "set milliseconds, or leave the timestamp to Kafka",
            topic=fetch.topic,
        )

    def _is_ahead(self, source: Source, divisor: int) -> bool:
        """Tell whether more is held of a partition than a share of what may be held (Rule 6)."""
        held = self._merge.held(source)
        share = HELD_AT_MOST // max(1, len(self._sources))
        is_heavy = self._merge.held_bytes > HELD_BYTES_AT_MOST // divisor
        return held > (0 if is_heavy else share // divisor)

    def _resume(self) -> None:
        """Fetch again from paused partitions that the others have caught up with."""
        for tp in sorted(self._paused):
            if not self._is_ahead(self._sources[tp], 2):
                self._paused.remove(tp)
                self.partitions.resume([tp])

    def _note_ends(self) -> None:
        """Note in the merge the partitions that are read to the end: no other waits for them."""
        for tp, end in self.partitions.known_ends().items():
            if end.offset == self._expected.get(tp):
                self._merge.note_end(self._sources[tp], end.seen_at_s)

    async def flush(self) -> None:
        """Publish the events that are due; commit, if that is due."""
        async with self._turn:
            if self._is_uncertain:
                return  # the merge no longer holds what was sent, and nobody knows where that is
            self._resume()
            if len(self._merge):
                self._note_ends()
            while items := self._merge.release(self._clock(), RELEASED_AT_ONCE):
                await self._publish(items)
                self._resume()
                await self._commit_if_due()  # here too: a backlog keeps the loop going
            self._say_who_is_passed_over()
            await self._commit_if_due()

    async def _commit_if_due(self) -> None:
        self._note_done()
        # A clock that was set back lets the next commit through.
        passed_s = self._clock() - self._committed_at_s
        if self._done != self._committed and not 0.0 <= passed_s < COMMIT_EVERY_S:
            await self._commit()

    def _note_done(self) -> None:
        """Note how far each partition is published: up to the first event that is still held.

        A stretch may hold no event at all: markers of transactions, aborted or compacted records,
        records that no source takes. And several events may come from one record.
        """
        for tp, end in self._expected.items():
            first = self._merge.first_offset(self._sources[tp])
            self._done[tp] = end if first is None else first

    def _say_who_is_passed_over(self) -> None:
        """Name the partitions that events no longer wait for, and those that are back."""
        now = set(self._merge.passed_over())
        for source in sorted(now - self._passed_over):
            _log.error(
                f"The broker has said nothing of {source.name} for {PATIENCE} times idle_s: events "
                "of other partitions no longer wait for it, and its own will stand behind them"
            )
        for source in sorted(self._passed_over - now):
            _log.info(f"The broker answers for {source.name} again: its events are waited for")
        self._passed_over = now

    async def _commit(self) -> None:
        """Commit the acknowledged offsets (Rule 3)."""
        self._committed_at_s = self._clock()
        news = {tp: end for tp, end in self._done.items() if end != self._committed.get(tp)}
        if news:
            await self.partitions.commit_fact(news)
            self._committed |= news

    async def _publish(self, items: list[Item]) -> None:
        refused = [item for item in items if isinstance(item, Refused)]
        accepted = _accepted(items) if refused else cast("list[Accepted]", items)
        events = self._topics.name("events")
        accepted = [*accepted, *self._note_shares(items, is_any_refused=bool(refused))]
        outgoing = [
            Outgoing(events, partition, key.encode(), value, timestamp_ms)
            for partition, key, value, timestamp_ms in pack(
                accepted, self._topics.partitions, int(self._clock() * 1_000)
            )
        ]
        outgoing += [self._dead_letter(item) for item in refused]
        self._is_uncertain = True
        await self._sender.send(outgoing)
        self._check_share(items, is_any_refused=bool(refused))
        self._is_uncertain = False

    def _note_shares(self, items: list[Item], *, is_any_refused: bool) -> list[Accepted]:
        """Note which inputs are refused; return the events about topics of which most are."""
        last = {item.source.topic: item for item in items}
        counts = self._refused_topics.counts
        if is_any_refused:
            for item in items:
                counts.note(item.source.topic, is_refused=isinstance(item, Refused))
        else:
            for topic, count in Counter([item.source.topic for item in items]).items():
                counts.note_accepted(topic, count)
        told = [(item, self._refused_topics.news(topic)) for topic, item in last.items()]
        for topic in last:
            self._log_share(topic)
        return [topic_event(item, news[0], is_high=news[1]) for item, news in told if news]

    def _log_share(self, topic: str) -> None:
        if not self._refused_topics.high.get(topic):
            return
        if self._shares.admit(topic, self._clock()) is None:
            return
        refused = self._refused_topics.counts.refused(topic) or 0
        _log.critical(
            f"{refused:,} of the last {WINDOW:,} records of {topic} were refused: check the last "
            "deployment of their producer; `./tidegauge tail dead_letters` shows the reasons",
            topic=topic,
            refused=refused,
        )

    def _check_share(self, items: list[Item], *, is_any_refused: bool) -> None:
        """End the worker when the share of refused inputs is too high (Rule 5)."""
        try:
            if is_any_refused:
                for item in items:
                    self._limit.note(item.source.topic, is_refused=isinstance(item, Refused))
            else:
                for topic, count in Counter([item.source.topic for item in items]).items():
                    self._limit.note_accepted(topic, count)
        except TooManyRefusedError as error:
            raise OperatorError(
                f"{error}, so the worker stops. `./tidegauge tail dead_letters --from-beginning` "
                "shows the reasons. Correct the producer; to skip these records, start again with "
                "a higher TIDEGAUGE_DEAD_LETTER_RATIO, or with none"
            ) from error

    def figures(self, now_s: float) -> Iterable[Metric]:
        """Return the dead letters by reason."""
        counts: dict[Labels, float] = {
            (reason,): count for reason, count in self._dead_letters.items()
        }
        yield family("counter", "dead_letters", "Refused inputs.", counts, ["reason"])

    def _dead_letter(self, refused: Refused) -> Outgoing:
        letter = refused.letter
        self._dead_letters[letter.reason] += 1
        self._log_refusal(letter)
        topic, value = letter.topic.encode(), letter.model_dump_json().encode()
        # Without an instant: a record that is read again may have another one in the log.
        headers = self._letter_headers.of(value, topic, None)
        name = self._topics.name("dead_letters")
        return Outgoing(name, None, topic, value, refused.logged_at, headers)

    def _log_refusal(self, letter: DeadLetter) -> None:
        suppressed = self._refusals.admit(letter.reason, self._clock())
        if suppressed is not None:
            _log.warning(
                f"Refused {letter.topic}-{letter.partition} offset {letter.offset}: "
                f"{letter.detail}; it is in dead_letters",
                reason=letter.reason,
                suppressed=suppressed,
            )


def _accepted(items: Iterable[Item]) -> list[Accepted]:
    """Return the events for the log, in order; some refused inputs leave one too."""
    events = (item.event if isinstance(item, Refused) else item for item in items)
    return [event for event in events if isinstance(event, Accepted)]
