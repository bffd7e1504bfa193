"""Send requests to an HTTP server that may be down, slow, busy or misconfigured.

Rule 1. A 2xx answer is success.
Rule 2. A target that is unavailable (no connection, no answer in time, 408, 425, 429, 5xx) is tried
        again without limit, after growing pauses that honour ``Retry-After`` within a bound.
Rule 3. A wrong address or key (3xx, 401, 403, 404, 405, 407, 410) needs the operator: the process
        ends, and the request is sent again at the next start.
Rule 4. Any other answer rejects this request alone. The caller logs it and continues.
Rule 5. No log line or error contains a key, a header, or more of an address than its origin.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
from pydantic import SecretStr
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type
from tenacity.wait import wait_exponential_jitter
from yarl import URL

from agents.errors import OperatorError
from agents.telemetry import HIDDEN, RateLimit, get_logger
from agents.text import printable

_TIMEOUT = aiohttp.ClientTimeout(total=30.0)
"""Seconds for one request; PagerDuty and Slack answer within a few."""
_BUSY = frozenset({408, 425, 429})
_MISCONFIGURED = frozenset({401, 403, 404, 405, 407, 410})
_SHORTEST_SECRET = 4
"""Characters. By judgement: shorter parts, such as `/v2`, are words of other texts."""
_SHOWN_CHARACTERS = 200
"""Characters of an answer that a log line shows."""
_READ_BYTES = 4_096
"""Bytes that are read of an answer, which may be a long page of HTML."""
_LOG_EVERY_S = 60.0
"""Seconds between two log lines about a target that stays unavailable."""
_log = get_logger(__name__)


class TargetUnavailableError(Exception):
    """The target accepts nothing at present. The sender tries again.

    Parameters
    ----------
    reason
        The cause, for a log line.
    asked_s
        The pause that the target asks for, in seconds.
    """

    def __init__(self, reason: str, asked_s: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.asked_s = asked_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One POST.

    Parameters
    ----------
    url
        The address. It is often a secret by itself, so it is kept out of messages.
    body
        JSON.
    headers
        Headers besides the content type.
    """

    url: SecretStr
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """The answer to a request that the target will never accept."""

    status: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Pauses between attempts, in seconds.

    Parameters
    ----------
    first_s, longest_s
        The first pause, and the bound of the later ones, which double.
    longest_asked_s
        The bound of a pause that a target asks for.
    """

    first_s: float = 1.0
    longest_s: float = 60.0
    longest_asked_s: float = 600.0


def open_session() -> aiohttp.ClientSession:
    """Return a session for senders; the usual proxy variables of the environment apply."""
    headers = {"Content-Type": "application/json", "User-Agent": "tidegauge"}
    return aiohttp.ClientSession(timeout=_TIMEOUT, headers=headers, trust_env=True)


class HttpSender:
    """Delivers to one target.

    Parameters
    ----------
    session
        Open for as long as the sender is used.
    name
        The target's name in messages.
    secret
        Text that is hidden when the target's answer repeats it.
    backoff
        Pauses between attempts.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        name: str,
        secret: SecretStr,
        backoff: Backoff | None = None,
    ) -> None:
        self._session = session
        self.name = name
        self._secret = secret
        self._backoff = backoff or Backoff()
        self._growing_pause = wait_exponential_jitter(
            multiplier=self._backoff.first_s,
            max=self._backoff.longest_s,
            jitter=self._backoff.first_s,
        )
        self._log_limit = RateLimit(_LOG_EVERY_S)
        self._unavailable_since_s: float | None = None
        self.retries = 0
        self.accepted = 0
        self.rejected = 0

    @property
    def unavailable_s(self) -> float:
        """Seconds for which the target has been unavailable; 0 while it is not."""
        since_s = self._unavailable_since_s
        return 0.0 if since_s is None else asyncio.get_running_loop().time() - since_s

    async def deliver(self, make: Callable[[], Awaitable[Request | None]]) -> Rejection | None:
        """Return once the target has accepted a request, or rejected it for good.

        Parameters
        ----------
        make
            Makes the request for each attempt, since time passes between them; None when there is
            nothing to send any more.

        Raises
        ------
        OperatorError
            When the address or the key is wrong (Rule 3).
        """
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(TargetUnavailableError),
            wait=self._pause_s,
            before_sleep=self._log_unavailable,
        )
        rejection: Rejection | None = await retrying(self._attempt, make)
        self._log_recovery()
        return rejection

    async def _attempt(self, make: Callable[[], Awaitable[Request | None]]) -> Rejection | None:
        request = await make()
        if request is None:
            return None
        try:
            async with self._session.post(
                request.url.get_secret_value(),
                data=request.body,
                headers=request.headers,
                allow_redirects=False,
            ) as response:
                rejection = await self._rejection_of(response)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise TargetUnavailableError(_without_address(error)) from None
        self.accepted += rejection is None
        self.rejected += rejection is not None
        return rejection

    async def _rejection_of(self, response: aiohttp.ClientResponse) -> Rejection | None:
        status = response.status
        if 200 <= status < 300:
            return None
        if status in _BUSY or status >= 500:
            raise TargetUnavailableError(f"it answers {status}", _asked_s(response.headers))
        text = await self._excerpt(response)
        if status in _MISCONFIGURED or status < 400:
            raise OperatorError(
                f"{self.name} answers {status}: the address or the key is wrong, or lacks rights. "
                f"Correct its value and start again: nothing is lost. It answered: {text}"
            )
        return Rejection(status=status, text=text)

    async def _excerpt(self, response: aiohttp.ClientResponse) -> str:
        answer = (await response.content.read(_READ_BYTES)).decode("utf-8", "replace")
        return printable(without_secrets(answer, self._secret))[:_SHOWN_CHARACTERS]

    def _pause_s(self, state: RetryCallState) -> float:
        granted_s = min(_cause(state).asked_s, self._backoff.longest_asked_s)
        return max(float(self._growing_pause(state)), granted_s)

    def _log_unavailable(self, state: RetryCallState) -> None:
        now_s = asyncio.get_running_loop().time()
        if self._unavailable_since_s is None:
            self._unavailable_since_s = now_s
        self.retries += 1
        if self._log_limit.admit("unavailable", now_s) is not None:
            _log.warning(
                f"{self.name} is unavailable: {_cause(state).reason}. Attempt "
                f"{state.attempt_number + 1} follows in {state.upcoming_sleep:.0f} s",
                attempts=state.attempt_number,
            )

    def _log_recovery(self) -> None:
        if self._unavailable_since_s is not None:
            outage_s = asyncio.get_running_loop().time() - self._unavailable_since_s
            _log.info(f"{self.name} is available again after {outage_s:.0f} s")
            self._unavailable_since_s = None


