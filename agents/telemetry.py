"""The log of a process: sentences for people, with fields beside them for programs.

On a terminal each event is a readable line; in a pipe it is one line of JSON. Records of libraries
take the same form, from WARNING up.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, MutableMapping
from typing import IO, Any

import orjson
import structlog
from structlog.types import Processor

from agents.text import escaped, printable

HIDDEN = "(hidden)"

_LIBRARIES = ("aiohttp", "aiokafka", "asyncio", "faust", "kafka", "mode", "numba")
_LIBRARIES_EVERY_S = 10.0
"""Seconds between two records of one line of code; aiokafka logs a lost broker 80 times in one."""
_SECRET_WORDS = ("password", "secret", "token", "credential", "private_key", "api_key")


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a module.

    The message is a whole sentence, with ``%s`` arguments or formatted. Fields for programs are
    keyword arguments: ``log.warning("Alert: %s", summary, alert_id=alert_id)``.
    """
    return structlog.stdlib.get_logger(name)


def configure_logging(level: str = "info", stream: IO[str] | None = None) -> None:
    """Send every log record of this process to ``stream``, standard error unless given.

    Call it once, before anything is logged.

    Parameters
    ----------
    level
        The lowest level that is logged: debug, info, warning or error. Libraries stay at warning
        unless this is higher.
    stream
        A terminal receives readable lines, in colour unless ``NO_COLOR`` is set; any other stream
        receives lines of JSON.
    """
    out = sys.stderr if stream is None else stream
    shared: list[Processor] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        _hide_secrets,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *(_for_people() if out.isatty() else _for_machines()),
            ],
        )
    )
    handler.addFilter(_is_news)
    handler.addFilter(_LibraryLimit())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for library in _LIBRARIES:
        logger = logging.getLogger(library)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(max(root.level, logging.WARNING))
    logging.captureWarnings(capture=True)


def _is_news(record: logging.LogRecord) -> bool:
    message = str(record.msg)
    if message.startswith("[^"):  # mode logs each step of a service, under our modules' names
        return record.levelno >= logging.WARNING
    # Normal at the first start of a cluster; aiokafka tries again at once.
    return not (
        record.name.startswith("aiokafka")
        and message.startswith("Group Coordinator Request failed")
    )


def _for_people() -> list[Processor]:
    return [
        _make_printable,
        structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
        structlog.dev.ConsoleRenderer(
            colors="NO_COLOR" not in os.environ,
            pad_event_to=0,
            # The default formatter prints local variables, which may hold secrets.
            exception_formatter=structlog.dev.plain_traceback,
        ),
    ]


def _for_machines() -> list[Processor]:
    return [
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("message"),
        _as_json_line,
    ]


def _as_json_line(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    first = {name: event.pop(name) for name in ("at", "level", "logger", "message")}
    options = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
    return escaped(orjson.dumps(first | dict(event), default=str, option=options)).decode()


def _make_printable(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = printable(value)
    return event


def _hide_secrets(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for name, value in event.items():
        event[name] = HIDDEN if _is_secret(name) else _without_secrets(value)
    return event


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            name: HIDDEN if _is_secret(str(name)) else _without_secrets(held)
            for name, held in value.items()
        }
    return value


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in _SECRET_WORDS)


class RateLimit:
    """Admits one event of each code every ``every_s`` seconds, and counts the others.

    Codes are kept for good, so they must come from a fixed set: reasons, not ids.

    Examples
    --------
    >>> limit = RateLimit(every_s=10.0)
    >>> [limit.admit("not_json", now_s) for now_s in (0.0, 1.0, 2.0, 10.0)]
    [0, None, None, 2]
    """

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._admitted_at_s: dict[str, float] = {}
        self._suppressed: dict[str, int] = {}

    def admit(self, code: str, now_s: float) -> int | None:
        """Return the events suppressed since the last admitted one; None suppresses this one too.

        Parameters
        ----------
        code
            The kind of event.
        now_s
            The caller's clock; one that is set back lets the next event through.
        """
        admitted_at_s = self._admitted_at_s.get(code)
        if admitted_at_s is not None and 0.0 <= now_s - admitted_at_s < self._every_s:
            self._suppressed[code] = self._suppressed.get(code, 0) + 1
            return None
        self._admitted_at_s[code] = now_s
        return self._suppressed.pop(code, 0)


class _LibraryLimit(logging.Filter):
    """Limits each line of code of a library that logs."""

    def __init__(self) -> None:
        super().__init__()
        self._limit = RateLimit(_LIBRARIES_EVERY_S)

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] not in _LIBRARIES:
            return True
        suppressed = self._limit.admit(f"{record.pathname}:{record.lineno}", record.created)
        if suppressed:
            record.suppressed = suppressed
        return suppressed is not None
