"""TLS files and tokens, read again for new connections: they are renewed under a running process.

A connection keeps the certificate that it began with, so a renewal takes effect with the next one.
"""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka.abc import AbstractTokenProvider

_log = logging.getLogger(__name__)


class TlsFiles(NamedTuple):
    """PEM files; without ``ca`` the authorities of the system are trusted."""

    ca: Path | None
    cert: Path | None
    key: Path | None

    def context(self) -> ssl.SSLContext:
        """Read the files.

        Raises
        ------
        OSError
            When one cannot be read, or does not fit (`ssl.SSLError`).
        """
        context = ssl.create_default_context(cafile=self.ca)
        if self.cert is not None:
            context.load_cert_chain(self.cert, self.key)
        return context

    def stamp(self) -> tuple[tuple[int, int, int], ...]:
        """Return what changes with the files: also where a link leads to another file."""
        found = [path.stat() for path in self if path is not None]
        return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in found)


class RenewingContext(ssl.SSLContext):
    """A client's context that reads its files again before a connection, where they have changed.

    Files that do not fit, half a renewal for example, leave the old ones in use.

    Parameters
    ----------
    files
        The files.
    """

    _files: TlsFiles

    def __new__(cls, files: TlsFiles) -> RenewingContext:
        """Make the context; `ssl.SSLContext` takes its arguments here."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._stamp = files.stamp()
        self._current = files.context()

    @property
    def current(self) -> ssl.SSLContext:
        """The context of the next connection."""
        try:
            stamp = self._files.stamp()
            if stamp != self._stamp:
                self._current, self._stamp = self._files.context(), stamp
                _log.info("The TLS files have changed: new connections use them")
        except OSError as error:
            _log.warning("The TLS files have changed and do not fit, the old ones stay: %s", error)
        return self._current

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """Begin a connection; asyncio and uvloop call this for each."""
        return self.current.wrap_bio(*arguments, **options)


class TokenFile(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka is untyped
    """The token of OAUTHBEARER, read from a file for each connection.

    Parameters
    ----------
    path
        The file; white space around the token does not count.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    async def token(self) -> str:
        """Return the token as the file has it now."""
        return self._path.read_text(encoding="utf-8").strip()
