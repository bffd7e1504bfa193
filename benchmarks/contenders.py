"""Who takes part: how each is installed and started, and where it publishes its pairs."""

import asyncio
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.admin import NewTopic

from agents.kafka.topics import create_topics
from agents.settings import load_settings
from benchmarks.throughput import ROOT

PARTITIONS = 4
_ENVIRONMENTS = ROOT / ".cache" / "rivals"


class CannotInstallError(Exception):
    """A rival's packages are not to be had here: it is left out, with this line."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to do the job.

    Parameters
    ----------
    name
        As the tables have it.
    arguments
        What follows ``python``; empty for this project's own worker.
    packages
        Those whose versions are told.
    is_apart
        Whether it needs an environment of its own; then the first package is in the extra
        ``rivals`` of pyproject.toml.
    pairs_a_second
        A pace that it surely reaches once it runs: bounds the time that a run may take.
    is_slow
        Whether it is given fewer pairs.
    """

    name: str
    arguments: tuple[str, ...]
    packages: tuple[str, ...]
    is_apart: bool = False
    pairs_a_second: int = 2_000
    is_slow: bool = False

    @property
    def is_ours(self) -> bool:
        """Whether this is the project itself."""
        return not self.arguments

    def python(self) -> Path:
        """Return the interpreter that has its packages; makes the environment the first time.

        Raises
        ------
        CannotInstallError
            With pip's last line.
        """
        return _environment(self.packages[0]) if self.is_apart else Path(sys.executable)

    def versions(self) -> str:
        """Return what it runs on, in words."""
        if not self.is_apart:
            return ", ".join(f"{name} {version(name)}" for name in self.packages)
        code = (
            "import sys, importlib.metadata as m\n"
            "print(', '.join(f'{n} {m.version(n)}' for n in sys.argv[1:]))"
        )
        command = [str(self.python()), "-c", code, *self.packages]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


_RIVAL = "benchmarks.rivals."
CONTENDERS = (
    Contender("Tidegauge", (), ("faust-streaming", "aiokafka", "pydantic", "river", "numba")),
    Contender("bare aiokafka", ("-m", f"{_RIVAL}aiokafka_loop"), ("aiokafka", "pydantic", "river")),
    Contender(
        "bare confluent-kafka",
        ("-m", f"{_RIVAL}confluent_loop"),
        ("confluent-kafka", "pydantic", "river"),
    ),
    Contender(
        "Bytewax",
        ("-m", "bytewax.run", f"{_RIVAL}bytewax_flow"),
        ("bytewax", "confluent-kafka", "pydantic", "river"),
        is_apart=True,
    ),
    Contender(
        "Quix Streams",
        ("-m", f"{_RIVAL}quix_app"),
        ("quixstreams", "confluent-kafka", "pydantic", "river"),
        is_apart=True,
    ),
    Contender(
        "Faust",
        ("-m", f"{_RIVAL}faust_app", "worker", "-l", "warn", "--without-web"),
        ("faust-streaming", "aiokafka", "river"),
        pairs_a_second=300,
        is_slow=True,
    ),
)


def _environment(package: str) -> Path:
    """Return the interpreter of the environment of one rival."""
    folder = _ENVIRONMENTS / package
    python, done = folder / "bin" / "python", folder / ".set-up"
    wanted = "\n".join(_requirements(package))
    if done.exists() and done.read_text(encoding="utf-8") == wanted:
        return python
    print(f"Setting up {package} in .cache/rivals, once ...", flush=True)
    options = ["install", "--quiet", "--disable-pip-version-check"]
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [str(python), "-m", "pip", *options, *wanted.split("\n")],
    ):
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            told = (run.stdout + run.stderr).strip().splitlines()
            raise CannotInstallError(f"{package}: {told[-1] if told else run.returncode}")
    done.write_text(wanted, encoding="utf-8")
    return python


def _requirements(package: str) -> list[str]:
    """Return the rival, and of what the project itself asks for that which the job needs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    rival = next(each for each in extras["rivals"] if _name(each) == package)
    shared = ("river", "orjson", "pydantic", "confluent-kafka")
    # A rival may ask for an older version than ours: the shared ones are named, not pinned, but
    # for the detectors, which must be the same.
    return [rival, *(_pinned(project, name) for name in shared)]


def _pinned(project: Mapping[str, list[str]], name: str) -> str:
    exact = [each for each in project["dependencies"] if _name(each) == name and "==" in each]
    return exact[0] if exact else name


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9-]", requirement, maxsplit=1)[0]


@dataclass(frozen=True, slots=True)
class Stage:
    """Where one run reads and writes.

    Parameters
    ----------
    broker
        Its address.
    inputs
        What the names of the two input topics begin with.
    group
        The run's own consumer group, and what the names of its topics begin with.
    folder
        The run's own folder, for its log and what it keeps.
    """

    broker: str
    inputs: str
    group: str
    folder: Path

    def prepare(self, contender: Contender) -> str:
        """Create the topics that the contender publishes to; return that of its pairs."""
        if contender.is_ours:
            settings = load_settings(broker=self.broker, **self._ours())
            asyncio.run(create_topics(settings))
            return settings.topics.name("labelled")
        # Kafka's own clock on what is published tells when the first and the last pair came.
        config = {"message.timestamp.type": "LogAppendTime"}
        topics = [
            NewTopic(f"{self.group}.{name}", PARTITIONS, 1, topic_configs=config)
            for name in ("pairs", "alerts")
        ]
        admin = KafkaAdminClient(bootstrap_servers=self.broker)
        try:
            admin.create_topics(topics)
            admin.wait_for_topics([topic.name for topic in topics])
        finally:
            admin.close()
        return f"{self.group}.pairs"

    def command(self, contender: Contender) -> list[str]:
        """Return what starts it."""
        if contender.is_ours:
            return [str(ROOT / "tidegauge"), "worker"]
        return [str(contender.python()), *contender.arguments]

    def environment(self, contender: Contender) -> dict[str, str]:
        """Return what tells it where to read and write."""
        if contender.is_ours:
            own = {"broker": self.broker, **self._ours()}
            return {**os.environ, **{f"TIDEGAUGE_{k.upper()}": v for k, v in own.items()}}
        own = {
            "broker": self.broker,
            "group": self.group,
            "predictions": f"{self.inputs}predictions",
            "outcomes": f"{self.inputs}outcomes",
            "pairs": f"{self.group}.pairs",
            "alerts": f"{self.group}.alerts",
            "folder": str(self.folder),
        }
        return {**os.environ, **{f"BENCH_{k.upper()}": v for k, v in own.items()}}

    def _ours(self) -> dict[str, str]:
        return {
            "group": self.group,
            "prefix": f"{self.group}.",
            "predictions": f"{self.inputs}predictions",
            "outcomes": f"{self.inputs}outcomes",
        }
