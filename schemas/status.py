"""A status: the latest transition of an open alert."""

from typing import Literal

from pydantic import Field

from schemas.alert import Acknowledgement, Alert
from schemas.wire import Wire


class Status(Wire):
    """The record of one open alert, under its fingerprint. A record without value: not open."""

    type: Literal["tidegauge.status.v1"] = "tidegauge.status.v1"
    fingerprint: str = Field(description="Names the alert, and is the record's key.")
    since: str = Field(description="Instant at which it fired.")
    acknowledged: Acknowledgement | None = Field(description="Its acknowledgement, if any.")
    muted_until: str | None = Field(description="End of the mute, if it is muted.")
    alert: Alert = Field(description="Its latest transition, as published on `alerts`.")
