"""The record of a control: what a command or a button about an alert writes."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from pydantic import ValidationError

from agents.errors import OperatorError
from schemas.control import Control, Verb


@dataclass(frozen=True, kw_only=True, slots=True)
class ControlRequest:
    """A control that an operator asks for.

    Parameters
    ----------
    verb
        The action.
    fingerprint
        The fingerprint of the alert, or enough of its beginning.
    by
        The author; None is the user of this terminal.
    because, for_s, verdict
        As in `Control`.
    """

    verb: Verb
    fingerprint: str
    by: str | None = None
    because: str | None = None
    for_s: float | None = None
    verdict: str | None = None


def control_of(wanted: ControlRequest, alert: Mapping[str, Any]) -> bytes:
    """Return the record of a control about an alert.

    Raises
    ------
    OperatorError
        When the control is not valid.
    """
    of_mark = {name: alert[name] for name in ("episode", "kind", "aspect")}
    fields: dict[str, Any] = {
        "control_id": uuid.uuid4().hex,
        "model_id": alert["model_id"],
        "verb": wanted.verb,
        "fingerprint": alert["fingerprint"],
        "by": wanted.by,
        "at": int(datetime.now(UTC).timestamp() * 1_000),
        "because": wanted.because,
        "for_s": wanted.for_s,
        "verdict": wanted.verdict,
    } | (of_mark if wanted.verb == "mark" else {})
    given = {name: value for name, value in fields.items() if value is not None}
    try:
        Control.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or wanted.verb
        raise OperatorError(f"{field}: {first['msg']}, got {first['input']!r}") from error
    return orjson.dumps(given)
