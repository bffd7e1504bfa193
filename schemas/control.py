"""A control: a command of a person, or of a program for one, about an alert."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.wire import Id, Instant, Name, Text, Wire

Verb = Literal["ack", "accept", "mute", "unmute", "mark", "release", "done"]
SHORTEST_MUTE_S = 0.001
"""Seconds: log time is in milliseconds."""
LONGEST_MUTE_S = 366 * 86_400.0
"""Seconds: a year. A longer mute is an alert to accept, or a feature to ignore in the spec."""

MOST_EPISODES = 2**31 - 1
"""A count of 32 bits. The log's decoder refuses an integer of more than 64 bits."""


class Control(Wire):
    """One command about the alerts of one fingerprint.

    It takes effect at its place in the log. Unknown fields are ignored.
    """

    control_id: Id = Field(description="Names the control.")
    model_id: Id = Field(description="The model whose alert it is about.")
    verb: Verb = Field(
        description="ack: acknowledge; accept: the values since the onset are the new reference; "
        "mute, unmute: stop and resume notifications; mark: record whether the alert was true; "
        "release: monitor a model again that is in quarantine; done: a command of "
        "`feedback` has been carried out."
    )
    fingerprint: Id = Field(
        description="`fingerprint` of the alert; for done, `retrain` or `challenge`."
    )
    by: Name = Field(description="Author.")
    at: Instant = Field(description="Instant of the command.")
    because: Text | None = Field(default=None, description="Reason, in the author's words.")
    for_s: Annotated[float, Field(ge=SHORTEST_MUTE_S, le=LONGEST_MUTE_S)] | None = Field(
        default=None, description="For mute: seconds of log time; null: until unmute."
    )
    verdict: Literal["true", "false"] | None = Field(
        default=None, description="For mark: whether the alert was a true one."
    )
    episode: Annotated[int, Field(ge=1, le=MOST_EPISODES)] | None = Field(
        default=None, description="For mark: the episode; null: the latest."
    )

    kind: Name | None = Field(
        default=None,
        description="For mark: `kind` of the alert. With `aspect` it names the rule that raised "
        "it; null: looked up, which fails for an alert that stood under another and is over.",
    )
    aspect: Name | None = Field(default=None, description="For mark: `aspect` of the alert.")

    @model_validator(mode="after")
    def _fits_its_verb(self) -> Self:
        if (self.verdict is None) == (self.verb == "mark"):
            msg = "a verdict, true or false, belongs to the verb mark, and to no other"
            raise ValueError(msg)
        if self.for_s is not None and self.verb != "mute":
            msg = "for_s belongs to the verb mute"
            raise ValueError(msg)
        return self
