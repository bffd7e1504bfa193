"""Workers as a service manager keeps them: one that ends is started again a moment later.

Rule 1. Every end of a worker is counted: those that a fault caused by the fault, all others by
        their exit code, with the last line of their log.
Rule 2. A worker that was asked to end and does not is killed, and that is counted too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import orjson

from agents.demo.child import start_child
from agents.settings import PREFIX

ROOT = Path(__file__).resolve().parents[2]
RESTART_AFTER_S = 1.0
STOP_WITHIN_S = 90.0
MADE_ANEW = "was deleted and created anew"
"""In the last sentence of a worker one of whose topics was."""

Asked = Literal["kill -9", "SIGTERM"]


@dataclass(frozen=True, slots=True)
class Exit:
    """A worker that ended otherwise than by a fault."""

    code: int
    last_line: str


@dataclass(slots=True, kw_only=True)
class _Slot:
    number: int
    log_path: Path
    process: subprocess.Popen[bytes] | None = None
    lives: int = 0
    log_begins: int = 0
    asked: Asked | None = None
    kill_at_s: float = 0.0
    start_at_s: float = 0.0
    resume_at_s: float | None = None
    clock_right_at_s: float | None = None

    @property
    def clock_path(self) -> Path:
        """Holds the seconds by which the worker's clock is wrong."""
        return self.log_path.with_suffix(".clock")


@dataclass(slots=True)
class Tally:
    """What became of the workers."""

    starts: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    unexpected: list[Exit] = field(default_factory=list)


