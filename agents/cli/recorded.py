"""The commands that read recorded files. None of them needs a broker."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from agents.cli.options import PIPE_WIDTH

_BUDGET = click.FloatRange(min=0.0, min_open=True, max=1_000.0)
_FILE = click.Path(path_type=Path)


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


@click.command()
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

    width = None if sys.stderr.isatty() else PIPE_WIDTH
    return run(BacktestOptions(**options), Console(stderr=True, width=width))


@click.command()
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

    width = None if sys.stderr.isatty() else PIPE_WIDTH
    return make_profile(ProfileOptions(**options), Console(stderr=True, width=width))


COMMANDS: tuple[click.Command, ...] = (backtest, profile)
