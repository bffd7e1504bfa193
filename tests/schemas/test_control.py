import pytest
from pydantic import ValidationError

from schemas.control import Control
from tests.doubles.inputs import START_MS

MARK = {
    "control_id": "c",
    "model_id": "m",
    "verb": "mark",
    "verdict": "true",
    "fingerprint": "f",
    "by": "ann",
    "at": START_MS,
}
MUTE = {**MARK, "verb": "mute", "verdict": None}


@pytest.mark.parametrize(
    ("control", "field", "value"),
    [
        (MARK, "episode", 0),
        (MARK, "episode", 2**31),
        (MARK, "episode", int("9" * 309)),
        (MUTE, "for_s", 5e-324),
        (MUTE, "for_s", 1.8e305),
        (MUTE, "at", int("9" * 309)),
    ],
)
def test_a_number_that_the_log_cannot_carry_is_refused(
    control: dict[str, object], field: str, value: object
) -> None:
    Control.model_validate(control)

    with pytest.raises(ValidationError, match=field):
        Control.model_validate({**control, field: value})
