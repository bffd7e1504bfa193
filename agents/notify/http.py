"""Hand requests to an HTTP server that may be away, slow, busy or the wrong one.

Rule 1. Taken (2xx) is done.
Rule 2. Away or busy (no connection, no answer in time, 408, 425, 429, 5xx) is tried again for ever,
        later and later, and never sooner than ``Retry-After`` asks for, within a bound.
Rule 3. Nobody here by that address or key (3xx, 401, 403, 404, 405, 407, 410) is the operator's to
        mend: the process ends, and what was to be said is said at the next start.
Rule 4. Refused otherwise: this request is wrong, the next may not be. The caller says it, goes on.
Rule 5. No address beyond the origin, no key and no header is ever in a message.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
from pydantic import SecretStr
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type
from tenacity.wait import wait_exponential_jitter

from agents.errors import OperatorError
from agents.telemetry import HIDDEN, RateLimit, get_logger, printable

_TIMEOUT = aiohttp.ClientTimeout(total=30.0)
_BUSY = frozenset({408, 425, 429})
_NOBODY = frozenset({401, 403, 404, 405, 407, 410})
_SHOWN_CHARACTERS = 200
_READ_BYTES = 4_096
_COMPLAINS_EVERY_S = 60.0
_log = get_logger(__name__)


class TargetAwayError(Exception):
    """The target took nothing, now. The courier tries again.

    Parameters
    ----------
    reason
        What an operator is told.
    asked_s
        The pause that the target asks for.
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
        Where to; whoever knows it may often post there, so it is kept out of messages.
    body
        JSON.
    headers
        Beside the content's type.
    """

    url: SecretStr
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A request that the target will never take: what it answered."""

    status: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long to wait before another try.

    Parameters
    ----------
    first_s, longest_s
        The first pause, and the one that pauses grow to.
    longest_asked_s
        Of what a target asks for, no more than this is granted.
    """

    first_s: float = 1.0
    longest_s: float = 60.0
    longest_asked_s: float = 600.0


def open_session() -> aiohttp.ClientSession:
    """Return a session for couriers; the usual proxy variables of the environment apply."""
    headers = {"Content-Type": "application/json", "User-Agent": "tidegauge"}
    return aiohttp.ClientSession(timeout=_TIMEOUT, headers=headers, trust_env=True)


class HttpSender:
    """Delivers to one target.

    Parameters
    ----------
    session
        Open for as long as the courier works.
    name
        The target as messages name it.
    secret
        What must not be repeated when the target's answer does.
    patience
        How long to wait before another try.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        name: str,
        secret: SecretStr,
        patience: Backoff | None = None,
    ) -> None:
        self._session = session
        self.name = name
        self._secret = secret
        self._patience = patience or Backoff()
        self._grow = wait_exponential_jitter(
            multiplier=self._patience.first_s,
            max=self._patience.longest_s,
            jitter=self._patience.first_s,
        )
        self._complaints = RateLimit(_COMPLAINS_EVERY_S)
        self._away_since_s: float | None = None
        self.retries = 0

    async def deliver(self, make: Callable[[], Awaitable[Request | None]]) -> Rejection | None:
        """Return once the target has taken a request, or refused it for good.

        Parameters
        ----------
        make
            Makes the request anew for every try, since time passes between them; None when there is
            nothing to say any more.

        Raises
        ------
        OperatorError
            When there is nobody at this address, or not for this key.
        """
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(TargetAwayError),
            wait=self._pause_s,
            before_sleep=self._say_away,
        )
        refusal: Rejection | None = await retrying(self._attempt, make)
        self._say_back()
        return refusal

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
                return await self._judge(response)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise TargetAwayError(_without_address(error)) from None

    async def _judge(self, response: aiohttp.ClientResponse) -> Rejection | None:
        status = response.status
        if 200 <= status < 300:
            return None
        if status in _BUSY or status >= 500:
            raise TargetAwayError(f"it answers {status}", _asked_s(response.headers))
        text = await self._excerpt(response)
        if status in _NOBODY or status < 400:
            raise OperatorError(
                f"{self.name} answers {status}: the address or the key is wrong, or has no rights "
                f"there. Correct what --to names and start again: nothing is lost. It says: {text}"
            )
        return Rejection(status=status, text=text)

    async def _excerpt(self, response: aiohttp.ClientResponse) -> str:
        told = (await response.content.read(_READ_BYTES)).decode("utf-8", "replace")
        return printable(told.replace(self._secret.get_secret_value(), HIDDEN))[:_SHOWN_CHARACTERS]

    def _pause_s(self, state: RetryCallState) -> float:
        granted_s = min(_cause(state).asked_s, self._patience.longest_asked_s)
        return max(float(self._grow(state)), granted_s)

    def _say_away(self, state: RetryCallState) -> None:
        now_s = asyncio.get_running_loop().time()
        if self._away_since_s is None:
            self._away_since_s = now_s
        self.retries += 1
        if self._complaints.take("away", now_s) is not None:
            _log.warning(
                f"{self.name} takes nothing: {_cause(state).reason}. Try "
                f"{state.attempt_number + 1} comes in {state.upcoming_sleep:.0f} s",
                tries=state.attempt_number,
            )

    def _say_back(self) -> None:
        if self._away_since_s is not None:
            away_s = asyncio.get_running_loop().time() - self._away_since_s
            _log.info(f"{self.name} is back after {away_s:.0f} s")
            self._away_since_s = None


def _cause(state: RetryCallState) -> TargetAwayError:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, TargetAwayError):
        msg = "only a target that is away is tried again"
        raise TypeError(msg)
    return error


def _without_address(error: aiohttp.ClientError | TimeoutError) -> str:
    """Say what happened to a connection; many of aiohttp's messages hold the whole URL."""
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
