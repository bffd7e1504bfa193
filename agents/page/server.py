"""The HTTP server of the page: its files, JSON of its views, the event stream, and the actions."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from agents.errors import WorkerError
from agents.page.actions import MAX_BODY_BYTES, RefusedError
from agents.page.figures import page_figures
from agents.page.live import changes, event, positions_of
from agents.page.page import Page
from agents.page.people import challenges_view, reviews_view
from agents.page.topics import health_view, topics_view
from agents.page.views import SORTS, STATES, PortfolioQuery, alert_view, model_view, portfolio
from agents.prometheus import metrics_route

STATIC = Path(__file__).with_name("static")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy: nothing inline, nothing from elsewhere, in no frame."""
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_VIEWS = ("/", "/model/{name:.+}", "/alert/{name}", "/reviews", "/challengers", "/topics")
"""Addresses that people keep: each is the one document, which shows the view."""
LIVE_EVERY_S = 1.0
"""Seconds between two events of a stream."""
HEALTH_EVERY = 5
"""Events between two that tell how broker and workers are; a change is told at once."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(page: Page) -> web.Application:
    """Return the application."""
    app = web.Application(middlewares=[_guard(page)], client_max_size=MAX_BODY_BYTES)
    handlers = _Handlers(page)
    app.add_routes([web.get(path, handlers.document) for path in _VIEWS])
    app.add_routes(
        [
            web.get("/static/{path:[A-Za-z.]+(?:/[A-Za-z.]+)?}", handlers.static),
            metrics_route(partial(page_figures, page.store)),
            web.get("/api/health", handlers.health),
            web.get("/api/models", handlers.models),
            web.get("/api/model", handlers.model),
            web.get("/api/alert", handlers.alert),
            web.get("/api/topics", handlers.topics),
            web.get("/api/reviews", handlers.reviews),
            web.get("/api/challenges", handlers.challenges),
            web.get("/api/live", handlers.live),
            web.post("/api/controls", handlers.control),
        ]
    )
    return app


_BROWSERS = ("Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Cookie", "Referer")
"""Headers that browsers send with most requests of a script; by plain HTTP they may send none."""


def _is_of_no_site(host: str) -> bool:
    """Tell whether a host is an address or a name without a dot: a foreign site has neither."""
    with suppress(ValueError):
        ip_address(host)
        return True
    return bool(host) and "." not in host


def _is_scrape(request: web.Request) -> bool:
    """Tell whether Prometheus asks for figures: it names a container, or the address of one.

    A foreign site that gives its own name to this address would read names and errors.
    """
    is_browser = any(name in request.headers for name in _BROWSERS)
    is_figures = request.path == "/metrics"
    return is_figures and not is_browser and _is_of_no_site(request.url.host or "")


def _guard(page: Page) -> Any:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.host not in page.hosts and not _is_scrape(request):
            refusal = {"error": f"This page is not {request.host!r}: start it with --host."}
            return _json(refusal, 421)
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = _json({"error": error.reason}, error.status)
        except RefusedError as error:
            response = _json({"error": str(error)}, error.status)
        except WorkerError as error:
            response = _json({"error": str(error)}, 503)
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    return guard


class _Handlers:
    def __init__(self, page: Page) -> None:
        self._page = page

    async def document(self, _request: web.Request) -> web.Response:
        text = (STATIC / "index.html").read_text(encoding="utf-8")
        token = "" if self._page.actions is None else self._page.actions.token
        return web.Response(text=text.replace("{{token}}", token), content_type="text/html")

    async def static(self, request: web.Request) -> web.Response:
        path = STATIC / request.match_info["path"]
        if path.suffix not in _TYPES or not path.is_file():
            raise web.HTTPNotFound
        return web.Response(body=path.read_bytes(), content_type=_TYPES[path.suffix])

    async def health(self, request: web.Request) -> web.Response:
        user = None
        if self._page.actions is not None:
            user = self._page.actions.user_of(request.headers)
        return _json(health_view(self._page) | {"user": user})

    async def models(self, request: web.Request) -> web.Response:
        return _json(portfolio(self._page.store, _portfolio_query(request)))

    async def model(self, request: web.Request) -> web.Response:
        return _found(model_view(self._page.store, request.query.get("id", "")))

    async def alert(self, request: web.Request) -> web.Response:
        episode = request.query.get("episode", "")
        number = int(episode) if episode.isdecimal() else None
        fingerprint = request.query.get("fingerprint", "")
        return _found(alert_view(self._page.store, fingerprint, number))

    async def reviews(self, _request: web.Request) -> web.Response:
        return _json(reviews_view(self._page.store))

    async def challenges(self, _request: web.Request) -> web.Response:
        return _json(challenges_view(self._page.store))

    async def topics(self, _request: web.Request) -> web.Response:
        return _json(topics_view(self._page.feed))

    async def control(self, request: web.Request) -> web.Response:
        actions = self._page.actions
        if actions is None:
            raise RefusedError(403, "This page only shows: start it with --allow-actions.")
        try:
            asked = orjson.loads(await request.read())
        except orjson.JSONDecodeError as error:
            raise RefusedError(400, "The body is no JSON.") from error
        store, origins = self._page.store, self._page.origins
        return _json(await actions.act(store, request.headers, origins, asked))

    async def live(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=_HEADERS | {"Content-Type": "text/event-stream"})
        await response.prepare(request)
        with suppress(ConnectionError):
            for wait_s, chunk in self._events(request.headers.get("Last-Event-ID", "")):
                await response.write(chunk)
                await asyncio.sleep(wait_s)
        return response

    def _events(self, last_id: str) -> Iterator[tuple[float, bytes]]:
        """Yield the events of a stream, without end, each with the seconds until the next."""
        store, seen = self._page.store, self._page.store.revision
        if positions := positions_of(last_id):
            yield 0.0, changes(store, store.changed_after(positions))
        told: tuple[object, ...] = ()
        for tick in itertools.count():
            health = health_view(self._page)
            state = tuple(health[name] for name in ("is_ready", "trouble", "stale"))
            if state != told or tick % HEALTH_EVERY == 0:
                told = state
                yield 0.0, event("health", health)
            if store.revision == seen:
                yield LIVE_EVERY_S, b": nothing new\n\n"
            else:
                changed, seen = list(store.changed_since(seen)), store.revision
                yield LIVE_EVERY_S, changes(store, changed)


def _portfolio_query(request: web.Request) -> PortfolioQuery:
    given = request.query
    sort, state, page = (given.get(name, "") for name in ("sort", "state", "page"))
    return PortfolioQuery(
        search=given.get("search", ""),
        state=state if state in STATES else "all",
        sort=sort if sort in SORTS else "urgency",
        descending=given.get("descending") == "1",
        page=int(page) if page.isdecimal() and len(page) < 7 else 0,
    )


def _found(view: dict[str, Any] | None) -> web.Response:
    return _json({"error": "not found"}, 404) if view is None else _json(view)


def _json(content: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(content), status=status, content_type="application/json")
