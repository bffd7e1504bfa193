"""The contract is an AsyncAPI document that the official parser takes."""

import os
import shutil
import subprocess
from pathlib import Path

import orjson
import pytest
from jsonschema import Draft202012Validator

from schemas.asyncapi import asyncapi_document
from schemas.topics import Topics
from tests.golden.examples import OUTCOME, PREDICTION, golden
from tests.regenerate import COMMAND, ROOT

PARSER = "@asyncapi/parser@3.6.6"
DOCUMENT = ROOT / "docs" / "asyncapi.json"
OURS_ALONE = {"events", "state"}


def test_the_document_is_made_from_the_code() -> None:
    version = orjson.loads(DOCUMENT.read_bytes())["info"]["version"]

    assert DOCUMENT.read_text("utf-8") == asyncapi_document(version), COMMAND


def test_every_topic_that_others_use_is_a_channel_with_one_side() -> None:
    document = orjson.loads(DOCUMENT.read_bytes())

    assert document["channels"].keys() == {
        topic.role for topic in Topics().table() if topic.role not in OURS_ALONE
    }
    sides = {
        each["channel"]["$ref"].rpartition("/")[2]: each["action"]
        for each in document["operations"].values()
    }
    assert {role for role, side in sides.items() if side == "send"} == {
        topic.role for topic in Topics().inputs()
    }
    assert sides.keys() == document["channels"].keys()


def test_the_schemas_of_the_document_hold_what_is_sent_and_received() -> None:
    document = orjson.loads(DOCUMENT.read_bytes())
    examples = {"prediction": PREDICTION, "outcome": OUTCOME} | {
        name.removesuffix(".json"): value
        for name, value in golden().items()
        if name.endswith(".json")
    }
    assert document["components"]["messages"].keys() - examples.keys() <= {
        *("control", "model_spec", "report")
    }
    for name, value in examples.items():
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        Draft202012Validator(schema).validate(orjson.loads(value))


@pytest.fixture(scope="module")
def parser() -> Path:
    """Return a folder with the official parser; the first call installs it."""
    missing = [tool for tool in ("node", "npm") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} is not installed: the parser needs it")
    folder = ROOT / ".cache" / "asyncapi"
    if not (folder / "node_modules" / "@asyncapi" / "parser").exists():
        folder.mkdir(parents=True, exist_ok=True)
        install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--fetch-retries", "0"]
        install += ["--prefix", str(folder)]
        done = subprocess.run([*install, PARSER], capture_output=True, text=True, check=False)
        if done.returncode and "CI" not in os.environ:
            pytest.skip(f"npm cannot install the parser: {done.stderr[-200:]}")
        assert done.returncode == 0, done.stderr
    return folder


def test_the_official_parser_finds_no_error_and_no_warning(parser: Path) -> None:
    check = Path(__file__).with_name("asyncapi.mjs")

    done = subprocess.run(
        ["node", str(check), str(DOCUMENT)],  # noqa: S607 - the one on the PATH
        cwd=parser,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
