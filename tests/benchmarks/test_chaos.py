"""What the chaos run is made of: a plan, traffic, and a proxy."""

import socket
import socketserver
import threading
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest

from agents.demo.embedded_broker import free_port
from benchmarks.chaos.proxy import Proxy
from benchmarks.chaos.schedule import KINDS, MOST_WORKERS, WORKERS, plan
from benchmarks.chaos.traffic import FIGURED, Message, Traffic, specs
from schemas.event import EventKind, Source
from schemas.model_spec import ModelSpec, parse_spec
from streams.ingest.accept import accept
from streams.ingest.records import Accepted, Raw, Refused
from tests.doubles.core import log_of, play
from tests.doubles.inputs import START_MS
from tests.patience import PATIENCE_S

KIND_OF: dict[str, EventKind] = {
    "predictions": "prediction",
    "outcomes": "outcome",
    "reports": "report",
}


def traffic_of(seed: int) -> list[Message]:
    traffic = Traffic(seed)
    instants_ms = range(START_MS, START_MS + 600_000, 1_000)
    return [message for now_ms in instants_ms for message in traffic.take(now_ms, 10)]


@pytest.mark.parametrize("kills", [1, 5, 200])
def test_every_kind_of_fault_is_planned_however_short_the_run(kills: int) -> None:
    counts = Counter(fault.kind for fault in plan(kills, seed=7))

    assert counts.keys() == set(KINDS)
    assert counts["kill -9"] == kills


def test_a_seed_gives_one_plan() -> None:
    assert plan(20, seed=7) == plan(20, seed=7)
    assert plan(20, seed=7) != plan(20, seed=8)


@pytest.mark.parametrize("kills", [1, 5, 200])
def test_the_scale_changes_and_comes_back(kills: int) -> None:
    scales = [fault.workers for fault in plan(kills, seed=7) if fault.kind == "scale"]

    assert set(scales) == {1, WORKERS, MOST_WORKERS}
    assert scales[-1] == WORKERS
    assert all(before != after for before, after in pairwise(scales))


def test_a_seed_gives_one_traffic() -> None:
    assert traffic_of(1) == traffic_of(1)
    assert traffic_of(1) != traffic_of(2)


def test_the_traffic_holds_every_oddity_and_only_what_is_meant_to_be_refused_is() -> None:
    refused: Counter[bool] = Counter()
    messages = traffic_of(1)
    for message in messages:
        if message.topic == "calls":  # read through a map
            continue
        source = Source(KIND_OF[message.topic], "t", 0)
        is_refused = isinstance(accept(Raw(source, 0, START_MS, message.value), 4_096), Refused)
        assert is_refused == (message.what == "unreadable")
        refused[is_refused] += 1

    assert refused[True] > 20
    assert {message.what for message in messages} == {
        "prediction",
        "outcome",
        "late outcome",
        "early outcome",
        "repeated prediction",
        "repeated outcome",
        "other answer for an id",
        "conflicting outcome",
        "outcome without a prediction",
        "unreadable",
        "inputs",
        "answer of a challenger",
        "verdict",
        "report",
    }


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(1_024):
            self.request.sendall(data)


@pytest.fixture
def proxy_port() -> int:
    return free_port()


@pytest.fixture
def proxy(proxy_port: int) -> Iterator[Proxy]:
    """A proxy in front of a server that says everything back."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Proxy(proxy_port, server.server_address[1]) as proxy:
            yield proxy
        server.shutdown()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)


def test_the_proxy_lets_bytes_through_both_ways(proxy: Proxy, proxy_port: int) -> None:
    with connect(proxy_port) as client:
        client.sendall(b"tide")

        assert client.recv(16) == b"tide"


def test_a_cut_breaks_connections_and_refuses_new_ones_until_it_is_mended(
    proxy: Proxy, proxy_port: int
) -> None:
    with connect(proxy_port) as client:
        client.sendall(b"tide")
        client.recv(16)

        proxy.cut()

        assert client.recv(16) == b""
    with pytest.raises(ConnectionRefusedError):
        connect(proxy_port)
    proxy.mend()
    with connect(proxy_port) as client:
        client.sendall(b"gauge")
        assert client.recv(16) == b"gauge"


def test_what_is_held_arrives_late_and_whole(proxy: Proxy, proxy_port: int) -> None:
    with connect(proxy_port) as client:
        proxy.hold()
        client.sendall(b"tide")
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(16)

        proxy.release()

        client.settimeout(PATIENCE_S)
        assert client.recv(16) == b"tide"


def test_every_figure_that_a_spec_can_ask_for_is_asked_for_and_cohorts_end_within_minutes() -> None:
    asked = {model_id: parse_spec(spec) for model_id, spec in specs()}
    of_all = asked[f"{FIGURED}-0"]
    inputs = [
        Raw(Source(KIND_OF[message.topic], "t", 0), place, message.at_ms, message.value)
        for place, message in enumerate(traffic_of(1)[:4_000])
        if message.topic != "calls"
    ]

    events = [found for each in inputs if isinstance(found := accept(each, 4_096), Accepted)]
    played = play(log_of(events, 500), lambda model_id: asked.get(model_id, ModelSpec()))

    assert of_all.segments is not None
    assert of_all.segments.drift
    assert of_all.features.joint
    assert of_all.features.attributions
    assert None not in (of_all.cost, of_all.calibration, of_all.metrics)
    ended = [each for each in played.cohorts if each["is_final"]]
    assert len({each["model_id"] for each in ended}) > 1
    assert {each["kind"] for each in ended} == {"hour"}
    assert any(each["value"]["counted"] for each in ended)
