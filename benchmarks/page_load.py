"""The page's speed and memory: an answer among 10,000 models, and the first chart in Chromium.

    python -m benchmarks.page_load                  10,000 models with two weeks of days each
    python -m benchmarks.page_load --models 1000

Prints one line a figure. docs/page.md has those of the machine named there.
"""

import argparse
import asyncio
import resource
import shutil
import statistics
import time
from collections.abc import Callable

import orjson
from aiohttp import web
from playwright.async_api import Page as Tab
from playwright.async_api import async_playwright

from agents.page.live import changes
from agents.page.server import make_app
from agents.page.store import PageStore
from agents.page.views import PortfolioQuery, alert_view, model_view, portfolio
from tests.agents.page.sample import Log, alert, golden, page_of

DAYS, SERIES_DAYS, FEATURES = 14, 7, 10
REPEATS = 9
BLANK = "<!doctype html><title>blank</title><h1>Blank</h1>"


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=10_000)
    models = parser.parse_args().models
    before = _memory_mb()
    began_s = time.perf_counter()
    store = _filled(models)
    records = _count(store)
    print(f"{models:,} models, {records:,} records: read in {time.perf_counter() - began_s:.1f} s")
    print(f"memory {_memory_mb():.0f} MB, {before:.0f} MB of it before the first record")
    name = f"model {models // 2}"
    fingerprint = (
        alert(name)["fingerprint"] if (models // 2) % 10 == 0 else alert("model 0")["fingerprint"]
    )
    _time("portfolio, nothing kept", lambda: _first(store))
    _time("portfolio by urgency", lambda: portfolio(store, PortfolioQuery()))
    _time("portfolio, searched", lambda: portfolio(store, PortfolioQuery(search="77")))
    _time("portfolio by error, last page", lambda: portfolio(store, _last(models)))
    _time("model", lambda: model_view(store, name))
    _time("alert", lambda: alert_view(store, fingerprint))
    _time("event after a reconnect", lambda: changes(store, store.changed_after({})))
    asyncio.run(_in_browser(store, fingerprint))


def _first(store: PageStore) -> object:
    for model in store.models.values():
        model.row = None
    return portfolio(store, PortfolioQuery())


def _last(models: int) -> PortfolioQuery:
    return PortfolioQuery(sort="error", descending=True, page=(models - 1) // 100)


def _filled(models: int) -> PageStore:
    log = Log()
    series = golden("series")
    for number in range(models):
        name = f"model {number}"
        log.days(name, DAYS)
        for day in range(SERIES_DAYS):
            record = series | {
                "model_id": name,
                "kind": "day",
                "start": f"2026-03-{day + 1:02}T00:00:00.000Z",
                "series": series["series"] * FEATURES,
            }
            log.put("metrics", f"{name}|series|{day}", record)
        if number % 10 == 0:
            log.fire(alert(name))
    return log.store


def _count(store: PageStore) -> int:
    return sum(len(shelf) for model in store.models.values() for shelf in model.shelves.values())


def _time(what: str, call: Callable[[], object]) -> None:
    found = []
    for _ in range(REPEATS):
        began_s = time.perf_counter()
        size = len(orjson.dumps(answer)) if isinstance(answer := call(), dict) else 0
        found.append(1_000 * (time.perf_counter() - began_s))
    print(f"{what}: {statistics.median(found):.0f} ms, slowest {max(found):.0f} ms, {size:,} bytes")


def _memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024


async def _in_browser(store: PageStore, fingerprint: str) -> None:
    host = "127.0.0.1:8812"
    app = make_app(page_of(store, host))

    async def blank(_request: web.Request) -> web.Response:
        return web.Response(text=BLANK, content_type="text/html")

    app.router.add_get("/blank", blank)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 8_812).start()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        tab = await browser.new_page()
        empty = await _load(tab, f"http://{host}/blank", "h1")
        chart = await _load(tab, f"http://{host}/alert/{fingerprint}", ".uplot canvas")
        table = await _load(tab, f"http://{host}/", ".models tbody tr:nth-child(100)")
        print(f"blank page {empty:.0f} ms; first chart {chart:.0f} ms, {chart / empty:.1f} times")
        print(f"portfolio with 100 rows {table:.0f} ms, {table / empty:.1f} times")
        await browser.close()
    await runner.cleanup()


async def _load(tab: Tab, url: str, selector: str) -> float:
    found = []
    for _ in range(REPEATS):
        await tab.goto("about:blank")
        began_s = time.perf_counter()
        await tab.goto(url, wait_until="commit")
        await tab.wait_for_selector(selector)
        found.append(1_000 * (time.perf_counter() - began_s))
    return statistics.median(found)


if __name__ == "__main__":
    main()
