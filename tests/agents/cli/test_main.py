from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from agents.cli.main import cli, main
from agents.demo.embedded_broker import EmbeddedBroker, answers_metadata, free_port
from schemas.topics import model_partition
from tests.broker import Broker, publish
from tests.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[3]
TIDEGAUGE = [sys.executable, "-P", "-m", "agents"]


def environment(**settings: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **settings}


def run(arguments: Sequence[str], **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*TIDEGAUGE, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        env=environment(**settings),
    )


def commands() -> list[list[str]]:
    found = []
    for name, command in cli.commands.items():
        found.append([name])
        found.extend([name, each] for each in getattr(command, "commands", {}))
    return found


@pytest.mark.parametrize("command", [[], *commands()], ids=" ".join)
def test_every_command_explains_itself(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--help"]) == 0

    told = capsys.readouterr().out
    is_group = not command or command in (["topics"], ["models"], ["sources"])
    assert told.startswith("Usage: tidegauge")
    assert is_group or "Examples:\n    ./tidegauge" in told


@pytest.mark.parametrize(
    "mistake", [["nonsense"], ["tail", "nonsense"], ["broker", "--port", "0"], ["tail"]]
)
def test_wrong_usage_is_exit_code_2(mistake: list[str]) -> None:
    assert main(mistake) == 2


def test_a_setting_that_is_wrong_is_one_line_with_its_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["topics", "list", "--broker", "nowhere"]) == 78

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Error: ")
    assert "TIDEGAUGE_BROKER" in line


def test_a_broker_that_is_away_is_one_line_and_no_traceback() -> None:
    done = run(["topics", "list"], TIDEGAUGE_BROKER=f"127.0.0.1:{free_port()}")

    assert done.returncode == 69
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1


def test_topics_are_created_once_and_listed_as_json_lines(broker: Broker, prefix: str) -> None:
    settings = {
        "TIDEGAUGE_BROKER": broker.bootstrap,
        "TIDEGAUGE_PREFIX": prefix,
        "TIDEGAUGE_PREDICTIONS": f"{prefix}p",
        "TIDEGAUGE_OUTCOMES": f"{prefix}o",
    }

    first, second = (run(["topics", "create"], **settings) for _ in range(2))
    listed = run(["topics", "list"], **settings)

    assert (first.returncode, second.returncode) == (0, 0)
    assert f"{prefix}events created, with 4 partitions." in first.stdout
    assert f"{prefix}events exists, with 4 partitions." in second.stdout
    assert all(json.loads(line)["exists"] for line in listed.stdout.splitlines())


def test_a_pipe_gets_the_records_themselves(embedded: EmbeddedBroker, prefix: str) -> None:
    settings = {"TIDEGAUGE_BROKER": embedded.bootstrap, "TIDEGAUGE_PREFIX": prefix}
    run(["topics", "create"], **settings)
    publish(embedded, f"{prefix}alerts", [b'{"alert_id": "a1"}'])

    done = run(["tail", "alerts", "--from-beginning", "--no-follow"], **settings)

    assert (done.returncode, done.stdout) == (0, '{"alert_id": "a1"}\n')


def test_status_tells_what_is_firing_and_nothing_of_what_is_over(
    embedded: EmbeddedBroker, prefix: str
) -> None:
    settings = {"TIDEGAUGE_BROKER": embedded.bootstrap, "TIDEGAUGE_PREFIX": prefix}
    run(["topics", "create"], **settings)
    before = run(["status"], **settings)
    record = (ROOT / "tests" / "golden" / "status.json").read_bytes()
    publish(embedded, f"{prefix}status", [b"an older word", record], partition=0, key=b"firing")
    publish(embedded, f"{prefix}status", [record, None], partition=0, key=b"over")

    firing = run(["status"], **settings)
    of_another = run(["status", "--model", "another"], **settings)

    # No worker runs, so nobody updates the list.
    assert (before.returncode, before.stdout) == (75, "")
    assert (firing.returncode, json.loads(firing.stdout)) == (75, json.loads(record))
    assert (of_another.returncode, of_another.stdout) == (78, "")
    assert "another" in of_another.stderr


