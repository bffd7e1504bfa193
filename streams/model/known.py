"""The models of a partition that have state: live ones, and those that are put away.

A model without an event for long is put away: its snapshot takes its place, until its next event.
"""

from collections.abc import Callable
from typing import NamedTuple

from msgspec import structs

from schemas.model_spec import ModelSpec
from streams.join.events import ChunkName, JoinCounts
from streams.model.model import ModelMonitor
from streams.series.series_set import SeriesSet

SpecOf = Callable[[str], ModelSpec]


class Away(NamedTuple):
    """A model that is put away.

    Parameters
    ----------
    snapshot
        Its state.
    taken, counts
        As of `ModelMonitor`, and of its join.
    """

    snapshot: bytes
    taken: int
    counts: JoinCounts


class KnownModels:
    """The models, by their ids.

    Parameters
    ----------
    partition, labelled_topic, spec_of, series_of
        As for `streams.monitor.Monitor`.

    Attributes
    ----------
    live, away
        Each is one of these.
    """

    def __init__(
        self,
        partition: int,
        labelled_topic: str,
        spec_of: SpecOf,
        series_of: Callable[[ModelSpec], SeriesSet],
    ) -> None:
        self._partition = partition
        self._labelled_topic = labelled_topic
        self._spec_of = spec_of
        self._series_of = series_of
        self.live: dict[str, ModelMonitor] = {}
        self.away: dict[str, Away] = {}

    def __len__(self) -> int:
        return len(self.live) + len(self.away)

    @property
    def taken(self) -> int:
        """Events of the log that were taken in, each once."""
        live = sum(model.taken for model in self.live.values())
        return live + sum(each.taken for each in self.away.values())

    def add_counts(self, total: JoinCounts) -> None:
        """Add the counts of the joins of all models to a total."""
        for model in self.live.values():
            total.add(model.join.counts)
        for away in self.away.values():
            total.add(away.counts)

    def look_at(self, model_id: str) -> ModelMonitor | None:
        """Return a known model; of one that is put away, a copy."""
        away = self.away.get(model_id)
        return self.live.get(model_id) if away is None else self._revived(model_id, away)

    def model(self, model_id: str) -> ModelMonitor:
        """Return a live model; one that was put away comes back, another one begins."""
        model = self.live.get(model_id)
        if model is None:
            away = self.away.pop(model_id, None)
            model = self._begun(model_id) if away is None else self._revived(model_id, away)
            self.live[model_id] = model
        return model

    def put_away(self, model_id: str, snapshot: bytes) -> None:
        """Keep the state of a live model in place of the model."""
        model = self.live.pop(model_id)
        counts = structs.replace(model.join.counts)
        self.away[model_id] = Away(snapshot, model.taken, counts)

    def begin_with(self, models: dict[str, ModelMonitor]) -> None:
        """Know these models alone."""
        self.live, self.away = models, {}

    def _begun(self, model_id: str) -> ModelMonitor:
        spec = self._spec_of(model_id)
        return ModelMonitor(model_id, spec, self._labelled_topic, self._partition, self._series_of)

    def _revived(self, model_id: str, away: Away) -> ModelMonitor:
        return ModelMonitor.restore(
            model_id,
            self._spec_of(model_id),
            self._labelled_topic,
            self._partition,
            snapshot=away.snapshot,
            chunks=dict[ChunkName, bytes]().__getitem__,
        )
