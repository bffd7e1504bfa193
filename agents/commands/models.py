"""The specs of live models: apply, show, remove, release.

A spec is a record of the topic ``models``, under the model's name. A worker appends it to the log,
and it is in force from its place there on. The commands read that place from the log.
"""

from __future__ import annotations

import getpass
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import yaml
from aiokafka import ConsumerRecord

from agents.commands.recording import read_spec
from agents.commands.spec_names import names_nothing
from agents.errors import OperatorError, WorkerError
from agents.kafka.read import read_whole
from agents.kafka.send import send_record
from agents.kafka.track import RecordTracker, SourcePosition, tracking
from agents.settings import Settings
from schemas.control import Control
from schemas.model_spec import MAX_SPEC_BYTES, ModelSpec, SpecError
from schemas.topics import model_partition
from schemas.wire import to_rfc3339
from streams.alert.record import fingerprint_of
from streams.clock import duration_text
from streams.ingest.spec_record import read_spec_record
from streams.model.quarantine import QUARANTINE
from streams.model.state import (
    figures_of_snapshot,
    late_labels_of_snapshot,
    quarantine_of_snapshot,
    spec_of_snapshot,
)
from streams.series.late_labels import LateLabels
from streams.series.profile_check import check_profile
from streams.state.records import StateRecord
from streams.state.view import StateView

Write = Callable[[str], object]
"""Writes a line for the operator."""


class UnknownModelError(WorkerError):
    """There is no such model: the operator must name another."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class KeptSpec:
    """The latest record of a model in the topic ``models``.

    Parameters
    ----------
    model_id, value, partition, offset
        The record.
    written_ms
        Its timestamp, epoch milliseconds.
    problem
        The reason why ingest refuses it; None when it is a spec.
    """

    model_id: str
    value: bytes
    partition: int
    offset: int
    written_ms: int
    problem: str | None

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of the spec; empty where it cannot be read."""
        return {} if self.problem else dict(orjson.loads(self.value))


async def apply_specs(
    settings: Settings, paths: Sequence[Path], wait_s: float, write: Write
) -> None:
    """Check specs, all before any is written; write them; report where each is in force.

    Parameters
    ----------
    settings
        Which cluster.
    paths
        YAML files, each with the spec of one model.
    wait_s
        Seconds to wait for a worker to append them to the log.
    write
        Writes a line for the operator.

    Raises
    ------
    OperatorError
        When a file is no spec of one model, with field, value and remedy.
    """
    values: dict[str, bytes] = {}
    for path in paths:
        model_id, value = _checked(path)
        if model_id in values:
            raise OperatorError(f"{path}: model_id: there is another spec of {model_id!r}")
        values[model_id] = value
    await write_specs(settings, values, wait_s, write)


async def write_specs(
    settings: Settings, values: Mapping[str, bytes], wait_s: float, write: Write
) -> None:
    """Write checked specs, by model; report where each is in force."""
    async with tracking(settings, settings.models, values) as tracker:
        written = {
            model_id: await send_record(settings, settings.models, model_id.encode(), value)
            for model_id, value in values.items()
        }
        for model_id, (partition, offset) in written.items():
            write(f"{model_id}: written to {settings.models}-{partition} at offset {offset}.")
        await _report(tracker, written, wait_s, write)


async def remove_model(settings: Settings, model_id: str, wait_s: float, write: Write) -> None:
    """Remove a model and its spec; report from which place in the log on it is gone.

    Raises
    ------
    UnknownModelError
        When the model has neither a spec nor state.
    """
    if await find_spec(settings, model_id) is None and await state_of(settings, model_id) is None:
        raise _unknown(settings, model_id)
    async with tracking(settings, settings.models, (model_id,)) as tracker:
        position = await send_record(settings, settings.models, model_id.encode(), None)
        partition, offset = position
        write(f"{model_id}: removal written to {settings.models}-{partition} at offset {offset}.")
        await _report(tracker, {model_id: position}, wait_s, write)


async def release_model(settings: Settings, model_id: str, wait_s: float, write: Write) -> None:
    """Have a quarantined model monitored again; report whether it is.

    Raises
    ------
    UnknownModelError
        When the model has no state, or is not in quarantine.
    """
    state = await state_of(settings, model_id)
    if state is None:
        raise _unknown(settings, model_id)
    if quarantine_of_snapshot(state[1]) is None:
        raise UnknownModelError(f"model {model_id!r} is not in quarantine: there is nothing to do")
    controls = settings.topics.name("controls")
    control = Control(
        control_id=uuid.uuid4().hex,
        model_id=model_id,
        verb="release",
        fingerprint=fingerprint_of(model_id, *QUARANTINE),
        by=getpass.getuser(),
        at=int(datetime.now(UTC).timestamp() * 1_000),
    )
    value = control.model_dump_json(exclude_unset=True).encode()
    async with tracking(settings, controls, (model_id,)) as tracker:
        position = await send_record(settings, controls, model_id.encode(), value)
        write(f"{model_id}: release written to {controls}-{position[0]} at offset {position[1]}.")
        deadline_s = time.monotonic() + wait_s
        while (snapshot := tracker.snapshot(model_id, position)) is None:
            if time.monotonic() >= deadline_s:
                write(f"{model_id}: no worker has saved it within {wait_s:g} s; it waits for one.")
                return
            await tracker.poll()
    left = quarantine_of_snapshot(snapshot)
    if left is None:
        write(
            f"{model_id}: released; its held events are applied from {tracker.place(position)} on."
        )
    else:
        write(
            f"{model_id}: a held event fails again ({left.failure}), so it stays in quarantine: "
            "upgrade all workers first, or remove the model."
        )