class Fleet:
    """The workers of one deployment.

    Parameters
    ----------
    env
        Their settings, as environment variables.
    folder
        For their logs.
    most
        How many there can be.
    waits
        Seed and longest wait of `benchmarks.chaos.disturb`, or None for the worker as it is.
    """

    def __init__(
        self, env: Mapping[str, str], folder: Path, most: int, waits: tuple[int, float] | None
    ) -> None:
        self._env = dict(env)
        self._waits = waits
        self._slots = [_Slot(number=n, log_path=folder / f"worker-{n}.log") for n in range(most)]
        self.wanted = 0
        self.tally = Tally()

    def set_clock_wrong(self, victim: float, wrong_s: float, for_s: float) -> None:
        """Make the clock of one of them wrong for a while, also of one that follows it."""
        slot = self._choose(victim)
        slot.clock_path.write_text(f"{wrong_s}")
        slot.clock_right_at_s = time.monotonic() + for_s

    @property
    def log_paths(self) -> list[Path]:
        """The workers' logs."""
        return [slot.log_path for slot in self._slots]

    def running(self) -> int:
        """Return how many workers run."""
        return len(self._running())

    def tick(self) -> None:
        """Do what is due: take note of ends, start, continue, insist."""
        now_s = time.monotonic()
        self._set_clocks_right(now_s)
        for slot in self._slots:
            if slot.process is not None and slot.process.poll() is not None:
                self._on_end(slot, now_s)
            if slot.process is None:
                if slot.number < self.wanted and now_s >= slot.start_at_s:
                    self._start(slot)
                continue
            if slot.resume_at_s is not None and now_s >= slot.resume_at_s:
                self._resume(slot)
            if slot.number >= self.wanted and slot.asked is None:
                self._terminate(slot, now_s)
            if slot.asked == "SIGTERM" and now_s >= slot.kill_at_s:
                slot.asked = None  # so that the end counts as unexpected
                slot.process.kill()

    def kill(self, victim: float) -> None:
        """End one of the running workers as a power cut does."""
        slot = self._choose(victim)
        slot.asked = "kill -9"
        self._signal(slot, signal.SIGKILL)

    def kill_all(self) -> None:
        """End all of them at once."""
        for slot in self._running():
            slot.asked = "kill -9"
            self._signal(slot, signal.SIGKILL)

    def terminate(self, victim: float) -> None:
        """Ask one of them to end; another one follows."""
        slot = self._choose(victim)
        if slot.asked is None:
            self._terminate(slot, time.monotonic())

    def freeze(self, victim: float, for_s: float) -> None:
        """Stop one of them where it is; it goes on later and does not know that it was away."""
        slot = self._choose(victim)
        slot.resume_at_s = time.monotonic() + for_s
        self._signal(slot, signal.SIGSTOP)

    def stop(self) -> None:
        """Ask all to end, and return when they have."""
        self.wanted = 0
        while self.running():
            self.tick()
            time.sleep(0.1)

    def end(self) -> None:
        """End what still runs, at once."""
        for slot in self._slots:
            if slot.process is not None:
                slot.process.kill()
                slot.process.wait()

    def _running(self) -> list[_Slot]:
        return [slot for slot in self._slots if slot.process is not None]

    def _choose(self, victim: float) -> _Slot:
        running = self._running()
        return running[int(victim * len(running))]

    def _start(self, slot: _Slot) -> None:
        slot.lives += 1
        slot.asked = None
        slot.log_begins = slot.log_path.stat().st_size if slot.log_path.exists() else 0
        slot.process = start_child(
            self._command(slot), log_path=slot.log_path, env=self._env_of(slot), cwd=ROOT
        )
        self.tally.starts += 1

    def _command(self, slot: _Slot) -> list[str]:
        if self._waits is None:
            return [str(ROOT / "tidegauge"), "worker"]
        seed, max_s = self._waits
        life_seed = str(seed * 1_000_000 + slot.number * 100_000 + slot.lives)
        module = "benchmarks.chaos.disturb"
        seeded = ["--seed", life_seed, "--max-s", str(max_s)]
        return [sys.executable, "-m", module, *seeded, "--wrong-clock", str(slot.clock_path)]

    def _env_of(self, slot: _Slot) -> dict[str, str]:
        env = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        # One worker keeps its name, so that both ways of membership are tried.
        name = {f"{PREFIX}GROUP_INSTANCE": "worker-0"} if slot.number == 0 else {}
        return env | self._env | name

    def _terminate(self, slot: _Slot, now_s: float) -> None:
        slot.asked = "SIGTERM"
        slot.kill_at_s = now_s + STOP_WITHIN_S
        self._signal(slot, signal.SIGTERM)

    def _resume(self, slot: _Slot) -> None:
        slot.resume_at_s = None
        self._signal(slot, signal.SIGCONT)

    def _signal(self, slot: _Slot, number: signal.Signals) -> None:
        if slot.process is not None:
            slot.process.send_signal(number)

    def _set_clocks_right(self, now_s: float) -> None:
        for slot in self._slots:
            if slot.clock_right_at_s is not None and now_s >= slot.clock_right_at_s:
                slot.clock_right_at_s = None
                slot.clock_path.unlink(missing_ok=True)

    def _on_end(self, slot: _Slot, now_s: float) -> None:
        if slot.process is None:
            return
        code = slot.process.returncode
        if slot.asked == "kill -9":
            self.tally.ends["kill -9"] += 1
        elif slot.asked == "SIGTERM" and code == os.EX_OK:
            self.tally.ends["SIGTERM"] += 1
        elif slot.asked == "SIGTERM" and code == -signal.SIGTERM:
            self.tally.ends["SIGTERM, before it could listen"] += 1
        elif code == os.EX_TEMPFAIL and MADE_ANEW in self._last_line(slot):
            self.tally.ends["itself: a topic was made anew"] += 1
        else:
            self.tally.ends[f"exit code {code}"] += 1
            self.tally.unexpected.append(Exit(code, self._last_line(slot)))
        slot.process = None
        slot.resume_at_s = None
        slot.start_at_s = now_s + RESTART_AFTER_S

    def _last_line(self, slot: _Slot) -> str:
        with slot.log_path.open("rb") as log:
            log.seek(slot.log_begins)
            lines = log.read().splitlines()
        return said(lines[-1]) if lines else "(no line)"


def said(line: bytes) -> str:
    """Return the sentence of a line of a log, or the line where it is not one of ours.

    Examples
    --------
    >>> said(b'{"message": "Stopped", "level": "info"}'), said(b"Killed")
    ('Stopped', 'Killed')
    """
    try:
        return str(orjson.loads(line)["message"])
    except (ValueError, TypeError, KeyError):
        return line.decode(errors="replace")
