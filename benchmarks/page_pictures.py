"""Pictures of the page: each view in light and dark, of models with alerts that are open.

    python -m benchmarks.page_pictures            writes docs/page/*.png
    python -m benchmarks.page_pictures --serve    shows the same page at http://127.0.0.1:8811

The records are those of two backtests, the story of two models up to its 45th hour and the car
loans, and those of the day in which everybody answers, up to its challenger, all as of the same
week. They need Chromium (Debian's package) and playwright.
"""

import argparse
import asyncio
import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
from aiohttp import web
from PIL import Image
from playwright.async_api import Browser, async_playwright

from agents.commands.backtest import Backtest
from agents.commands.recording import Recording, Refusals
from agents.demo import car_loan, loop, story
from agents.page.actions import Actions
from agents.page.feed import Feed, TopicState
from agents.page.page import Page
from agents.page.server import make_app
from agents.page.store import Entry, PageStore
from agents.settings import Settings
from benchmarks.throughput import ROOT
from schemas.model_spec import parse_spec
from schemas.topics import TopicRole
from streams.clock import HOUR_MS
from streams.emission import Emission

FOLDER = ROOT / "docs" / "page"
PORT = 8_811
HOST = f"127.0.0.1:{PORT}"
UNTIL_MS = story.START_MS + 45 * HOUR_MS
LOAN_ROWS = 80_000
"""Rows of the car loans: a month of changed ones."""
REVIEWED = "limit"
REVIEWED_WINDOWS = 115
"""Rows of the model with reviews, sixteen hours and a half: its challenger is not decided yet."""
SPECS: dict[str, dict[str, object]] = {
    "loan": {
        "owner": "credit risk",
        "metrics": {"every": "hour"},
        "cost": {"per_error": 40},
    },
    "price": {"owner": "pricing", "metrics": {"every": "hour"}},
    "car_loan": {
        "owner": "credit risk",
        "metrics": {"every": "day"},
        "cost": {"per_error": 900},
    },
}
WIDE, NARROW = (1280, 800), (390, 844)


