"""The browser SDK in Chromium: one socket for many tabs, networks that go away, and pages that are put to sleep."""

import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from tests.clients.test_js import CLIENT
from tests.hub.live import Hub, running, serving, token, until

pytestmark = pytest.mark.browser

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

PAGE = """<!doctype html><title>tab</title><script type="module">
  import { connect } from "/js/tickhub.js";
  const tab = window.tab = { log: [], latest: [], states: [], recovered: [] };
  window.begin = (url, token, options = {}) => {
    const hub = tab.hub = connect(url, { token: () => token, backoff: { min: 50, max: 400 }, ...options });
    hub.on("state", ({ state }) => tab.states.push(state));
    hub.on("recovered", (event) => tab.recovered.push(event));
    hub.subscribe("chat:tabs", ({ n }) => tab.log.push(n));
    hub.subscribe("quick:tabs", (value) => tab.latest.push(value));
  };
  window.ready = true;
</script>"""


async def _page(_: Request) -> HTMLResponse:
    return HTMLResponse(PAGE)


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[tuple[Hub, str]]:
    """A hub, and the address of a page on another origin that it lets in."""
    app = Starlette(routes=[Route("/", _page), Mount("/js", StaticFiles(directory=CLIENT))])
    async with serving(app) as place, running(tmp_path, CORS_ORIGIN=f"http://{place}") as hub:
        yield hub, f"http://{place}/"


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A Chromium of the test's own."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        yield browser
        await browser.close()


