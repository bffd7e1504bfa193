"""Apache Kafka itself, one KRaft node or several, started from its jars: what CI tests against.

The jars come from Maven once and stay in .cache/kafka. A node keeps its log in a temporary folder,
so `restart` after `kill` finds what a real broker would find after a crash.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from agents.demo.child import start_child, stop_child
from agents.demo.embedded_broker import BrokerStartError, free_ports, wait_until_ready
from tests.patience import PATIENCE_S

KAFKA_VERSION = "4.3.1"
OLDER_VERSION = "4.2.2"
"""The version from which a cluster is upgraded."""
_ROOT = Path(__file__).resolve().parent.parent
_POM = Path(__file__).with_name("kafka.pom.xml")
_HOST = "127.0.0.1"

# The C1 compiler alone: the tests pay for start-up, never for a broker's hours of warm code.
_QUICK_START = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_SMALL = ("-Xms64m", "-Xmx320m", *_QUICK_START[2:])


def missing_tools() -> list[str]:
    """Return the programs that real Kafka needs and this machine lacks."""
    return [tool for tool in ("java", "mvn") if shutil.which(tool) is None]


def fetch_jars(version: str = KAFKA_VERSION) -> Path:
    """Return the folder with Kafka's jars; the first call downloads them (54 MB)."""
    jars = _ROOT / ".cache" / "kafka" / version
    if not jars.exists():
        jars.parent.mkdir(parents=True, exist_ok=True)
        # Into a folder beside it and then renamed: test processes may get here together.
        with tempfile.TemporaryDirectory(dir=jars.parent) as fresh:
            goal = ["dependency:copy-dependencies", f"-DoutputDirectory={fresh}/jars"]
            goal.append(f"-Dkafka.version={version}")
            run = subprocess.run(
                ["mvn", "-q", "-B", "-f", str(_POM), *goal],  # noqa: S607 - the one on the PATH
                capture_output=True,
                text=True,
                check=False,
            )
            if run.returncode:
                raise BrokerStartError(f"mvn could not fetch Kafka's jars:\n{run.stdout[-2000:]}")
            if not jars.exists():
                os.rename(f"{fresh}/jars", jars)
    return jars


def new_cluster_id() -> str:
    """Return a random cluster id in Kafka's form, 22 characters of base64."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def java(options: Sequence[str] = _QUICK_START, version: str = KAFKA_VERSION) -> list[str]:
    """Return the beginning of a command that runs one of Kafka's main classes."""
    quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
    return ["java", *options, quiet, "-cp", f"{fetch_jars(version)}/*"]


def format_log_folder(
    properties: Path, cluster_id: str, entry: Sequence[str] = (), version: str = KAFKA_VERSION
) -> None:
    """Have Kafka check a server.properties and format the log folder that it names.

    Raises
    ------
    BrokerStartError
        With what Kafka says about the settings.
    """
    # One argument each: an id may begin with a dash, and would be taken for an option.
    named = (f"--cluster-id={cluster_id}", f"--config={properties}")
    command = [*entry, *java(version=version), "kafka.tools.StorageTool", "format", *named]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        told = (run.stdout + run.stderr)[-2000:]
        raise BrokerStartError(
            f"Kafka could not format its log folder (code {run.returncode}):\n{told}"
        )


