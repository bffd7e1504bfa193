"""The specs of live models: apply, list, show, remove.

A spec is a record of the topic ``models``, under the model's name. A worker takes it into the log,
and it is in force from its place there on; what a command says about that is read from the log.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import yaml
from rich.box import SIMPLE_HEAD
from rich.table import Table

from agents.commands.recording import read_spec
from agents.errors import OperatorError, WorkerError
from agents.kafka.read import read_whole, send_record
from agents.kafka.track import RecordTracker, SourcePosition, following
from agents.settings import Settings
from schemas.model_spec import MAX_SPEC_BYTES, ModelSpec, SpecError, parse_spec
from schemas.topics import model_partition
from schemas.wire import to_rfc3339
from streams.ingest.spec_record import read_spec_record
from streams.model import spec_of_snapshot
from streams.series.profile import check_profile
from streams.state import StateRecord, StateView

_IN_COLUMNS = frozenset({"model_id", "owner", "task", "alert_budget"})
Say = Callable[[str], object]


class UnknownModelError(WorkerError):
    """There is no such model: the operator names another."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class KeptSpec:
    """The latest record of a model in the topic ``models``; ``problem`` is why it is refused."""

    model_id: str
    value: bytes
    partition: int
    offset: int
    written_ms: int
    problem: str | None

    @property
    def fields(self) -> dict[str, Any]:
        """What it says, by field; nothing where it cannot be read."""
        return {} if self.problem else dict(orjson.loads(self.value))


def apply_specs(settings: Settings, paths: Sequence[Path], wait_s: float, say: Say) -> None:
    """Check specs, all before any is written; write them; say where each is in force.

    Parameters
    ----------
    settings
        Which cluster.
    paths
        YAML files, each with the spec of one model.
    wait_s
        How long to wait for a worker to take them in.
    say
        Says a sentence.

    Raises
    ------
    OperatorError
        When a file is no spec of one model, naming field, value and remedy.
    """
    values: dict[str, bytes] = {}
    for path in paths:
        model_id, value = _checked(path)
        if model_id in values:
            raise OperatorError(f"{path}: model_id: there is another spec of {model_id!r}")
        values[model_id] = value
    with following(settings, settings.models, values) as follower:
        written = {}
        for model_id, value in values.items():
            written[model_id] = send_record(settings, settings.models, model_id, value)
        for model_id, (partition, offset) in written.items():
            say(f"{model_id}: written to {settings.models}-{partition} at offset {offset}.")
        _follow(follower, written, wait_s, say)


def remove_model(settings: Settings, model_id: str, wait_s: float, say: Say) -> None:
    """Remove a model and its spec; say from where on it is gone.

    Raises
    ------
    UnknownModelError
        When nobody has heard of it.
    """
    if find_spec(settings, model_id) is None and state_of(settings, model_id) is None:
        raise _unknown(settings, model_id)
    with following(settings, settings.models, (model_id,)) as follower:
        partition, offset = send_record(settings, settings.models, model_id, None)
        say(f"{model_id}: removal written to {settings.models}-{partition} at offset {offset}.")
        _follow(follower, {model_id: (partition, offset)}, wait_s, say)


def find_specs(settings: Settings) -> list[KeptSpec]:
    """Return the latest spec of every model that has one, by name."""
    latest: dict[str, KeptSpec | None] = {}
    written_ms: dict[str, int] = {}
    for record in read_whole(settings, settings.models):
        name = (record.key or b"").decode(errors="replace")
        # A client with another partitioner may have left an older one in another partition.
        if record.timestamp < written_ms.get(name, 0):
            continue
        written_ms[name] = record.timestamp
        latest[name] = None if record.value is None else _kept(name, record)
    return sorted((kept for kept in latest.values() if kept), key=lambda kept: kept.model_id)


def find_spec(settings: Settings, model_id: str) -> KeptSpec | None:
    """Return the latest spec of one model."""
    return next((kept for kept in find_specs(settings) if kept.model_id == model_id), None)


def state_of(settings: Settings, model_id: str) -> tuple[int, bytes] | None:
    """Return the newest snapshot of a model, after the offset of ``events`` that it covers."""
    return view_of(settings, model_id).newest(model_id)


def view_of(settings: Settings, model_id: str) -> StateView:
    """Return what the ``state`` topic holds of one model."""
    view = StateView()
    partition = model_partition(model_id, settings.partitions)
    for record in read_whole(settings, settings.topics.name("state"), partition):
        if _is_of(model_id, record.key):
            view.take(StateRecord(record.key, record.value))
    return view


