"""The monitor of one partition of ``events``: a pure function of the log.

Rule 1. Records are applied one after the other, none skipped, none twice.
Rule 2. A model's state is a function of its own events, whatever other models share its partition.
Rule 3. Emissions depend on the log alone: the same log gives the same bytes.
Rule 4. A restored model skips the records that its snapshot covers.
Rule 5. A tick touches the models for which it has a consequence, and leaves no mark on the others.
Rule 6. A model begins with its first valid event: events refused before that, and controls, are
        dropped. One that has a spec alone is put away, and so is one without an event for long.
Rule 7. A record that ingest has not written is passed over, and told (`Monitor.foreign`).
Rule 8. A model whose state machine fails at an event is quarantined as of that event; the others go
        on. The event is found by a `Guard`. A monitor without guards raises `ModelFailedError`: it
        is begun again from a state of before, with a guard for that model, and finds the same.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from itertools import dropwhile
from operator import attrgetter
from typing import NamedTuple

from schemas.event import EventRecordError
from schemas.model_spec import ModelSpec
from schemas.topics import Topics
from streams.clock import NEVER_MS
from streams.codec import is_fatal
from streams.emission import Arrival, Emission, Place, place_of
from streams.model.arrivals import Arrivals, after, begins_no_model, decode_into
from streams.model.guard import Guard, Step, Tick
from streams.model.known import KnownModels, SpecOf
from streams.model.model import UNCOUNTED, ModelMonitor, Restored
from streams.model.quarantine import ToStore
from streams.series.series_set import SeriesSet

MAX_WAITING_BYTES = 16_000_000
"""Bytes of payloads whose values wait to be read. Decoded they take 1.9 times as
many (measured)."""

_payload_of = attrgetter("payload")


class Limits(NamedTuple):
    """Limits of the models. The state depends on them: all monitors of a log have the same.

    Parameters
    ----------
    max_models
        Model ids that are known, over all partitions: each holds an equal part. An id that was put
        away is still known: what a restart finds must not depend on what was put away when.
    forget_after_s
        Seconds without an event after which a model is put away.
    """

    max_models: int = 20_000
    forget_after_s: float = 30 * 86_400.0


DEFAULT_LIMITS = Limits()


class Foreign(NamedTuple):
    """A record of ``events`` that ingest has not written, and the reason."""

    offset: int
    reason: str


class _Tick(NamedTuple):
    """A tick, and its record's offset."""

    offset: int
    at_ms: int


class LogGapError(Exception):
    """A record of ``events`` is missing or repeated: stop, state would no longer equal a replay."""


class ModelFailedError(Exception):
    """A model has failed, and has no guard: this monitor cannot go on (Rule 8)."""

    def __init__(self, model_id: str, partition: int) -> None:
        super().__init__(f"model {model_id} of events partition {partition} failed")
        self.model_id = model_id
        self.partition = partition


