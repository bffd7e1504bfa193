from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import structlog
from pydantic import SecretStr

from agents.telemetry import RateLimit, configure_logging, get_logger
from agents.text import escaped, harmless, harmless_output, printable


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_in_a_pipe_each_event_is_one_line_of_json() -> None:
    pipe = io.StringIO()
    configure_logging(stream=pipe)

    get_logger("agents.worker.monitor").warning("Alert: %s", "two\nlines", alert_id="a1", rows=3)

    (event,) = lines(pipe)
    assert list(event)[:4] == ["at", "level", "logger", "message"]
    assert event.pop("at").endswith("Z")
    assert event == {
        "level": "warning",
        "logger": "agents.worker.monitor",
        "message": "Alert: two\nlines",
        "alert_id": "a1",
        "rows": 3,
    }


def test_on_a_terminal_a_person_reads_the_sentence_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    configure_logging(stream=terminal)

    get_logger("agents.worker.monitor").info("Assigned 4 partitions", topic="events")

    (line,) = terminal.getvalue().splitlines()
    assert "Assigned 4 partitions" in line
    assert "topic=events" in line
    assert line.index("Assigned") < line.index("topic")


def test_a_terminal_has_colours_unless_they_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    escapes = []
    for refuses in (False, True):
        monkeypatch.delenv("NO_COLOR", raising=False)
        if refuses:
            monkeypatch.setenv("NO_COLOR", "1")
        terminal = Terminal()
        configure_logging(stream=terminal)
        get_logger("agents").info("Started")
        escapes.append("\x1b[" in terminal.getvalue())

    assert escapes == [True, False]


@pytest.mark.parametrize("name", ["aiokafka.consumer", "faust", "mode.worker", "kafka.net"])
def test_libraries_are_heard_from_warning_up_and_in_the_same_form(name: str) -> None:
    pipe = io.StringIO()
    configure_logging("debug", stream=pipe)

    logging.getLogger(name).info("chatter")
    logging.getLogger(name).warning("Lost %d connections", 2)

    assert [(each["logger"], each["message"]) for each in lines(pipe)] == [
        (name, "Lost 2 connections")
    ]


def test_the_steps_of_a_librarys_services_are_not_said_in_our_name() -> None:
    pipe = io.StringIO()
    configure_logging(stream=pipe)

    logging.getLogger("agents.worker.app").info("[^WorkerApp]: Starting...")
    logging.getLogger("agents.worker.app").error("[^WorkerApp]: Crashed")
    logging.getLogger("aiokafka.consumer").error("Group Coordinator Request failed: %s", "15")

    assert [each["message"] for each in lines(pipe)] == ["[^WorkerApp]: Crashed"]


def test_what_is_below_the_level_is_not_said() -> None:
    pipe = io.StringIO()
    configure_logging("error", stream=pipe)

    get_logger("agents").warning("Quiet")
    logging.getLogger("faust").warning("quiet too")
    get_logger("agents").error("Loud")

    assert [each["message"] for each in lines(pipe)] == ["Loud"]


@pytest.mark.parametrize("terminal", [False, True])
def test_no_secret_is_ever_written(terminal: bool) -> None:
    stream = Terminal() if terminal else io.StringIO()
    configure_logging(stream=stream)
    log = get_logger("agents")
    password = "hunter2"  # noqa: S105 - the bait

    log.info(
        "Connecting",
        sasl_plain_password=password,
        connection={"sasl": {"sasl_plain_password": password}, "api_key": password},
        held=SecretStr(password),
    )
    logging.getLogger("aiokafka").warning("Refused", extra={"client_secret": password})
    try:
        [][len(password)]
    except IndexError:
        log.exception("Failed")

    assert "Connecting" in stream.getvalue()
    assert "Traceback" in stream.getvalue()
    assert password not in stream.getvalue()


def test_the_first_of_a_kind_is_said_and_the_rest_are_counted() -> None:
    limit = RateLimit(every_s=10.0)

    taken = [limit.admit("not_json", now_s) for now_s in (0.0, 0.1, 9.9, 10.0, 10.1)]

    assert taken == [0, None, None, 2, None]


def test_each_code_has_its_own_limit() -> None:
    limit = RateLimit(every_s=10.0)

    assert [limit.admit(code, 0.0) for code in ("a", "b", "a")] == [0, 0, None]


def test_a_clock_set_back_does_not_silence_for_ever() -> None:
    limit = RateLimit(every_s=10.0)
    limit.admit("a", 1_000.0)

    assert limit.admit("a", 5.0) == 0


@pytest.mark.parametrize(
    "mark", ["\u202e", "\u2066", "\u200f", "\u2028", "\u2029", "\u061c", "\x85"]
)
def test_marks_of_direction_and_line_separators_are_replaced_or_escaped(mark: str) -> None:
    line = orjson.dumps({"model": f"a{mark}b"})

    assert printable(f"a{mark}b") == "a\N{REPLACEMENT CHARACTER}b"
    assert escaped(line).isascii()
    assert orjson.loads(escaped(line)) == {"model": f"a{mark}b"}


def test_what_a_command_prints_into_a_pipe_has_its_marks_of_direction_escaped(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with harmless_output():
        print('{"model": "a\u202eb\u2028c"}')  # noqa: T201 - what a command does
    print("after")  # noqa: T201

    assert capsys.readouterr().out == '{"model": "a\\u202eb\\u2028c"}\nafter\n'
    assert harmless("a\u202eb", is_terminal=True) == "a\N{REPLACEMENT CHARACTER}b"


def test_a_name_from_outside_does_not_steer_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    configure_logging(stream=terminal)

    get_logger("agents").warning("Alert of %s", "m\x1b[2J\r\nroot: all is well", model="m\x9b2J")

    assert len(terminal.getvalue().splitlines()) == 1
    assert not set(terminal.getvalue()) & {"\x1b", "\r", "\x9b"}


def test_what_a_library_repeats_is_said_once_in_a_while() -> None:
    pipe = io.StringIO()
    configure_logging(stream=pipe)

    for _ in range(100):
        logging.getLogger("aiokafka.conn").warning("Unable to connect to %s", "a broker")
    for _ in range(3):
        get_logger("agents.worker.monitor").warning("Alert")

    assert [event["logger"] for event in lines(pipe)] == [
        "aiokafka.conn",
        *["agents.worker.monitor"] * 3,
    ]
