"""Cases in Label Studio and back: a small server with its interface, and the real one."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiokafka import AIOKafkaConsumer
from pydantic import SecretStr

from agents.demo.child import start_child, stop_child
from agents.demo.embedded_broker import accepts_connections, free_port
from agents.errors import OperatorError
from agents.notify.destinations import read_destination
from agents.notify.http import HttpSender, open_session
from agents.notify.labelstudio import WEBHOOK, LabelStudio, project_of, verdict_of
from agents.notify.selection import ALL, read_selection
from agents.prometheus import served
from schemas.outcome import Outcome
from schemas.wire import to_epoch_ms
from tests.broker.deployment import until

GOLDEN = Path(__file__).parents[2] / "golden" / "review.json"
KEY = "3f9c2a71d09b4be8"
NOW_MS = to_epoch_ms("2018-08-20T07:00:00Z")


def case(name: str = "p1", **changes: Any) -> bytes:
    open_one = {
        "review_id": f"car_loan/{name}/1",
        "prediction_id": name,
        "status": "open",
        "due_at": "2018-08-21T06:12:17.152Z",
        "answer": 1,
        "verdict": None,
        "source": None,
    }
    return orjson.dumps(orjson.loads(GOLDEN.read_bytes()) | open_one | changes)


class FakeLabelStudio:
    """A project: tasks are imported, and an annotation is posted to the webhook."""

    def __init__(self) -> None:
        self.port, self.webhook = free_port(), ""
        self.tasks: list[dict[str, Any]] = []
        app = web.Application()
        app.router.add_post("/api/projects/7/import", self._import)
        self.app = app

    async def _import(self, request: web.Request) -> web.Response:
        if request.headers["Authorization"] != f"Token {KEY}":
            return web.Response(status=401)
        given = await request.json()
        for task in given:
            if not isinstance(task["data"]["text"], str):  # the labelling config has $text
                return web.Response(status=400)
            self.tasks.append({"id": len(self.tasks) + 1, "data": task["data"]})
        return web.json_response({"task_count": len(given)}, status=201)

    async def annotate(self, task: dict[str, Any], choice: str, **changes: Any) -> int:
        """Annotate a task as the user interface does; return the answer of the webhook."""
        event = annotated(task, choice) | changes
        headers = {"Authorization": f"Token {KEY}"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.webhook, json=event, headers=headers) as answer,
        ):
            return answer.status


def annotated(task: dict[str, Any], choice: str, **changes: Any) -> dict[str, Any]:
    result = {"from_name": "right", "to_name": "case", "type": "choices", "origin": "manual"}
    annotation = {
        "id": 31,
        "completed_by": 5,
        "result": [result | {"id": "Dx_aB91ISN", "value": {"choices": [choice]}}],
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": "2018-08-20T06:59:00.000000Z",
        "updated_at": "2018-08-20T06:59:30.000000Z",
    }
    return {
        "action": "ANNOTATION_CREATED",
        "annotation": annotation | changes,
        "project": {"id": 7, "title": "Cases"},
        "task": task,
    }


class Desk:
    """The bridge, and the outcomes that it published."""

    def __init__(self, bridge: LabelStudio, outcomes: list[tuple[bytes, bytes]]) -> None:
        self.bridge = bridge
        self.outcomes = outcomes


@asynccontextmanager
async def bridged(address: str, port: int, **selection: Any) -> AsyncIterator[Desk]:
    """Run the bridge to a project, and its webhook at a port."""
    outcomes: list[tuple[bytes, bytes]] = []

    async def publish(key: bytes, value: bytes) -> None:
        outcomes.append((key, value))

    async with open_session() as session:
        bridge = LabelStudio(
            project_of(address),
            cast("AIOKafkaConsumer", None),
            "tidegauge.reviews",
            HttpSender(session, "Label Studio", SecretStr(address)),
            publish=publish,
            now_ms=lambda: NOW_MS,
            selection=read_selection(selection) if selection else ALL,
        )
        async with served(bridge.app(), "127.0.0.1", port, "--webhook"):
            yield Desk(bridge, outcomes)


@asynccontextmanager
async def running(fake: FakeLabelStudio, **selection: Any) -> AsyncIterator[Desk]:
    """Run the small server, the bridge and its webhook."""
    address, port = f"http://127.0.0.1:{fake.port}/projects/7?token={KEY}", free_port()
    fake.webhook = f"http://127.0.0.1:{port}{WEBHOOK}"
    async with (
        served(fake.app, "127.0.0.1", fake.port, "it"),
        bridged(address, port, **selection) as desk,
    ):
        yield desk


async def test_a_case_is_a_task_and_its_annotation_a_verdict() -> None:
    fake = FakeLabelStudio()
    async with running(fake) as desk:
        await desk.bridge.import_cases([case(features={"income": 3.5})])
        (task,) = fake.tasks

        assert await fake.annotate(task, "0") == 200

    assert "Model car_loan answered 1" in task["data"]["text"]
    assert "income: 3.5" in task["data"]["text"]
    ((key, value),) = desk.outcomes
    outcome = Outcome.model_validate_json(value)
    assert (key, outcome.outcome, outcome.source) == (b"car_loan", 0, "review")
    assert (outcome.review_id, outcome.reviewer) == ("car_loan/p1/1", "5")
    assert outcome.observed_at == to_epoch_ms("2018-08-20T06:59:30Z")


async def test_only_cases_that_wait_and_are_chosen_become_tasks() -> None:
    records = [
        case("answered"),
        case("answered", status="answered", verdict=1),
        case("over", due_at="2018-08-20T06:59:59.000Z"),
        case("other", model_id="churn"),
        b"no case",
        None,
        case("waits"),
    ]
    fake = FakeLabelStudio()
    async with running(fake, model="car*") as desk:
        await desk.bridge.import_cases(records)

    assert [task["data"]["prediction_id"] for task in fake.tasks] == ["waits"]


async def test_the_webhook_takes_nothing_from_strangers_and_refuses_what_is_no_verdict() -> None:
    fake = FakeLabelStudio()
    async with running(fake) as desk, aiohttp.ClientSession() as session:
        await desk.bridge.import_cases([case()])
        (task,) = fake.tasks
        event = annotated(task, "0")
        async with session.post(fake.webhook, json=event) as stranger:
            assert stranger.status == 403
        assert await fake.annotate({"id": 9, "data": {"text": "of others"}}, "0") == 400
        assert await fake.annotate(task, "maybe") == 400
        assert await fake.annotate(task, "0", action="TASKS_DELETED") == 200
        skipped = annotated(task, "0", was_cancelled=True)
        assert await fake.annotate(task, "0", annotation=skipped["annotation"]) == 200

    assert desk.outcomes == []


@pytest.mark.parametrize(
    ("answer", "said", "outcome"),
    [(1, "0", 0), (True, "False", False), (0.5, "0.75", 0.75), ("cat", "dog", "dog")],
)
def test_a_choice_has_the_type_of_the_answer(answer: Any, said: str, outcome: Any) -> None:
    data = {"prediction_id": "p1", "model_id": "m", "review_id": "m/p1/1", "answer": answer}

    verdict = verdict_of(annotated({"id": 1, "data": data}, said), NOW_MS)

    assert verdict is not None
    assert (verdict["outcome"], type(verdict["outcome"])) == (outcome, type(outcome))


@pytest.mark.parametrize("where", ["https://labels/projects/7", "https://labels/?token=abc"])
def test_an_address_without_project_or_key_is_refused_and_not_repeated(where: str) -> None:
    with pytest.raises(OperatorError, match="projects/NUMBER") as refused:
        read_destination(f"labelstudio={where}", "")

    assert where not in str(refused.value)


def test_cases_are_chosen_by_model_alone() -> None:
    selection = read_selection({"severity": "critical"})

    with pytest.raises(ValueError, match="--model alone"):
        read_destination(
            f"labelstudio=https://labels/projects/7?token={KEY}", "", selection=selection
        )


REAL_KEY = KEY * 2 + KEY[:8]
"""A key has 40 characters there."""
CONFIG = (
    '<View><Text name="case" value="$text"/><Choices name="right" toName="case">'
    '<Choice value="0"/><Choice value="1"/></Choices></View>'
)


@pytest.fixture
def label_studio(tmp_path: Path) -> Iterator[str]:
    """Run the real server; give its address."""
    program = os.environ.get("LABEL_STUDIO") or shutil.which("label-studio")
    if program is None:
        pytest.skip("Label Studio is not installed: LABEL_STUDIO names its program, `label-studio`")
    port = free_port()
    env = {"LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true", "SSRF_PROTECTION_ENABLED": "false"}
    user = ("--username", "ann@example.org", "--password", KEY, "--user-token", REAL_KEY)
    where = ("--port", str(port), "--internal-host", "127.0.0.1", "--data-dir", str(tmp_path))
    server = start_child(
        [program, "start", "--no-browser", *where, *user],
        log_path=tmp_path / "server.log",
        env=os.environ | env,
    )
    try:
        until(lambda: accepts_connections(f"127.0.0.1:{port}"), lambda: "Label Studio")
        yield f"http://127.0.0.1:{port}"
    finally:
        stop_child(server, grace_s=5.0)


async def test_the_real_server_takes_cases_and_posts_annotations(label_studio: str) -> None:
    port, headers = free_port(), {"Authorization": f"Token {REAL_KEY}"}

    async with aiohttp.ClientSession(label_studio, headers=headers) as api:

        async def ask(path: str, body: Any) -> Any:
            async with api.post(path, json=body) as answer:
                assert answer.status == 201, await answer.text()
                return await answer.json()

        project = await ask("/api/projects", {"title": "Cases", "label_config": CONFIG})
        webhook = {"url": f"http://127.0.0.1:{port}{WEBHOOK}", "headers": headers}
        await ask("/api/webhooks/", webhook | {"project": project["id"]})
        address = f"{label_studio}/projects/{project['id']}?token={REAL_KEY}"
        async with bridged(address, port) as desk:
            await desk.bridge.import_cases([case()])
            async with api.get(f"/api/tasks?project={project['id']}") as answer:
                (task,) = (await answer.json())["tasks"]
            said = {"from_name": "right", "to_name": "case", "type": "choices"}
            result = [said | {"value": {"choices": ["0"]}}]
            await ask(f"/api/tasks/{task['id']}/annotations/", {"result": result})

    ((_, value),) = desk.outcomes
    outcome = Outcome.model_validate_json(value)
    assert (outcome.outcome, outcome.review_id) == (0, "car_loan/p1/1")
    assert outcome.reviewer == "1"