def test_show_and_top_are_json_in_a_pipe_and_top_is_live_on_a_terminal(
    embedded: EmbeddedBroker, prefix: str
) -> None:
    settings = {"TIDEGAUGE_BROKER": embedded.bootstrap, "TIDEGAUGE_PREFIX": prefix}
    settings |= {
        f"TIDEGAUGE_{name}": f"{prefix}{name}" for name in ("PREDICTIONS", "OUTCOMES", "MODELS")
    }
    run(["topics", "create"], **settings)
    record = (ROOT / "tests" / "golden" / "status.json").read_bytes()
    fingerprint = json.loads(record)["fingerprint"]
    partition = model_partition("car_loan", 4)
    publish(embedded, f"{prefix}status", [record], partition=partition, key=fingerprint.encode())

    shown, unknown = (run(["show", each], **settings) for each in (fingerprint[:8], "nothing"))
    top = run(["top"], **settings)
    screen, code = live(["top"], "car_loan", **settings)

    assert json.loads(shown.stdout)["alert"]["summary"] == json.loads(record)["alert"]["summary"]
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "no alert 'nothing' is known" in unknown.stderr
    (row,) = map(json.loads, top.stdout.splitlines())
    assert (row["model_id"], row["worst"]["fingerprint"]) == ("car_loan", fingerprint)
    assert "critical" in screen
    assert code == 0


def live(arguments: Sequence[str], awaited: str, **settings: str) -> tuple[str, int]:
    """Run a command on a terminal until it shows a word, then press Ctrl-C."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*TIDEGAUGE, *arguments], stdout=theirs, stderr=theirs, env=environment(**settings)
    ) as process:
        os.close(theirs)
        screen = b""
        while awaited.encode() not in screen:
            screen += os.read(ours, 65_536)
        process.send_signal(signal.SIGINT)
        code = process.wait(PATIENCE_S)
    os.close(ours)
    return screen.decode(), code


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_the_broker_command_says_where_it_is_and_stops_cleanly(
    number: signal.Signals, code: int
) -> None:
    port = free_port()
    with subprocess.Popen(
        [*TIDEGAUGE, "broker", "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(PYTHONUNBUFFERED="1"),
        text=True,
    ) as process:
        assert process.stdout is not None
        assert f"127.0.0.1:{port}" in process.stdout.readline()
        assert answers_metadata(f"127.0.0.1:{port}")

        process.send_signal(number)

        _, complaints = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, complaints.strip()) == (code, "")
    assert not answers_metadata(f"127.0.0.1:{port}")


def test_ctrl_c_ends_a_tail_without_a_traceback(embedded: EmbeddedBroker, prefix: str) -> None:
    settings = {"TIDEGAUGE_BROKER": embedded.bootstrap, "TIDEGAUGE_PREFIX": prefix}
    run(["topics", "create"], **settings)
    publish(embedded, f"{prefix}alerts", [b"{}"])
    with subprocess.Popen(
        [*TIDEGAUGE, "tail", "alerts", "--from-beginning"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(**settings),
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "{}\n"

        process.send_signal(signal.SIGINT)

        _, complaints = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, complaints.strip()) == (130, "")


def test_the_launcher_asks_for_the_set_up_where_there_is_none(tmp_path: Path) -> None:
    launcher = shutil.copy(ROOT / "tidegauge", tmp_path)

    done = subprocess.run([launcher], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "make setup" in done.stderr


def test_help_does_not_wait_for_what_commands_need() -> None:
    loads = (
        "import sys; from agents.cli.main import main; main(['--help']); print(sorted(sys.modules))"
    )

    done = subprocess.run(
        [sys.executable, "-c", loads],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )

    assert not {"faust", "kafka", "numba", "pydantic", "rich"} & set(
        eval(done.stdout.splitlines()[-1])  # noqa: S307 - a list that this test has printed
    )
