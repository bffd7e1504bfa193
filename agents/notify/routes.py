"""Read a file of targets, for ``notify --targets FILE``.

    targets:
      - to: slack=/run/secrets/slack-risk
        owner: risk
      - to: pagerduty=env:PAGERDUTY_KEY
        severity: critical
        model: ["loan*", "fraud"]
    heartbeat: alertmanager=http://alertmanager:9093

Each target is written as for ``--to``, with the fields of a `Selection` beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from agents.errors import FileError, OperatorError
from agents.notify.selection import ALL, Selection, read_selection

_FIELDS = {"targets", "heartbeat"}


class Route(NamedTuple):
    """A target as ``--to`` has it, and the alerts that it receives."""

    to: str
    selection: Selection = ALL


class Routes(NamedTuple):
    """The routes of a file, and its heartbeat as ``--heartbeat`` has it."""

    routes: list[Route]
    heartbeat: str | None


def read_routes(path: Path) -> Routes:
    """Return what a file of targets holds.

    Raises
    ------
    FileError
        When the file cannot be read.
    OperatorError
        When it holds something else, with the place and the remedy.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"--targets {path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where is not None else ""
        # Its message repeats lines of the file, and an address may be a secret.
        raise OperatorError(f"--targets {path}{line}: it is no YAML") from None
    if not isinstance(found, dict) or not isinstance(found.get("targets"), list):
        raise OperatorError(f"--targets {path}: it needs a list named targets; see docs/notify.md")
    if unknown := found.keys() - _FIELDS:
        names = ", ".join(sorted(map(str, unknown)))
        raise OperatorError(f"--targets {path}: {names}: no such field; there is heartbeat")
    heartbeat = found.get("heartbeat")
    if not isinstance(heartbeat, str | None):
        raise OperatorError(f"--targets {path}: heartbeat: write KIND=WHERE")
    routes = [_route(path, n, each) for n, each in enumerate(found["targets"], 1)]
    return Routes(routes, heartbeat)


def _route(path: Path, number: int, given: Any) -> Route:
    where = f"--targets {path}: target {number}"
    if not isinstance(given, dict) or not isinstance(given.get("to"), str):
        raise OperatorError(f"{where}: to: missing; write KIND=WHERE, as for --to")
    fields = {str(name): value for name, value in given.items() if name != "to"}
    try:
        return Route(given["to"], read_selection(fields))
    except ValueError as error:
        raise OperatorError(f"{where}: {error}") from None
