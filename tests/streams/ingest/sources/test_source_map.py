"""Mistakes in a map: each is found at start, with the field, its value and the remedy."""

from typing import Any

import pytest
import yaml

from streams.ingest.sources.source_map import SourcesError, parse_sources

GOOD = """
sources:
- topic: scores
  when: value.kind == 'score'
  as: prediction
  fields:
    prediction_id: value.id
    model_id: "'loan'"
    predicted_at: utc(value.at)
    prediction: value.label
    features: {age: value.age}
- topic: scores
  when: value.truth != null
  as: outcome
  fields: {prediction_id: value.id, model_id: "'loan'", outcome: value.truth}
"""


def given(**changes: Any) -> dict[str, Any]:
    """Return the sources with fields of the first one changed; `...` takes one away."""
    file: dict[str, Any] = yaml.safe_load(GOOD)
    source = file["sources"][0]
    source |= changes
    for name in [name for name, value in changes.items() if value is ...]:
        del source[name]
    return file


def fields(**changes: Any) -> dict[str, Any]:
    kept: dict[str, Any] = given()["sources"][0]["fields"] | changes
    return given(fields={name: value for name, value in kept.items() if value is not ...})


def test_a_map_without_a_mistake_is_taken() -> None:
    (topic,) = parse_sources(yaml.safe_load(GOOD)).by_topic.values()

    assert [source.kind for source in topic.maps] == ["prediction", "outcome"]
    assert [source.has_instant for source in topic.maps] == [True, False]


MISTAKES: list[tuple[Any, str]] = [
    (None, "the file is missing: must be fields with values, of registry, sources"),
    ([], "the file = []: must be fields with values, of registry, sources"),
    ({"source": []}, "the file: unknown field 'source'; did you mean sources?"),
    ({"sources": []}, "sources = []: must be a list with at least one source"),
    ({"registry": "reg:8081", "sources": []}, "registry = 'reg:8081': must be an address like"),
    (given(topic=...), "sources[0].topic is missing: must be the name of a topic"),
    (given(topic="a b"), "sources[0].topic = 'a b': must be the name of a topic"),
    (given(topic="tidegauge.events"), "a topic of another system; this one is ours"),
    (given(wen="x"), "sources[0]: unknown field 'wen'; did you mean when?"),
    (given(decode="protobuf"), "sources[0].decode = 'protobuf': must be one of json, cloudevents"),
    (given(decode="msgpack"), "sources[1].decode = 'json': must be msgpack, as in the first"),
    (given(decode="confluent"), "confluent needs the schemas; add `registry: http://HOST:PORT`"),
    (given(**{"as": ...}), "sources[0].as is missing: must be one of prediction, inputs, outcome"),
    (given(**{"as": "label"}), "sources[0].as = 'label': must be one of prediction, inputs"),
    (given(**{"as": "report"}, fields={"prediction_id": "value.id", "model_id": "key"}),
     "sources[0].fields: report_id is missing; every report needs it"),
    (given(corrections="all"), "sources[0].corrections = 'all': must be one of first, last"),
    (given(corrections="last"), "sources[0].corrections: is for sources with `as: outcome`"),
    (given(when="value.kind = 'x'"), "sources[0].when = \"value.kind = 'x'\": it is no JMESPath"),
    (given(when='value.kind == "x"'), "x is no part of a record"),
    (given(when="value.ok == true"), "true stands in backquotes: `true`"),
    (given(when="value.n == 1"), "a number stands in backquotes: `1`"),
    (given(when=""), "sources[0].when = '': the expression is empty"),
    (given(each="vlaue.rows"), "vlaue is no part of a record"),
    (given(fields=...), "sources[0].fields is missing: must be fields with values"),
    (fields(outcome="value.x"), "sources[0].fields: unknown field 'outcome'"),
    (fields(predction="value.x"), "unknown field 'predction'; did you mean prediction?"),
    (fields(model_id=...), "sources[0].fields: model_id is missing; every prediction needs it"),
    (fields(model_id=7), "sources[0].fields.model_id = 7: must be an expression; a constant is"),
    (fields(model_id="loan"), "text stands in single quotes: 'loan'"),
    (fields(predicted_at="second(value.t)"), "second is no function; did you mean seconds?"),
    (fields(predicted_at="seconds(value.t, value.u)"), "seconds takes 1 arguments, not 2"),
    (fields(prediction="item.label"), "item exists only in a source with `each`"),
    (fields(features={"age": "value.a["}), "sources[0].fields.features.age = 'value.a['"),
    (given(when=..., **{"as": "outcome"}, fields={
        "prediction_id": "value.id", "model_id": "key", "outcome": "value.y"}),
     "sources[1]: takes no record, since sources[0] takes all of scores as outcome"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "says"), MISTAKES, ids=[says for _, says in MISTAKES])
def test_a_mistake_is_named_with_its_field_its_value_and_the_remedy(file: Any, says: str) -> None:
    with pytest.raises(SourcesError) as raised:
        parse_sources(file, {"tidegauge.events"})

    assert says in str(raised.value)
