"""All models that are watched, or have a spec, each with its state.

Rule 1. A model is known once a worker has saved it. One that was removed or put away counts where
        it has a spec: without one it is gone until its next event.
Rule 2. Of a snapshot only its summary is read: the series of 10,000 models take gigabytes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import orjson
from rich.table import Table
from rich.text import Text

from agents.commands.models import KeptSpec, find_specs
from agents.commands.status import firing
from agents.kafka.read import read_whole
from agents.settings import Settings
from agents.text import printable
from schemas.alert import Severity
from schemas.model_spec import ModelSpec, parse_spec
from schemas.status import Status
from schemas.wire import to_rfc3339
from streams.codec import StateVersionError
from streams.model.state import ModelSummary, summary_of_snapshot
from streams.series.watch_spec import FIRST_STAGES

_IN_COLUMNS = frozenset({"model_id", "owner"})
"""Fields of a spec with a column of their own in the table."""
_MODEL_WIDTH = 24
"""Columns of a model's name at most, so that a terminal of 80 has place for the rest."""
_SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "info")


class WatchedModel(NamedTuple):
    """A model, its latest spec, its latest snapshot, and its open alerts by severity."""

    model_id: str
    spec: KeptSpec | None
    summary: ModelSummary | None
    alerts: Counter[str]

    @property
    def state(self) -> str:
        """The state in words."""
        if self.summary is None:
            return "no data yet"
        if self.summary.is_quarantined:
            return "in quarantine"
        if self.summary.is_away:
            return "put away"
        if not self.summary.series:
            return "removed"
        if self.summary.predictions < FIRST_STAGES[0]:
            return f"learning, {self.summary.predictions} of {FIRST_STAGES[0]}"
        return "watched"


class Snapshots:
    """The summary of each model's newest snapshot, from the records of ``state`` in their order."""

    def __init__(self) -> None:
        self.summaries: dict[str, ModelSummary] = {}
        self._offsets: dict[str, int] = {}
        self._parts: defaultdict[tuple[str, int, int], dict[int, bytes]] = defaultdict(dict)

    def take(self, key: bytes | None, value: bytes | None) -> None:
        """Take one record into account; one that is no part of a snapshot is passed over."""
        try:
            kind, model_id, offset, number, count = orjson.loads(key or b"")
        except (ValueError, TypeError):
            return
        is_ours = kind == "manifest" and isinstance(model_id, str) and isinstance(offset, int)
        if not is_ours or value is None or offset < self._offsets.get(model_id, -1):
            return
        parts = self._parts[model_id, offset, count]
        parts[number] = value
        if len(parts) < count:
            return
        del self._parts[model_id, offset, count]
        try:
            found = summary_of_snapshot(b"".join(parts[each] for each in sorted(parts)))
        except (StateVersionError, ValueError):
            return  # another version's, or a stranger's
        self.summaries[model_id], self._offsets[model_id] = found, offset


async def find_models(settings: Settings) -> list[WatchedModel]:
    """Return all models that are watched or have a spec, by name.

    Raises
    ------
    OperatorError, BrokerUnreachableError
        When a topic or the broker is not there.
    """
    specs = {kept.model_id: kept for kept in await find_specs(settings)}
    snapshots = Snapshots()
    async for record in read_whole(settings, settings.topics.name("state")):
        snapshots.take(record.key, record.value)
    return models_of(specs, snapshots, await firing(settings, None))


def models_of(
    specs: dict[str, KeptSpec], snapshots: Snapshots, open_alerts: Iterable[Status]
) -> list[WatchedModel]:
    """Return the models that these name (Rule 1)."""
    alerts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for status in open_alerts:
        if status.alert.under is None:
            alerts[status.alert.model_id][status.alert.severity] += 1
    watched = {
        model_id
        for model_id, summary in snapshots.summaries.items()
        if summary.series and not summary.is_away
    }
    return [
        WatchedModel(
            model_id, specs.get(model_id), snapshots.summaries.get(model_id), alerts[model_id]
        )
        for model_id in sorted(watched | specs.keys())
    ]


def as_table(found: Sequence[WatchedModel]) -> Table:
    """Return models as a table for a terminal."""
    table = Table(box=None, padding=(0, 1), show_edge=False)
    table.add_column("model", overflow="ellipsis", no_wrap=True, max_width=_MODEL_WIDTH)
    table.add_column("state")
    table.add_column("alerts", no_wrap=True)
    table.add_column("predictions", justify="right", no_wrap=True)
    table.add_column("owner")
    table.add_column("spec")
    for each in found:
        alerts = (f"{each.alerts[name]} {name}" for name in _SEVERITIES if each.alerts[name])
        is_usable = each.spec is not None and each.spec.problem is None
        spec = parse_spec(each.spec.fields) if is_usable and each.spec else ModelSpec()
        cells = (
            each.model_id,
            each.state,
            ", ".join(alerts),
            "" if each.summary is None else f"{each.summary.predictions:,}",
            spec.owner or "",
            _spec_text(each.spec),
        )
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table


def _spec_text(kept: KeptSpec | None) -> str:
    if kept is None:
        return "defaults"
    if kept.problem:
        return f"refused: {kept.problem}"
    return ", ".join(name for name in kept.fields if name not in _IN_COLUMNS) or "owner alone"


def as_json_line(found: WatchedModel) -> str:
    """Return a model as one line of JSON."""
    kept, summary = found.spec, found.summary
    line = {
        "model_id": found.model_id,
        "state": found.state,
        "alerts": dict(found.alerts),
        "predictions": summary and summary.predictions,
        "labelled": summary and summary.labelled,
        "series": summary and summary.series,
        "spec_version": summary and summary.spec_version,
        "latest_event_at": summary and to_rfc3339(summary.now_ms),
        "spec": kept and kept.fields,
        "problem": kept and kept.problem,
    }
    if kept is not None:
        line |= {
            "partition": kept.partition,
            "offset": kept.offset,
            "written_at": to_rfc3339(kept.written_ms),
        }
    return orjson.dumps(line).decode()
