"""Read ``--to KIND=WHERE``: a target, and its secret.

WHERE is an address, a file that holds it, or ``env:NAME``, a variable that holds it. A message
never repeats a value that may be a secret.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from pydantic import SecretStr
from yarl import URL

from agents.errors import FileError, OperatorError
from agents.notify.labelstudio import project_of
from agents.notify.routes import Route
from agents.notify.selection import ALL, Selection

TargetKind = Literal["alertmanager", "webhook", "slack", "pagerduty", "labelstudio"]
_ENVIRONMENT = "env:"
_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
_LIKE_A_KEY = re.compile(r"[A-Za-z0-9+_-]{20,}")
_SECRET_PARAMETER = re.compile(r"token|secret|pass|key|sig|auth|code", re.IGNORECASE)
_PAGERDUTY_KEY = re.compile(r"[A-Za-z0-9_-]{32}")
_NAMES: dict[TargetKind, str] = {
    "alertmanager": "Alertmanager",
    "webhook": "The webhook",
    "slack": "Slack",
    "pagerduty": "PagerDuty",
    "labelstudio": "Label Studio",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A target of notify.

    Parameters
    ----------
    kind
        Its protocol.
    secret
        The address; for PagerDuty the key.
    url
        The origin of the address, which is no secret.
    label
        The end of the consumer group's name. It depends on the spelling of --to and on the
        selection, so that it survives a change of the secret in a file.
    selection
        The alerts that it receives.
    is_exposed
        Whether a secret is on the command line, where every user of the machine can read it.
    """

    kind: TargetKind
    secret: SecretStr
    url: str
    label: str
    selection: Selection = ALL
    is_exposed: bool = field(default=False)

    @property
    def name(self) -> str:
        """The target's name in messages."""
        chosen = f" ({self.selection.text})" if self.selection.text else ""
        return f"{_NAMES[self.kind]} at {self.url}{chosen}"


def read_destinations(routes: Sequence[Route], pagerduty_url: str) -> list[Destination]:
    """Return the target of each route; see `read_destination`.

    Raises
    ------
    ValueError
        When a text is wrong, or two are the same: they would share a consumer group.
    """
    destinations = [
        read_destination(route.to, pagerduty_url, selection=route.selection) for route in routes
    ]
    if len({each.label for each in destinations}) < len(destinations):
        msg = "the same target is named twice"
        raise ValueError(msg)
    return destinations


def read_heartbeat(text: str) -> Destination:
    """Return the target of ``--heartbeat TEXT``.

    Raises
    ------
    ValueError, OperatorError, FileError
        As for `read_destination`.
    """
    if not text.startswith(("alertmanager=", "webhook=")):
        msg = "a heartbeat goes to alertmanager=URL, or to webhook=URL, which receives a POST"
        raise ValueError(msg)
    return read_destination(text, "", option="--heartbeat")


def read_destination(
    text: str, pagerduty_url: str, *, selection: Selection = ALL, option: str = "--to"
) -> Destination:
    """Return the target of one ``--to TEXT``.

    Parameters
    ----------
    text
        ``KIND=WHERE``.
    pagerduty_url
        The address of PagerDuty's Events API; customers in Europe have another one.
    selection
        The alerts that it receives.
    option
        The flag, for messages.

    Raises
    ------
    ValueError
        When the text has another form, with a sentence for the operator.
    OperatorError, FileError
        When the file, the variable or its value is missing or wrong.
    """
    name, equals, where = text.partition("=")
    kind = next((each for each in get_args(TargetKind) if each == name), None)
    if kind is None:
        near = difflib.get_close_matches(name, get_args(TargetKind), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"KIND is one of {', '.join(get_args(TargetKind))}{hint}")
    if not equals or not where:
        example = "FILE" if kind == "pagerduty" else "URL"
        raise ValueError(f"nothing follows {kind}: write {kind}={example}")
    spelling = " ".join(filter(None, (_spelling(where), selection.text)))
    label = f"{kind}-{hashlib.blake2b(spelling.encode(), digest_size=4).hexdigest()}"
    held = _held(f"{option} {kind}", kind, where)
    if kind == "pagerduty":
        if not _PAGERDUTY_KEY.fullmatch(held):
            raise OperatorError(
                "--to pagerduty: an integration key of Events API v2 has 32 letters and digits, "
                f"this one has {len(held)} characters"
            )
        origin = _origin(f"{option} {kind}", pagerduty_url)
        return Destination(
            kind=kind, secret=SecretStr(held), url=origin, label=label, selection=selection
        )
    origin = _origin(f"{option} {kind}", held)
    if kind == "labelstudio":
        project_of(held)
        if selection._replace(model=()) != ALL:
            msg = "labelstudio receives cases and no alerts: choose them by --model alone"
            raise ValueError(msg)
    address = URL(held)
    is_signed = any(_SECRET_PARAMETER.search(name) for name in address.query)
    has_secret = kind == "slack" or address.user is not None or is_signed
    return Destination(
        kind=kind,
        secret=SecretStr(held),
        url=origin,
        label=label,
        selection=selection,
        is_exposed=has_secret and where == held,
    )


def _spelling(where: str) -> str:
    is_file = not where.startswith(_ENVIRONMENT) and not _ADDRESS.match(where)
    return str(Path(where).absolute()) if is_file else where


def _held(flag: str, kind: TargetKind, where: str) -> str:
    """Return the address or the key."""
    if where.startswith(_ENVIRONMENT):
        name = where.removeprefix(_ENVIRONMENT)
        if not (held := os.environ.get(name, "").strip()):
            raise OperatorError(f"{flag}: the environment has no variable {name!r}")
        return held
    if _ADDRESS.match(where):
        if kind == "pagerduty":
            msg = "pagerduty takes a file with the integration key; see --pagerduty-url"
            raise ValueError(msg)
        return where
    return _read(flag, kind, where)


def _read(flag: str, kind: TargetKind, where: str) -> str:
    path = Path(where)
    if not path.exists() and not _is_surely_a_path(path):
        raise FileError(
            f"{flag}: no such file. The value is not repeated here, since it may be a secret: "
            f"put a secret key or address into a file, and name the file: {kind}=FILE. An address "
            "begins with http:// or https://."
        )
    try:
        held = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise FileError(f"{flag}: no such file {where!r}") from None
    except OSError as error:
        raise FileError(f"{flag}: {where!r} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise FileError(f"{flag}: {where!r} is not text") from None
    if not held:
        raise FileError(f"{flag}: {where!r} is empty")
    return held


def _is_surely_a_path(path: Path) -> bool:
    return path.is_absolute() or (path.parent.is_dir() and not _LIKE_A_KEY.fullmatch(str(path)))


def _origin(flag: str, address: str) -> str:
    try:
        url = URL(address)
        if url.scheme in {"http", "https"} and url.host and not url.fragment:
            return str(url.origin())
    except ValueError:
        pass  # its message repeats the address
    raise OperatorError(
        f"{flag}: the value is not an address like https://host:port/path (it is not repeated "
        "here, since it may be a secret)"
    )
