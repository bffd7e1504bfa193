"""Write what is made from the code and kept in the repository: run it, then read the diff.

    .venv/bin/python -m tests.regenerate

The tests that hold these files in step are tests/schemas/test_describe.py,
tests/golden/test_golden.py and tests/agents/test_settings.py. A changed golden file is a changed
wire: say so in CHANGELOG.md, and give the type a new version if a consumer of the old one would
misread it.
"""

import tomllib
from pathlib import Path

import orjson

from schemas.asyncapi import asyncapi_document
from schemas.describe import fill, json_schemas, tables
from tests.golden import loop, story
from tests.golden.examples import BAD, OUTCOME, PREDICTION, golden
from tests.settings_page import settings_tables

ROOT = Path(__file__).parents[1]
COMMAND = ".venv/bin/python -m tests.regenerate"


def kept_files() -> dict[Path, bytes]:
    """Return what each file that is made from the code must hold."""
    wire = ROOT / "docs" / "wire.md"
    files = {wire: fill(wire.read_text("utf-8"), tables() | _examples()).encode()}
    files |= {ROOT / "docs" / "schemas" / name: t.encode() for name, t in json_schemas().items()}
    settings = ROOT / "docs" / "settings.md"
    files[settings] = fill(settings.read_text("utf-8"), settings_tables()).encode()
    files[ROOT / "docs" / "asyncapi.json"] = asyncapi_document(_version()).encode()
    files |= {ROOT / "tests" / "golden" / name: value for name, value in golden().items()}
    return files


def _version() -> str:
    version: str = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    return version


def _examples() -> dict[str, str]:
    made = golden()
    shown = {"prediction": PREDICTION, "outcome": OUTCOME, "bad prediction": BAD} | {
        name.removesuffix(".json"): value for name, value in made.items() if name.endswith(".json")
    }
    examples = {f"example {name}": _pretty(value) for name, value in shown.items()}
    return examples | {"example events": f"```text\n{made['events.txt'].decode()}\n```\n"}


def _pretty(value: bytes) -> str:
    text = orjson.dumps(orjson.loads(value), option=orjson.OPT_INDENT_2).decode()
    return f"```json\n{text}\n```\n"


if __name__ == "__main__":
    played = {story.PATH: story.told(), loop.PATH: loop.lines()}
    told = {path: "".join(f"{line}\n" for line in lines).encode() for path, lines in played.items()}
    for path, content in (kept_files() | told).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
