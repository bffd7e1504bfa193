from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

import pytest

from agents.demo.embedded_broker import (
    BrokerStartError,
    EmbeddedBroker,
    accepts_connections,
    answers_metadata,
    free_port,
)
from tests.patience import PATIENCE_S

PARENT = """
import time
from agents.demo.embedded_broker import EmbeddedBroker
broker = EmbeddedBroker().start()
print(broker.bootstrap, broker.process.pid, flush=True)
time.sleep(60)
"""


def becomes_true(claim: Callable[[], bool], within_s: float = PATIENCE_S) -> bool:
    deadline_s = monotonic() + within_s
    while not claim():
        if monotonic() > deadline_s:
            return False
        sleep(0.02)
    return True


def listening_addresses(pid: int) -> set[str]:
    sockets = {
        os.readlink(each).removeprefix("socket:[").removesuffix("]")
        for each in Path(f"/proc/{pid}/fd").iterdir()
        if os.readlink(each).startswith("socket:")
    }
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[1].split(":")[0] for row in rows if row[9] in sockets and row[3] == "0A"}


def test_it_answers_as_soon_as_it_has_started_and_no_more_once_stopped() -> None:
    broker = EmbeddedBroker().start()

    assert answers_metadata(broker.bootstrap)

    broker.stop()
    broker.stop()
    assert not accepts_connections(broker.bootstrap)


def test_it_listens_where_it_is_told_to() -> None:
    port = free_port()

    with EmbeddedBroker(port) as broker:
        assert broker.bootstrap == f"127.0.0.1:{port}"
        assert answers_metadata(f"127.0.0.1:{port}")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_listens_on_the_loopback_interface_only(embedded: EmbeddedBroker) -> None:
    assert listening_addresses(embedded.process.pid) == {"0100007F"}


def test_a_taken_port_is_refused_with_its_number() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(BrokerStartError, match=f"port {port} of 127.0.0.1 is in use"):
            EmbeddedBroker(port).start()


def test_a_broker_that_cannot_start_says_so_with_its_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "tansu"
    broken.write_text("#!/bin/sh\necho no such storage\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CALF_TANSU_BIN", str(broken))

    with pytest.raises(BrokerStartError, match=r"(?s)code 3 .*no such storage"):
        EmbeddedBroker().start()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's promise is Linux's")
def test_it_dies_with_a_parent_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        bootstrap, _pid = parent.stdout.readline().decode().split()
        assert accepts_connections(bootstrap)

        parent.send_signal(signal.SIGKILL)

        assert becomes_true(lambda: not accepts_connections(bootstrap))
