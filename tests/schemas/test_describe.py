from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from schemas.describe import INPUTS, OUTPUTS, fill, json_schemas, tables
from schemas.wire import MAX_PAYLOAD_BYTES
from tests.doubles import strategies
from tests.doubles.core import watch
from tests.doubles.corpus import bad_inputs
from tests.doubles.story import story
from tests.golden.examples import OUTCOME, PREDICTION, golden
from tests.regenerate import COMMAND, ROOT, kept_files

KEPT = kept_files()
DOCS = ROOT / "docs"


@cache
def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(orjson.loads((DOCS / "schemas" / f"{name}.json").read_bytes()))


def mistakes(name: str, event: Any) -> list[str]:
    return [error.message for error in validator(name).iter_errors(event)]


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.name)
def test_what_is_made_from_the_code_is_in_step_with_it(path: Path) -> None:
    kept = path.read_bytes() if path.exists() else b""

    assert kept == KEPT[path], f"{path.relative_to(ROOT)} is out of step; run: {COMMAND}"


def test_no_schema_is_left_over() -> None:
    assert {path.name for path in (DOCS / "schemas").iterdir()} == set(json_schemas())


@pytest.mark.parametrize("name", sorted(INPUTS | OUTPUTS))
def test_a_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(validator(name).schema)


def test_every_table_and_every_field_has_a_word() -> None:
    document = (DOCS / "wire.md").read_text("utf-8")

    for name, table in tables().items():
        assert f"<!-- generated: {name} -->" in document
        assert "|  |" not in table


def test_a_section_that_nobody_makes_is_noticed() -> None:
    with pytest.raises(KeyError, match="topics"):
        fill("<!-- generated: topics -->\n<!-- end -->\n", {})


@pytest.mark.parametrize("name", sorted(OUTPUTS))
def test_what_is_published_is_as_its_schema_says(name: str) -> None:
    assert mistakes(name, orjson.loads(golden()[f"{name}.json"])) == []


def test_the_examples_of_inputs_are_as_their_schemas_say() -> None:
    assert mistakes("prediction", orjson.loads(PREDICTION)) == []
    assert mistakes("outcome", orjson.loads(OUTCOME)) == []


@given(strategies.predictions)
@settings(max_examples=50)
def test_a_prediction_that_is_taken_is_as_its_schema_says(event: strategies.Json) -> None:
    assert mistakes("prediction", event) == []


@given(strategies.outcomes)
@settings(max_examples=50)
def test_an_outcome_that_is_taken_is_as_its_schema_says(event: strategies.Json) -> None:
    assert mistakes("outcome", event) == []


BEYOND_JSON_SCHEMA = {
    # Formats are remarks to JSON Schema, and numbers have no largest value in it.
    "an instant without an offset",
    "a date",
    "an American date",
    "epoch milliseconds as text",
    "the thirtieth of February",
    "a leap second",
    "an offset of four days",
    "the year 1989",
    "the year 2101",
    "a class of 65 bits",
    "a class one below 64 bits",
    "an integer of 400 digits",
    "a feature without a name",
    "a null prediction",
    "a feature's name of 257 characters",
}


def test_what_is_refused_is_refused_by_the_schema_too() -> None:
    taken = set()
    for bad in bad_inputs():
        if bad.reason != "invalid" or len(bad.value) > MAX_PAYLOAD_BYTES:
            continue
        try:
            event = orjson.loads(bad.value)
        except orjson.JSONDecodeError:
            continue
        if not mistakes(bad.kind, event):
            taken.add(bad.says)

    assert taken <= BEYOND_JSON_SCHEMA


def test_what_a_whole_story_publishes_is_as_the_schemas_say() -> None:
    played = watch(story(rows=800, onset=450))

    for name, events in (
        ("alert", played.of("alerts")),
        ("feedback", played.of("feedback")),
        ("command", played.of("commands")),
        ("labelled", played.of("labelled")[:200]),
    ):
        assert events
        assert [mistakes(name, event) for event in events] == [[]] * len(events)
