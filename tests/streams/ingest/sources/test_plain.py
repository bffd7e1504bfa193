"""A map of plain paths is read in one pass, and gives what the general way gives."""

import json
from typing import Any

import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from schemas.wire import MAX_PAYLOAD_BYTES
from streams.ingest.sources.mapping import Item, MappedTopic
from streams.ingest.sources.plain import PlainTopic
from streams.ingest.sources.source_map import Sources, parse_sources
from streams.ingest.sources.typed_paths import NotPlainError
from tests.doubles.inputs import START_MS
from tests.streams.ingest.sources.test_mapping import SOURCE, Record

ANSWERS = """
sources:
- topic: scores
  when: value.label != null && contains(['a', 'b'], value.kind)
  as: prediction
  fields:
    prediction_id: value.id
    model_id: "'m'"
    predicted_at: value.time.at
    prediction: value.label
    score: value.score
    model_version: value.version
    features: value.row
    status: value.state
    latency_ms: value.time.took
- topic: scores
  when: value.truth != null || !(value.kind)
  as: outcome
  fields: {prediction_id: value.id, model_id: value.model, outcome: value.truth}
"""
CHANGES = """
sources:
- topic: scores
  when: contains(['c', 'u'], value.op) && value.after != null && value.after.truth != null
  as: outcome
  fields:
    prediction_id: value.after.id
    model_id: value.after.model
    observed_at: value.ts
    outcome: value.after.truth
    value: value.after.gain
- topic: scores
  when: value.op == 'p'
  as: prediction
  fields:
    prediction_id: value.after.id
    model_id: value.after.model
    prediction: value.after.list[0]
    features: {first: 'value.after.list[1]', last: 'value.after.list[-1]', "the op": value.op}
- topic: scores
  when: value.op == 'p'
  as: prediction
  fields: {prediction_id: "'takes none'", model_id: "'m'", prediction: "'none'"}
"""
MAPS = [ANSWERS, CHANGES]
NOT_PLAIN = {
    "a function of a field": ("value.time.at", "millis(value.time.at)"),
    "another part of a record": (
        "prediction_id: value.id\n    model_id",
        "prediction_id: key\n    model_id",
    ),
    "an ordering": ("value.label != null &&", "value.label > `3` &&"),
    "a part read in two ways": ("score: value.score", "score: value.row.x"),
    "a number of a function": ("['a', 'b'], value.kind", "[`1`, `2`], value.score"),
    "a part of an envelope": ("value.time.at", "value.payload.at"),
    "a literal of another type": ("\"'m'\"", '"`[1]`"'),
    "one event of several": ("as: prediction", "each: value.rows\n  as: prediction"),
    "another form of record": ("as: ", "decode: msgpack\n  as: "),
}


def sources_of(text: str) -> Sources:
    return parse_sources(yaml.safe_load(text))


def topic_of(text: str, *, plain: bool) -> MappedTopic:
    sources = sources_of(text).by_topic["scores"]
    topic = MappedTopic(sources, halves=False, max_payload_bytes=MAX_PAYLOAD_BYTES)
    assert topic._plain is not None
    if not plain:
        topic._plain = None
    return topic


PLAIN, GENERAL = ([topic_of(text, plain=plain) for text in MAPS] for plain in (True, False))


def read(topic: MappedTopic, value: bytes, timestamp: int = START_MS) -> tuple[list[Item], int]:
    topic.skipped = 0
    return topic.accept(SOURCE, Record(value, timestamp=timestamp), START_MS + 5), topic.skipped


def check(value: bytes, timestamp: int = START_MS) -> None:
    for plain, general in zip(PLAIN, GENERAL, strict=True):
        assert read(plain, value, timestamp) == read(general, value, timestamp)