def show_model(settings: Settings, model_id: str) -> str:
    """Return a model's spec as YAML that `apply_specs` takes, with what is known about it.

    Raises
    ------
    UnknownModelError
        When nobody has heard of it.
    """
    kept, state = find_spec(settings, model_id), state_of(settings, model_id)
    if kept is None and state is None:
        raise _unknown(settings, model_id)
    events = f"{settings.topics.name('events')}-{model_partition(model_id, settings.partitions)}"
    lines = []
    in_force = ModelSpec()
    if state is None:
        lines.append("No worker has saved anything of this model yet.")
    else:
        offset, snapshot = state
        found = spec_of_snapshot(snapshot)
        in_force = found.spec
        lines.append(f"Version {found.version} was in force at {events} offset {offset}.")
    if kept is None:
        lines.append("It has no spec: it runs on the defaults.")
    else:
        lines.append(
            f"Written at {settings.models}-{kept.partition} offset {kept.offset}, "
            f"{to_rfc3339(kept.written_ms)}."
        )
    if kept is not None and kept.problem is not None:
        lines.append(f"That one is refused ({kept.problem}); what follows stays in force.")
        fields = in_force.model_dump(mode="json", exclude_unset=True)
    else:
        fields = {} if kept is None else kept.fields
    head = "".join(f"# {line}\n" for line in lines)
    return head + yaml.safe_dump({"model_id": model_id} | fields, sort_keys=False)


def as_table(found: Sequence[KeptSpec]) -> Table:
    """Return specs as a table for a terminal."""
    table = Table(box=SIMPLE_HEAD)
    table.add_column("model", no_wrap=True)
    for heading in ("owner", "task", "budget", "says something about", "written"):
        table.add_column(heading)
    for kept in found:
        spec = ModelSpec() if kept.problem else parse_spec(kept.fields)
        others = [name for name in kept.fields if name not in _IN_COLUMNS]
        table.add_row(
            kept.model_id,
            spec.owner or "",
            spec.task or "",
            f"{spec.alert_budget:g}",
            f"refused: {kept.problem}" if kept.problem else ", ".join(others),
            to_rfc3339(kept.written_ms)[:19].replace("T", " "),
        )
    return table


def as_json_line(kept: KeptSpec) -> str:
    """Return a spec as one line of JSON."""
    return orjson.dumps(
        {
            "model_id": kept.model_id,
            "spec": kept.fields,
            "problem": kept.problem,
            "partition": kept.partition,
            "offset": kept.offset,
            "written_at": to_rfc3339(kept.written_ms),
        }
    ).decode()


def _checked(path: Path) -> tuple[str, bytes]:
    """Read a file as ingest will read what comes of it."""
    spec = read_spec(str(path))
    if spec.model_id is None:
        raise OperatorError(f"{path}: model_id: missing; name the model that the spec is for")
    value = orjson.dumps(spec.model_dump(mode="json", exclude_unset=True))
    if len(value) > MAX_SPEC_BYTES:
        raise OperatorError(
            f"{path}: {len(value):,} bytes on the wire; a spec has at most {MAX_SPEC_BYTES:,}: "
            "leave series out of its profile"
        )
    try:
        read_spec_record(None, value, check_profile)
    except SpecError as error:
        raise OperatorError(f"{path}: {error}") from error
    return spec.model_id, value


def _kept(name: str, record: Any) -> KeptSpec:
    problem = None
    try:
        read_spec_record(record.key, record.value, check_profile)
    except SpecError as error:
        problem = "; ".join(str(error).splitlines())
    return KeptSpec(name, record.value, record.partition, record.offset, record.timestamp, problem)


def _is_of(model_id: str, key: bytes | None) -> bool:
    try:
        _, owner, *_ = orjson.loads(key or b"")
    except ValueError:
        return False
    return bool(owner == model_id)


def _unknown(settings: Settings, model_id: str) -> UnknownModelError:
    return UnknownModelError(
        f"nobody has heard of a model {model_id!r} at {settings.broker}: "
        "`./tidegauge models list` names those with a spec"
    )


def _follow(
    follower: RecordTracker, written: Mapping[str, SourcePosition], wait_s: float, say: Say
) -> None:
    """Say what becomes of records of ``models``; after ``wait_s`` say how far they are."""
    waiting = dict(written)
    deadline_s = time.monotonic() + wait_s
    while waiting and time.monotonic() < deadline_s:
        follower.poll()
        for model_id, position in list(waiting.items()):
            if (snapshot := follower.snapshot(model_id, position)) is not None:
                version = spec_of_snapshot(snapshot).version
                said = f"version {version} of its spec is in force" if version else "it is gone"
                say(f"{model_id}: {said} from {follower.place(position)} on.")
                del waiting[model_id]
    for model_id, position in waiting.items():
        if place := follower.place(position):
            say(f"{model_id}: in force from {place} on.")
        else:
            say(f"{model_id}: no worker has taken it in {wait_s:g} s; it waits for one.")
