"""A control: what a person, or a program for one, says about an alert."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.wire import Id, Instant, Name, Text, Wire

Verb = Literal["ack", "accept", "mute", "unmute", "mark"]
LONGEST_MUTE_S = 366 * 86_400.0


class Control(Wire):
    """One word about the alerts of one fingerprint.

    It travels in the log, and takes effect there. Unknown fields are ignored.
    """

    control_id: Id = Field(description="Names the control.")
    model_id: Id = Field(description="The model whose alert it is about.")
    verb: Verb = Field(
        description="ack: somebody is on it; accept: the level since the alert is the new normal; "
        "mute and unmute: say nothing more, for a while; mark: whether the alert was right."
    )
    fingerprint: Id = Field(description="Which alert: its `fingerprint`.")
    by: Name = Field(description="Who says so.")
    at: Instant = Field(description="When it was said.")
    because: Text | None = Field(default=None, description="Why.")
    for_s: Annotated[float, Field(gt=0, le=LONGEST_MUTE_S)] | None = Field(
        default=None, description="For mute: how many seconds of log time; null is until unmute."
    )
    verdict: Literal["true", "false"] | None = Field(
        default=None, description="For mark: whether the alert was a true one."
    )
    episode: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="For mark: which episode; null is the latest."
    )

    @model_validator(mode="after")
    def _fits_its_verb(self) -> Self:
        if (self.verdict is None) == (self.verb == "mark"):
            msg = "a verdict, true or false, belongs to the verb mark, and to no other"
            raise ValueError(msg)
        if self.for_s is not None and self.verb != "mute":
            msg = "for_s belongs to the verb mute"
            raise ValueError(msg)
        return self