A_ROW = {"x": 1, "y": 2.5, "z": None, "w": "text", "v": True}
AN_ANSWER = {
    "id": 7, "model": "m", "kind": "a", "label": 1, "score": 1, "version": "v1", "row": A_ROW,
    "time": {"at": START_MS, "took": 3}, "more": {"label": [1, {"x": 2}]},
}  # fmt: skip
AFTER = {"id": "7", "model": "m", "list": [1, 2.5, None], "truth": False, "gain": 5}
A_CHANGE = {
    "op": "p", "ts": "2026-03-01T12:00:00Z", "before": None,
    "after": AFTER,
}  # fmt: skip
scalars = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=3)
    | st.sampled_from(["a", "c", "p", "", START_MS, 0, 1, 1.0, "2026-03-01T12:00:00Z", "ok"])
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(max_size=2), parts),
    max_leaves=4,
)


@st.composite
def records(draw: st.DrawFn) -> bytes:
    """Draw a record that a map takes, of which parts are absent, other, or of an envelope."""
    whole = json.loads(orjson.dumps(draw(st.sampled_from([AN_ANSWER, A_CHANGE]))))
    for _ in range(draw(st.integers(0, 3))):
        part: Any = whole
        while True:
            name = draw(st.sampled_from(sorted(part)))
            if not isinstance(part[name], dict) or not part[name] or not draw(st.integers(0, 2)):
                break
            part = part[name]
        part[name] = draw(values)
    name = draw(st.sampled_from(["", "", "", "payload", "specversion", "truth"]))
    return json.dumps({**whole, name: draw(values)} if name else whole).encode()


@given(records(), st.sampled_from([START_MS, -1, 7]))
def test_it_gives_the_same_events_refusals_and_skips(value: bytes, timestamp: int) -> None:
    check(value, timestamp)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"[]",
        b'"text"',
        b"{} {}",
        b"\xef\xbb\xbf" + orjson.dumps(AN_ANSWER),
        orjson.dumps(AN_ANSWER) + b"\n" + orjson.dumps(AN_ANSWER),
        orjson.dumps({"schema": {}, "payload": A_CHANGE}),
        orjson.dumps({"specversion": "1", "id": 1, "source": "/", "type": "t", "data": A_CHANGE}),
        orjson.dumps(AN_ANSWER).replace(b'"text"', b'"\xff"'),
        orjson.dumps({**AN_ANSWER, "more": "\N{SNOWMAN}"}).replace(b"\xe2", b"\xff"),
        orjson.dumps(AN_ANSWER).replace(b":2.5", b":NaN"),
        orjson.dumps(AN_ANSWER).replace(b":2.5", b":1e999"),
        b'{"kind":"a",' + orjson.dumps({**AN_ANSWER, "kind": None})[1:],
        orjson.dumps(A_CHANGE).replace(b'"after":', b'"after":null,"after":'),
        orjson.dumps({**A_CHANGE, "after": None}),
        orjson.dumps({**A_CHANGE, "after": {**AFTER, "list": []}}),
        orjson.dumps({**AN_ANSWER, "time": {"at": None}}),
        b'{"more":' + b"[" * 2_000 + b"]" * 2_000 + b"}",
    ],
)  # fmt: skip
def test_so_it_does_of_what_is_hardly_json(value: bytes) -> None:
    check(value)


@pytest.mark.parametrize(
    ("text", "record", "kinds"),
    [
        (ANSWERS, AN_ANSWER, ["prediction"]),
        (ANSWERS, {**AN_ANSWER, "kind": "c"}, []),
        (CHANGES, A_CHANGE, ["prediction"]),
        (CHANGES, {**A_CHANGE, "op": "u"}, ["outcome"]),
        (CHANGES, {"op": "d", "after": None}, []),
    ],
)
def test_what_is_plain_is_read_in_one_pass(text: str, record: Any, kinds: list[str]) -> None:
    plain = PlainTopic(sources_of(text).by_topic["scores"], halves=False)

    events = plain.read(orjson.dumps(record), START_MS)

    assert events is not None
    assert [kind for kind, *_ in events] == kinds


@pytest.mark.parametrize("why", NOT_PLAIN)
def test_other_maps_are_left_to_the_general_way(why: str) -> None:
    before, after = NOT_PLAIN[why]
    assert before in ANSWERS
    text = ANSWERS.replace(before, after)

    with pytest.raises(NotPlainError):
        PlainTopic(sources_of(text).by_topic["scores"], halves=False)
