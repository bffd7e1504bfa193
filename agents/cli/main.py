"""The command line. Every command reads its settings, calls one function, and says what came of it.

What a command needs is imported when it runs: ``--help`` must not wait for a compiler to load.
"""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from agents.cli.controls import COMMANDS as PEOPLE
from agents.cli.models import models
from agents.cli.notify import notify
from agents.cli.options import cluster_options
from agents.errors import WorkerError
from schemas.topics import TopicRole, Topics

_READABLE = [topic.role for topic in Topics().table() if topic.is_text]
_INTERRUPTED = 130
_PIPE_WIDTH = 120
_PIPE_CLOSED = 141
_BUDGET = click.FloatRange(min=0.0, min_open=True, max=1_000.0)
_FILE = click.Path(path_type=Path)


def _print_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    click.echo(f"tidegauge {project['project']['version']}")
    context.exit()


def _budgets(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> tuple[float, ...]:
    name, _, values = (text or "").rpartition("=")
    if text is None:
        return ()
    if name not in {"", "budget"}:
        msg = f"what can be varied is the budget, as in budget=0.05,0.5; got {name!r}"
        raise click.BadParameter(msg)
    return tuple(_BUDGET.convert(value, parameter, context) for value in values.split(","))


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
    """Watch machine-learning models on Kafka: what changed, since when, and what to do about it.

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


@cli.group()
def topics() -> None:
    """Create and list the topics that Tidegauge works with."""


@topics.command("create")
@cluster_options
def create_command(**flags: Any) -> None:
    """Create the topics that are missing; those that exist stay as they are.

    \b
    Examples:
      ./tidegauge topics create
      ./tidegauge topics create --broker kafka-1:9092,kafka-2:9092 --prefix staging.
    """
    from agents.kafka.topics import create_topics
    from agents.settings import load_settings

    for found in create_topics(load_settings(**flags)):
        name = found.wanted.name
        if found.exists:
            click.echo(f"{name} exists, with {found.partitions} partitions.")
        else:
            click.echo(f"{name} created, with {found.wanted.partitions} partitions.")
        for difference in found.differences:
            click.echo(f"  Note: {difference}. It stays as it is.", err=True)


@topics.command("list")
@cluster_options
def list_command(**flags: Any) -> None:
    """List the topics, what they are for, and whether the cluster has them.

    In a pipe each topic is one line of JSON.

    \b
    Examples:
      ./tidegauge topics list
      ./tidegauge topics list | jq -r .name
    """
    from agents.kafka.topics import as_json_line, as_table, find_topics
    from agents.settings import load_settings

    found = find_topics(load_settings(**flags))
    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(as_table(found))
        return
    for each in found:
        click.echo(as_json_line(each))


@cli.command()
@click.option("--role", type=click.Choice(["ingest", "monitor", "both"]), help="What it does.")
@click.option("--group", metavar="TEXT", help="The consumer group.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
@cluster_options
def worker(**flags: Any) -> int:
    """Run a worker until it is told to stop.

    Workers of one group share the work; state moves with it. SIGTERM and Ctrl-C stop it cleanly.

    \b
    Examples:
      ./tidegauge worker
      ./tidegauge worker --broker kafka-1:9092,kafka-2:9092
      TIDEGAUGE_LOG_LEVEL=debug ./tidegauge worker --role ingest
    """
    from agents.settings import load_settings
    from agents.telemetry import configure_logging
    from agents.worker.watchdog import expect_sign_of_life

    settings = load_settings(**flags)
    configure_logging(settings.log_level)
    expect_sign_of_life(settings.stall_s)  # loading what a worker needs can hang already
    from agents.worker.assembly import work

    return work(settings)


@cli.command()
@click.option("--rows", type=click.IntRange(min=1), help="Play only so many rows of the example.")
@click.option("--summary", metavar="FILE", type=_FILE, help="Write the closing figures as JSON.")
@click.option("--keep", is_flag=True, help="Stay up afterwards, to be published to.")
@click.option("--story", is_flag=True, help="Play two made-up models, and all that befalls them.")
@click.option("--files", metavar="FOLDER", type=_FILE, help="Only write what would be published.")
@cluster_options
def demo(
    rows: int | None,
    summary: Path | None,
    keep: bool,
    story: bool,
    files: Path | None,
    **flags: Any,
) -> int:
    """Watch a real model go wrong and be caught, in a minute or two.

    Plays 100,000 predictions of a car-loan model and their outcomes through a broker: one of its
    own in memory, or the one that --broker names, where --prefix keeps it apart from everything
    else. The model's world changes at row 75,000.

    With --story it plays four days of two made-up models instead, and shows each word about each
    alert as `./tidegauge tail alerts` does.

    \b
    Examples:
      ./tidegauge demo
      ./tidegauge demo --story
      ./tidegauge demo --keep
      ./tidegauge demo --broker 127.0.0.1:9092 --prefix demo. --summary figures.json
      ./tidegauge demo --files recorded
    """
    from rich.console import Console

    from agents.demo.demo import DemoOptions, demonstrate, write_files
    from agents.settings import load_settings

    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    if story and flags["broker"] is not None:
        msg = "--story plays on a broker of its own: elsewhere, records of its date may age away"
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
        owned = ("group", "predictions", "outcomes", "models")
        names = {name: f"{prefix}{name}" for name in owned}
        flags = names | flags
    return demonstrate(load_settings(**flags), options, console)


@cli.command()
@click.option("--predictions", required=True, metavar="FILE", help="JSON lines, may be gzip.")
@click.option("--outcomes", required=True, metavar="FILE", help="JSON lines, may be gzip.")
@click.option("--out", required=True, metavar="FILE", help="Where the alerts go, one a line.")
@click.option("--feedback", metavar="FILE", help="Where the feedback goes.")
@click.option("--labelled", metavar="FILE", help="Where the labelled rows go.")
@click.option("--spec", metavar="FILE", help="A model's spec, YAML.")
@click.option("--budget", type=_BUDGET, help="False alarms accepted in 10,000 predictions.")
@click.option("--what-if", metavar="BUDGETS", callback=_budgets, help="Compare: budget=0.05,0.5,1")
def backtest(**options: Any) -> int:
    """Say what would have been raised over recorded events. No broker is needed.

    Lines are what services publish, in the order in which they did; the two files are merged by
    time. What is written is exactly what would be published. "-" is standard input or output.

    \b
    Examples:
      ./tidegauge demo --files recorded
      ./tidegauge backtest --predictions recorded/predictions.jsonl.gz \\
        --outcomes recorded/outcomes.jsonl.gz --out alerts.jsonl --what-if budget=0.05,1
      zcat p.jsonl.gz | ./tidegauge backtest --predictions - --outcomes o.jsonl --out alerts.jsonl
    """
    from rich.console import Console

    from agents.commands.backtest import BacktestOptions
    from agents.commands.backtest import backtest as run

    width = None if sys.stderr.isatty() else _PIPE_WIDTH
    return run(BacktestOptions(**options), Console(stderr=True, width=width))


@cli.command()
@click.argument("predictions", metavar="FILE")
@click.option("--outcomes", metavar="FILE", help="Their outcomes; without, no error is learnt.")
@click.option("--out", required=True, metavar="FILE", type=_FILE, help="Where the profile goes.")
@click.option("--spec", metavar="FILE", help="The model's spec, YAML.")
def profile(**options: Any) -> int:
    """Learn a model's references from recorded events, so that nothing is left to learn live.

    FILE holds predictions as services publish them, JSON lines, may be gzip. Name the profile in
    the model's spec: reference: {profile: profile.json}.

    \b
    Examples:
      ./tidegauge profile may.jsonl.gz --out profile.json
      ./tidegauge profile may.jsonl.gz --outcomes may-outcomes.jsonl.gz --out profile.json
    """
    from rich.console import Console

    from agents.commands.profile import ProfileOptions, make_profile

    width = None if sys.stderr.isatty() else _PIPE_WIDTH
    return make_profile(ProfileOptions(**options), Console(stderr=True, width=width))


@cli.command()
@click.option("--group", metavar="TEXT", help="The consumer group of the workers.")
@cluster_options
def verify(**flags: Any) -> int:
    """Compare what was published with a pure replay of the whole log; exit 0 only when equal.

    Reads events, alerts, feedback, labelled, dead_letters and the inputs from their beginning, and
    writes nothing: it may run beside the workers. It needs all of events, from offset 0 on, and
    memory for the ids of all outputs.

    \b
    Examples:
      ./tidegauge verify
      ./tidegauge verify --broker kafka-1:9092 --prefix staging.
    """
    from rich.console import Console

    from agents.commands.verify import verify as run
    from agents.settings import load_settings

    return run(load_settings(**flags), Console())


@cli.command()
@click.option("--group", metavar="TEXT", help="The consumer group of the workers.")
@cluster_options
def health(**flags: Any) -> None:
    """Tell whether the workers are at work; exit 0 only when they are.

    \b
    Examples:
      ./tidegauge health
      ./tidegauge health --broker kafka-1:9092 --group tidegauge
    """
    from agents.commands.health import check_group
    from agents.settings import load_settings

    click.echo(check_group(load_settings(**flags)))


@cli.command()
@click.option("--model", metavar="MODEL_ID", help="Of this model alone.")
@cluster_options
def status(model: str | None, **flags: Any) -> int:
    """Tell what is firing now; exit 0 when nothing is, 1 when something is.

    A table on a terminal, one line of JSON an alert in a pipe.

    \b
    Examples:
      ./tidegauge status
      ./tidegauge status --model car_loan | jq -r .alert.summary
    """
    from agents.commands.status import as_table, firing
    from agents.settings import load_settings

    found = firing(load_settings(**flags), model)
    if sys.stdout.isatty():
        from rich.console import Console

        console = Console()
        console.print(as_table(found) if found else "Nothing is firing.")
    else:
        for each in found:
            click.echo(each.model_dump_json())
    return 1 if found else 0


@cli.command()
@click.argument("topic", metavar="TOPIC", type=click.Choice(_READABLE))
@click.option("--from-beginning", is_flag=True, help="Begin with the oldest record.")
@click.option("--no-follow", is_flag=True, help="Stop at the end as it is now.")
@click.option("-n", "--n", "limit", type=click.IntRange(min=1), help="Stop after so many lines.")
@cluster_options
def tail(
    topic: TopicRole, from_beginning: bool, no_follow: bool, limit: int | None, **flags: Any
) -> None:
    """Follow a topic: readable lines on a terminal, JSON lines in a pipe.

    TOPIC is predictions, outcomes, models, controls, events, alerts, status, feedback, labelled or
    dead_letters.

    \b
    Examples:
      ./tidegauge tail alerts
      ./tidegauge tail alerts --from-beginning --no-follow > alerts.jsonl
      ./tidegauge tail dead_letters -n 1 | jq .
    """
    from agents.commands.tail import TailOptions, describe
    from agents.commands.tail import tail as follow
    from agents.settings import load_settings

    if sys.stdout.isatty():
        from rich.console import Console

        console = Console(highlight=False)

        def write(entry: bytes) -> None:
            console.print(describe(topic, entry), soft_wrap=True)
    else:

        def write(entry: bytes) -> None:
            sys.stdout.buffer.write(entry + b"\n")
            sys.stdout.buffer.flush()

    options = TailOptions(from_beginning=from_beginning, follows=not no_follow, limit=limit)
    follow(load_settings(**flags), topic, options, write)


for each in (models, notify, *PEOPLE):
    cli.add_command(each)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; return the exit code."""
    try:
        result = cli.main(arguments, prog_name="tidegauge", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except WorkerError as error:
        click.echo(f"Error: {error}", err=True)
        return error.exit_code
    except BrokenPipeError:
        # Python would complain once more when it flushes standard output at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    return result if isinstance(result, int) else 0
