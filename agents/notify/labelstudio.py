"""Reviews in Label Studio: open cases become tasks, annotations come back as verdicts.

Rule 1. A task is imported by `POST /api/projects/ID/import`, and the offset of its case committed
        once that is accepted: at least once, in order. A second annotation of one case by the same
        person counts for nothing.
Rule 2. A case that is over, or that a later record of the same fetch closes, becomes no task.
Rule 3. Label Studio posts each annotation to a webhook. It is answered with success once the
        verdict is in `outcomes`: Label Studio does not repeat what was refused.
Rule 4. The webhook takes requests with the key of the project's user alone, in the header
        `Authorization: Token KEY`: whoever may write a verdict may change what is said of a model.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from aiohttp import web
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError
from pydantic import SecretStr, ValidationError
from yarl import URL

from agents.errors import OperatorError
from agents.notify.http import HttpSender, Request
from agents.notify.selection import ALL, Selection
from agents.telemetry import get_logger
from schemas.outcome import Outcome
from schemas.review import Review
from schemas.wire import to_rfc3339

WEBHOOK = "/annotations"
_ACTIONS = frozenset({"ANNOTATION_CREATED", "ANNOTATION_UPDATED"})
_PROJECT = re.compile(r"(?P<base>.*)/projects/(?P<number>\d+)(?:/data)?/?")
_POLL_MS = 500
_MOST_BYTES = 1024 * 1024
"""Bytes of an annotation: 256 KiB is the largest payload of a prediction."""
_BOOLEANS = {"true": True, "false": False}
Json = dict[str, Any]
Publish = Callable[[bytes, bytes], Awaitable[object]]
_log = get_logger(__name__)


class Project(NamedTuple):
    """A project of Label Studio.

    Parameters
    ----------
    tasks
        The address to which tasks are posted.
    key
        The access token of a user.
    """

    tasks: str
    key: SecretStr


def project_of(address: str) -> Project:
    """Read `https://HOST/projects/NUMBER?token=KEY`.

    Raises
    ------
    OperatorError
        When it has another form; the value is not repeated.
    """
    url = URL(address)
    found = _PROJECT.fullmatch(url.path)
    key = url.query.get("token", "")
    if found is None or not key:
        msg = (
            "--to labelstudio: write the address of a project with a user's access token, as "
            "https://HOST/projects/NUMBER?token=KEY; better in a file: labelstudio=FILE"
        )
        raise OperatorError(msg)
    path = f"{found['base']}/api/projects/{found['number']}/import"
    return Project(str(url.with_path(path).with_query(None).with_user(None)), SecretStr(key))


def open_cases(records: Sequence[bytes | None], selection: Selection, now_ms: int) -> list[Review]:
    """Return the cases that wait at the end of some records (Rule 2)."""
    latest: dict[str, Review] = {}
    for value in records:
        try:
            case = Review.model_validate_json(value or b"")
        except ValidationError:
            continue
        latest[case.review_id] = case
    now = to_rfc3339(now_ms)
    return [
        case
        for case in latest.values()
        if case.status == "open" and case.due_at > now and selection.wants_model(case.model_id)
    ]


def task_of(case: Review, project: Project) -> Request:
    """Return the request that imports a case as a task."""
    data = case.model_dump(
        mode="json", exclude={"type", "status", "verdict", "source", "reviewer", "features"}
    )
    answer = orjson.dumps(case.answer).decode()
    score = "" if case.score is None else f", score {case.score:.3f}"
    lines = [f"Model {case.model_id} answered {answer}{score}. What is right?"]
    lines += [f"{name}: {value}" for name, value in (case.features or {}).items()]
    body = orjson.dumps([{"data": data | {"text": "\n".join(lines)}}])
    return Request(url=SecretStr(project.tasks), body=body, headers=_authorised(project))


def verdict_of(event: Mapping[str, Any], now_ms: int) -> Json | None:
    """Return the outcome that an annotation says; None for another event.

    Raises
    ------
    ValueError
        When it is about no case of ours, or says nothing that an answer could be.
    """
    annotation, task = event.get("annotation") or {}, event.get("task") or {}
    if event.get("action") not in _ACTIONS or annotation.get("was_cancelled"):
        return None
    data = task.get("data") or {}
    said = _said(annotation.get("result") or [])
    by = annotation.get("completed_by")
    at = annotation.get("updated_at") or annotation.get("created_at")
    fields: Json = {
        "prediction_id": data.get("prediction_id"),
        "model_id": data.get("model_id"),
        "observed_at": _instant(at) or now_ms,
        "outcome": _label(said, data.get("answer")),
        "source": "review",
        "review_id": data.get("review_id"),
        "reviewer": str(by.get("email") if isinstance(by, dict) else by or "labelstudio"),
    }
    try:
        Outcome.model_validate(fields)
    except ValidationError as error:
        names = ", ".join(str(each["loc"][0]) for each in error.errors())
        raise ValueError(f"it is about no case of Tidegauge: {names}") from error
    return fields


class LabelStudio:
    """The bridge to one project, in both directions.

    Parameters
    ----------
    project
        The project.
    consumer
        Of a group, subscribed to nothing yet.
    topic
        The name of ``reviews``.
    sender
        Delivers tasks.
    publish
        Appends an outcome: its key and value.
    selection
        Whose cases.
    now_ms
        Epoch milliseconds by the wall clock.
    """

    def __init__(
        self,
        project: Project,
        consumer: AIOKafkaConsumer,
        topic: str,
        sender: HttpSender,
        *,
        publish: Publish,
        now_ms: Callable[[], int],
        selection: Selection = ALL,
    ) -> None:
        self._project = project
        self._consumer = consumer
        self._topic = topic
        self._sender = sender
        self._publish = publish
        self._now_ms = now_ms
        self._selection = selection
        self.tasks = 0
        self.verdicts = 0

    async def run(self) -> None:
        """Follow the cases until cancelled."""
        try:
            self._consumer.subscribe([self._topic])
            await self._consumer.start()
            while True:
                for tp, records in (await self._consumer.getmany(timeout_ms=_POLL_MS)).items():
                    await self.import_cases([record.value for record in records])
                    await self._commit(tp, records[-1].offset + 1)
        finally:
            _log.info(
                f"{self._sender.name} received {self.tasks:,} tasks and sent {self.verdicts:,} "
                "verdicts"
            )
            await self._consumer.stop()

    async def import_cases(self, records: Sequence[bytes | None]) -> None:
        """Import the cases that wait at the end of some records."""
        for case in open_cases(records, self._selection, self._now_ms()):
            request = task_of(case, self._project)

            async def make(request: Request = request) -> Request:
                return request

            rejection = await self._sender.deliver(make)
            if rejection is None:
                self.tasks += 1
            else:
                _log.error(
                    f"{self._sender.name} rejects a task ({rejection.status}), which is skipped: "
                    f"{rejection.text}",
                    review_id=case.review_id,
                )

    def app(self) -> web.Application:
        """Return the server of the webhook."""
        app = web.Application(client_max_size=_MOST_BYTES)
        app.router.add_post(WEBHOOK, self._on_annotation)
        return app

    async def _on_annotation(self, request: web.Request) -> web.Response:
        expected = _authorised(self._project)["Authorization"].encode()
        if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), expected):
            return web.Response(status=403, text="The header Authorization: Token KEY is expected.")
        try:
            event = orjson.loads(await request.read())
            verdict = verdict_of(event if isinstance(event, dict) else {}, self._now_ms())
        except ValueError as error:
            _log.warning(f"An annotation of {self._sender.name} is refused: {error}")
            return web.Response(status=400, text=str(error))
        if verdict is not None:
            await self._publish(verdict["model_id"].encode(), orjson.dumps(verdict))
            self.verdicts += 1
        return web.Response(text="taken")

    async def _commit(self, tp: TopicPartition, offset: int) -> None:
        try:
            await self._consumer.commit({tp: offset})
        except (CommitFailedError, IllegalStateError):
            _log.info(f"{tp.topic}-{tp.partition} belongs to another member of the group now")


def _authorised(project: Project) -> dict[str, str]:
    return {"Authorization": f"Token {project.key.get_secret_value()}"}


def _said(results: Sequence[Mapping[str, Any]]) -> str:
    """Return the choice, the number or the text of an annotation.

    Raises
    ------
    ValueError
        When it has none.
    """
    for result in results:
        value = result.get("value") or {}
        for name in ("choices", "number", "text"):
            found = value.get(name)
            first = found[0] if isinstance(found, list) and found else found
            if isinstance(first, str | int | float):
                return str(first)
    msg = "it has no choice, number or text"
    raise ValueError(msg)


def _label(said: str, answer: Any) -> Any:
    """Return a choice in the type of the model's answer.

    Raises
    ------
    ValueError
        When it has no such form.
    """
    if isinstance(answer, bool):
        if said.lower() not in _BOOLEANS:
            msg = "a choice is true or false, as the answers of the model"
            raise ValueError(msg)
        return _BOOLEANS[said.lower()]
    if isinstance(answer, int | float):
        return type(answer)(said)
    return said


def _instant(text: Any) -> int | None:
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1_000)
    except (TypeError, ValueError):
        return None