class RealKafka:
    """One node, broker and controller in one process, on 127.0.0.1.

    Parameters
    ----------
    advertised_proxy_port
        A second listener, at `proxied_port`, tells clients to come back to this port instead: put a
        proxy there and every connection can be cut. Without it the listener advertises itself.
    settings
        Lines of server.properties, over those chosen here.
    java_options
        Options of the virtual machine.
    entry
        What its commands begin with, to run in another namespace.
    node_id, voters, cluster_id
        For a cluster, see `KafkaCluster`.
    version
        Of Kafka; another one may be set before a restart.
    """

    def __init__(
        self,
        *,
        advertised_proxy_port: int | None = None,
        settings: Mapping[str, str] | None = None,
        java_options: Sequence[str] = _QUICK_START,
        entry: Sequence[str] = (),
        node_id: int = 1,
        voters: Mapping[int, int] | None = None,
        cluster_id: str | None = None,
        version: str = KAFKA_VERSION,
    ) -> None:
        self.node_id = node_id
        self.version = version
        self.port, self.proxied_port, controller_port = free_ports(3)
        self._advertised_proxy_port = advertised_proxy_port or self.proxied_port
        self._voters = dict(voters) if voters else {node_id: controller_port}
        self._cluster_id = cluster_id or new_cluster_id()
        self._settings = dict(settings or {})
        self._java_options = tuple(java_options)
        self._entry = tuple(entry)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """Address for clients, ``127.0.0.1:PORT``."""
        return f"{_HOST}:{self.port}"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The broker's process, while it runs."""
        if self._process is None:
            msg = "this Kafka node is not running; call start() first"
            raise BrokerStartError(msg)
        return self._process

    @property
    def _home(self) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="tidegauge-kafka-")
        return Path(self._folder.name)

    @property
    def log_path(self) -> Path:
        """What the broker says."""
        return self._home / "server.log"

    def launch(self) -> None:
        """Start the process, without waiting for it to answer."""
        properties = self._home / "server.properties"
        if not properties.exists():
            lines = self._properties() | self._settings
            properties.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
            format_log_folder(properties, self._cluster_id, self._entry, self.version)
        self._process = start_child(
            [*self._entry, *java(self._java_options, self.version), "kafka.Kafka", str(properties)],
            log_path=self.log_path,
        )

    def wait(self) -> None:
        """Return once the node answers a metadata request."""
        wait_until_ready(self.process, self.bootstrap, log_path=self.log_path, timeout_s=90.0)

    def start(self) -> Self:
        """Start the node, formatting its log folder the first time, and wait until it answers."""
        self.launch()
        self.wait()
        return self

    def kill(self) -> None:
        """End the node at once, as a power cut does; its log folder stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def halt(self) -> None:
        """Shut the node down in good order; its log folder stays."""
        if self._process is not None:
            stop_child(self._process, grace_s=30.0)
            self._process = None

    def restart(self) -> None:
        """Kill the node if it runs, and start it again on the same log folder and ports."""
        self.kill()
        self.start()

    def stop(self) -> None:
        """Shut the node down in good order and remove its log folder."""
        if self._process is not None:
            stop_child(self._process, grace_s=15.0)
            self._process = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BrokerStartError:
            self.stop()
            raise

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _properties(self) -> dict[str, str]:
        here = f"PLAINTEXT://{_HOST}:{self.port}"
        voters = ",".join(f"{node}@{_HOST}:{port}" for node, port in self._voters.items())
        replicas = str(len(self._voters))
        in_sync = str(len(self._voters) // 2 + 1)
        return {
            "process.roles": "broker,controller",
            "node.id": str(self.node_id),
            "controller.quorum.voters": voters,
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listeners": f"{here},PROXIED://{_HOST}:{self.proxied_port},"
            f"CONTROLLER://{_HOST}:{self._voters[self.node_id]}",
            "advertised.listeners": f"{here},PROXIED://{_HOST}:{self._advertised_proxy_port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,"
            "CONTROLLER:PLAINTEXT",
            "log.dirs": str(self._home / "log"),
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": "0",
            "default.replication.factor": replicas,
            "offsets.topic.replication.factor": replicas,
            "offsets.topic.num.partitions": "5",
            "transaction.state.log.replication.factor": replicas,
            "min.insync.replicas": in_sync,
            "transaction.state.log.min.isr": in_sync,
            "transaction.state.log.num.partitions": "5",
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": in_sync,
            "share.coordinator.state.topic.num.partitions": "1",
            # A killed broker may come back only after its old session has ended: 9 s by default.
            "broker.heartbeat.interval.ms": "500",
            "broker.session.timeout.ms": "3000",
            # The default buffer is a quarter of this heap.
            "log.cleaner.dedupe.buffer.size": str(8 << 20),
            # Test data may carry timestamps of years ago; nothing may age away under a test.
            "log.retention.ms": "-1",
        }


class KafkaCluster:
    """Nodes of one cluster: each holds every record, a majority acknowledges it.

    Parameters
    ----------
    count
        How many nodes.
    advertised_proxy_ports
        One a node; see `RealKafka`.
    settings
        Lines of every node's server.properties, over those chosen here.
    version
        Of Kafka.
    """

    def __init__(
        self,
        count: int,
        *,
        advertised_proxy_ports: Sequence[int] = (),
        settings: Mapping[str, str] | None = None,
        version: str = KAFKA_VERSION,
    ) -> None:
        voters = dict(enumerate(free_ports(count), start=1))
        cluster_id = new_cluster_id()
        proxy_ports: Sequence[int | None] = advertised_proxy_ports or [None] * count
        self.nodes = [
            RealKafka(
                advertised_proxy_port=proxy_port,
                settings=settings,
                java_options=_SMALL if count > 1 else _QUICK_START,
                node_id=node_id,
                voters=voters,
                cluster_id=cluster_id,
                version=version,
            )
            for node_id, proxy_port in zip(voters, proxy_ports, strict=True)
        ]

    @property
    def bootstrap(self) -> str:
        """Addresses of all nodes for clients, ``127.0.0.1:PORT,127.0.0.1:PORT``."""
        return ",".join(node.bootstrap for node in self.nodes)

    def controller(self) -> RealKafka:
        """Return the node that leads the controllers."""
        with self._admin() as admin:
            [topic] = admin.describe_metadata_quorum()["topics"]
        leader_id = topic["partitions"][0]["leader_id"]
        return next(node for node in self.nodes if node.node_id == leader_id)

    def is_whole(self) -> bool:
        """Return whether every node is there, and every replica in sync with its leader."""
        try:
            with self._admin() as admin:
                is_complete = len(admin.describe_cluster()["brokers"]) == len(self.nodes)
                partitions = [p for topic in admin.describe_topics() for p in topic["partitions"]]
        except KafkaError:
            return False
        return is_complete and all(
            len(each["isr_nodes"]) == len(each["replica_nodes"]) for each in partitions
        )

    def _admin(self) -> KafkaAdminClient:
        return KafkaAdminClient(bootstrap_servers=self.bootstrap, bootstrap_timeout_ms=5_000)

    def __enter__(self) -> Self:
        try:
            for node in self.nodes:
                node.launch()
            for node in self.nodes:
                node.wait()
            self._gather()
        except BrokerStartError:
            self._stop()
            raise
        return self

    def _gather(self) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not self.is_whole():
            if time.monotonic() > deadline_s:
                raise BrokerStartError(
                    f"{len(self.nodes)} Kafka nodes did not come together in {PATIENCE_S:.0f} s"
                )
            time.sleep(0.1)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        # Not one after the other in good order: the last ones would wait for a majority.
        for node in self.nodes:
            node.kill()
        for node in self.nodes:
            node.stop()
