"""What people say about alerts: find the alert, write the control, say from where on it holds."""

from __future__ import annotations

import getpass
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from pydantic import ValidationError
from rich.box import SIMPLE_HEAD
from rich.table import Table

from agents.commands.models import find_specs
from agents.errors import OperatorError, WorkerError
from agents.kafka.read import last_values, read_whole, send_record
from agents.kafka.track import following
from agents.settings import Settings
from schemas.control import Control, Verb
from schemas.model_spec import ModelSpec, parse_spec
from schemas.topics import TopicRole
from streams.alert.marks import (
    FEWEST_MARKS,
    TOLERATED,
    RuleName,
    Verdicts,
    by_model,
    count_marks,
    suggested_budget,
)

Say = Callable[[str], object]
_DONE: dict[Verb, str] = {
    "ack": "Acknowledged",
    "accept": "Accepted as the new normal",
    "mute": "Muted",
    "unmute": "No longer muted",
    "mark": "Marked",
}


class UnknownAlertError(WorkerError):
    """There is no such alert: the operator names another."""

    exit_code = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class ControlRequest:
    """What is said, about which alert.

    Parameters
    ----------
    verb
        What is to be done.
    fingerprint
        Which alert: its fingerprint, or enough of its beginning.
    by
        Who says so; None is the user of this terminal.
    because, for_s, verdict
        As in a control.
    """

    verb: Verb
    fingerprint: str
    by: str | None = None
    because: str | None = None
    for_s: float | None = None
    verdict: str | None = None


def send_control(settings: Settings, word: ControlRequest, wait_s: float, say: Say) -> None:
    """Write a control, and say from where on it holds.

    Raises
    ------
    UnknownAlertError
        When no such alert is open; for mark, when none has ever been raised.
    OperatorError
        When the word cannot be said like that.
    """
    alert = _find(settings, word)
    controls, model_id = settings.topics.name("controls"), str(alert["model_id"])
    fields: dict[str, Any] = {
        "control_id": uuid.uuid4().hex,
        "model_id": model_id,
        "verb": word.verb,
        "fingerprint": alert["fingerprint"],
        "by": word.by or getpass.getuser(),
        "at": int(datetime.now(UTC).timestamp() * 1_000),
        "because": word.because,
        "for_s": word.for_s,
        "verdict": word.verdict,
        "episode": alert["episode"] if word.verb == "mark" else None,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    try:
        Control.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or word.verb
        raise OperatorError(f"{field}: {first['msg']}, got {first['input']!r}") from error
    with following(settings, controls, (model_id,)) as follower:
        position = send_record(settings, controls, model_id, orjson.dumps(given))
        deadline_s = time.monotonic() + wait_s
        while (place := follower.place(position)) is None and time.monotonic() < deadline_s:
            follower.poll()
    if place is None:
        say(f"Written: no worker has taken it in {wait_s:g} s; it waits for one.")
    else:
        say(f"{_DONE[word.verb]} from {place} on, by {fields['by']}: {alert['summary']}")


def show_rules(settings: Settings, say: Say) -> Table | None:
    """Return how often each rule was right, and say which budgets that speaks for."""
    counted = count_marks(_values(settings, "controls"), _values(settings, "alerts"))
    if not counted:
        say("No alert has been marked yet: `./tidegauge mark FINGERPRINT true` or `false`.")
        return None
    budgets = {kept.model_id: parse_spec(kept.fields) for kept in find_specs(settings)}
    for model_id, verdicts in by_model(counted).items():
        budget = budgets.get(model_id, ModelSpec()).alert_budget
        suggested = suggested_budget(budget, verdicts)
        if suggested is not None:
            say(
                f"{model_id}: {verdicts.false} of {verdicts.marked} marked alerts were false; "
                f"alert_budget {suggested:g} instead of {budget:g} would make it one in "
                f"{TOLERATED}: {budget:g} x true / ({TOLERATED - 1} x false), at least a tenth. "
                "Nothing is changed: `./tidegauge models apply` does."
            )
        elif verdicts.marked < FEWEST_MARKS:
            say(f"{model_id}: a budget is suggested once {FEWEST_MARKS} alerts are marked.")
    return _as_table(counted)


def _as_table(counted: dict[RuleName, Verdicts]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for heading in ("model", "kind", "aspect"):
        table.add_column(heading)
    for heading in ("true", "false", "false share"):
        table.add_column(heading, justify="right")
    for rule, verdicts in counted.items():
        share = f"{verdicts.false / verdicts.marked:.0%}"
        table.add_row(*rule, f"{verdicts.true:,}", f"{verdicts.false:,}", share)
    return table


def _find(settings: Settings, word: ControlRequest) -> dict[str, Any]:
    """Return the latest record of the one alert that is meant."""
    found = {
        fingerprint: alert
        for fingerprint, alert in _alerts(settings, word.verb).items()
        if fingerprint.startswith(word.fingerprint)
    }
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise UnknownAlertError(
            f"{len(found)} alerts begin with {word.fingerprint!r}: give more of the fingerprint"
        )
    what, where = "is open", "status"
    if word.verb == "mark":
        what, where = "was ever raised", "tail alerts --from-beginning --no-follow"
    raise UnknownAlertError(
        f"no alert {word.fingerprint!r} {what} at {settings.broker}: `./tidegauge {where}` "
        "names the others"
    )


def _alerts(settings: Settings, verb: Verb) -> dict[str, dict[str, Any]]:
    """Return the alerts that a verb may be about, by fingerprint."""
    if verb == "mark":  # a verdict may come long after the alert is over
        return {alert["fingerprint"]: alert for alert in _values(settings, "alerts")}
    now = last_values(settings, settings.topics.name("status"))
    return {fingerprint: orjson.loads(value)["alert"] for fingerprint, value in now.items()}


def _values(settings: Settings, role: TopicRole) -> Iterator[dict[str, Any]]:
    for record in read_whole(settings, settings.topics.name(role)):
        try:
            yield (
                Control.model_validate_json(record.value).model_dump()
                if role == "controls"
                else orjson.loads(record.value)
            )
        except ValidationError:
            continue  # it is in dead_letters
