"""The command that prints rights in Kafka."""

from __future__ import annotations

from typing import Any, get_args

import click

from agents.cli.options import cluster_options
from schemas.topics import Part


@click.command()
@click.option("--principal", required=True, metavar="TYPE:NAME", help="The user in Kafka.")
@click.option(
    "--role", "part", type=click.Choice(get_args(Part)), default="worker", show_default=True
)
@click.option("--yaml", "is_yaml", is_flag=True, help="Print a KafkaUser of Strimzi instead.")
@click.option("--group", metavar="TEXT", help="The consumer group of the workers.")
@cluster_options
def acls(principal: str, part: Part, is_yaml: bool, **flags: Any) -> None:
    """Print the least rights in Kafka that a part of a deployment needs. Nothing is changed.

    \b
    ROLE is one of
      worker     the workers; those of TIDEGAUGE_ROLE, if it is set
      page       the page for people; with buttons for alerts it needs operator too
      notify     notifications
      producer   a service that publishes predictions and outcomes
      reader     status, tail, verify and health
      operator   people who send commands about models and alerts

    \b
    Examples:
      ./tidegauge acls --principal User:monitor
      ./tidegauge acls --principal User:pager --role notify | sh
      ./tidegauge acls --principal User:monitor --yaml | kubectl apply -f -
    """
    from agents.kafka.rights import as_commands, as_yaml, rights
    from agents.settings import load_settings

    if not all(principal.partition(":")):
        msg = f"a principal is TYPE:NAME, as in User:monitor; got {principal!r}"
        raise click.BadParameter(msg, param_hint="--principal")
    settings = load_settings(**flags)
    wanted = rights(settings, part)
    if is_yaml:
        click.echo(as_yaml(wanted, principal), nl=False)
        return
    for line in as_commands(settings, wanted, principal):
        click.echo(line)
