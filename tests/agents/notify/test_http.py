from __future__ import annotations

import asyncio

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from agents.demo.embedded_broker import free_port
from agents.errors import OperatorError
from agents.notify.http import (
    Backoff,
    HttpSender,
    Rejection,
    Request,
    open_session,
    without_secrets,
)
from agents.notify.notify import sender_figures
from tests.doubles.receiver import Answer, Receiver
from tests.patience import PATIENCE_S

QUICK = Backoff(first_s=0.01, longest_s=0.02, longest_asked_s=0.3)
HERON = "blue-heron"


async def deliver(url: str, backoff: Backoff = QUICK, body: bytes = b"{}") -> Rejection | None:
    request = Request(url=SecretStr(url), body=body)

    async def make() -> Request:
        return request

    async with open_session() as session:
        return await HttpSender(session, "The target", SecretStr(HERON), backoff).deliver(make)


async def test_what_is_taken_is_sent_once() -> None:
    async with Receiver() as receiver:
        assert await deliver(f"{receiver.url}/hook", body=b'{"a": 1}') is None

    (post,) = receiver.posts
    assert (post.path, post.json()) == ("/hook", {"a": 1})
    assert post.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
async def test_a_target_that_is_busy_is_tried_until_it_takes(status: int) -> None:
    async with Receiver(lambda n: Answer(status) if n < 4 else Answer(202)) as receiver:
        assert await deliver(receiver.url) is None

    assert [post.status for post in receiver.posts] == [status] * 4 + [202]


async def test_a_target_that_does_not_listen_yet_is_waited_for() -> None:
    receiver = Receiver()
    delivering = asyncio.create_task(deliver(receiver.url))
    await asyncio.sleep(0.1)

    async with receiver:
        assert await asyncio.wait_for(delivering, PATIENCE_S) is None

    assert len(receiver.posts) == 1


@pytest.mark.parametrize("status", [301, 307, 401, 403, 404, 410])
async def test_a_wrong_address_or_key_ends_the_process(status: int) -> None:
    elsewhere = {"Location": "/elsewhere"} if status < 400 else {}
    async with Receiver(lambda _: Answer(status, f"no such {HERON}", elsewhere)) as receiver:
        with pytest.raises(OperatorError, match=f"The target answers {status}") as caught:
            await deliver(f"{receiver.url}/{HERON}")

    assert len(receiver.posts) == 1
    assert HERON not in str(caught.value)


async def test_a_request_that_is_wrong_is_not_repeated_and_200_characters_say_why() -> None:
    async with Receiver(lambda _: Answer(400, f"bad {HERON}\x1b[31m" + "x" * 500)) as receiver:
        refusal = await deliver(receiver.url)

    assert refusal is not None
    assert refusal.status == 400
    assert refusal.text.startswith("bad (hidden)\N{REPLACEMENT CHARACTER}[31mxxx")
    assert len(refusal.text) == 200
    assert len(receiver.posts) == 1


@pytest.mark.parametrize(
    ("asked", "least_s"),
    [
        ("0", 0.0),
        ("1", 0.3),
        ("soon", 0.0),
        ("Fri, 01 Jan 2100 00:00:00 +0000", 0.3),
        ("Mon, 23 Nov 2020 10:00:00 +0000", 0.0),
        ("Mon, 23 Nov 2026 10:00:00", 0.0),
    ],
)
async def test_what_a_target_asks_for_is_granted_within_bounds(asked: str, least_s: float) -> None:
    busy = Answer(429, headers={"Retry-After": asked})
    loop = asyncio.get_running_loop()
    async with Receiver(lambda n: busy if n == 0 else Answer()) as receiver:
        began_s = loop.time()
        assert await asyncio.wait_for(deliver(receiver.url), 10) is None
        took_s = loop.time() - began_s

    assert took_s >= least_s
    assert len(receiver.posts) == 2


async def test_every_try_is_made_anew_and_nothing_left_to_say_ends_it() -> None:
    made: list[int] = []

    async with Receiver(lambda _: Answer(503)) as receiver, open_session() as session:

        async def make() -> Request | None:
            made.append(len(made))
            return Request(url=SecretStr(receiver.url), body=b"{}") if len(made) < 3 else None

        sender = HttpSender(session, "The target", SecretStr(HERON), QUICK)
        assert await sender.deliver(make) is None

    assert (len(made), len(receiver.posts), sender.retries) == (3, 2, 2)


async def test_an_outage_is_said_once_in_a_while_and_its_end_is_said() -> None:
    async with Receiver(lambda n: Answer(503 if n < 6 else 200)) as receiver:
        with capture_logs() as told:
            await deliver(f"{receiver.url}/{HERON}")

    assert [each["log_level"] for each in told] == ["warning", "info"]
    assert "is unavailable: it answers 503" in told[0]["event"]
    assert "is available again after" in told[1]["event"]
    assert HERON not in str(told)


async def test_a_connection_that_fails_is_told_without_the_address() -> None:
    with capture_logs() as told:
        delivering = asyncio.create_task(deliver(f"http://127.0.0.1:{free_port()}/{HERON}"))
        while not told:  # noqa: ASYNC110 - a plain list
            await asyncio.sleep(0.01)
        delivering.cancel()
        await asyncio.wait([delivering])

    assert "is unavailable: no connection" in told[0]["event"]
    assert HERON not in str(told)


def test_nothing_that_may_be_a_secret_is_in_a_requests_repr() -> None:
    request = Request(
        url=SecretStr(f"http://x/{HERON}"), body=HERON.encode(), headers={"Authorization": HERON}
    )

    assert HERON not in repr(request)


@pytest.mark.parametrize(
    "said",
    ["/hooks/T0/blue-heron", "blue-heron", "red-fox", "token=red-fox", "ann-user", "owl-pass"],
)
def test_no_part_of_an_address_is_repeated(said: str) -> None:
    address = SecretStr("https://ann-user:owl-pass@example.org/hooks/T0/blue-heron?token=red-fox")

    assert without_secrets(f"no hook {said}!", address) == "no hook (hidden)!"
    assert without_secrets("no such id", address) == "no such id"


@pytest.mark.parametrize("said", ["al", "pw", "s%2Fx9q", "s/x9q", "onlysecretkey"])
def test_users_and_passwords_are_hidden_at_any_length_and_queries_as_they_were_sent(
    said: str,
) -> None:
    address = SecretStr("https://al:pw@example.org/x?k=s%2Fx9q&onlysecretkey&a=b")

    assert without_secrets(f"no hook {said}!", address) == "no hook (hidden)!"


async def test_the_answers_and_the_retries_of_a_target_are_counted() -> None:
    async def make() -> Request:
        return Request(url=SecretStr(receiver.url), body=b"{}")

    async with (
        Receiver(lambda n: Answer([503, 200, 422][n])) as receiver,
        open_session() as session,
    ):
        sender = HttpSender(session, "The target", SecretStr(HERON), QUICK)
        await sender.deliver(make)
        await sender.deliver(make)

    samples = [each for found in sender_figures({"webhook-1": sender}) for each in found.samples]
    assert {(each.name, *each.labels.values()): each.value for each in samples} == {
        ("tidegauge_notifications_total", "webhook-1", "accepted"): 1,
        ("tidegauge_notifications_total", "webhook-1", "rejected"): 1,
        ("tidegauge_notification_retries_total", "webhook-1"): 1,
        ("tidegauge_target_unavailable_seconds", "webhook-1"): 0,
    }
