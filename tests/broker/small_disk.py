"""A disk that can be filled to the last byte: a tmpfs that only its own processes see.

It is mounted in a mount namespace of its own, for which an ordinary user may be enough; a process
that keeps the namespace lives as long as the disk does.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

_DIE_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL")
_KEEP = 'mount -t tmpfs -o "size=$1" tmpfs "$2" && echo mounted && exec sleep infinity'


class SmallDisk:
    """A disk of so many bytes, mounted at a folder.

    Parameters
    ----------
    folder
        Where it is mounted; it must exist.
    size_bytes
        Its size.
    """

    def __init__(self, folder: Path, size_bytes: int) -> None:
        self.folder = folder
        self._size_bytes = size_bytes
        self._keeper: subprocess.Popen[bytes] | None = None

    @property
    def entry(self) -> Sequence[str]:
        """What a command begins with that is to see the disk."""
        namespaces = ("--user", "--mount", "--preserve-credentials")
        return ("nsenter", "--target", str(self._pid), *namespaces, *_DIE_WITH_PARENT)

    def fill(self, left_bytes: int) -> None:
        """Leave so many bytes free."""
        self.empty()
        free = int(self._sh(f"df --output=avail -B1 {self.folder} | tail -1"))
        self._sh(f"head -c {free - left_bytes} /dev/zero > {self._ballast}")

    def empty(self) -> None:
        """Give back what `fill` took."""
        self._sh(f"rm -f {self._ballast}")

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"

    @property
    def _pid(self) -> int:
        assert self._keeper is not None
        return self._keeper.pid

    def _sh(self, script: str) -> str:
        command = [*self.entry, "sh", "-c", script]
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout

    def __enter__(self) -> Self:
        mount = ["sh", "-c", _KEEP, "sh", str(self._size_bytes), str(self.folder)]
        try:
            self._keeper = subprocess.Popen(
                ["unshare", "--map-root-user", "--mount", *_DIE_WITH_PARENT, *mount],  # noqa: S607
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        except FileNotFoundError as error:
            pytest.skip(f"a disk of its own needs {error.filename}")
        assert self._keeper.stdout is not None
        said = self._keeper.stdout.readline().decode().strip()
        if said != "mounted":
            pytest.skip(f"this machine mounts no disk for a test: {said}")
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._keeper is not None:
            self._keeper.kill()
            self._keeper.communicate()
