"""The process of incidents: it is killed now and then, and starts again from the alerts.

Its records are a function of the set of all alerts, so they can be compared once it has read them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from agents.demo.child import log_tail, start_child
from agents.settings import PREFIX

ROOT = Path(__file__).resolve().parents[2]
CAUGHT_UP = "Following"
"""Begins its sentence once everything is read and published."""
CATCHES_UP_S = 60.0


class Follower:
    """`./tidegauge incidents`, which ends by a fault alone.

    Parameters
    ----------
    env
        Its settings, as environment variables.
    log_path
        Receives its log.
    """

    def __init__(self, env: Mapping[str, str], log_path: Path) -> None:
        self._env = dict(env)
        self._log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, in place of one that has been killed or has ended with its broker."""
        self.kill()
        env = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        self._process = start_child(
            [str(ROOT / "tidegauge"), "incidents"],
            log_path=self._log_path,
            env=env | self._env,
            cwd=ROOT,
        )

    def kill(self) -> None:
        """End it as a power cut does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def catch_up(self) -> None:
        """Start it again, and end it once it has published what all alerts call for.

        Raises
        ------
        TimeoutError
            When it does not come so far.
        """
        self.kill()
        begins = self._log_path.stat().st_size if self._log_path.exists() else 0
        self.start()
        deadline_s = time.monotonic() + CATCHES_UP_S
        while CAUGHT_UP.encode() not in self._log_path.read_bytes()[begins:]:
            if time.monotonic() > deadline_s:
                tail = log_tail(self._log_path)
                msg = f"incidents were not published; the log ends with:\n{tail}"
                raise TimeoutError(msg)
            time.sleep(0.1)
        self.kill()