class Tab:
    """A page with a connected SDK."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def get(self, expression: str) -> Any:
        return await self.page.evaluate(expression)

    async def wait(self, expression: str) -> None:
        await self.page.wait_for_function(expression, timeout=10_000, polling=20)

    async def live(self) -> None:
        await self.wait("tab.hub.state === 'live'")

    async def heard(self, count: int) -> list[int]:
        """What the log has brought, once it is so much."""
        await self.wait(f"tab.log.length >= {count}")
        heard: list[int] = await self.get("tab.log")
        return heard

    async def cdp(self, method: str, **parameters: object) -> None:
        session = await self.page.context.new_cdp_session(self.page)
        await session.send(method, parameters)


async def tab(context: BrowserContext, hub: Hub, address: str, **options: object) -> Tab:
    """A new tab that is live."""
    page = await context.new_page()
    await page.goto(address)
    await page.wait_for_function("window.ready", timeout=10_000)
    await page.evaluate("([url, token, options]) => begin(url, token, options)", [hub.url, token("7"), options])
    one = Tab(page)
    await one.live()
    await one.get("tab.hub.ping()")
    return one


async def say(hub: Hub, begin: int, end: int) -> None:
    for n in range(begin, end):
        await hub.publish("chat:tabs", n=n)


@contextlib.asynccontextmanager
async def tabs(browser: Browser, hub: tuple[Hub, str], count: int, **options: object) -> AsyncIterator[list[Tab]]:
    """So many tabs of one browser, the holder of a shared socket first."""
    context = await browser.new_context()
    server, address = hub
    yield [await tab(context, server, address, **options) for _ in range(count)]
    await context.close()


@pytest.mark.parametrize("format", ["json", "msgpack"])
async def test_tabs_share_one_socket_and_the_next_takes_over_without_a_loss(
    browser: Browser,
    hub: tuple[Hub, str],
    format: str,  # noqa: A002
) -> None:
    server, _ = hub
    async with tabs(browser, hub, 3, share="7", format=format) as (first, second, third):
        assert len(server.web.connections) == 1
        await say(server, 0, 3)
        for one in (first, second, third):
            assert await one.heard(3) == [0, 1, 2]
        await first.page.close()
        await say(server, 3, 9)
        for one in (second, third):
            assert await one.heard(9) == list(range(9))
        await second.live()
        assert len(server.web.connections) == 1
        await say(server, 9, 10)
        assert await third.heard(10) == list(range(10))


async def test_a_tab_that_comes_later_gets_the_newest_values_and_asks_on_its_own(
    browser: Browser, hub: tuple[Hub, str]
) -> None:
    server, address = hub
    async with tabs(browser, hub, 1, share="7") as (first,):
        await server.publish("quick:tabs", n=1, price=1)
        await server.publish("quick:tabs", n=2, price=1)
        await first.wait("tab.latest.length === 2")
        second = await tab(first.page.context, server, address, share="7")
        await second.wait("tab.latest.length === 1")
        await server.publish("quick:tabs", n=3)
        await second.wait("tab.latest.length === 2")
        assert await second.get("tab.latest") == [{"n": 2, "price": 1}, {"n": 3}]
        assert await first.get("tab.latest") == [{"n": 1, "price": 1}, {"n": 2, "price": 1}, {"n": 3}]
        assert await second.get("tab.hub.history('chat:tabs')") == []
        assert await second.get("tab.hub.history('no:x').catch((error) => error.code)") == "UNKNOWN_CHANNEL"
        await second.get("tab.hub.publish('chat:tabs', { n: 7 })")
        assert await first.heard(1) == [7]
        outcome = await second.get("tab.hub.subscribe(['alerts:9', 'market:TCS']).ready")
        assert [one["channel"] for one in outcome["subscribed"]] == ["market:NSE:TCS"]
        assert len(outcome["failed"]) == 1
        await second.get("tab.hub.close()")
        await until(lambda: server.web.connections.subscription_count() == 2)
        assert await first.get("tab.hub.state") == "live"


async def test_a_tab_hears_a_channel_no_more_often_than_it_asked_though_another_wants_all(
    browser: Browser, hub: tuple[Hub, str]
) -> None:
    server, _ = hub
    async with tabs(browser, hub, 2, share="7") as (first, second):
        await second.get(
            "tab.hub.subscribe('quick:rare', { maxFrequency: 0.1 }, (value) => (tab.rare ??= []).push(value.n)).ready"
        )
        await first.get("tab.hub.subscribe('quick:rare', (value) => (tab.rare ??= []).push(value.n)).ready")
        for n in range(5):
            await server.publish("quick:rare", n=n)
            await first.wait(f"tab.rare?.length === {n + 1}")
        await second.get("tab.hub.ping()")
        assert await second.get("tab.rare") == [0]


async def test_the_next_tab_takes_over_from_one_that_crashes(browser: Browser, hub: tuple[Hub, str]) -> None:
    server, _ = hub
    async with tabs(browser, hub, 2, share="7") as (first, second):
        await say(server, 0, 2)
        assert await second.heard(2) == [0, 1]
        with contextlib.suppress(Exception):  # the answer never comes: the page is gone
            await first.page.goto("chrome://crash")
        await say(server, 2, 5)
        assert await second.heard(5) == list(range(5))
        await until(lambda: len(server.web.connections) == 1)


async def test_a_frozen_tab_gives_the_socket_away_and_catches_up_when_it_goes_on(
    browser: Browser, hub: tuple[Hub, str]
) -> None:
    server, _ = hub
    async with tabs(browser, hub, 2, share="7") as (first, second):
        await say(server, 0, 2)
        await second.heard(2)
        await first.cdp("Page.setWebLifecycleState", state="frozen")
        await say(server, 2, 5)
        assert await second.heard(5) == list(range(5))
        await first.cdp("Page.setWebLifecycleState", state="active")
        assert await first.heard(5) == list(range(5))
        await first.live()
        assert len(server.web.connections) == 1


async def test_a_tab_that_hangs_loses_the_socket_to_one_that_asks_in_vain(
    browser: Browser, hub: tuple[Hub, str]
) -> None:
    server, _ = hub
    async with tabs(browser, hub, 2, share="7") as (first, second):
        await say(server, 0, 2)
        await second.heard(2)
        await first.get("void setTimeout(() => { for (const end = Date.now() + 7000; Date.now() < end; ); }, 50)")
        await second.get("new Promise((done) => setTimeout(done, 100))")
        await say(server, 2, 5)
        await second.get("document.dispatchEvent(new Event('resume'))")
        assert await second.heard(5) == list(range(5))
        assert await first.heard(5) == list(range(5))
        await until(lambda: len(server.web.connections) == 1)


@pytest.mark.parametrize("share", [False, "7"])
async def test_a_network_that_goes_away_is_told_and_what_was_missed_comes(
    browser: Browser, hub: tuple[Hub, str], share: object
) -> None:
    server, _ = hub
    async with tabs(browser, hub, 2, share=share) as both:
        await say(server, 0, 2)
        context = both[0].page.context
        await context.set_offline(True)
        for one in both:
            await one.wait("tab.hub.state === 'offline'")
        await say(server, 2, 6)
        await context.set_offline(False)
        for one in both:
            await one.live()
            assert await one.heard(6) == list(range(6))
            assert await one.get("tab.recovered") == [{"channel": "chat:tabs", "recovered": True, "messages": 4}]


async def test_a_page_that_was_frozen_recovers_what_it_slept_through(browser: Browser, hub: tuple[Hub, str]) -> None:
    server, _ = hub
    async with tabs(browser, hub, 1) as (one,):
        await one.cdp("Page.setWebLifecycleState", state="frozen")
        server.web.connections.sessions[0].socket.disconnect(3012)  # type: ignore[arg-type] # as after missed pings
        await until(lambda: not server.web.connections.sessions)
        await say(server, 0, 4)
        await one.cdp("Page.setWebLifecycleState", state="active")
        await one.get("document.dispatchEvent(new Event('resume'))")
        assert await one.heard(4) == list(range(4))
