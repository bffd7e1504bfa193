"""The commands for the specs of live models."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import click

from agents.cli.options import cluster_options, wait_option

_PATH = click.Path(path_type=Path)


@click.group()
def models() -> None:
    """Configure each model, without a restart.

    A spec is in force from its place in the log on, and changes nothing before it. Every field is
    optional; docs/wire.md lists them.
    """


@models.command("apply")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_PATH)
@wait_option
@cluster_options
def apply_command(files: tuple[Path, ...], wait_s: float, **flags: Any) -> None:
    """Check specs, put them in force, and report from which place in the log on.

    Each FILE is YAML and holds the spec of one model, named by its model_id. All are checked before
    any is written: a wrong one changes nothing, and the error names field, value and remedy.

    \b
    Examples:
      ./tidegauge models apply car_loan.yaml
      ./tidegauge models apply specs/*.yaml --broker kafka-1:9092
    """
    from agents.commands.models import apply_specs
    from agents.settings import load_settings

    asyncio.run(apply_specs(load_settings(**flags), files, wait_s, click.echo))


@models.command("list")
@cluster_options
def list_command(**flags: Any) -> None:
    """List the models that are watched or have a spec, with their state and open alerts.

    A model is known once a worker has saved it, some seconds after its first prediction. In a pipe
    each is one line of JSON.

    \b
    Examples:
      ./tidegauge models list
      ./tidegauge models list | jq -r 'select(.state != "watched") | .model_id'
    """
    from agents.commands.model_list import as_json_line, as_table, find_models
    from agents.settings import load_settings

    found = asyncio.run(find_models(load_settings(**flags)))
    if not sys.stdout.isatty():
        for each in found:
            click.echo(as_json_line(each))
    elif found:
        from rich.console import Console

        Console().print(as_table(found))
    else:
        click.echo("No model is known: publish predictions, or apply a spec.")


@models.command("show")
@click.argument("model", metavar="MODEL")
@cluster_options
def show_command(model: str, **flags: Any) -> None:
    """Print the spec of a model as YAML, and its place in the log.

    \b
    Examples:
      ./tidegauge models show car_loan
      ./tidegauge models show car_loan > car_loan.yaml
    """
    from agents.commands.models import show_model
    from agents.settings import load_settings

    click.echo(asyncio.run(show_model(load_settings(**flags), model)), nl=False)


@models.command("remove")
@click.argument("model", metavar="MODEL")
@wait_option
@cluster_options
def remove_command(model: str, wait_s: float, **flags: Any) -> None:
    """Remove a model, its spec and its state.

    Its open alerts are resolved. Later predictions make it a new model, on the defaults.

    \b
    Examples:
      ./tidegauge models remove car_loan
      ./tidegauge models remove car_loan --prefix staging.
    """
    from agents.commands.models import remove_model
    from agents.settings import load_settings

    asyncio.run(remove_model(load_settings(**flags), model, wait_s, click.echo))


@models.command("release")
@click.argument("model", metavar="MODEL")
@wait_option
@cluster_options
def release_command(model: str, wait_s: float, **flags: Any) -> None:
    """Monitor a model again that is in quarantine, after an upgrade of the workers.

    The events held since it failed are applied in their order. Where one of them fails again,
    nothing changes.

    \b
    Examples:
      ./tidegauge models release car_loan
      ./tidegauge models release car_loan --prefix staging.
    """
    from agents.commands.models import release_model
    from agents.settings import load_settings

    asyncio.run(release_model(load_settings(**flags), model, wait_s, click.echo))


@models.command("init")
@click.argument("model", metavar="MODEL")
@cluster_options
def init_command(model: str, **flags: Any) -> None:
    """Write a first spec of a model, drafted from its data, with comments.

    It goes to standard output. `apply` accepts it, and unchanged it has no effect.

    \b
    Examples:
      ./tidegauge models init car_loan > car_loan.yaml
      ./tidegauge models init car_loan | tee car_loan.yaml
    """
    from agents.commands.model_draft import draft_spec
    from agents.settings import load_settings

    click.echo(asyncio.run(draft_spec(load_settings(**flags), model)), nl=False)
