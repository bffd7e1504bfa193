"""The parts of a deployment under exactly the rights that `acls` prints, and under one less."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from rich.console import Console

from agents.commands.status import firing
from agents.commands.verify import verify
from agents.errors import OperatorError
from agents.kafka.rights import Right, rights
from agents.kafka.watch import watch_topics
from agents.notify.destinations import read_destinations
from agents.notify.notify import NotifyOptions, notify
from agents.notify.routes import Route
from agents.settings import Settings, load_settings
from schemas.topics import Part
from tests.broker.conftest import Deploy
from tests.broker.deployment import ROOT, Deployment, RdProducer, command, until
from tests.broker.secure import (
    PRINCIPAL,
    Authority,
    as_env,
    give,
    secure_kafka,
    secure_settings,
    take,
    token,
)
from tests.broker.services import Service
from tests.conftest import require_kafka
from tests.doubles.receiver import Receiver
from tests.kafka import RealKafka

SERVICE = Service(model_id="pricing", rows=900, changed_from=600)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def guarded(folder: Path) -> Iterator[RealKafka]:
    require_kafka()
    with secure_kafka(folder) as broker:
        yield broker


async def user_of(deployment: Deployment, kafka: RealKafka, folder: Path, part: Part) -> Settings:
    """Return the settings of a user who has exactly the rights of a part."""
    plain = {name: getattr(deployment.settings, name) for name in ("prefix", "group", "models")}
    inputs = {name: getattr(deployment.settings, name) for name in ("predictions", "outcomes")}
    settings = load_settings(**plain, **inputs, **secure_settings(kafka, folder))
    await give(kafka, settings, rights(settings, part))
    return settings


async def test_worker_status_verify_health_and_notify_do_their_work_under_the_least_rights(
    guarded: RealKafka, folder: Path, deploy: Deploy
) -> None:
    deployment = deploy(guarded)
    secure = secure_settings(guarded, folder)
    user = await user_of(deployment, guarded, folder, "worker")
    worker = deployment.start_worker(**secure)
    outputs = deployment.outputs("labelled", "alerts")
    await asyncio.to_thread(RdProducer(deployment).publish, SERVICE.sent())
    await asyncio.to_thread(deployment.wait_for, outputs, "labelled", SERVICE.rows, worker)
    await asyncio.to_thread(deployment.wait_for, outputs, "alerts", 1, worker)
    healthy = await asyncio.to_thread(command, "health", env=deployment.env | as_env(secure))
    assert await asyncio.to_thread(worker.terminate) == os.EX_OK

    await take(guarded, user, rights(user, "worker"))
    await give(guarded, user, rights(user, "reader"))
    env = deployment.env | as_env(secure)
    verified = await asyncio.to_thread(command, "verify", env=env)
    status = await asyncio.to_thread(command, "status", env=env)
    await take(guarded, user, rights(user, "reader"))
    await give(guarded, user, rights(user, "notify"))
    async with Receiver() as receiver:
        to = ["notify", "--to", f"webhook={receiver.url}", "--to", f"alertmanager={receiver.url}"]
        notifier = deployment.start_worker(command=[str(ROOT / "tidegauge"), *to], **secure)
        await asyncio.to_thread(until, lambda: len(receiver.taken()) >= 2, notifier.log)
        assert await asyncio.to_thread(notifier.terminate) == os.EX_OK
    await take(guarded, user, rights(user, "notify"))

    assert healthy.stdout.endswith("is at work.\n"), healthy
    assert verified.returncode == os.EX_OK, verified
    assert "pricing" in status.stdout, status


async def test_each_right_of_a_worker_that_is_taken_away_is_named(
    guarded: RealKafka, folder: Path, deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.kafka.watch.KNOWN_S", 0.0)
    user = await user_of(deploy(guarded), guarded, folder, "worker")
    wanted = rights(user, "worker")
    topics = sorted({right.name for right in wanted if right.resource == "topic"})
    await watch_topics(user, topics, topics)

    for right in wanted:
        await take(guarded, user, [right])
        with pytest.raises(OperatorError) as refused:
            await watch_topics(user, topics, topics)
        await give(guarded, user, [right])

        assert is_named(right, str(refused.value)), (right, refused.value)
    await take(guarded, user, wanted)


def is_named(right: Right, told: str) -> bool:
    """Tell whether a sentence names a right, or a topic of which not even the name is shown."""
    is_hidden = f"{right.name}: no such topic" in told or "lacks READ on a group" in told
    return is_hidden or f"lacks {right.operation} on {right.resource} {right.name}" in told


async def audit(user: Settings) -> None:
    await verify(user, Console(quiet=True))


async def tell(user: Settings) -> None:
    options = NotifyOptions(
        destinations=read_destinations([Route("webhook=http://127.0.0.1:1")], "")
    )
    await asyncio.wait_for(notify(user, options), 30.0)


@pytest.mark.parametrize(("part", "act"), [("reader", audit), ("notify", tell)])
async def test_each_right_of_a_command_that_is_taken_away_is_named(
    guarded: RealKafka,
    folder: Path,
    deploy: Deploy,
    part: Part,
    act: Callable[[Settings], Awaitable[None]],
) -> None:
    user = await user_of(deploy(guarded), guarded, folder, part)
    async with AIOKafkaConsumer(
        bootstrap_servers=guarded.bootstrap, group_id=user.group, enable_auto_commit=False
    ) as consumer:
        first = TopicPartition(user.predictions, 0)
        consumer.assign([first])
        await consumer.commit({first: 0})

    for right in rights(user, part):
        await take(guarded, user, [right])
        with pytest.raises(OperatorError) as refused:
            await act(user)
        await give(guarded, user, [right])

        told = str(refused.value)
        assert right.name in told or "lacks READ on a group" in told, (right, told)
    await take(guarded, user, rights(user, part))


async def test_a_right_that_is_taken_from_a_worker_at_work_ends_it_with_its_name(
    guarded: RealKafka, folder: Path, deploy: Deploy
) -> None:
    deployment = deploy(guarded)
    user = await user_of(deployment, guarded, folder, "worker")
    taken = [
        Right("READ", "topic", user.topics.predictions),
        Right("READ", "group", user.group),
    ]
    for right in taken:
        worker = deployment.start_worker(**secure_settings(guarded, folder))
        await asyncio.to_thread(until, partial(worker.says, "Assigned"), worker.log)

        await take(guarded, user, [right])

        assert await asyncio.to_thread(worker.wait) == OperatorError.exit_code, worker.log()
        assert right.name in worker.messages()[-1]
        await give(guarded, user, [right])
    await take(guarded, user, rights(user, "worker"))


async def test_a_token_comes_from_a_file_that_is_read_for_each_connection(
    guarded: RealKafka, folder: Path, deploy: Deploy
) -> None:
    user = await user_of(deploy(guarded), guarded, folder, "reader")
    file = folder / "token"
    file.write_text(f"{token()}\n")
    fields = {name: getattr(user, name) for name in ("broker", "prefix", "group", "tls_ca_file")}
    bearer = load_settings(
        **fields, security_protocol="SASL_SSL", sasl_mechanism="OAUTHBEARER", token_file=str(file)
    )

    assert await firing(bearer, None) == []
    file.write_text(token("somebody"))
    with pytest.raises(OperatorError, match="no such topic"):
        await firing(bearer, None)
    file.write_text(token())
    assert await firing(bearer, None) == []
    await take(guarded, user, rights(user, "reader"))


async def test_an_authority_that_is_renewed_counts_for_the_next_connection(
    guarded: RealKafka, folder: Path
) -> None:
    file = folder / "trusted.pem"
    file.write_text(Authority(folder, "other").path.read_text())
    renewing = load_settings(**secure_settings(guarded, folder) | {"tls_ca_file": str(file)})
    context = renewing.connection()["ssl_context"]
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        await asyncio.open_connection("127.0.0.1", guarded.proxied_port, ssl=context)

    file.write_text((folder / "authority.pem").read_text())
    reader, writer = await asyncio.open_connection("127.0.0.1", guarded.proxied_port, ssl=context)

    assert not reader.at_eof()
    writer.close()

    file.write_text("-----BEGIN CERTIFICATE-----\nhalf a renewal")
    reader, writer = await asyncio.open_connection("127.0.0.1", guarded.proxied_port, ssl=context)
    assert not reader.at_eof()
    writer.close()


def test_the_commands_that_are_printed_name_the_principal(deploy: Deploy) -> None:
    printed = command("acls", "--principal", PRINCIPAL).stdout.splitlines()

    assert all(f"--allow-principal '{PRINCIPAL}'" in line for line in printed)
