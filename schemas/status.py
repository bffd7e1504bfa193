"""What is firing now: the latest word on each alert that is open, and none on the others."""

from typing import Literal

from pydantic import Field

from schemas.alert import Acknowledgement, Alert
from schemas.wire import Wire


class Status(Wire):
    """The record of one open alert; its key is the fingerprint, its end a record without value."""

    type: Literal["tidegauge.status.v1"] = "tidegauge.status.v1"
    fingerprint: str = Field(description="Names the alert, and is the record's key.")
    since: str = Field(description="Instant at which it fired.")
    acknowledged: Acknowledgement | None = Field(description="Who has taken note of it.")
    muted_until: str | None = Field(description="Until when nobody wants to be told.")
    alert: Alert = Field(description="Its latest transition, as published on `alerts`.")
