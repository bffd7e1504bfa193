"""Child processes that never outlive the process that started them.

A broker or a worker left behind by a killed parent holds its port and its group membership, and the
next run fails without a visible cause. On Linux the kernel ends the child with its parent, also
after ``kill -9``; elsewhere a parent that exits normally ends it in its own clean-up.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import orjson

_PR_SET_PDEATHSIG = 1
"""From <sys/prctl.h>."""


def _die_with_parent() -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    # Looked up here, in the parent: between fork and exec the child must not load a library.
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent_pid = os.getpid()

    def arm() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:  # the parent died before the signal was armed
            os._exit(1)

    return arm


def start_child(
    command: Sequence[str],
    *,
    log_path: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start ``command`` with both its output streams appended to ``log_path``.

    Call it from the main thread: Linux ends the child when the *thread* that started it ends. The
    child has a session of its own, so Ctrl-C reaches the parent alone, which then stops the child
    in its own order.
    """
    with log_path.open("ab") as log:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            cwd=cwd,
            start_new_session=True,
            preexec_fn=_die_with_parent(),  # noqa: PLW1509 - one system call, looked up beforehand
        )


def stop_child(process: subprocess.Popen[bytes], *, grace_s: float) -> int:
    """Terminate ``process``, kill it after ``grace_s`` seconds; return its exit code."""
    if process.poll() is None:
        process.terminate()
        try:
            return process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


def last_message(log_path: Path) -> str:
    """Return the last sentence of a worker's log, and the traceback if it has one."""
    line = log_tail(log_path, lines=1)
    try:
        entry = orjson.loads(line)
        return "\n".join(filter(None, (entry["message"], entry.get("exception"))))
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return line or "its log is empty"


def log_tail(log_path: Path, lines: int = 15) -> str:
    """Return the last lines of a child's log, for an error message."""
    text = log_path.read_text(encoding="utf-8", errors="replace") if log_path.exists() else ""
    return "\n".join(text.splitlines()[-lines:])
