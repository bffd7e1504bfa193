"""The cache of compiled kernels, and the compiler before anything listens.

Rule 1. Kernels are compiled before a worker connects: meanwhile it could not answer Kafka.
Rule 2. The cache holds code that the process runs. The folder that NUMBA_CACHE_DIR names is made
        for this user alone (0700); one that others can use is refused. Without that variable the
        cache is beside the modules, and whoever can write there can change the modules as well.
Rule 3. An image ships a cache in `SHIPPED`, which nobody can write. numba needs a folder that it
        can write: the shipped one is copied to the named folder when that is made.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from agents.errors import OperatorError

SHIPPED = Path(__file__).resolve().parents[1] / ".cache" / "kernels"
"""The cache of an image; deploy/Dockerfile fills it."""
ANNOUNCEMENT = "Compiling the statistics, once on this machine; about half a minute."
_VARIABLE = "NUMBA_CACHE_DIR"


def compile_kernels(announce: Callable[[str], None], shipped: Path = SHIPPED) -> None:
    """Compile all kernels, or load them from the cache in some 50 ms.

    Call it before anything else loads a kernel's module: numba opens the cache then.

    Parameters
    ----------
    announce
        Called with `ANNOUNCEMENT` when a kernel has to be compiled.
    shipped
        The cache of an image.

    Raises
    ------
    OperatorError
        When the named folder cannot be used, or others can use it.
    """
    if named := os.environ.get(_VARIABLE):
        _prepare(Path(named), shipped)
    from streams.series.kernels import compile_all

    is_announced = False
    for was_cached in compile_all():
        if not was_cached and not is_announced:
            announce(ANNOUNCEMENT)
            is_announced = True


def _prepare(folder: Path, shipped: Path) -> None:
    try:
        if not folder.exists():
            _make(folder, shipped)
        found = folder.stat()
    except OSError as error:
        raise _unusable(folder, f"the folder cannot be made: {error.strerror}") from error
    if not (stat.S_ISDIR(found.st_mode) and os.access(folder, os.W_OK | os.X_OK)):
        raise _unusable(folder, "this user cannot write to it")
    is_ours = found.st_uid in {0, os.geteuid()}
    if not is_ours or found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise _unusable(folder, "other users can use it, and it holds code (chmod 700)")


def _make(folder: Path, shipped: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent))
    if shipped.is_dir():
        shutil.copytree(shipped, made, dirs_exist_ok=True)
    made.chmod(stat.S_IRWXU)
    try:
        made.rename(folder)  # at once: another process must not read a half of it
    except OSError:
        shutil.rmtree(made)
        if not folder.exists():
            raise


def _unusable(folder: Path, reason: str) -> OperatorError:
    return OperatorError(
        f"{_VARIABLE} = {str(folder)!r}: {reason}. It is the cache of compiled statistics: name a "
        "folder that only this user can write, or one that does not exist yet."
    )
