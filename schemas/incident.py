"""An incident: alerts of several models that seem to have one cause."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.alert import Severity
from schemas.wire import Wire

MAX_MEMBERS = 200
"""Alerts that a record names: the earliest ones. ``models`` counts all."""
CauseKind = Literal["model", "source", "feature", "unknown"]


class IncidentCause(Wire):
    """A possible cause of an incident."""

    kind: CauseKind = Field(
        description="model: an upstream model; source: a source of features, as specs name it; "
        "feature: a feature of that name; unknown: only the time is common."
    )
    name: str = Field(description="Its name; of an unknown one the series that moved.")
    because: str = Field(description="The evidence, in words.")


class IncidentMember(Wire):
    """An alert of an incident."""

    model_id: str = Field(description="The model.")
    fingerprint: str = Field(description="Of the alert.")
    episode: int = Field(description="Its firing.")
    series: str = Field(description="The series.")
    started_at: str = Field(description="Its estimated onset.")
    severity: Severity = Field(description="Its urgency.")
    is_over: bool = Field(description="Whether it is resolved.")


class Incident(Wire):
    """Several models with alerts that began at about the same time and share a cause."""

    type: Literal["tidegauge.incident.v1"] = "tidegauge.incident.v1"
    incident_id: str = Field(description="Names the incident: made of its cause and first onset.")
    digest: str = Field(description="Names the set of its alerts.")
    status: Literal["open", "over"] = Field(description="over: all of its alerts are resolved.")
    opened_at: str = Field(description="Instant of the firing that made it an incident.")
    changed_at: str = Field(description="Instant of the latest transition of its alerts.")
    cause: IncidentCause = Field(description="The most probable cause.")
    other_causes: Annotated[list[IncidentCause], Field(max_length=5)] = Field(
        description="Further ones, the most probable first."
    )
    members: Annotated[list[IncidentMember], Field(max_length=MAX_MEMBERS)] = Field(
        description="Its alerts, by onset."
    )
    models: int = Field(description="Number of models.")
    value_per_day: float | None = Field(
        description="Money that their errors lose in a day, together; null: not known."
    )
    currency: str | None = Field(description="Its currency; null where models have several.")
    chance: float = Field(
        description="Probability of so many further models within that time by chance."
    )
    summary: str = Field(description="One sentence for people.")
