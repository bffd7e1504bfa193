from typing import get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.event import (
    EventBatch,
    EventKind,
    EventRecordError,
    Source,
    decode_events,
    encode_events,
)
from schemas.instants import LAST_INSTANT_MS

SOURCE = Source("prediction", "predictions", 3)


def batch(*payloads: bytes) -> EventBatch:
    places = list(range(len(payloads)))
    return EventBatch((SOURCE,), [0] * len(places), places, places, list(payloads))


@st.composite
def batches(draw: st.DrawFn) -> EventBatch:
    names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
    kinds = st.sampled_from(get_args(EventKind))
    sources = draw(
        st.lists(st.builds(Source, kinds, names, st.integers(0, 99), names), min_size=1, max_size=4)
    )
    payloads = draw(
        st.lists(
            st.binary(max_size=20).map(lambda b: b.replace(b"\n", b"")), min_size=1, max_size=6
        )
    )
    count = len(payloads)

    def column(low: int, high: int) -> list[int]:
        return draw(st.lists(st.integers(low, high), min_size=count, max_size=count))

    return EventBatch(
        tuple(sources),
        column(0, len(sources) - 1),
        column(0, 2**63 - 1),
        column(0, LAST_INSTANT_MS),
        payloads,
    )


@given(batches())
def test_a_record_reads_back_as_it_was_written(written: EventBatch) -> None:
    assert decode_events(encode_events(written)) == written


def test_a_payload_travels_on_byte_for_byte() -> None:
    payload = b'{ "model_id" :"m", "x": 1.50 }'

    assert payload in encode_events(batch(payload))


def test_a_source_is_named_by_topic_and_partition() -> None:
    assert SOURCE.name == "predictions/3"


def test_a_topic_created_anew_is_another_source() -> None:
    assert Source("prediction", "predictions", 3, "b7").name == "predictions@b7/3"


def changed(**fields: object) -> bytes:
    head, _, payloads = encode_events(batch(b"{}", b"{}")).partition(b"\n")
    return orjson.dumps(orjson.loads(head) | fields) + b"\n" + payloads


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"not JSON",
        b"[]",
        b"null",
        b"{}",
        changed(type="tidegauge.events.v2"),
        changed(sources=[["prediction", "predictions"]]),
        changed(sources=[["guess", "predictions", 0]]),
        changed(sources=[["prediction", "predictions", 0, "", ""]]),
        changed(sources=7),
        changed(source_index=[0]),
        changed(source_index=7),
        changed(source_index=[0, 1]),
        changed(source_index=[0, -1]),
        changed(source_offset=[1, 2, 3]),
        changed(source_offset=[0, "1"]),
        changed(source_offset=[0, -1]),
        changed(logged_at=None),
        changed(logged_at=[0, 1.5]),
        encode_events(batch(b"{}")) + b"\n",
    ],
)
def test_a_record_that_ingest_cannot_have_written_is_refused(value: bytes) -> None:
    with pytest.raises(EventRecordError):
        decode_events(value)


def test_another_version_of_the_record_is_named() -> None:
    with pytest.raises(EventRecordError, match=r"found 'tidegauge\.events\.v2'"):
        decode_events(changed(type="tidegauge.events.v2"))
