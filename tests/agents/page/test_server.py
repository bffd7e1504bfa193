from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request

from agents.page.actions import TOKEN_HEADER, Actions
from agents.page.serve import PageOptions, answered_hosts
from agents.page.server import make_app
from agents.settings import Settings
from tests.agents.page.sample import Log, Sent, alert, page_of, small_log

Client = TestClient[Request, Application]
HOST = "127.0.0.1"
FINGERPRINT = alert("car_loan")["fingerprint"]


@asynccontextmanager
async def served(actions: Actions | None = None, log: Log | None = None) -> AsyncIterator[Client]:
    server = TestServer(make_app(page_of((log or small_log()).store, "gauge:8800", actions)))
    async with TestClient(server, headers={"Host": "gauge:8800"}) as client:
        yield client


async def test_every_address_of_a_view_is_the_document_under_a_strict_policy() -> None:
    async with served() as client:
        for path in ("/", "/model/a%2Fb", "/alert/3f9c", "/reviews", "/challengers", "/topics"):
            answer = await client.get(path)
            text = await answer.text()

            assert answer.status == 200
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert "<script>" not in text
            assert "style=" not in text


async def test_files_come_from_the_folder_of_the_page_alone() -> None:
    async with served() as client:
        found = {
            path: (await client.get(f"/static/{path}")).status
            for path in ("app.js", "vendor/uPlot.min.css", "../server.py", "..%2fserver.py", "x.js")
        }

    assert list(found.values()) == [200, 200, 404, 404, 404]


async def test_another_name_for_the_address_is_refused() -> None:
    async with served() as client:
        answer = await client.get("/api/models", headers={"Host": "evil.example"})

        assert answer.status == 421


async def test_views_are_json_and_what_is_unknown_is_not_found() -> None:
    async with served() as client:
        models = await (await client.get("/api/models?sort=nonsense&page=-1")).json()
        health = await (await client.get("/api/health")).json()
        missing = await client.get("/api/model?id=nobody")

        assert models["found"] == 7
        assert (health["is_ready"], health["allows_actions"]) == (True, False)
        assert missing.status == 404


async def test_the_stream_tells_what_changed_after_the_last_id() -> None:
    async with served() as client:
        answer = await client.get("/api/live", headers={"Last-Event-ID": "alerts.0.0_metrics.0.0"})
        first = await answer.content.readuntil(b"\n\n")
        second = await answer.content.readuntil(b"\n\n")

    assert first.startswith(b"event: change\nid: alerts.0.")
    assert b'"car_loan"' in first
    assert second.startswith(b"event: health")


@pytest.mark.parametrize(
    ("headers", "changes", "status"),
    [
        ({}, {}, 403),
        ({TOKEN_HEADER: "guess"}, {}, 403),
        ({TOKEN_HEADER: "secret", "Origin": "https://evil.example"}, {}, 403),
        ({TOKEN_HEADER: "secret", "Origin": "null"}, {}, 403),
        ({TOKEN_HEADER: "secret", "Sec-Fetch-Site": "cross-site"}, {}, 403),
        ({TOKEN_HEADER: "secret"}, {"by": " "}, 400),
        ({TOKEN_HEADER: "secret"}, {"verb": "release"}, 400),
        ({TOKEN_HEADER: "secret"}, {"for_s": 60}, 400),
        ({TOKEN_HEADER: "secret"}, {"fingerprint": "0000"}, 404),
    ],
)
async def test_an_action_that_is_not_the_pages_own_or_not_valid_is_refused(
    headers: dict[str, str], changes: dict[str, object], status: int
) -> None:
    sent = Sent()
    asked = {"verb": "ack", "fingerprint": FINGERPRINT, "by": "ann"} | changes
    async with served(Actions(send=sent.send, token="secret")) as client:  # noqa: S106
        answer = await client.post("/api/controls", json=asked, headers=headers)

    assert answer.status == status
    assert not sent.records


async def test_an_action_writes_the_control_that_the_command_line_writes() -> None:
    sent = Sent()
    headers = {TOKEN_HEADER: "secret", "Origin": "http://gauge:8800"}
    asked = {"verb": "mute", "fingerprint": FINGERPRINT, "by": "ann", "for_s": 3_600}
    async with served(Actions(send=sent.send, token="secret")) as client:  # noqa: S106
        answer = await client.post("/api/controls", json=asked, headers=headers)

        assert answer.status == 200, await answer.text()
    [record] = sent.records
    assert record | {"control_id": "", "at": 0} == {
        "control_id": "",
        "at": 0,
        "model_id": "car_loan",
        "verb": "mute",
        "fingerprint": FINGERPRINT,
        "by": "ann",
        "for_s": 3_600,
    }


async def test_a_proxy_names_the_person_and_nobody_else_does() -> None:
    sent = Sent()
    actions = Actions(send=sent.send, token="secret", user_header="X-User")  # noqa: S106
    asked = {"verb": "ack", "fingerprint": FINGERPRINT, "by": "mallory"}
    async with served(actions) as client:
        headers = {TOKEN_HEADER: "secret"}
        without = await client.post("/api/controls", json=asked, headers=headers)
        named = await client.post("/api/controls", json=asked, headers=headers | {"X-User": "ann"})

    assert (without.status, named.status) == (403, 200)
    assert [record["by"] for record in sent.records] == ["ann"]


async def test_a_page_that_only_shows_refuses_actions_and_has_no_token() -> None:
    async with served() as client:
        answer = await client.post("/api/controls", json={}, headers={TOKEN_HEADER: ""})
        text = await (await client.get("/")).text()

    assert answer.status == 403
    assert 'name="tidegauge-token" content=""' in text


def test_the_names_that_a_page_answers_to() -> None:
    settings = Settings(page_url="https://gauge.example.org")
    found = answered_hosts(settings, PageOptions(listen="0.0.0.0:9000", hosts=("a:1",)))

    assert found == {
        "127.0.0.1:9000", "localhost:9000", "[::1]:9000", "gauge.example.org", "a:1"
    }  # fmt: skip


async def test_prometheus_finds_figures_of_models_under_any_name_of_the_page() -> None:
    log = small_log()
    log.days("car_loan", without_labels={"missed_by": 0.01})
    async with served(log=log) as client:
        answer = await client.get("/metrics", headers={"Host": "page:8800"})
        text = await answer.text()

        of_script = {"Host": "page:8800", "sec-fetch-site": "same-origin"}
        refused = await client.get("/metrics", headers=of_script)
        foreign = await client.get("/metrics", headers={"Host": "evil.example:8800"})
        of_pod = await client.get("/metrics", headers={"Host": "10.0.0.7:8800"})

    assert refused.status == foreign.status == 421
    assert of_pod.status == 200
    assert answer.status == 200
    assert 'tidegauge_completeness{model="calm"} 0.9' in text
    assert 'tidegauge_estimated_minus_realised{model="car_loan"} -0.01' in text
    assert "tidegauge_folded_models 0.0" in text
