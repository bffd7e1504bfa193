"""A worker with little memory before a large backlog: it must take it flat, or end without a loss.

What an idle worker needs is measured first (its private memory, VmData, which is what RLIMIT_DATA
limits). Then the backlog is published, and workers that may have too little more than that are
started: allocations fail wherever they are. Each is to end by itself, its watchdog, set to 30 s
here, at the latest. After them comes a worker with room enough, which is to take the whole
backlog, its memory flat. Then the audit. (A container that is too small ends its worker as kill -9
does, and the chaos run does that.)

    python -m benchmarks.pressure --records 1000000
"""

import argparse
import asyncio
import os
import platform
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import orjson
from rich.console import Console

from agents.commands.verify import verify
from agents.demo.child import log_tail, start_child, stop_child
from agents.kafka.topics import create_topics
from agents.settings import Settings, load_settings
from benchmarks.restart import wait_until_saved
from benchmarks.throughput import PATIENCE_S, ROOT, events, publish
from tests.kafka import RealKafka

MODELS = 5
SETTLES_S = 5.0
STALL_S = 30
STARVES_S = 180.0
SAMPLE_EVERY_S = 0.2
MB = 1_000_000


class Memory(NamedTuple):
    """What a process uses."""

    resident_mb: float
    private_mb: float


def memory_of(pid: int) -> Memory:
    """Return the resident set of a process, and its private memory, used or not."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    kib = {line.split()[0]: line.split()[1] for line in lines if line.startswith("Vm")}
    return Memory(int(kib["VmRSS:"]) * 1024 / MB, int(kib["VmData:"]) * 1024 / MB)


class Sampler(threading.Thread):
    """Looks at a process's memory until it ends or `finish` is called."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._is_over = threading.Event()
        self.samples: list[Memory] = []

    def run(self) -> None:
        """Look."""
        while not self._is_over.wait(SAMPLE_EVERY_S):
            try:
                self.samples.append(memory_of(self._pid))
            except (OSError, KeyError):  # it has ended
                return

    def finish(self) -> list[Memory]:
        """Return what was seen."""
        self._is_over.set()
        self.join()
        return self.samples


class Worker:
    """A worker that may have so much private memory."""

    def __init__(self, settings: Settings, log_path: Path, limit_mb: float | None) -> None:
        limit = [] if limit_mb is None else ["prlimit", f"--data={round(limit_mb * MB)}"]
        env = {
            **os.environ,
            "TIDEGAUGE_BROKER": settings.broker,
            "TIDEGAUGE_STALL_S": str(STALL_S),
        }
        command = [*limit, str(ROOT / "tidegauge"), "worker"]
        self.log_path = log_path
        self.process = start_child(command, log_path=log_path, env=env, cwd=ROOT)
        self.sampler = Sampler(self.process.pid)
        self.sampler.start()

    def is_assigned(self) -> bool:
        """Tell whether it has partitions."""
        return "Assigned" in self.log_path.read_text(encoding="utf-8")

    def last_words(self) -> str:
        """Return the last sentence of its log; of an end below Python, what that says."""
        lines = self.log_path.read_text(encoding="utf-8").splitlines()
        for line in reversed(lines):
            try:
                return str(orjson.loads(line)["message"])
            except (ValueError, TypeError, KeyError):
                if "MemoryError" in line or line.startswith(("Fatal", "Timeout")):
                    return line
        return "(nothing)"


def idle_need_mb(settings: Settings, folder: Path) -> float:
    """Return the private memory of a worker with nothing to do."""
    worker = Worker(settings, folder / "idle.log", None)
    deadline_s = time.monotonic() + PATIENCE_S
    while not worker.is_assigned():
        if worker.process.poll() is not None or time.monotonic() > deadline_s:
            raise SystemExit("no assignment; the log ends with:\n" + log_tail(worker.log_path))
        time.sleep(0.1)
    time.sleep(SETTLES_S)
    stop_child(worker.process, grace_s=60.0)
    return worker.sampler.finish()[-1].private_mb


def starve(settings: Settings, folder: Path, limit_mb: float) -> str:
    """Run a worker that has too little; return how it ended, or that it did not."""
    worker = Worker(settings, folder / f"starved-{limit_mb:.0f}.log", limit_mb)
    began_s = time.monotonic()
    try:
        code = worker.process.wait(STARVES_S)
    except subprocess.TimeoutExpired:
        code = stop_child(worker.process, grace_s=60.0)
        return f"lived for {STARVES_S:.0f} s, then was asked to stop: exit code {code}"
    lived_s = time.monotonic() - began_s
    return f"ended itself after {lived_s:.0f} s, exit code {code}: {worker.last_words()}"


def take(settings: Settings, folder: Path, limit_mb: float, records: int) -> list[Memory]:
    """Have a worker with some room take all there is; return what it used on the way."""
    worker = Worker(settings, folder / "limited.log", limit_mb)
    try:
        wait_until_saved(settings, records, worker.process, worker.log_path)
        return worker.sampler.finish()
    finally:
        code = stop_child(worker.process, grace_s=60.0)
        print(f"The worker with {limit_mb:,.0f} MB stopped with {code}.", flush=True)


def main() -> None:
    """Run it and print what came of it; exit 0 only when the audit finds all equal."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    more = "beyond an idle worker's"
    parser.add_argument("--starved-mb", type=float, nargs="*", default=[10.0, 120.0], help=more)
    parser.add_argument("--room-mb", type=float, default=500.0, help=more)
    options = parser.parse_args()
    with RealKafka() as broker, tempfile.TemporaryDirectory() as name:
        settings, folder = load_settings(broker=broker.bootstrap), Path(name)
        asyncio.run(create_topics(settings))
        idle_mb = idle_need_mb(settings, folder)
        print(f"Idle: {idle_mb:,.0f} MB private. Publishing {options.records:,} ...", flush=True)
        asyncio.run(publish(settings, events(options.records // 2, MODELS)))
        for starved_mb in options.starved_mb:
            end = starve(settings, folder, idle_mb + starved_mb)
            print(f"The worker with {starved_mb:.0f} MB more {end}", flush=True)
        began_s = time.monotonic()
        samples = take(settings, folder, idle_mb + options.room_mb, options.records)
        took_s = time.monotonic() - began_s
        exit_code = asyncio.run(verify(settings, Console(width=120)))
    print(f"\n{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores")
    print(f"Limit: {idle_mb + options.room_mb:,.0f} MB private; all saved after {took_s:.0f} s.")
    print("| of the time | resident | private |")
    print("|---|---|---|")
    for quarter in (1, 2, 3, 4):
        seen = samples[len(samples) * quarter // 4 - 1]
        print(f"| {quarter}/4 | {seen.resident_mb:,.0f} MB | {seen.private_mb:,.0f} MB |")
    most = Memory(*(max(column) for column in zip(*samples, strict=True)))
    print(f"| most | {most.resident_mb:,.0f} MB | {most.private_mb:,.0f} MB |")
    raise SystemExit(exit_code)


if __name__ == "__main__":
    main()
