"""An HTTP server that is told things: it keeps what it is sent, and answers as it is asked to."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple, Self

import orjson
from aiohttp import web

from agents.demo.embedded_broker import free_port


class Answer(NamedTuple):
    """What the server says to one request."""

    status: int = 200
    text: str = ""
    headers: dict[str, str] = {}


class Post(NamedTuple):
    """What the server was sent, and what it answered."""

    path: str
    headers: dict[str, str]
    body: bytes
    status: int

    def json(self) -> Any:
        """Return the body, read."""
        return orjson.loads(self.body)


class Receiver:
    """Listens on 127.0.0.1, always at the same port.

    Parameters
    ----------
    answer
        Decides on the answer to the n-th request, from 0.
    """

    def __init__(self, answer: Callable[[int], Answer] = lambda _: Answer()) -> None:
        self.port = free_port()
        self.answer = answer
        self.posts: list[Post] = []
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def taken(self) -> list[Post]:
        """Return what it said yes to."""
        return [post for post in self.posts if post.status < 300]

    async def start(self) -> Self:
        """Listen."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._on_request)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        return self

    async def stop(self) -> None:
        """Listen no more."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _on_request(self, request: web.Request) -> web.Response:
        answer = self.answer(len(self.posts))
        body = await request.read()
        self.posts.append(Post(request.path, dict(request.headers), body, answer.status))
        return web.Response(status=answer.status, text=answer.text, headers=answer.headers)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()
