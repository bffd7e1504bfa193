"""The monitor of one partition of ``events``: a pure function of the log.

Rule 1. Records are applied one after the other, none skipped, none twice.
Rule 2. A model's state is a function of its own events, whatever other models share its partition.
Rule 3. What is emitted depends on the log alone: the same log gives the same bytes.
Rule 4. A restored model skips the records that its snapshot covers.
"""

from collections.abc import Callable, Mapping

import orjson

from schemas.event import decode_events
from schemas.model_spec import ModelSpec
from schemas.topics import Topics
from streams.model import Arrival, Emission, ModelMonitor, Restored
from streams.panel import Panel

SpecOf = Callable[[str], ModelSpec]


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
    panel_of
        Makes the panel that watches its series.

    Attributes
    ----------
    next_offset
        Offset of the record to be applied next; None until the first one.
    touched
        Models that have had events since this was emptied: what the next snapshot must hold.
    """

    def __init__(
        self,
        partition: int,
        topics: Topics,
        spec_of: SpecOf = lambda _model_id: ModelSpec(),
        panel_of: Callable[[ModelSpec], Panel] = Panel,
    ) -> None:
        self.partition = partition
        self.next_offset: int | None = None
        self.models: dict[str, ModelMonitor] = {}
        self.touched: dict[str, ModelMonitor] = {}
        self._base: dict[str, int] = {}
        self._labelled_topic = topics.name("labelled")
        self._spec_of = spec_of
        self._panel_of = panel_of

    def apply(self, offset: int, value: bytes | None) -> list[Emission]:
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
            if offset <= self._base.get(model_id, -1):
                continue
            model = self._model(model_id)
            self.touched[model_id] = model
            emissions += model.apply(self.partition, offset, of_model)
        if len(arrivals) > 1:
            emissions.sort(key=lambda emission: emission.place)
        self.next_offset = offset + 1
        return emissions

    def resume(self, restored: Mapping[str, Restored], next_offset: int) -> None:
        """Go on with restored models (Rule 4), at ``next_offset``."""
        self.models = {model_id: each.model for model_id, each in restored.items()}
        self._base = {model_id: each.offset for model_id, each in restored.items()}
        self.next_offset = next_offset

    def _arrivals(self, value: bytes | None) -> dict[str, list[Arrival]]:
        """Decode a record; return its events by model, in log order."""
        batch = decode_events(value)
        names = [source.name for source in batch.sources]
        kinds = [source.kind for source in batch.sources]
        arrivals: dict[str, list[Arrival]] = {}
        columns = zip(
            batch.source_index, batch.source_offset, batch.logged_at, batch.payloads, strict=True
        )
        for index, (source, source_offset, logged_at, payload) in enumerate(columns):
            event = orjson.loads(payload)
            arrival = Arrival(
                index, names[source], source_offset, logged_at, kinds[source], payload, event
            )
            arrivals.setdefault(event["model_id"], []).append(arrival)
        return arrivals

    def _model(self, model_id: str) -> ModelMonitor:
        model = self.models.get(model_id)
        if model is None:
            spec = self._spec_of(model_id)
            model = ModelMonitor(model_id, spec, self._labelled_topic, self._panel_of(spec))
            self.models[model_id] = model
        return model