def main() -> None:
    """Take the pictures, or serve the page that they show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true", help="serve until Ctrl-C")
    is_serving = parser.parse_args().serve
    store = PageStore()
    for model_id in SPECS:
        _play(store, model_id)
    _play_loop(store)
    page = _page(store)
    if is_serving:
        web.run_app(make_app(page), host="127.0.0.1", port=PORT)
    else:
        asyncio.run(_take_pictures(page))


class _Keeper:
    """Puts what a model publishes into the store, as its topics would."""

    def __init__(self, store: PageStore, spec: dict[str, object]) -> None:
        self._store = store
        self._offset = len(store.models) * 1_000_000
        model_id = str(spec["model_id"])
        store.take(Entry("models", 0, self._offset, model_id, orjson.dumps(spec)))

    def keep(self, emission: Emission) -> None:
        """Take a record."""
        key = emission.model_id if emission.key is None else emission.key
        self.put(emission.role, key, emission.value)

    def put(self, role: TopicRole, key: str, value: bytes) -> None:
        """Take a record by its parts."""
        if role in {"alerts", "status", "metrics", "commands", "reviews"}:
            self._offset += 1
            self._store.take(Entry(role, 0, self._offset, key, value or None))


def _play_loop(store: PageStore) -> None:
    """Play the day of a model that people review and that has a challenger."""
    keeper = _Keeper(store, loop.SPEC | {"model_id": REVIEWED})
    start_ms = UNTIL_MS - REVIEWED_WINDOWS * loop.WINDOW_MS
    for _, heard, _ in loop.played(start_ms, REVIEWED, REVIEWED_WINDOWS):
        for each in heard:
            keeper.put(each.role, each.key or REVIEWED, each.value)


def _play(store: PageStore, model_id: str) -> None:
    spec = SPECS[model_id] | {"model_id": model_id}
    run = Backtest(parse_spec(spec), on_emission=_Keeper(store, spec).keep)
    with TemporaryDirectory() as folder:
        paths = {kind: Path(folder, f"{kind}.jsonl") for kind in ("prediction", "outcome")}
        files = {kind: path.open("wb") for kind, path in paths.items()}
        for kind, payload in _messages(model_id):
            files[kind].write(payload + b"\n")
        for file in files.values():
            file.close()
        recording = Recording(predictions=str(paths["prediction"]), outcomes=str(paths["outcome"]))
        for events, is_predicted in recording.batches(Refusals(), lambda _count: None):
            run.apply(events, is_predicted=is_predicted)


def _messages(model_id: str) -> Iterator[tuple[str, bytes]]:
    if model_id != car_loan.MODEL_ID:
        for told in story.published():
            if told.prediction_id.startswith(f"{model_id}-") and told.at_ms < UNTIL_MS:
                yield told.kind, told.payload
        return
    messages = list(car_loan.published(rows=LOAN_ROWS))
    last_ms = max(_instant(each.payload) for each in messages)
    for message in messages:
        yield message.kind, _moved(message.payload, UNTIL_MS - last_ms)


def _instant(payload: bytes) -> int:
    fields = orjson.loads(payload)
    found: int = fields.get("predicted_at") or fields.get("observed_at")
    return found


def _moved(payload: bytes, by_ms: int) -> bytes:
    fields = orjson.loads(payload)
    for name in ("predicted_at", "observed_at"):
        if name in fields:
            fields[name] += by_ms
    return orjson.dumps(fields)


def _page(store: PageStore) -> Page:
    feed = Feed(Settings(), store, lambda: UNTIL_MS)
    feed.is_ready, feed.tick_ms = True, UNTIL_MS - 4_000
    for topic in feed.topics.values():
        _describe(topic, store)

    async def send(_key: bytes, _value: bytes) -> tuple[int, int]:
        return 0, 0

    return Page(
        deployment="production",
        prefix="tidegauge.",
        feed=feed,
        actions=Actions(send=send),
        hosts=frozenset({HOST}),
        now_ms=lambda: UNTIL_MS,
    )


def _describe(topic: TopicState, store: PageStore) -> None:
    read = store.positions.get((topic.role, 0), -1) + 1
    topic.first, topic.end = {0: 0}, {0: read}
    topic.last_at = UNTIL_MS - 90_000 if read else None


async def _take_pictures(page: Page) -> None:
    runner = web.AppRunner(make_app(page), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", PORT).start()
    FOLDER.mkdir(exist_ok=True)
    open_alerts = {
        status["alert"]["series"]: fingerprint
        for model in page.store.models.values()
        for fingerprint, status in model.firing.items()
    }
    views = {
        "models": "/",
        "model": "/model/car_loan",
        "alert": f"/alert/{open_alerts['feature/car_value']}",
        "reviews": "/reviews",
        "challengers": "/challengers",
        "topics": "/topics",
    }
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for name, path in views.items():
            for scheme in ("light", "dark"):
                await _picture(browser, f"{name}-{scheme}", path, scheme, WIDE)
        await _picture(browser, "alert-phone", views["alert"], "light", NARROW)
        await browser.close()
    await runner.cleanup()


async def _picture(
    browser: Browser, name: str, path: str, scheme: str, size: tuple[int, int]
) -> None:
    context = await browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": size[0], "height": size[1]},
    )
    view = await context.new_page()
    await view.goto(f"http://{HOST}{path}")
    await view.wait_for_selector("main h1")
    await view.wait_for_timeout(400)
    picture = Image.open(BytesIO(await view.screenshot(full_page=True)))
    # 96 colours are enough for a page, and a third of the bytes.
    picture.convert("RGB").quantize(96).save(FOLDER / f"{name}.png", optimize=True)
    await context.close()


if __name__ == "__main__":
    main()
