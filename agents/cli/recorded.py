"""The commands that read recorded files. None of them needs a broker."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from agents.cli.options import PIPE_WIDTH

_BUDGET = click.FloatRange(min=0.0, min_open=True, max=1_000.0)
_FILE = click.Path(path_type=Path)
_source = click.option(
    "--source", metavar="FILE", type=_FILE, help="Sources, YAML: see docs/sources.md."
)
_records = click.option(
    "--records",
    metavar="[TOPIC=]FILE",
    multiple=True,
    help="Records that the sources map: CSV, Parquet, JSON lines.",
)


def _budgets(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> tuple[float, ...]:
    name, _, values = (text or "").rpartition("=")
    if text is None:
        return ()
    if name not in {"", "budget"}:
        msg = f"only the budget can be varied, as in budget=0.05,0.5; got {name!r}"
        raise click.BadParameter(msg)
    return tuple(_BUDGET.convert(value, parameter, context) for value in values.split(","))


@click.command()
@click.option("--predictions", metavar="FILE", help="JSON lines, may be gzip.")
@click.option("--outcomes", metavar="FILE", help="JSON lines, may be gzip.")
@_source
@_records
@click.option("--out", required=True, metavar="FILE", help="File for the alerts, one a line.")
@click.option("--feedback", metavar="FILE", help="File for the feedback.")
@click.option("--labelled", metavar="FILE", help="File for the labelled rows.")
@click.option("--metrics", metavar="FILE", help="File for the figures by the day.")
@click.option("--report", metavar="FILE", type=_FILE, help="File that shows all in a browser.")
@click.option("--spec", metavar="FILE", help="Spec of a model, YAML.")
@click.option("--budget", type=_BUDGET, help="False alarms accepted per 10,000 predictions.")
@click.option("--what-if", metavar="BUDGETS", callback=_budgets, help="Compare: budget=0.05,0.5,1")
def backtest(report: Path | None, **options: Any) -> int:
    """Report the alerts that recorded events would have raised. No broker is needed.

    Each line is one message of a service, in the order of publication; the two files are merged by
    time. The output is exactly what a worker would publish. "-" is standard input or output.

    With --source the records are those of another system or a table: nothing has to be converted.

    \b
    Examples:
      ./tidegauge backtest --source sources.yaml --records last-month.csv --out alerts.jsonl
      ./tidegauge demo --files recorded
      ./tidegauge backtest --predictions recorded/predictions.jsonl.gz \\
        --outcomes recorded/outcomes.jsonl.gz --out alerts.jsonl --what-if budget=0.05,1
      ./tidegauge backtest --predictions p.jsonl --outcomes o.jsonl --out - --report may.html
      zcat p.jsonl.gz | ./tidegauge backtest --predictions - --outcomes o.jsonl --out alerts.jsonl
    """
    from rich.console import Console

    from agents.kernels import compile_kernels

    compile_kernels(partial(click.echo, err=True))
    from agents.commands.backtest import BacktestOptions
    from agents.commands.backtest import backtest as run

    width = None if sys.stderr.isatty() else PIPE_WIDTH
    console = Console(stderr=True, width=width)
    if report is None:
        return run(BacktestOptions(**options), console)
    from agents.page.gather import Recorded

    recorded = Recorded()
    code = run(BacktestOptions(**options), console, recorded.take)
    recorded.write(report, report.stem)
    return code


@click.command()
@click.argument("predictions", metavar="[FILE]", required=False)
@click.option("--outcomes", metavar="FILE", help="Their outcomes; without them no error is learnt.")
@_source
@_records
@click.option("--out", required=True, metavar="FILE", type=_FILE, help="File for the profile.")
@click.option("--spec", metavar="FILE", help="Spec of the model, YAML.")
@click.option(
    "--estimate", is_flag=True, help="Learn how large the errors are, to tell them without labels."
)
def profile(**options: Any) -> int:
    """Learn the references of a model from recorded events, so that it need not learn them live.

    FILE holds predictions as services publish them, JSON lines, may be gzip. With --source the
    records are those of another system or a table, such as the one that the model was trained on.
    With --estimate the labelled rows of a regression tell how large the error is for which
    features, and `metrics` have an error before labels come (without_labels).
    Name the profile in the spec of the model: reference: {profile: profile.json}.

    \b
    Examples:
      ./tidegauge profile --source sources.yaml --records training.csv --out profile.json
      ./tidegauge profile may.jsonl.gz --out profile.json
      ./tidegauge profile may.jsonl.gz --outcomes may-outcomes.jsonl.gz --out profile.json
      ./tidegauge profile may.jsonl.gz --outcomes known.jsonl.gz --estimate --out profile.json
    """
    from rich.console import Console

    from agents.kernels import compile_kernels

    compile_kernels(partial(click.echo, err=True))
    from agents.commands.profile import ProfileOptions, make_profile

    width = None if sys.stderr.isatty() else PIPE_WIDTH
    return make_profile(ProfileOptions(**options), Console(stderr=True, width=width))


COMMANDS: tuple[click.Command, ...] = (backtest, profile)
