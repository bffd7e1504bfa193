"""The command line. Every command reads its settings, calls one function, and prints its result.

A command imports its modules when it runs: ``--help`` must not wait until a compiler is loaded.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
import time
import tomllib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from agents.cli.acls import acls
from agents.cli.controls import COMMANDS as CONTROLS
from agents.cli.incidents import incidents
from agents.cli.loop import COMMANDS as LOOP
from agents.cli.metrics import metrics
from agents.cli.models import models
from agents.cli.notify import notify
from agents.cli.options import PIPE_WIDTH, cluster_options, prometheus_option
from agents.cli.page import COMMANDS as PAGES
from agents.cli.recorded import COMMANDS as RECORDED
from agents.cli.sources import sources
from agents.cli.topics import topics
from agents.errors import WorkerError
from agents.text import harmless, harmless_output
from schemas.topics import TopicRole, Topics

_READABLE = [topic.role for topic in Topics().table() if topic.is_text]
_INTERRUPTED = 130
"""128 + SIGINT, as a shell reports it."""
_PIPE_CLOSED = 141
"""128 + SIGPIPE, as a shell reports it."""
_FILE = click.Path(path_type=Path)


def _print_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    click.echo(f"tidegauge {project['project']['version']}")
    context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """Watch machine-learning models on Kafka: changes, when they began, and the action to take.

    Every setting is an environment variable, TIDEGAUGE_BROKER or TIDEGAUGE_PREFIX for example; a
    flag wins over it.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 66 a file cannot be read or written, 69 Kafka does
    not answer, 75 a restart may help, 78 wrong configuration, 130 interrupted.
    """


@cli.command()
@click.option("--port", default=9092, show_default=True, type=click.IntRange(1, 65535))
def broker(port: int) -> None:
    """Run a broker in memory, for a first look.

    It needs no Java and no docker, listens on 127.0.0.1 only, and forgets everything when it stops.

    \b
    Examples:
      ./tidegauge broker
      ./tidegauge broker --port 19092
    """
    from agents.demo.embedded_broker import serve

    serve(port, click.echo)


@cli.command()
@click.option(
    "--role", type=click.Choice(["ingest", "monitor", "both"]), help="The role of the worker."
)
@click.option("--group", metavar="TEXT", help="The consumer group.")
@prometheus_option
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
@cluster_options
def worker(**flags: Any) -> int:
    """Run a worker until a signal stops it.

    Workers of one group share the work; state moves with it. SIGTERM and Ctrl-C stop it cleanly.

    \b
    Examples:
      ./tidegauge worker
      ./tidegauge worker --broker kafka-1:9092,kafka-2:9092
      TIDEGAUGE_LOG_LEVEL=debug ./tidegauge worker --role ingest
      ./tidegauge worker --prometheus-port 9464
    """
    from agents.kernels import compile_kernels
    from agents.settings import load_settings
    from agents.telemetry import configure_logging, get_logger
    from agents.worker.watchdog import expect_sign_of_life

    settings = load_settings(**flags)
    configure_logging(settings.log_level)
    expect_sign_of_life(settings.stall_s)  # loading the modules of a worker can hang
    compile_kernels(get_logger("agents.kernels").info)
    from agents.worker.assembly import work

    return work(settings)


@cli.command(name="compile")
def compile_command() -> None:
    """Compile the statistics for this machine, as `make setup` and the image's build do.

    A worker, the demo and a backtest do so themselves where it is needed.

    \b
    Examples:
      ./tidegauge compile
      NUMBA_CACHE_DIR=/var/cache/tidegauge ./tidegauge compile
    """
    from agents.kernels import compile_kernels

    compile_kernels(click.echo)
    click.echo("The statistics are compiled.")


@cli.command()
@click.option("--rows", type=click.IntRange(min=1), help="Play only so many rows of the example.")
@click.option("--summary", metavar="FILE", type=_FILE, help="Write the closing figures as JSON.")
@click.option("--keep", is_flag=True, help="Keep running afterwards, to publish to.")
@click.option("--story", is_flag=True, help="Play four days of two simulated models.")
@click.option("--loop", is_flag=True, help="Play a day in which everybody answers.")
@click.option("--kill", is_flag=True, help="With --loop: kill the worker in each part of the day.")
@click.option("--files", metavar="FOLDER", type=_FILE, help="Only write the messages to files.")
@cluster_options
def demo(
    *,
    rows: int | None,
    summary: Path | None,
    keep: bool,
    story: bool,
    loop: bool,
    kill: bool,
    files: Path | None,
    **flags: Any,
) -> int:
    """Watch the monitor detect the changes of a real model, in a minute or two.

    Plays 100,000 predictions of a car-loan model and their outcomes through a broker: one of its
    own in memory, or the one that --broker names, where --prefix keeps it apart from other
    topics. The data of the model change at row 75,000.

    With --story it plays four days of two simulated models instead, and shows each transition of
    each alert as `./tidegauge tail alerts` does.

    With --loop it plays a day of one model in which a reviewer, a trainer, a team with another
    model and a gateway answer what the monitor publishes. The lines are the same with --kill.

    \b
    Examples:
      ./tidegauge demo
      ./tidegauge demo --story
      ./tidegauge demo --loop --kill
      ./tidegauge demo --keep
      ./tidegauge demo --broker 127.0.0.1:9092 --prefix demo. --summary figures.json
      ./tidegauge demo --files recorded
    """
    from rich.console import Console

    from agents.kernels import compile_kernels

    if files is None:
        compile_kernels(click.echo)
    from agents.demo.demo import DemoOptions, demonstrate, write_files
    from agents.settings import load_settings

    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
    if story and flags["broker"] is not None:
        msg = (
            "--story needs a broker of its own: elsewhere retention may delete records of its date"
        )
        raise click.UsageError(msg)
    if (kill and not loop) or (loop and (story or keep or rows or summary or files)):
        msg = "--loop goes with --kill, --broker and --prefix alone, and --kill with --loop"
        raise click.UsageError(msg)
    if files is not None:
        write_files(files, rows, console)
        return 0
    options = DemoOptions(
        rows=rows,
        has_own_broker=flags["broker"] is None,
        keeps=keep,
        summary=summary,
        is_story=story,
    )
    if prefix := flags["prefix"]:
        owned = ("predictions", "outcomes", "models")
        names = {name: f"{prefix}{name}" for name in owned}
        flags = names | flags
    if loop:
        from agents.demo.live import play_loop

        return play_loop(
            load_settings(**flags), console, has_own_broker=flags["broker"] is None, kills=kill
        )
    return demonstrate(load_settings(**flags), options, console)


@cli.command()
@click.option("--group", metavar="TEXT", help="The consumer group of the workers.")
@cluster_options
def verify(**flags: Any) -> int:
    """Check that the published records match a replay of the log; exit 0 only when equal.

    Reads events, alerts, feedback, labelled, dead_letters and the inputs from their beginning, and
    writes nothing: it may run beside the workers. It needs all of events, from offset 0 on, and
    memory for the ids of all outputs.

    \b
    Examples:
      ./tidegauge verify
      ./tidegauge verify --broker kafka-1:9092 --prefix staging.
    """
    from rich.console import Console

    from agents.kernels import compile_kernels

    compile_kernels(partial(click.echo, err=True))
    from agents.commands.verify import verify as run
    from agents.settings import load_settings

    return asyncio.run(run(load_settings(**flags), Console()))


@cli.command()
@click.option("--partitions", required=True, type=int, help="Partitions of the new events.")
@click.option("--to", "to_prefix", required=True, metavar="PREFIX", help="The new prefix.")
@click.option("--group", metavar="TEXT", help="The consumer group of the workers that stopped.")
@cluster_options
def repartition(partitions: int, to_prefix: str, **flags: Any) -> None:
    """Move to topics of another prefix with another number of partitions.

    The workers must have stopped, and have applied all of events. The new topics are created, the
    models' state is copied, and the new group goes on where the old one stopped in the inputs: no
    state is lost, and no alert is repeated. The old topics stay as they are.

    \b
    Examples:
      ./tidegauge repartition --partitions 16 --to tidegauge-16.
      ./tidegauge repartition --partitions 8 --to staging-8. --prefix staging.
    """
    from agents.commands.repartition import repartition as run
    from agents.kernels import compile_kernels
    from agents.settings import load_settings

    compile_kernels(partial(click.echo, err=True))
    told = flags | {"prefix": to_prefix, "group": None, "partitions": partitions}
    click.echo(asyncio.run(run(load_settings(**flags), load_settings(**told))))


@cli.command()
@click.option("--group", metavar="TEXT", help="The consumer group of the workers.")
@cluster_options
def health(**flags: Any) -> None:
    """Report whether the workers are at work; exit 0 only when they are.

    \b
    Examples:
      ./tidegauge health
      ./tidegauge health --broker kafka-1:9092 --prefix staging.
    """
    from agents.commands.health import check_group
    from agents.settings import load_settings

    click.echo(asyncio.run(check_group(load_settings(**flags))))


@cli.command()
@click.option("--model", metavar="MODEL_ID", help="Only alerts of this model.")
@cluster_options
def status(model: str | None, **flags: Any) -> int:
    """List the firing alerts; exit 0 when there is none, 1 when there is one.

    One line for each alert on a terminal: severity, age, fingerprint, model and sentence. In a pipe
    one line of JSON. `show FINGERPRINT` has the whole of an alert. Exit 75 when no worker has
    appended a tick for a minute: nobody updates the list then. Exit 78 for a model that is not
    known.

    \b
    Examples:
      ./tidegauge status
      ./tidegauge status --model car_loan | jq -r .alert.summary
    """
    from agents.commands.status import STALE_EXIT, as_lines, firing, last_tick_ms, staleness
    from agents.settings import load_settings

    settings = load_settings(**flags)
    found = asyncio.run(firing(settings, model, partial(click.echo, err=True)))
    now_ms = time.time_ns() // 1_000_000
    if sys.stdout.isatty():
        from rich.console import Console

        console = Console(highlight=False)
        for line in as_lines(found, now_ms, console.width):
            console.print(line)
        if not found:
            console.print("Nothing is firing.")
    else:
        for each in found:
            click.echo(each.model_dump_json())
    if stale := staleness(asyncio.run(last_tick_ms(settings)), now_ms):
        click.echo(stale, err=True)
        return STALE_EXIT
    return 1 if found else 0


def _offsets(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> tuple[int, int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,9}):(\d{1,18})-(\d{1,18})", text)
    if found is None or int(found[2]) > int(found[3]):
        msg = f"{text!r} is no range of offsets like 3:76365-76401"
        raise click.BadParameter(msg)
    return int(found[1]), int(found[2]), int(found[3])


@cli.command()
@click.argument("topic", metavar="TOPIC", type=click.Choice(_READABLE))
@click.option("--from-beginning", is_flag=True, help="Begin with the oldest record.")
@click.option("--no-follow", is_flag=True, help="Stop at the present end.")
@click.option(
    "-n", "--n", "limit", type=click.IntRange(min=1), help="Number of lines to stop after."
)
@click.option(
    "--range", "offsets", metavar="PARTITION:FIRST-LAST", callback=_offsets, help="Only these."
)
@cluster_options
def tail(
    topic: TopicRole,
    from_beginning: bool,
    no_follow: bool,
    limit: int | None,
    offsets: tuple[int, int, int] | None,
    **flags: Any,
) -> None:
    """Follow a topic: readable lines on a terminal, JSON lines in a pipe.

    TOPIC is predictions, outcomes, models, controls, events, alerts, status, feedback, commands,
    labelled, metrics, incidents or dead_letters. --range shows the evidence of an alert.

    \b
    Examples:
      ./tidegauge tail alerts
      ./tidegauge tail events --range 3:76365-76401
      ./tidegauge tail alerts --from-beginning --no-follow > alerts.jsonl
      ./tidegauge tail dead_letters -n 1 | jq .
    """
    from agents.commands.tail import OffsetRange, TailOptions, describe
    from agents.commands.tail import tail as follow
    from agents.settings import load_settings
    from agents.text import escaped

    if sys.stdout.isatty():
        from rich.console import Console

        console = Console(highlight=False)

        def write(entry: bytes) -> None:
            console.print(describe(topic, entry), soft_wrap=True)
    else:

        def write(entry: bytes) -> None:
            sys.stdout.buffer.write(escaped(entry) + b"\n")
            sys.stdout.buffer.flush()

    options = TailOptions(
        from_beginning=from_beginning,
        follows=not no_follow,
        limit=limit,
        offsets=None if offsets is None else OffsetRange(*offsets),
    )
    asyncio.run(follow(load_settings(**flags), topic, options, write))


for each in (
    topics,
    acls,
    models,
    metrics,
    sources,
    notify,
    incidents,
    *CONTROLS,
    *LOOP,
    *RECORDED,
    *PAGES,
):
    cli.add_command(each)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; return the exit code."""
    # A command without a log of its own reports a failure once, by its last sentence.
    for name in ("aiokafka", "agents"):
        logging.getLogger(name).addHandler(logging.NullHandler())
    try:
        with harmless_output():
            result = cli.main(arguments, prog_name="tidegauge", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except WorkerError as error:
        click.echo(harmless(f"Error: {error}", is_terminal=True), err=True)
        return error.exit_code
    except BrokenPipeError:
        # Python would report the error again when it flushes standard output at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    return result if isinstance(result, int) else 0
