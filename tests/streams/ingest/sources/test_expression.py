"""Expressions give what JMESPath gives, and our functions what they say."""

from typing import Any

import jmespath
import pytest
from orjson import dumps

from streams.ingest.sources.expression import compile_expression, evaluate
from streams.ingest.sources.functions import FunctionError

NESTED = [
    {
        "key": "row",
        "value": {
            "kvlistValue": {
                "values": [
                    {
                        "key": "x",
                        "value": {
                            "arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "a"}]}
                        },
                    },
                    {"key": "y", "value": {"arrayValue": {}}},
                ]
            }
        },
    },
    {"key": "none", "value": {}},
]
"""OpenTelemetry's form of {"row": {"x": [1, "a"], "y": []}, "none": null}."""
SCOPE: dict[str, Any] = {
    "value": {
        "a": {"b": [1, {"c": "x"}, None]},
        "rows": [{"n": 1, "ok": True}, {"n": 2, "ok": False}],
        "text": "a-b",
        "empty": [],
    },
    "headers": {"content-type": "application/json"},
    "key": None,
    "topic": "t",
    "partition": 3,
    "offset": 7,
    "timestamp": 1_772_366_400_000,
}


def value_of(text: str) -> Any:
    return evaluate(compile_expression(text, has_each=False), SCOPE)


@pytest.mark.parametrize(
    "text",
    [
        "value",
        "value.a.b[1].c",
        "value.a.b[-1]",
        "value.a.b[9].c",
        "value.missing.deep",
        "value.text.deep",
        'headers."content-type"',
        "[topic, to_string(offset)]",
        "value.missing.[a, b]",
        "join('-', [topic, to_string(partition)])",
        "value.rows[?ok].n",
        "value.rows[*].n | [0]",
        "value.rows[].n",
        "{t: topic, n: partition}",
        "value.text == 'a-b' && partition == `3`",
        "!key || value.empty",
        "length(value.rows)",
        "value.rows[::-1][0].n",
        "`{\"a\": 1}`",
        "'constant'",
        "not_null(key, topic)",
        "sort_by(value.rows, &n)[-1].n",
        "value.missing != null",
    ],
)  # fmt: skip
def test_a_compiled_expression_gives_what_jmespath_gives(text: str) -> None:
    assert value_of(text) == jmespath.search(text, SCOPE)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("seconds(`1772366400`)", 1_772_366_400_000),
        ("seconds('1772366400.123')", 1_772_366_400_123),
        ("seconds(`1668660679.587`)", 1_668_660_679_587),
        ("millis('1772366400000')", 1_772_366_400_000),
        ("micros(`1772366400000999`)", 1_772_366_400_000),
        ("nanos('1768660679587727000')", 1_768_660_679_587),
        ("utc('2026-03-01 12:00:00')", 1_772_366_400_000),
        ("utc('2026-03-01T13:00:00+01:00')", 1_772_366_400_000),
        ("utc(`1772366400000`)", 1_772_366_400_000),
        ("number('0.5')", 0.5),
        ("number('12')", 12),
        ("text(`7001.0`)", "7001"),
        ("text(`null`)", None),
        ("json('[1]')", [1]),
        ("json(`[1]`)", [1]),
        ("csv('1,a,0.5')", [1, "a", 0.5]),
        ("zip_object(['a', 'b'], `[1, 2]`)", {"a": 1, "b": 2}),
        ("zip(`[1, 2]`, `[3, 4]`)", [[1, 3], [2, 4]]),
        ("at(`[1, 2]`, `1`)", 2),
        ("at(`[1, 2]`, `2`)", None),
        ("without(`{\"a\": 1, \"b\": 2}`, ['a'])", {"b": 2}),
        ("argmax(`[0.1, 0.7, 0.2]`)", 1),
        ("argmax(`{\"no\": 0.2, \"yes\": 0.8}`)", "yes"),
        ("base64('e30=')", "{}"),
        ("kv(`[{\"key\": \"n\", \"value\": {\"intValue\": \"3\"}}]`)", {"n": 3}),
        (f"kv(`{dumps(NESTED).decode()}`)", {"row": {"x": [1, "a"], "y": []}, "none": None}),
        ("tensors(`[{\"name\": \"x\", \"shape\": [2, 1], \"data\": [5, 6]}]`)",
         [{"x": 5}, {"x": 6}]),
        ("seconds(key)", None),
        ("zip_object(key, key)", None),
    ],
)  # fmt: skip
def test_a_function_of_ours_gives_what_it_says(text: str, value: Any) -> None:
    assert value_of(text) == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seconds('S3CR3T')", "seconds takes a finite number, or text that spells one"),
        ("utc('S3CR3T')", "utc takes a date and time as text, as 2026-03-01 12:00:00"),
        ("json('S3CR3T')", "json takes a text that holds JSON"),
        ("zip_object(['a'], `[1, 2]`)", "zip_object takes as many names as values, not 1 and 2"),
        ("zip(`[1]`, `[]`)", "zip takes two arrays of one length, not 1 and 0"),
        ("tensors(`[{\"name\": \"S3CR3T\"}]`)", "tensors takes a list of {name, shape, data}"),
        ("join('-', ['S3CR3T', `1`])", "join cannot take such a value"),
        ("base64('*')", "base64 takes base64 of text in UTF-8"),
    ],
)  # fmt: skip
def test_a_value_that_a_function_cannot_take_is_named_without_the_value(
    text: str, says: str
) -> None:
    with pytest.raises(FunctionError) as raised:
        value_of(text)

    assert str(raised.value) == says
