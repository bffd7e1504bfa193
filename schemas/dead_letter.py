"""A dead letter: a refused input, its source position, and the reason."""

from typing import Literal

from pydantic import Field

from schemas.wire import Wire

Reason = Literal["too_large", "empty", "not_utf8", "not_json", "invalid", "wrong_partition"]


class DeadLetter(Wire):
    """One refused record of an input topic.

    Its id is its source position, so a record that is read twice gives the same dead letter.
    """

    type: Literal["tidegauge.dead_letter.v1"] = "tidegauge.dead_letter.v1"
    dead_letter_id: str = Field(
        description="Source topic, partition and offset; and item, if not 0."
    )
    reason: Reason = Field(description="Reason of the refusal, for programs.")
    detail: str = Field(description="Reason for people; names fields and never holds a value.")
    topic: str = Field(description="Source topic.")
    partition: int = Field(description="Source partition.")
    offset: int = Field(description="Source offset.")
    item: int = Field(description="Number of the event in its record, from 0.")
    size: int = Field(description="Size of the payload, in bytes.")
    sha256: str = Field(description="SHA-256 of the payload, in hexadecimal.")
    value: str = Field(description="First 512 bytes of the payload, as text.")
    is_truncated: bool = Field(description="Whether the payload is longer than `value`.")