class Monitor:
    """The models of one partition of ``events``.

    Parameters
    ----------
    partition
        The partition.
    topics
        Names of the topics, for the feedback that points at one.
    spec_of
        Gives the spec of a model that is met for the first time.
    series_of
        Makes the series of such a model.
    limits
        Limits of the models.
    is_guarded
        Whether every model has a guard: for a replay, which cannot begin again. It costs a snapshot
        of a model now and then, and memory.

    Attributes
    ----------
    known
        The models that have state.
    next_offset
        Offset of the record to be applied next; None until the first one.
    touched
        Models that have had events since this was emptied, for the next round of saving.
    waiting
        Bytes of the payloads whose values wait to be read.
    foreign
        Records passed over since this was emptied (Rule 7).
    tick_ms
        Instant of the latest tick; None before the first one.
    """

    def __init__(
        self,
        partition: int,
        topics: Topics,
        spec_of: SpecOf = lambda _model_id: ModelSpec(),
        series_of: Callable[[ModelSpec], SeriesSet] = SeriesSet,
        *,
        is_guarded: bool = False,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.partition = partition
        self.next_offset: int | None = None
        self.known = KnownModels(partition, topics.name("labelled"), spec_of, series_of)
        self.touched: dict[str, ModelMonitor] = {}
        self.waiting = 0
        self.foreign: list[Foreign] = []
        self.tick_ms: int | None = None
        self._waiting_of: dict[str, int] = {}  # bytes of the payloads that wait, by model
        self._ready: dict[str, None] = {}  # those of these models that may raise an alert
        self._base: dict[str, int] = {}
        self._due: dict[str, int] = {}
        self._is_guarded = is_guarded
        self._guarded: Container[str] = ()
        self._guards: dict[str, Guard] = {}
        self._name = f"{topics.name('events')}-{partition}"
        self._most_models = math.ceil(limits.max_models / topics.partitions)
        self._forget_ms = math.ceil(1_000 * limits.forget_after_s)

    @property
    def models(self) -> dict[str, ModelMonitor]:
        """The live models."""
        return self.known.live

    def apply(self, offset: int, value: bytes | None) -> list[Emission]:
        """Take in one record, and leave nothing waiting; return the emissions, in order."""
        emissions = self.ingest([(offset, value)]) + self.evaluate_all()
        emissions.sort(key=place_of)
        return emissions

    def ingest(self, records: Iterable[tuple[int, bytes | None]]) -> list[Emission]:
        """Take in records, as (offset, value); return the emissions, in order.

        Their values wait until `evaluate_ready` or `evaluate_all`, or until ``MAX_WAITING_BYTES``
        of them do: read one or two at a time, as with 10,000 models, a value costs ten times as
        much. The time of the reading changes no alert.

        Raises
        ------
        LogGapError
            When one is not the next one; then none is taken in.
        ModelFailedError
            When a model without a guard fails (Rule 8).
        """
        next_offset = self.next_offset
        stretches: list[tuple[Arrivals, _Tick | None]] = []
        arrivals: Arrivals = defaultdict(list)
        for offset, value in records:
            if next_offset is not None and offset != next_offset:
                msg = (
                    f"events partition {self.partition}: expected offset {next_offset}, "
                    f"found {offset}"
                )
                raise LogGapError(msg)
            try:
                tick_ms = decode_into(arrivals, offset, value)
            except EventRecordError as error:
                self.foreign.append(Foreign(offset, str(error)))
                tick_ms = None
            if tick_ms is not None:
                stretches.append((arrivals, _Tick(offset, tick_ms)))
                arrivals = defaultdict(list)
            next_offset = offset + 1
        self.next_offset = next_offset
        stretches.append((arrivals, None))
        emissions: list[Emission] = []
        for arrived, tick in stretches:
            emissions += self._ingest(arrived)
            if tick is not None:
                emissions += self._on_tick(tick)
        if self.waiting >= MAX_WAITING_BYTES:
            emissions += self.evaluate_all()
        emissions.sort(key=place_of)
        return emissions

    def tick_due_ms(self, until_ms: int) -> int:
        """Return when a tick has a consequence for a model, or an instant after ``until_ms``."""
        for model_id, model in self.models.items():
            if self._due.get(model_id, 0) <= until_ms:
                self._due[model_id] = self._due_ms(model, until_ms)
        return min(self._due.values(), default=NEVER_MS)

    def _ingest(self, arrivals: Arrivals) -> list[Emission]:
        """Give the models the events that have arrived."""
        emissions: list[Emission] = []
        for model_id, of_model in arrivals.items():
            news = after(self._base.get(model_id, -1), of_model)
            if model_id not in self.models and news:
                news, told = self._admitted(model_id, news)
                emissions += told
            if news:
                model = self._model(model_id)
                self.touched[model_id] = model
                size = sum(map(len, map(_payload_of, news)))
                self._waiting_of[model_id] = self._waiting_of.get(model_id, 0) + size
                self._due.pop(model_id, None)
                if model_id in self._guards:
                    emissions += self._take_guarded(model_id, news)
                else:
                    try:
                        emissions += model.ingest(news)
                    except BaseException as error:
                        self._refuse_failed(model_id, error)
                        raise
                self.waiting += size
                if not model.is_young:
                    self._ready[model_id] = None
                if model.is_away:
                    emissions += self._put_away(model_id)
        return emissions

    def _admitted(self, model_id: str, news: list[Arrival]) -> tuple[list[Arrival], list[Emission]]:
        """Return the events with which a model that is not live begins, and what others call for.

        Without a place for it they are counted, and so are controls before its first event.
        """
        if model_id in self.known.away or model_id == self._name:
            return news, []
        crowd = self.models.get(self._name)
        if crowd is not None:
            news = crowd.unseen(news)
        begins = list(dropwhile(begins_no_model, news))
        is_full = bool(begins) and len(self.known) >= self._most_models
        dropped = news if is_full else news[: len(news) - len(begins)]
        if not any(each.kind not in UNCOUNTED for each in dropped):
            return ([] if is_full else begins), []
        dropped = after(self._base.get(self._name, -1), dropped)
        crowd = self.touched[self._name] = self._model(self._name)
        told = crowd.turn_away(dropped, is_crowded=is_full)
        return ([] if is_full else begins), told

    def _put_away(self, model_id: str) -> list[Emission]:
        """Keep the state of a model in place of the model."""
        emissions, stored = self.to_store(model_id)
        if stored is None or not self.models[model_id].is_away:  # it is quarantined instead
            return emissions
        self.known.put_away(model_id, stored.snapshot)
        self._due.pop(model_id, None)
        self._guards.pop(model_id, None)
        return emissions

    def _on_tick(self, tick: _Tick) -> list[Emission]:
        """Apply a tick to the models for which it is due (Rule 5), in the order of their names."""
        self.tick_ms = tick.at_ms
        emissions: list[Emission] = []
        for model_id in sorted(self._models_due(tick)):
            model = self.models[model_id]
            del self._due[model_id]
            self.touched[model_id] = model
            step = Tick(Place(tick.offset, 0), tick.at_ms, self._forget_ms)
            if model_id in self._guards:
                emissions += self._take_guarded(model_id, [step])
            else:
                try:
                    emissions += model.on_tick(*step)
                except BaseException as error:
                    self._refuse_failed(model_id, error)
                    raise
            self._note_waiting(model_id)
            if self.models[model_id].is_away:
                emissions += self._put_away(model_id)
        return emissions

    def _note_waiting(self, model_id: str) -> None:
        """Note the values of predictions that a tick let go on without their inputs."""
        model = self.models[model_id]
        if model.has_waiting:
            self._waiting_of.setdefault(model_id, 0)
            if not model.is_young:
                self._ready[model_id] = None

    def _take_guarded(self, model_id: str, steps: Sequence[Step]) -> list[Emission]:
        guard = self._guards[model_id]
        emissions = guard.take(steps)
        self.models[model_id] = self.touched[model_id] = guard.model
        return emissions

    def _refuse_failed(self, model_id: str, error: BaseException) -> None:
        """Raise `ModelFailedError` unless the error says nothing about the model."""
        if not is_fatal(error):
            raise ModelFailedError(model_id, self.partition) from error

    def _models_due(self, tick: _Tick) -> list[str]:
        models = []
        due_ms = self._due
        for model_id, model in self.models.items():
            if tick.at_ms < due_ms.get(model_id, 0) or tick.offset <= self._base.get(model_id, -1):
                continue
            due_ms[model_id] = self._due_ms(model, tick.at_ms)
            if tick.at_ms >= due_ms[model_id]:
                models.append(model_id)
        return models

    def _due_ms(self, model: ModelMonitor, tick_ms: int) -> int:
        return min(model.tick_due_ms(tick_ms), model.forget_due_ms(self._forget_ms))

    @property
    def is_anything_ready(self) -> bool:
        """Whether something waits for `evaluate_ready`."""
        return bool(self._ready)

    def evaluate_ready(self) -> list[Emission]:
        """Read the values of models that may raise an alert; return the emissions.

        The values of young models wait on: many of them cost little more to read than a few.
        """
        return [each for model_id in list(self._ready) for each in self.evaluate(model_id)]

    def evaluate_all(self) -> list[Emission]:
        """Read all values that wait; return the emissions."""
        return [each for model_id in list(self._waiting_of) for each in self.evaluate(model_id)]

    def evaluate(self, model_id: str) -> list[Emission]:
        """Read the values of one model: before its snapshot."""
        self.waiting -= self._waiting_of.pop(model_id, 0)
        self._ready.pop(model_id, None)
        if model_id in self.known.away:
            return []
        try:
            return self.models[model_id].evaluate()
        except BaseException as error:
            self._refuse_failed(model_id, error)
            raise

    def to_store(self, model_id: str) -> tuple[list[Emission], ToStore | None]:
        """Read the values of a model; return the emissions, and what is stored of it.

        Nothing is, where the model is not known. Where its state cannot be stored it is
        quarantined.

        Raises
        ------
        ModelFailedError
            When it has no guard, and its state cannot be stored (Rule 8).
        """
        emissions = self.evaluate(model_id)
        model = self.known.look_at(model_id)
        if model is None:
            return emissions, None
        try:
            return emissions, model.to_store()
        except BaseException as error:
            guard = self._guards.get(model_id)
            if guard is None:
                self._refuse_failed(model_id, error)
            if guard is None or is_fatal(error):
                raise
        emissions += self._settle(model_id, guard)
        return emissions, guard.model.to_store()

    def settle(self) -> list[Emission]:
        """Have each guard see whether the state of its model can be stored; return the emissions.

        For the end of a replay, which stores nothing.
        """
        return [each for found in self._guards.items() for each in self._settle(*found)]

    def _settle(self, model_id: str, guard: Guard) -> list[Emission]:
        emissions = guard.settle()
        self.models[model_id] = guard.model
        return emissions

    def resume(
        self,
        restored: Mapping[str, Restored],
        next_offset: int,
        guarded: Container[str] = (),
    ) -> None:
        """Continue with restored models (Rule 4) at ``next_offset``, some guarded (Rule 8)."""
        self.known.begin_with({model_id: each.model for model_id, each in restored.items()})
        self._base = {model_id: each.offset for model_id, each in restored.items()}
        self._due = {}
        self.next_offset = next_offset
        self._guards = {}
        for model_id in [model_id for model_id, each in self.models.items() if each.is_away]:
            self._put_away(model_id)
        self._guarded = guarded
        self._guards = {
            model_id: Guard(model)
            for model_id, model in self.models.items()
            if self._is_guarded or model_id in guarded
        }

    def relax(self) -> None:
        """Do without the guards that `resume` was asked for."""
        self._guarded = ()
        if not self._is_guarded:
            self._guards = {}

    def _model(self, model_id: str) -> ModelMonitor:
        is_live = model_id in self.models
        model = self.known.model(model_id)
        if not is_live and (self._is_guarded or model_id in self._guarded):
            self._guards[model_id] = Guard(model)
        return model
