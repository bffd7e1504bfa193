"""A TCP proxy between the workers and the broker, whose connections can be cut or held.

The broker must advertise the proxy's port on the listener behind it: clients would otherwise come
back past the proxy.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

_HOST = "127.0.0.1"
_CHUNK_BYTES = 1 << 16


class Proxy:
    """Forwards bytes both ways, in a thread of its own.

    Parameters
    ----------
    port
        Where clients connect.
    upstream_port
        Where the broker listens.
    """

    def __init__(self, port: int, upstream_port: int) -> None:
        self._port = port
        self._upstream_port = upstream_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._may_flow = asyncio.Event()

    def cut(self) -> None:
        """Break every connection, answers on their way included, and refuse new ones."""
        self._do(self._close)

    def mend(self) -> None:
        """Take connections again."""
        self._do(self._open)

    def hold(self) -> None:
        """Keep every connection and let nothing through: requests then arrive late."""
        self._do(self._set_flow, False)

    def release(self) -> None:
        """Let through what was held, and what comes."""
        self._do(self._set_flow, True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.release()
        self.mend()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Callable[..., Coroutine[Any, Any, None]], *arguments: object) -> None:
        asyncio.run_coroutine_threadsafe(work(*arguments), self._loop).result()

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._serve, _HOST, self._port)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()
        # One turn of the loop, so that every pump sees its end before anybody connects again.
        await asyncio.sleep(0)

    async def _set_flow(self, may_flow: bool) -> None:
        if may_flow:
            self._may_flow.set()
        else:
            self._may_flow.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with contextlib.suppress(OSError):
                there = await asyncio.open_connection(_HOST, self._upstream_port)
                self._writers.add(there[1])
                try:
                    await asyncio.gather(self._pump(reader, there[1]), self._pump(there[0], writer))
                finally:
                    self._drop(there[1])
        finally:
            self._drop(writer)

    def _drop(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward until one side ends, then end the other: half a connection helps nobody."""
        try:
            while data := await reader.read(_CHUNK_BYTES):
                await self._may_flow.wait()
                writer.write(data)
                await writer.drain()
        finally:
            writer.transport.abort()
