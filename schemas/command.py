"""A command that is open: the record of the compacted topic `commands`."""

from typing import Literal

from pydantic import Field

from schemas.feedback import Feedback
from schemas.wire import Wire


class Command(Wire):
    """The open command of a key, as it was said last in `feedback`."""

    type: Literal["tidegauge.command.v1"] = "tidegauge.command.v1"
    command_id: str = Field(description="`feedback_id` of the record.")
    feedback: Feedback = Field(description="The record of `feedback`.")
