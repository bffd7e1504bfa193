"""Whatever people and programs answer to commands: here, that one has been carried out."""

from __future__ import annotations

import getpass
import uuid
from datetime import UTC, datetime
from typing import Any

from agents.commands.controls import write_control
from agents.commands.models import Write
from agents.errors import WorkerError
from agents.kafka.read import last_values, read_json
from agents.settings import Settings
from schemas.control import Control


class UnknownCommandError(WorkerError):
    """No such command is open: the operator must name another."""

    exit_code = 1


async def open_commands(settings: Settings) -> list[dict[str, Any]]:
    """Return the open commands of all models, by key."""
    found = await last_values(settings, settings.topics.name("commands"))
    records = {key: read_json(value, "command_id") for key, value in sorted(found.items())}
    return [record["feedback"] for record in records.values() if record]


async def send_done(
    settings: Settings, model_id: str, command: str, wait_s: float, write: Write
) -> None:
    """Say that the open command of a model has been carried out; report from where on it is over.

    Raises
    ------
    UnknownCommandError
        When it is not open.
    """
    found = await open_commands(settings)
    names_of = ("promote", "rollback") if command == "challenge" else (command,)
    if not any(each["model_id"] == model_id and each["command"] in names_of for each in found):
        names = ", ".join(f"{each['command']} of {each['model_id']}" for each in found) or "none"
        raise UnknownCommandError(f"no {command} of model {model_id!r} is open; open: {names}")
    control = Control(
        control_id=uuid.uuid4().hex,
        model_id=model_id,
        verb="done",
        fingerprint=command,
        by=getpass.getuser(),
        at=int(datetime.now(UTC).timestamp() * 1_000),
    )
    value = control.model_dump_json(exclude_unset=True).encode()
    place = await write_control(settings, model_id, value, wait_s, write)
    if place is not None:
        write(f"The {command} of {model_id} is over from {place} on.")