def without_secrets(text: str, secret: SecretStr) -> str:
    """Hide a key or an address in a text, and each part of an address that may be a secret.

    A part of a path or query of fewer than ``_SHORTEST_SECRET`` characters hides nothing: it is in
    every text. A user and a password are hidden at any length.
    """
    whole = secret.get_secret_value()
    parts = {whole}
    with contextlib.suppress(ValueError):
        url = URL(whole)
        if url.host:
            _, _, query = whole.partition("?")  # as it is written: `URL` decodes some of it
            paths = (url.path, url.raw_path, url.raw_path_qs, *url.parts)
            queries = (url.query_string, url.raw_query_string, query, *url.query.values())
            named = (*url.query, *re.split("[&=]", query))
            parts |= {each for each in paths + queries + named if len(each) >= _SHORTEST_SECRET}
            people = (url.user, url.password, url.raw_user, url.raw_password)
            parts |= {each for each in people if each}
    for part in sorted(parts, key=len, reverse=True):
        text = text.replace(part, HIDDEN)
    return text


def _cause(state: RetryCallState) -> TargetUnavailableError:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, TargetUnavailableError):
        msg = "only an unavailable target is tried again"
        raise TypeError(msg)
    return error


def _without_address(error: aiohttp.ClientError | TimeoutError) -> str:
    """Return the cause of a failed connection; many of aiohttp's messages hold the whole URL."""
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted ({error.certificate_error})"
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.strerror:
        return f"no connection ({error.os_error.strerror})"
    return f"the connection failed ({type(error).__name__})"


def _asked_s(headers: Mapping[str, str]) -> float:
    asked = headers.get("Retry-After", "").strip()
    if asked.isdecimal():
        return float(asked)
    with contextlib.suppress(ValueError, TypeError):  # TypeError: a date without a time zone
        return (parsedate_to_datetime(asked) - datetime.now(UTC)).total_seconds()
    return 0.0
