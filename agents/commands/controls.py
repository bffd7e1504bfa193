"""Controls of alerts: find the alert, write the control, report where it is in force."""

from __future__ import annotations

import getpass
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import orjson
from pydantic import ValidationError
from rich.box import SIMPLE_HEAD
from rich.table import Table

from agents.commands.control_record import ControlRequest, control_of
from agents.commands.models import Write, find_specs, write_specs
from agents.errors import WorkerError
from agents.kafka.read import last_values, read_json, read_whole
from agents.kafka.send import send_record
from agents.kafka.track import tracking
from agents.settings import Settings
from schemas.control import Control, Verb
from schemas.model_spec import parse_spec
from schemas.topics import TopicRole
from streams.action.comparison import wilson
from streams.alert.marks import (
    FEWEST_MARKS,
    TOLERATED,
    RuleName,
    Verdicts,
    by_model,
    count_marks,
    suggested_budget,
)

_DONE: dict[Verb, str] = {
    "ack": "Acknowledged",
    "accept": "Accepted as the new normal",
    "mute": "Muted",
    "unmute": "No longer muted",
    "mark": "Marked",
    "release": "Released",
}


class UnknownAlertError(WorkerError):
    """There is no such alert: the operator must name another."""

    exit_code = 1


async def send_control(
    settings: Settings, wanted: ControlRequest, wait_s: float, write: Write
) -> None:
    """Write a control, and report from which place in the log on it is in force.

    Raises
    ------
    UnknownAlertError
        When no such alert is open; for mark, when none has ever been raised.
    OperatorError
        When the control is not valid.
    """
    alert = await _find(settings, wanted)
    wanted = replace(wanted, by=wanted.by or getpass.getuser())
    model_id = str(alert["model_id"])
    given = control_of(wanted, alert)
    place = await write_control(settings, model_id, given, wait_s, write)
    if place is not None:
        write(f"{_DONE[wanted.verb]} from {place} on, by {wanted.by}: {alert['summary']}")


async def write_control(
    settings: Settings, model_id: str, control: bytes, wait_s: float, write: Write
) -> str | None:
    """Write a control; return its place in the log, or write that no worker has read it yet."""
    controls = settings.topics.name("controls")
    async with tracking(settings, controls, (model_id,)) as tracker:
        position = await send_record(settings, controls, model_id.encode(), control)
        deadline_s = time.monotonic() + wait_s
        while (place := tracker.place(position)) is None and time.monotonic() < deadline_s:
            await tracker.poll()
    if place is None:
        write(f"Written, but no worker has read it within {wait_s:g} s; it waits for one.")
    return place


async def show_rules(settings: Settings, write: Write) -> Table | None:
    """Return the share of true alerts of each rule, and write which budgets it suggests."""
    counted = await _marks(settings)
    if not counted:
        write("No alert has been marked yet: `./tidegauge mark FINGERPRINT true` or `false`.")
        return None
    fields = {kept.model_id: kept.fields for kept in await find_specs(settings)}
    for model_id, verdicts in by_model(counted).items():
        budget = parse_spec(fields.get(model_id, {})).alert_budget
        suggested = suggested_budget(budget, verdicts)
        if suggested is not None:
            write(
                f"{model_id}: {verdicts.false} of {verdicts.marked} marked alerts were false; "
                f"alert_budget: {suggested:g} instead of {budget:g} would make it one in "
                f"{TOLERATED}: {budget:g} x true / ({TOLERATED - 1} x false), at least a tenth. "
                f"Nothing has been changed: `./tidegauge rules --apply {model_id}` does it."
            )
        elif verdicts.marked < FEWEST_MARKS:
            write(f"{model_id}: a budget is suggested once {FEWEST_MARKS} alerts are marked.")
    return _as_table(counted)


async def apply_budget(settings: Settings, model_id: str, wait_s: float, write: Write) -> None:
    """Put the budget in force that the marks of a model's alerts suggest.

    Raises
    ------
    UnknownAlertError
        When they suggest none.
    """
    verdicts = by_model(await _marks(settings)).get(model_id, Verdicts())
    specs = {kept.model_id: kept.fields for kept in await find_specs(settings)}
    given = with_budget(specs.get(model_id, {}), model_id, verdicts)
    if given is None:
        raise UnknownAlertError(
            f"the {verdicts.marked} marked alerts of model {model_id!r} suggest no other budget: "
            "`./tidegauge rules` says why"
        )
    write(f"{model_id}: alert_budget: {given['alert_budget']:g}")
    await write_specs(settings, {model_id: orjson.dumps(given)}, wait_s, write)


def with_budget(fields: dict[str, Any], model_id: str, verdicts: Verdicts) -> dict[str, Any] | None:
    """Return a spec with the budget that verdicts suggest; None where they suggest none."""
    suggested = suggested_budget(parse_spec(fields).alert_budget, verdicts)
    if suggested is None:
        return None
    return fields | {"model_id": model_id, "alert_budget": suggested}


async def _marks(settings: Settings) -> dict[RuleName, Verdicts]:
    controls = [each async for each in _values(settings, "controls")]
    return count_marks(controls, (await _alerts(settings, "mark")).values())


def _as_table(counted: dict[RuleName, Verdicts]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for heading in ("model", "kind", "aspect"):
        table.add_column(heading)
    for heading in ("true", "false", "precision", "interval of 95 %"):
        table.add_column(heading, justify="right")
    for rule, verdicts in counted.items():
        low, high = wilson(verdicts.true, verdicts.marked)
        precision = f"{verdicts.true / verdicts.marked:.0%}"
        interval = f"{low:.0%} .. {high:.0%}"
        table.add_row(*rule, f"{verdicts.true:,}", f"{verdicts.false:,}", precision, interval)
    return table


async def _find(settings: Settings, wanted: ControlRequest) -> dict[str, Any]:
    """Return the latest record of the alert whose fingerprint begins as given."""
    found = {
        fingerprint: alert
        for fingerprint, alert in (await _alerts(settings, wanted.verb)).items()
        if fingerprint.startswith(wanted.fingerprint)
    }
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise UnknownAlertError(
            f"{len(found)} alerts begin with {wanted.fingerprint!r}: give more of the fingerprint"
        )
    state, command = "is open", "status"
    if wanted.verb == "mark":
        state, command = "was ever raised", "tail alerts --from-beginning --no-follow"
    raise UnknownAlertError(
        f"no alert {wanted.fingerprint!r} {state} at {settings.broker}: `./tidegauge {command}` "
        "lists the others"
    )


async def _alerts(settings: Settings, verb: Verb) -> dict[str, dict[str, Any]]:
    """Return the alerts that a verb may refer to, by fingerprint."""
    found: dict[str, dict[str, Any]] = {}
    if verb == "mark":  # a verdict may come long after the alert is resolved
        found = {alert["fingerprint"]: alert async for alert in _values(settings, "alerts")}
    # Alerts that stand under another are here alone.
    now = await last_values(settings, settings.topics.name("status"))
    statuses = {fingerprint: read_json(value, "alert") for fingerprint, value in now.items()}
    return found | {key: each["alert"] for key, each in statuses.items() if each}


async def _values(settings: Settings, role: TopicRole) -> AsyncIterator[dict[str, Any]]:
    async for record in read_whole(settings, settings.topics.name(role)):
        value = record.value or b""
        if role != "controls":
            if alert := read_json(value, "alert_id"):
                yield alert
            continue
        try:
            yield Control.model_validate_json(value).model_dump()
        except ValidationError:
            continue  # it is in dead_letters
