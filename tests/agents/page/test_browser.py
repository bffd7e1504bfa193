"""The page in a real Chromium: what people see, type and hear."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp import web
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect

from agents.demo.embedded_broker import free_port
from agents.page.actions import Actions
from agents.page.report import latest_ms, report
from agents.page.server import make_app
from tests.agents.page.sample import HOSTILE, Log, Sent, alert, page_of, small_log
from tests.chromium import axe, chromium
from tests.patience import PATIENCE_S

FINGERPRINT = alert("car_loan", "feature/car_value")["fingerprint"]
VIEWS = {
    "models": "/",
    "model": "/model/car_loan",
    "alert": f"/alert/{FINGERPRINT}",
    "reviews": "/reviews",
    "challengers": "/challengers",
    "topics": "/topics",
}


@dataclass
class Site:
    """The page of a log, served by a thread of its own."""

    log: Log = field(default_factory=small_log)
    sent: Sent = field(default_factory=Sent)
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> web.AppRunner:
        self.page = page_of(self.log.store, f"127.0.0.1:{self.port}", Actions(send=self.sent.send))
        runner = web.AppRunner(make_app(self.page), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        return runner


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    site, loop = Site(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner = asyncio.run_coroutine_threadsafe(site.start(), loop).result(PATIENCE_S)
    yield site
    asyncio.run_coroutine_threadsafe(_stop(runner), loop).result(PATIENCE_S)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def _stop(runner: web.AppRunner) -> None:
    await runner.cleanup()
    streams = asyncio.all_tasks() - {asyncio.current_task()}
    if streams:
        await asyncio.wait(streams, timeout=1)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@dataclass
class Seen:
    """A tab, and all that it complained about or asked of others."""

    tab: Page
    origin: str
    problems: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.tab.on("console", self._on_console)
        self.tab.on("pageerror", lambda error: self.problems.append(str(error)))
        self.tab.on("request", self._on_request)

    def open(self, url: str) -> Page:
        self.tab.goto(url)
        self.tab.wait_for_selector("main h1")
        return self.tab

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.problems.append(message.text)

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((self.origin, "data:")):
            self.problems.append(f"asked for {request.url}")


@pytest.fixture
def seen(browser: Browser, site: Site) -> Iterator[Seen]:
    context = browser.new_context(reduced_motion="reduce")
    seen = Seen(context.new_page(), site.url)
    seen.watch()
    yield seen
    context.close()
    assert not seen.problems


def test_each_view_is_complete_in_both_schemes_and_on_a_phone(seen: Seen, site: Site) -> None:
    tab = seen.tab
    for scheme, width in (("light", 1_280), ("dark", 390)):
        tab.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        tab.set_viewport_size({"width": width, "height": 800})
        for name, path in VIEWS.items():
            seen.open(site.url + path)
            scrolls = tab.evaluate("document.documentElement.scrollWidth > innerWidth")
            assert not scrolls, f"{name} is wider than {width}"
            assert tab.title().endswith("Tidegauge")
    seen.open(site.url + VIEWS["alert"])
    expect(tab.locator(".uplot canvas")).to_be_visible()
    expect(tab.get_by_role("img", name="car_value")).to_be_visible()
    seen.open(site.url + VIEWS["reviews"])
    expect(tab.get_by_role("row")).to_have_count(4)  # two tables of one row each
    seen.open(site.url + VIEWS["challengers"])
    expect(tab.get_by_text("decides at")).to_be_visible()


def test_no_view_has_a_serious_finding_of_axe(seen: Seen, site: Site) -> None:
    script = axe().read_text("utf-8")
    for scheme in ("light", "dark"):
        seen.tab.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        for name, path in VIEWS.items():
            seen.open(site.url + path)
            seen.tab.evaluate(script)
            found = seen.tab.evaluate("axe.run().then(found => found.violations)")
            serious = {
                f"{each['id']}: {node['html'][:120]}"
                for each in found
                if each["impact"] in {"serious", "critical"}
                for node in each["nodes"]
            }
            assert not serious, f"{name} in {scheme}"


def test_an_alert_is_found_and_acknowledged_by_the_keyboard_alone(seen: Seen, site: Site) -> None:
    tab = seen.open(site.url)
    tab.keyboard.press("/")
    tab.keyboard.type("car_loan")
    expect(tab.get_by_role("row")).to_have_count(2)
    link = tab.get_by_role("link", name="The error rose")
    for _ in range(20):
        if link.evaluate("each => each === document.activeElement"):
            break
        tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("heading", level=1)).to_be_focused()
    button = tab.get_by_role("button", name="Acknowledge")
    for _ in range(20):
        if button.evaluate("each => each === document.activeElement"):
            break
        tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("dialog", name="Acknowledge")).to_be_visible()
    tab.keyboard.type("ann")
    tab.keyboard.press("Tab")
    tab.keyboard.type("known")
    tab.keyboard.press("Enter")

    expect(tab.locator("#toast")).to_contain_text("Acknowledged by ann")
    record = site.sent.records[-1]
    assert (record["verb"], record["by"], record["because"]) == ("ack", "ann", "known")


def test_hostile_names_are_shown_as_text(seen: Seen, site: Site) -> None:
    tab = seen.tab
    for name in HOSTILE:
        seen.open(f"{site.url}/model/{quote(name, safe='')}")
        shown = tab.get_by_role("heading", level=1).text_content() or ""

        assert shown == name.replace("\u202e", "\ufffd").replace("\u202c", "\ufffd")
        assert "owned" not in tab.title().replace(name, "")
        assert tab.locator("main img, main script").count() == 0
        tab.locator(".alerts a").first.click()
        tab.wait_for_selector("#h-before")
        assert tab.locator("main img, main script").count() == 0
    seen.open(site.url)
    assert tab.get_by_text("<script>").first.is_visible()


def test_what_changes_is_shown_without_a_reload_and_the_end_of_the_broker_is_told(
    seen: Seen, site: Site
) -> None:
    tab = seen.open(f"{site.url}/model/calm")
    expect(tab.get_by_text("No alert of this model is open.")).to_be_visible()

    site.log.fire(alert("calm", "score"))

    expect(tab.locator(".alerts li")).to_have_count(1)
    site.page.feed.trouble = "Kafka at 127.0.0.1:9092 does not answer"
    expect(tab.get_by_role("alert")).to_contain_text("does not answer")
    site.page.feed.trouble = None
    expect(tab.get_by_role("alert")).to_be_hidden()


def test_focus_stays_where_it_was_when_the_view_is_drawn_anew(seen: Seen, site: Site) -> None:
    tab = seen.open(f"{site.url}/model/car_loan")
    link = tab.locator(".crumbs a").first
    link.focus()

    before = tab.locator("main").inner_text()
    site.log.fire(alert("car_loan", "score"))
    expect(tab.locator("main")).not_to_have_text(before, use_inner_text=True)

    expect(link).to_be_focused()


def test_a_report_opens_from_disk_with_every_view(seen: Seen, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    log = small_log()
    file.write_bytes(report(log.store, "tests", latest_ms(log.store)))
    seen.origin = file.as_uri()

    tab = seen.open(file.as_uri())
    tab.get_by_role("link", name="car_loan", exact=True).click()
    tab.wait_for_selector("#h-features")
    tab.locator(".alerts a").nth(1).click()
    tab.wait_for_selector("#h-before")

    expect(tab.locator(".uplot canvas")).to_be_visible()
    expect(tab.get_by_role("button", name="Acknowledge")).to_have_count(0)
    assert FINGERPRINT in tab.url


def test_the_policy_refuses_scripts_and_addresses_that_are_not_the_pages(
    browser: Browser, site: Site
) -> None:
    tab = browser.new_page()
    tab.goto(site.url)
    tab.wait_for_selector("main h1")
    tab.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "window.owned = 1";
          document.body.append(script);
        }"""
    )

    assert tab.evaluate("window.owned") is None
    assert tab.evaluate("fetch('http://localhost:9/').then(() => 'sent', () => 'refused')") == (
        "refused"
    )
    tab.close()
