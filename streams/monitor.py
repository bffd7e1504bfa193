"""The monitor of one partition of ``events``: a pure function of the log.

Rule 1. Records are applied one after the other, none skipped, none twice.
Rule 2. Log time is the latest instant of the log; it never goes back.
Rule 3. What is emitted depends on the log alone: the same log gives the same bytes.
Rule 4. A model that falls silent still lets its waiting events expire: each record of the partition
        looks after the next ``SWEPT_MODELS`` models in turn.
"""

from collections.abc import Callable

import orjson

from schemas.event import decode_events
from schemas.model_spec import ModelSpec
from schemas.topics import Topics
from streams.model import Arrival, Emission, ModelMonitor

SWEPT_MODELS = 8


class LogGapError(Exception):
    """A record of ``events`` is missing or repeated: stop, state would no longer equal a replay."""


class Monitor:
    """The models of one partition of ``events``.

    Parameters
    ----------
    partition
        The partition.
    topics
        Names, for what points at topics.
    spec_of
        Gives the spec of a model that is met for the first time.

    Attributes
    ----------
    next_offset
        Offset of the record to be applied next; None until the first one.
    """

    def __init__(
        self,
        partition: int,
        topics: Topics,
        spec_of: Callable[[str], ModelSpec] = lambda _model_id: ModelSpec(),
    ) -> None:
        self.partition = partition
        self.next_offset: int | None = None
        self.models: dict[str, ModelMonitor] = {}
        self._labelled_topic = topics.name("labelled")
        self._spec_of = spec_of
        self._now_ms = 0
        self._swept = 0
        self._order: list[ModelMonitor] = []

    def apply(self, offset: int, value: bytes) -> list[Emission]:
        """Take in one record; return what to publish, in order.

        Raises
        ------
        LogGapError
            When the record is not the next one.
        EventRecordError
            When it is not a record of ``events``.
        """
        if self.next_offset is not None and offset != self.next_offset:
            msg = (
                f"events partition {self.partition}: expected offset {self.next_offset}, "
                f"found {offset}"
            )
            raise LogGapError(msg)
        arrivals = self._arrivals(value)
        emissions: list[Emission] = []
        for model_id, of_model in arrivals.items():
            emissions += self._model(model_id).apply(self.partition, offset, of_model)
        if len(arrivals) > 1:
            emissions.sort(key=lambda emission: emission.index)
        self._sweep()
        self.next_offset = offset + 1
        return emissions

    def _arrivals(self, value: bytes) -> dict[str, list[Arrival]]:
        """Decode a record; return its events by model, in log order."""
        batch = decode_events(value)
        names = [source.name for source in batch.sources]
        kinds = [source.kind for source in batch.sources]
        arrivals: dict[str, list[Arrival]] = {}
        columns = zip(
            batch.source_index, batch.source_offset, batch.logged_at, batch.payloads, strict=True
        )
        now_ms = self._now_ms
        for index, (source, source_offset, logged_at, payload) in enumerate(columns):
            now_ms = max(now_ms, logged_at)
            event = orjson.loads(payload)
            arrival = Arrival(
                index, names[source], source_offset, now_ms, kinds[source], payload, event
            )
            arrivals.setdefault(event["model_id"], []).append(arrival)
        self._now_ms = now_ms
        return arrivals

    def _model(self, model_id: str) -> ModelMonitor:
        model = self.models.get(model_id)
        if model is None:
            model = ModelMonitor(model_id, self._spec_of(model_id), self._labelled_topic)
            self.models[model_id] = model
            self._order.append(model)
        return model

    def _sweep(self) -> None:
        for _ in range(min(SWEPT_MODELS, len(self._order))):
            self._swept = (self._swept + 1) % len(self._order)
            self._order[self._swept].advance(self._now_ms)
