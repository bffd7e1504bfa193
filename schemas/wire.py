"""Shared by all wire types: strictness, limits, and the two forms of an instant.

A value is accepted only in the type the wire asks for: ``"0.5"`` is not a number, ``1`` is not
``true``, and NaN, Infinity and numbers that overflow a double are refused.
"""

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from schemas.instants import FIRST_INSTANT_MS, LAST_INSTANT_MS

MAX_PAYLOAD_BYTES = 256 * 1024
"""Bytes of a payload, unless a setting says otherwise: a quarter of Kafka's default limit of a
record. One with ``MAX_FEATURES`` features has 260 bytes for each."""
MAX_FEATURES = 1_000
"""Features, classes in ``scores`` or attributions of a prediction."""
MAX_SEGMENTS = 32
"""Dimensions of a segment."""
MAX_TEXT = 1_024
"""Characters of a label, or of the text of a feature or a segment."""
MAX_NAME = 256
"""Characters of a name or an id."""

_RFC3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_epoch_ms(value: object) -> int:
    """Read an instant in either of its two forms; return epoch milliseconds.

    Parameters
    ----------
    value
        RFC 3339 text with an offset, or an integer of epoch milliseconds.

    Raises
    ------
    ValueError
        When it is neither, or lies outside 1990 to 2100.

    Examples
    --------
    >>> to_epoch_ms("2018-01-01T00:08:43.152Z")
    1514765323152
    >>> to_epoch_ms("2018-01-01T02:08:43.152+02:00")
    1514765323152
    >>> to_epoch_ms(1514765323152)
    1514765323152
    >>> to_epoch_ms(1514765323)
    Traceback (most recent call last):
    ...
    ValueError: an instant lies between 1990 and 2100; epoch seconds must be sent as milliseconds
    """
    if isinstance(value, str):
        if not _RFC3339.fullmatch(value):
            msg = "an instant is RFC 3339 text with an offset, like 2026-03-01T12:00:00Z"
            raise ValueError(msg)
        try:
            since = datetime.fromisoformat(value.upper()) - _EPOCH
        except ValueError:  # its message may repeat the text: details never hold a value
            msg = "an instant is RFC 3339 text; there is no such date, time or offset"
            raise ValueError(msg) from None
        instant = since.days * 86_400_000 + since.seconds * 1_000 + since.microseconds // 1_000
    elif isinstance(value, int) and not isinstance(value, bool):
        instant = value
    else:
        msg = "an instant is RFC 3339 text or an integer of epoch milliseconds"
        raise ValueError(msg)
    if instant < FIRST_INSTANT_MS:
        msg = "an instant lies between 1990 and 2100; epoch seconds must be sent as milliseconds"
        raise ValueError(msg)
    if instant > LAST_INSTANT_MS:
        msg = (
            "an instant lies between 1990 and 2100; "
            "epoch micro- or nanoseconds must be sent as milliseconds"
        )
        raise ValueError(msg)
    return instant


def to_rfc3339(epoch_ms: int) -> str:
    """Write an instant as people read it, in UTC with milliseconds.

    Examples
    --------
    >>> to_rfc3339(1514765323152)
    '2018-01-01T00:08:43.152Z'
    """
    seconds, ms = divmod(epoch_ms, 1_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"


def refuse_integer(value: object) -> object:
    """Return a value that is not an integer.

    An integer beyond 64 bits would be read as a double, and different classes would become one.

    Raises
    ------
    ValueError
        When it is an integer.
    """
    if isinstance(value, int):
        msg = "an integer has at most 64 bits"
        raise ValueError(msg)
    return value


class Wire(BaseModel):
    """Base of every type on the wire."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", allow_inf_nan=False)


Instant = Annotated[
    int,
    BeforeValidator(to_epoch_ms),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date-time"},
                {"type": "integer", "minimum": FIRST_INSTANT_MS, "maximum": LAST_INSTANT_MS},
            ],
            "description": "RFC 3339 text with an offset, or integer epoch milliseconds",
        },
        mode="validation",
    ),
]
"""Epoch milliseconds once read; RFC 3339 text or epoch milliseconds on the input topics."""

Id = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
Text = Annotated[str, Field(max_length=MAX_TEXT)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
Int64 = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
Fraction = Annotated[float, BeforeValidator(refuse_integer)]
Label = Annotated[bool | Int64 | Fraction | Text, Field(union_mode="left_to_right")]
"""An answer of a model: a class (string, integer, boolean) or a number."""
FeatureValue = Annotated[bool | Int64 | float | Text | None, Field(union_mode="left_to_right")]
Probability = Annotated[float, Field(ge=0, le=1)]
Attributions = Annotated[dict[Name, float], Field(max_length=MAX_FEATURES)]
Segment = Annotated[dict[Name, Text], Field(max_length=MAX_SEGMENTS)]
