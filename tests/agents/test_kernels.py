from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from agents.errors import OperatorError
from agents.kernels import ANNOUNCEMENT, compile_kernels

pytestmark = pytest.mark.timeout(900)  # a compiler on a machine that others use as well
ROOT = Path(__file__).resolve().parents[2]
NO_IMAGE = Path("/nowhere")
PLAY = """
import sys
import orjson
from numba.core.dispatcher import Dispatcher
from streams.series.kernels import compile_all

def types():
    rooms = ("schemas.", "streams.")
    modules = [module for name, module in sys.modules.items() if name.startswith(rooms)]
    held = [each for module in modules for each in vars(module).values()]
    return {
        f"{each.py_func.__module__}.{each.__name__}": [str(types) for types in each.signatures]
        for each in held
        if isinstance(each, Dispatcher)
    }

hits = list(compile_all())
before = types()
from tests.golden.story import STORY, told
assert told() == STORY
print(orjson.dumps({"hits": hits, "before": before, "after": types()}).decode())
"""


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"NUMBA_CACHE_DIR": str(folder), "PYTHONPATH": str(ROOT)},
    )


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "kernels"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(folder))
    return folder


@pytest.fixture(scope="module")
def cold(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A cache that the command has filled, and the text that it printed."""
    folder = tmp_path_factory.mktemp("cold") / "kernels"
    return folder, run("-m", "agents", "compile", folder=folder).stdout


def test_a_cold_machine_is_told_why_it_waits(cold: tuple[Path, str]) -> None:
    _, printed = cold

    assert printed.splitlines() == [ANNOUNCEMENT, "The statistics are compiled."]


def test_a_warm_machine_does_not_wait(cold: tuple[Path, str]) -> None:
    folder, _ = cold

    again = run("-m", "agents", "compile", folder=folder)

    assert again.stdout.splitlines() == ["The statistics are compiled."]


def test_every_kernel_is_compiled_and_a_worker_calls_none_with_other_types(
    cold: tuple[Path, str],
) -> None:
    folder, _ = cold

    played = orjson.loads(run("-c", PLAY, folder=folder).stdout)

    cached = {each.name.partition("-")[0] for each in folder.rglob("*.nbi")}
    assert cached == {name.removeprefix("streams.").split(".", 1)[1] for name in played["before"]}
    assert all(played["hits"])
    assert played["after"] == played["before"]


def test_the_named_folder_is_made_for_this_user_alone(named: Path) -> None:
    compile_kernels(print, NO_IMAGE)

    assert stat.S_IMODE(named.stat().st_mode) == 0o700


def test_the_cache_of_an_image_is_copied_to_it(named: Path, tmp_path: Path) -> None:
    shipped = tmp_path / "shipped"
    (shipped / "detect").mkdir(parents=True)
    (shipped / "detect" / "a.nbi").write_bytes(b"index")
    shipped.chmod(0o555)

    compile_kernels(print, shipped)

    assert (named / "detect" / "a.nbi").read_bytes() == b"index"
    assert stat.S_IMODE(named.stat().st_mode) == 0o700
    assert sorted(each.name for each in tmp_path.iterdir()) == ["kernels", "shipped"]


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o755, 0o1777])
def test_a_folder_that_others_can_use_is_refused(named: Path, mode: int) -> None:
    named.mkdir()
    named.chmod(mode)

    with pytest.raises(OperatorError, match=r"NUMBA_CACHE_DIR .* other users can use it"):
        compile_kernels(print, NO_IMAGE)


def test_a_file_is_no_folder(named: Path) -> None:
    named.write_bytes(b"")

    with pytest.raises(OperatorError, match="cannot write to it"):
        compile_kernels(print, NO_IMAGE)
