"""Buttons of the page: the control records that the command line writes.

A page in a browser acts in the name of a person, so three things must agree. The request comes from
the page itself: it has the page's token, and an origin, where there is one, that is the page's own.
The person is known: by a header that a proxy sets, or by a name that the page asks for once.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agents.commands.control_record import ControlRequest, control_of
from agents.errors import OperatorError
from agents.page.store import PageStore

TOKEN_HEADER = "Tidegauge-Token"  # noqa: S105 - the name of a header
VERBS = ("ack", "accept", "mute", "unmute", "mark")
MAX_BODY_BYTES = 16 * 1024
"""Bytes of a request at most: a reason has at most 1,000 characters."""
Send = Callable[[bytes, bytes], Awaitable[tuple[int, int]]]


class RefusedError(Exception):
    """The action is refused. The message says why, for the person at the page."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Actions:
    """Writes controls for people at the page.

    Parameters
    ----------
    send
        Appends key and value to ``controls``; returns partition and offset.
    user_header
        Header in which a proxy names the user; None: the page asks for a name.
    token
        A secret of this process, which only its own page can read.
    """

    send: Send
    user_header: str | None = None
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    def user_of(self, headers: Mapping[str, str]) -> str | None:
        """Return the user as a proxy names it; None where there is no such header."""
        return headers.get(self.user_header) or None if self.user_header else None

    async def act(
        self, store: PageStore, headers: Mapping[str, str], origins: frozenset[str], asked: Any
    ) -> dict[str, Any]:
        """Write a control.

        Parameters
        ----------
        store
            Has the alert.
        headers
            Of the request.
        origins
            Those of the page itself.
        asked
            Decoded body: ``verb``, ``fingerprint``, and as the verb needs ``because``, ``for_s``,
            ``verdict``, and ``by`` where no proxy names the user.

        Raises
        ------
        RefusedError
            When the request is not the page's own, or the control is not valid.
        """
        self._check(headers, origins)
        if not isinstance(asked, dict) or asked.get("verb") not in VERBS:
            raise RefusedError(400, f"verb: one of {', '.join(VERBS)} is expected")
        alert = _find(store, asked)
        wanted = ControlRequest(
            verb=asked["verb"],
            fingerprint=alert["fingerprint"],
            by=self._author(headers, asked),
            because=asked.get("because") or None,
            for_s=asked.get("for_s"),
            verdict=asked.get("verdict"),
        )
        try:
            value = control_of(wanted, alert)
        except OperatorError as error:
            raise RefusedError(400, str(error)) from error
        partition, offset = await self.send(alert["model_id"].encode(), value)
        return {"partition": partition, "offset": offset, "by": wanted.by}

    def _check(self, headers: Mapping[str, str], origins: frozenset[str]) -> None:
        token = headers.get(TOKEN_HEADER, "")
        if not hmac.compare_digest(token.encode(), self.token.encode()):
            raise RefusedError(403, "The token is missing or is not this page's: load it again.")
        origin = headers.get("Origin")
        if origin is not None and origin not in origins:
            raise RefusedError(403, "The request comes from another site.")
        if headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            raise RefusedError(403, "The request comes from another site.")

    def _author(self, headers: Mapping[str, str], asked: Mapping[str, Any]) -> str:
        if self.user_header is not None:
            user = self.user_of(headers)
            if user is None:
                raise RefusedError(403, f"The proxy did not set the header {self.user_header}.")
            return user
        by = asked.get("by")
        if not isinstance(by, str) or not by.strip():
            raise RefusedError(400, "by: a name is expected")
        return by.strip()


def _find(store: PageStore, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the latest record of an alert to which the verb may refer."""
    fingerprint = str(asked.get("fingerprint"))
    model = store.model_of(fingerprint)
    status = None if model is None else model.firing.get(fingerprint)
    if status is not None:
        alert: dict[str, Any] = status["alert"]
        return alert
    if model is not None and asked["verb"] == "mark":
        for alert in reversed(model.records("alert")):
            if alert["fingerprint"] == fingerprint:
                return alert
    raise RefusedError(404, "No such alert is open: it may have ended meanwhile.")
