"""The schema registry: asked once for each schema, and told apart from a record that is wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from agents.errors import OperatorError
from agents.settings import load_settings
from agents.sources import RegistryUnreachableError, SchemaRegistry
from streams.ingest.sources.decode import DecodeError, decode
from tests.doubles.shapes import AVRO_SCHEMA, shapes


class Registry:
    """A schema registry with two schemas, that notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.asked.append((self.path, self.headers.get("Authorization")))
                status, body = registry.answer(self.path)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, path: str) -> tuple[int, Any]:
        return {
            "/schemas/ids/42": (200, {"schema": json.dumps(AVRO_SCHEMA)}),
            "/schemas/ids/43": (200, {"schemaType": "PROTOBUF", "schema": "message P {}"}),
            "/schemas/ids/44": (200, {"schema": "{}"}),
            "/schemas/ids/50": (401, {}),
            "/schemas/ids/51": (500, {}),
        }.get(path, (404, {"error_code": 40403}))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def registry() -> Iterator[Registry]:
    started = Registry()
    yield started
    started.close()


def test_a_schema_is_asked_for_once(registry: Registry) -> None:
    client = SchemaRegistry(registry.address, ("ann", "S3CR3T"))
    value = shapes()["confluent-avro"].value or b""

    events = [decode("confluent", value, {}, client.fetched)[0] for _ in range(3)]

    assert [event["prediction_id"] for event in events] == ["1"] * 3
    assert registry.asked == [("/schemas/ids/42", "Basic YW5uOlMzQ1IzVA==")]


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (43, "schema 43 is Protobuf, which is not read"),
        (44, "the registry has no schema 44 that can be read"),
        (45, "the registry has no schema 45 that can be read"),
    ],
)
def test_a_record_whose_schema_cannot_be_used_is_refused(
    registry: Registry, number: int, says: str
) -> None:
    client = SchemaRegistry(registry.address)
    value = bytes([0, 0, 0, 0, number]) + b"\x021"

    with pytest.raises(DecodeError) as raised:
        decode("confluent", value, {}, client.fetched)

    assert str(raised.value) == says


def test_a_registry_that_does_not_answer_ends_the_worker_and_not_the_record(
    registry: Registry,
) -> None:
    client = SchemaRegistry(registry.address, ("ann", "S3CR3T"))

    with pytest.raises(RegistryUnreachableError, match=r"does not answer \(status 500\)"):
        client.fetch(51)
    with pytest.raises(OperatorError, match="refuses this user") as denied:
        client.fetch(50)
    assert "S3CR3T" not in str(denied.value)
    with pytest.raises(RegistryUnreachableError, match="start it, or correct `registry`"):
        SchemaRegistry("http://127.0.0.1:9").fetch(1)


def test_a_mistake_in_the_sources_is_found_when_settings_are_read(tmp_path: Path) -> None:
    path = tmp_path / "sources.yaml"
    path.write_text("sources:\n- topic: tidegauge.alerts\n  as: outcome\n")

    with pytest.raises(OperatorError) as raised:
        load_settings(sources=str(path))

    assert raised.value.exit_code == 78
    assert str(raised.value).startswith(f"{path}: sources[0].")


def test_topics_of_sources_are_read_beside_our_own(tmp_path: Path) -> None:
    path = tmp_path / "sources.yaml"
    path.write_text(
        "sources:\n- topic: scores\n  as: outcome\n  fields: "
        "{prediction_id: key, model_id: topic, outcome: value}\n"
    )

    topics = load_settings(sources=str(path)).topics

    assert topics.read_by_ingest() == (
        "predictions", "outcomes", "models", "tidegauge.controls", "tidegauge.reports", "scores"
    )  # fmt: skip