async def find_specs(settings: Settings) -> list[KeptSpec]:
    """Return the latest spec of every model that has one, by name."""
    latest: dict[str, KeptSpec | None] = {}
    written_ms: dict[str, int] = {}
    async for record in read_whole(settings, settings.models):
        name = (record.key or b"").decode(errors="replace")
        # Partitions have no order between them, and a client with another partitioner may have
        # left an older record in another partition.
        if record.timestamp < written_ms.get(name, 0):
            continue
        written_ms[name] = record.timestamp
        latest[name] = None if record.value is None else _kept(name, record)
    return sorted((kept for kept in latest.values() if kept), key=lambda kept: kept.model_id)


async def find_spec(settings: Settings, model_id: str) -> KeptSpec | None:
    """Return the latest spec of one model."""
    found = await find_specs(settings)
    return next((kept for kept in found if kept.model_id == model_id), None)


async def state_of(settings: Settings, model_id: str) -> tuple[int, bytes] | None:
    """Return the newest snapshot of a model, after the offset of ``events`` that it covers."""
    return (await view_of(settings, model_id)).newest(model_id)


async def view_of(settings: Settings, model_id: str) -> StateView:
    """Return the records of one model in the topic ``state``."""
    view = StateView()
    partition = model_partition(model_id, settings.partitions)
    async for record in read_whole(settings, settings.topics.name("state"), partition):
        if _is_of(model_id, record.key):
            view.take(StateRecord(record.key, record.value))
    return view


async def show_model(settings: Settings, model_id: str) -> str:
    """Return a model's spec as YAML that `apply_specs` accepts, with its history as comments.

    Raises
    ------
    UnknownModelError
        When the model has neither a spec nor state.
    """
    kept, state = await find_spec(settings, model_id), await state_of(settings, model_id)
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
        if (stuck := quarantine_of_snapshot(snapshot)) is not None:
            lines.append(f"In quarantine since {events} offset {stuck.offset} ({stuck.failure}).")
        late = late_labels_of_snapshot(snapshot)
        lines += [_late_line(name, each) for name, each in sorted(late.items())]
        lines += names_nothing(model_id, found, snapshot)
        lines += figures_of_snapshot(snapshot, in_force)
    if kept is None:
        lines.append("It has no spec: it runs on the defaults.")
    else:
        lines.append(
            f"Written at {settings.models}-{kept.partition} offset {kept.offset}, "
            f"{to_rfc3339(kept.written_ms)}."
        )
    if kept is not None and kept.problem is not None:
        lines.append(f"It is refused ({kept.problem}); the spec below stays in force.")
        fields = in_force.model_dump(mode="json", exclude_unset=True)
    else:
        fields = {} if kept is None else kept.fields
    head = "".join(f"# {line}\n" for line in lines)
    return head + yaml.safe_dump({"model_id": model_id} | fields, sort_keys=False)


def _late_line(series: str, late: LateLabels) -> str:
    """Return a line about a series whose labels come late."""
    if not late.watched:
        return f"Its {series} waits for late labels: no age of its predictions is watched yet."
    ages = ", ".join(duration_text(age.table.age_ms) for age in late.watched)
    since = to_rfc3339(late.watched_since_ms)
    return f"Labels come late: its {series} is read when predictions are {ages} old, since {since}."


def _checked(path: Path) -> tuple[str, bytes]:
    """Return the model of a file and the record made of it, checked as ingest will check it."""
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


def _kept(name: str, record: ConsumerRecord) -> KeptSpec:
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
        f"no model {model_id!r} is known at {settings.broker}: `./tidegauge models list` names "
        "those that are"
    )


async def _report(
    tracker: RecordTracker, written: Mapping[str, SourcePosition], wait_s: float, write: Write
) -> None:
    """Report for each record of ``models`` the place from which on it is in force.

    After ``wait_s`` seconds report how far the other records are.
    """
    waiting = dict(written)
    deadline_s = time.monotonic() + wait_s
    while waiting and time.monotonic() < deadline_s:
        await tracker.poll()
        for model_id, position in list(waiting.items()):
            if (snapshot := tracker.snapshot(model_id, position)) is not None:
                in_force = spec_of_snapshot(snapshot)
                version = in_force.version
                effect = f"version {version} of its spec is in force" if version else "it is gone"
                write(f"{model_id}: {effect} from {tracker.place(position)} on.")
                for line in names_nothing(model_id, in_force, snapshot):
                    write(f"{model_id}: {line}")
                del waiting[model_id]
    for model_id, position in waiting.items():
        if place := tracker.place(position):
            write(f"{model_id}: in force from {place} on.")
        else:
            write(f"{model_id}: no worker has read it within {wait_s:g} s; it waits for one.")
