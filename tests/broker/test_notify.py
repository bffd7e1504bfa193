"""What is told to whom, while targets fail and the process is killed.

Tests with a restart run on Apache Kafka alone: the embedded broker is slow to let a consumer go.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from agents.demo.embedded_broker import EmbeddedBroker
from agents.errors import FileError, OperatorError
from schemas.alert import Alert
from tests.agents.running import until
from tests.broker import Broker, publish
from tests.broker.conftest import Deploy
from tests.broker.deployment import ROOT, Deployment, Worker, command
from tests.doubles.alerts import alert, record, status_of
from tests.doubles.receiver import Answer, Receiver
from tests.kafka import RealKafka
from tests.patience import PATIENCE_S

KEY = "0123456789abcdef0123456789abcdef"
PARTITIONS = 4


def fingerprint(n: int) -> str:
    return f"{n:032x}"


def story(alerts: int) -> list[Alert]:
    """Return alerts that fire, go on, and are over."""
    return [
        alert(status, fingerprint=fingerprint(n))
        for status in ("firing", "ongoing", "resolved")
        for n in range(alerts)
    ]


def notify(deployment: Deployment, *arguments: str) -> Worker:
    """Start one ``./tidegauge notify``."""
    return deployment.start_worker(command=[str(ROOT / "tidegauge"), "notify", *arguments])


async def say(deployment: Deployment, *transitions: Alert) -> None:
    """Publish transitions to the partition of their alert."""
    for each in transitions:
        await put(deployment, "alerts", each.fingerprint, record(each))


async def put(deployment: Deployment, topic: str, fingerprint: str, value: bytes) -> None:
    name = f"{deployment.settings.prefix}{topic}"
    partition, key = int(fingerprint, 16) % PARTITIONS, fingerprint.encode()
    await asyncio.to_thread(publish, deployment.broker, name, [value], partition=partition, key=key)


async def begun(*notifiers: Worker) -> None:
    """Return once every partition has its beginning."""

    def is_begun(notifier: Worker) -> bool:
        return sum(" begins in " in each for each in notifier.messages()) == PARTITIONS

    await until(lambda: all(map(is_begun, notifiers)), "a beginning of every partition")


def ids(receiver: Receiver) -> list[str]:
    return [post.json()["alert_id"] for post in receiver.taken()]


def tally_of(notifier: Worker) -> dict[str, Any]:
    """Return what it says at its end."""
    (tally,) = (each for each in notifier.entries() if "delivered" in each)
    return tally


def arguments_of(notifier: Worker) -> str:
    """Return what the list of processes shows of it."""
    return Path(f"/proc/{notifier.process.pid}/cmdline").read_text()


async def ended(notifier: Worker) -> int:
    return await asyncio.to_thread(notifier.wait)


async def test_an_outage_and_a_kill_in_its_middle_lose_nothing(
    kafka: RealKafka, deploy: Deploy
) -> None:
    told = story(3)
    expected = [each.alert_id for each in told]
    async with Receiver() as receiver:
        deployment = deploy(kafka)
        to = f"webhook={receiver.url}/hook"
        first = notify(deployment, "--to", to)
        await begun(first)
        await say(deployment, told[0])
        await until(lambda: ids(receiver) == expected[:1], "the alert before the outage")
        receiver.answer = lambda _: Answer(503)
        await say(deployment, *told[1:])
        await until(lambda: receiver.posts[-1].status == 503, "a try in the outage")

        first.kill()
        second = notify(deployment, "--to", to)
        tries = len(receiver.posts)
        await until(lambda: len(receiver.posts) > tries, "a try of the next process")
        receiver.answer = lambda _: Answer()
        await until(lambda: set(ids(receiver)) == set(expected), "every alert")

        assert await asyncio.to_thread(second.terminate) == os.EX_OK
    for n in range(3):
        of_one = [each for each in dict.fromkeys(ids(receiver)) if each.endswith(fingerprint(n))]
        assert of_one == [each for each in expected if each.endswith(fingerprint(n))]
    assert "Traceback" not in second.log()


async def test_a_target_that_is_away_holds_back_no_other(
    embedded: EmbeddedBroker, deploy: Deploy
) -> None:
    told = story(2)
    async with Receiver(lambda _: Answer(503)) as away, Receiver() as there:
        deployment = deploy(embedded)
        notifier = notify(
            deployment, "--to", f"webhook={away.url}/", "--to", f"webhook={there.url}/"
        )
        await until(lambda: notifier.log().count(" begins in ") == 2 * PARTITIONS, "beginnings")

        await say(deployment, *told)

        await until(lambda: len(ids(there)) == len(told), "everything at the target that works")
        assert ids(away) == []
        away.answer = lambda _: Answer()
        await until(lambda: len(ids(away)) == len(told), "everything at the other, later")


async def test_who_was_never_told_anything_begins_with_what_fires_now(
    broker: Broker, deploy: Deploy
) -> None:
    over, firing, taken, muted = (alert(fingerprint=fingerprint(n)) for n in range(4))
    async with Receiver() as receiver:
        deployment = deploy(broker)
        await say(deployment, over, firing, taken, muted)
        await say(deployment, alert("resolved", fingerprint=over.fingerprint))
        by_ana = {"by": "ana", "at": "2026-03-01T11:00:00.000Z", "because": None}
        until_2099 = "2099-01-01T00:00:00.000Z"
        for value in (
            status_of(taken, acknowledged=by_ana),
            status_of(muted, muted_until=until_2099),
        ):
            await put(deployment, "status", orjson.loads(value)["fingerprint"], value)
        key_file = deployment.log_path.with_name("key")
        key_file.write_text(KEY)

        notifier = notify(
            deployment, *("--to", f"pagerduty={key_file}", "--pagerduty-url", f"{receiver.url}/v2")
        )
        await begun(notifier)
        await say(deployment, alert("resolved", fingerprint=firing.fingerprint))
        await until(lambda: len(receiver.taken()) == 3, "what fires, and what is over since")

        events = [post.json() for post in receiver.taken()]
        name = deployment.settings.deployment
        assert {(each["event_action"], each["dedup_key"]) for each in events} == {
            ("trigger", f"{name}/{firing.fingerprint}"),
            ("acknowledge", f"{name}/{taken.fingerprint}"),
            ("resolve", f"{name}/{firing.fingerprint}"),
        }
        assert KEY not in arguments_of(notifier)
        assert await asyncio.to_thread(notifier.terminate) == os.EX_OK
        assert KEY not in notifier.log()
        tally = tally_of(notifier)
        assert (tally["delivered"], tally["left_out"], tally["repeated"]) == (3, 1, 0)


async def test_a_wrong_address_ends_the_process_and_loses_nothing(
    kafka: RealKafka, deploy: Deploy
) -> None:
    told = story(1)
    async with Receiver(lambda _: Answer(404)) as receiver:
        deployment = deploy(kafka)
        to = f"webhook={receiver.url}/"
        first = notify(deployment, "--to", to)
        await begun(first)
        await say(deployment, *told)

        assert await ended(first) == OperatorError.exit_code
        assert f"{receiver.url} answers 404: the address or the key is wrong" in first.log()
        assert "Traceback" not in first.log()
        receiver.answer = lambda _: Answer()
        notify(deployment, "--to", to)
        await until(lambda: len(ids(receiver)) == len(told), "everything, later")


async def test_what_is_refused_or_cannot_be_read_is_said_once_and_passed_over(
    embedded: EmbeddedBroker, deploy: Deploy
) -> None:
    told = story(1)
    async with Receiver(lambda n: Answer(400 if n == 0 else 200, "no <such> field")) as receiver:
        deployment = deploy(embedded)
        notifier = notify(deployment, "--to", f"webhook={receiver.url}/")
        await begun(notifier)

        await put(deployment, "alerts", told[0].fingerprint, b'{"type": "of another century"}')
        await say(deployment, *told)

        await until(lambda: len(ids(receiver)) == 2, "what follows the refusal")
        errors = [each["message"] for each in notifier.entries() if each["level"] == "error"]
        assert len(errors) == 2
        assert "offset 0 cannot be read by this version" in errors[0]
        assert "rejects an alert (400), which is skipped: no <such> field" in errors[1]
        assert notifier.terminate() == os.EX_OK
        tally = tally_of(notifier)
        assert (tally["delivered"], tally["rejected"], tally["unreadable"]) == (2, 1, 1)


async def test_what_a_worker_repeats_is_not_told_again_not_even_after_a_restart(
    kafka: RealKafka, deploy: Deploy
) -> None:
    told = story(1)
    async with Receiver() as receiver:
        deployment = deploy(kafka)
        to = f"webhook={receiver.url}/"
        first = notify(deployment, "--to", to)
        await begun(first)
        await say(deployment, *told, *told)
        await until(lambda: len(receiver.posts) == len(told), "each transition")
        assert await asyncio.to_thread(first.terminate) == os.EX_OK

        second = notify(deployment, "--to", to)
        over = alert("resolved", fingerprint=fingerprint(0), alert_id="the last")
        await say(deployment, *told, over)

        await until(lambda: "the last" in ids(receiver), "what is new")
        assert ids(receiver) == [each.alert_id for each in (*told, over)]
        assert await asyncio.to_thread(second.terminate) == os.EX_OK


async def test_a_dry_run_prints_what_would_come_first_and_sends_and_commits_nothing(
    embedded: EmbeddedBroker, deploy: Deploy
) -> None:
    firing = alert(fingerprint=fingerprint(1))
    async with Receiver() as receiver:
        deployment = deploy(embedded)
        await say(deployment, firing)
        await put(deployment, "status", firing.fingerprint, status_of(firing))
        key_file = deployment.log_path.with_name("key")
        key_file.write_text(KEY)
        targets = (f"alertmanager={receiver.url}", f"pagerduty={key_file}", f"slack={receiver.url}")

        def dry_run() -> list[dict[str, object]]:
            told = [part for each in targets for part in ("--to", each)]
            run = command("notify", "--dry-run", *told, env=deployment.env)
            assert (run.returncode, run.stderr) == (0, "")
            assert KEY not in run.stdout
            return [orjson.loads(line) for line in run.stdout.splitlines()]

        first = await asyncio.to_thread(dry_run)
        notifier = notify(deployment, "--to", targets[2])
        async with asyncio.timeout(PATIENCE_S):  # until what fires is told and committed
            while any(each["to"] == "slack" for each in await asyncio.to_thread(dry_run)):
                pass
        assert await asyncio.to_thread(notifier.terminate) == os.EX_OK
        after = alert("resolved", fingerprint=firing.fingerprint)
        await say(deployment, after)
        second = await asyncio.to_thread(dry_run)

    assert [each["to"] for each in first] == ["alertmanager", "pagerduty", "slack"]
    assert [each["to"] for each in second] == ["alertmanager", "slack"]
    assert "RESOLVED" in str(second[1]["body"])
    assert len(receiver.posts) == 1


async def test_ctrl_c_in_an_outage_stops_it_in_good_order(
    embedded: EmbeddedBroker, deploy: Deploy
) -> None:
    async with Receiver(lambda _: Answer(503)) as receiver:
        deployment = deploy(embedded)
        notifier = notify(deployment, "--to", f"slack={receiver.url}/blue-heron")
        await begun(notifier)
        await say(deployment, alert())
        await until(lambda: bool(receiver.posts), "a try")

        assert await asyncio.to_thread(notifier.interrupt) == os.EX_OK
    assert notifier.messages()[-1] == "Stopped"
    assert "Traceback" not in notifier.log()
    assert notifier.says("Slack at")
    assert "blue-heron" not in notifier.log()


@pytest.mark.parametrize(
    ("arguments", "exit_code", "told"),
    [
        (["--to", "pagerduty=/nowhere/key"], FileError.exit_code, "no such file '/nowhere/key'"),
        (["--to", "slak=http://x"], 2, "did you mean slack"),
        (["--to", "webhook=http://x/", "--to", "webhook=http://x/"], 2, "twice"),
        (["--to", "webhook=http://x/", "--links", "docs"], 2, "--links"),
        (["--to", "webhook=http://x/"], OperatorError.exit_code, "topics create"),
        ([], 2, "--to"),
    ],
)
def test_a_mistake_is_told_before_anything_starts(
    embedded: EmbeddedBroker, prefix: str, arguments: list[str], exit_code: int, told: str
) -> None:
    env = {"TIDEGAUGE_BROKER": embedded.bootstrap, "TIDEGAUGE_PREFIX": prefix}

    run = command("notify", *arguments, env=env)

    assert run.returncode == exit_code
    assert told in run.stderr
    assert "Traceback" not in run.stderr
    assert not run.stdout
