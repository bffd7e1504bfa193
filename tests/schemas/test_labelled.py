import math

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Raw

from schemas.labelled import Labelled, LabelledRow, PairPosition, encode_labelled
from tests.doubles.inputs import OUTCOMES, PREDICTIONS, accepted, outcome, prediction


def row(
    *,
    model_id: str = "m",
    delay_s: float = 1.5,
    is_error: bool | None = None,
    error: float | None = None,
) -> LabelledRow:
    return LabelledRow(
        f"{model_id}/7",
        model_id,
        7,
        delay_s,
        is_error,
        error,
        Raw(accepted(prediction(model_id=model_id), source=PREDICTIONS).payload),
        Raw(accepted(outcome(model_id=model_id), source=OUTCOMES).payload),
        PairPosition(3, 41, 2),
    )


def test_a_row_is_written_in_the_fields_and_the_order_of_its_schema() -> None:
    read = orjson.loads(encode_labelled(row(is_error=True)))

    assert list(read) == list(Labelled.model_fields)
    assert read["type"] == "tidegauge.labelled.v1"
    assert read["evidence"] == {"partition": 3, "offset": 41, "index": 2}


def test_prediction_and_outcome_are_the_bytes_that_ingest_accepted() -> None:
    value = encode_labelled(row())

    assert b'"prediction":' + accepted(prediction()).payload + b',"outcome":' in value
    assert b'"outcome":' + accepted(outcome()).payload + b',"evidence":' in value


@given(
    st.text(min_size=1, max_size=20),
    st.integers(-(10**12), 10**12),
    st.none() | st.booleans(),
    st.none() | st.floats(min_value=0, allow_infinity=False, allow_nan=False),
)
@example("m", 0, None, 1e16)
@example("m", 1, None, 1e-7)
@example("m", 1_000, None, 3.0)
@example('"\\\n\x00\x7f\u2028\U0001f30a', 1, False, None)
def test_a_row_reads_back_to_the_same_values(
    model_id: str, delay_ms: int, is_error: bool | None, error: float | None
) -> None:
    written = row(model_id=model_id, delay_s=delay_ms / 1_000, is_error=is_error, error=error)

    for read in (
        Labelled.model_validate_json(encode_labelled(written)).model_dump(),
        orjson.loads(encode_labelled(written)),
    ):
        for name in ("labelled_id", "model_id", "row", "delay_s", "is_error", "error"):
            assert read[name] == getattr(written, name)
            assert type(read[name]) is type(getattr(written, name))


@given(st.floats(min_value=0, max_value=math.nextafter(1e16, 0)))
@example(0.0)
@example(5e-324)
@example(1e-5)
@example(3.0)
@example(123_456_789_012_345.6)
def test_an_error_below_1e16_is_written_as_python_writes_it_to_json(error: float) -> None:
    """From 1e16 on the exponent has no plus sign, as in the events that the row repeats."""
    assert b'"error":' + orjson.dumps(error) + b',"prediction":' in encode_labelled(
        row(error=error)
    )


@pytest.mark.parametrize("error", [1e16, 1e22, 1.7976931348623157e308])
def test_a_huge_error_is_written_without_a_plus_sign(error: float) -> None:
    value = encode_labelled(row(error=error))

    assert b'"error":' + orjson.dumps(error).replace(b"+", b"") + b"," in value
