"""Pages of the dashboard in a real browser, each on a whole hub of its test module.

A test module may set `ENVIRON` for its hub. After each test nothing may stand in the console of any of its pages that
`expected` doesn't name, and no page may have asked another host for anything.
"""

import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright, expect

from tests.hub.live import HubProcess

ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}

WAIT_MS = 15_000
"""How long a page may take for what takes it a moment, on a machine that is busy with something else."""

expect.set_options(timeout=WAIT_MS)

OpenPage = Callable[..., Awaitable[Page]]
"""`await open_page("#/markets", viewport=PHONE, color_scheme="dark")`: a page in a browser context of its own.

What follows the address are options of Playwright's `Browser.new_context`. With `address=None` it is opened empty."""


class Watched:
    """What went wrong on the pages of a test."""

    def __init__(self, own: str, expected: list[str]) -> None:
        self._own = own
        self._expected = expected
        self.faults: list[str] = []

    def watch(self, page: Page) -> None:
        """Hear all that this page complains of, and whom it asks."""
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self._note(f"uncaught: {error}"))
        page.on("request", self._see)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self._note(f"{message.type}: {message.text} ({message.location.get('url', '')})")

    def _see(self, request: Request) -> None:
        if not request.url.startswith((self._own, "data:", "blob:")):
            self._note(f"asked another host: {request.url}")

    def _note(self, fault: str) -> None:
        self.faults.append(fault)

    def check(self) -> None:
        """Fails where anything went wrong that the test doesn't expect."""
        left = [fault for fault in self.faults if not any(re.search(one, fault) for one in self._expected)]
        assert left == []


@pytest.fixture(scope="module")
def hub_process(request: pytest.FixtureRequest) -> Iterator[HubProcess]:
    """The module's hub, as a user starts it, with all roles and the simulated feed; `page.goto(hub_process.url)`."""
    environ: dict[str, str] = getattr(request.module, "ENVIRON", {})
    with HubProcess(**environ) as process:
        yield process


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """The browser of one test; its connection belongs to the test's own event loop."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.fail("the tests marked `browser` need Chromium on PATH", pytrace=False)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture
def expected() -> list[str]:
    """Patterns of what a test brings about itself: `expected.append("status of 401")`."""
    return []


@pytest.fixture
async def open_page(browser: Browser, hub_process: HubProcess, expected: list[str]) -> AsyncIterator[OpenPage]:
    """Opens pages; see `OpenPage`. As the demonstration's user, or with `token=` of tests/hub/live.py as its bearer."""
    watched = Watched(hub_process.url, expected)

    async def open_page(address: str | None = "", *, token: str | None = None, **options: Any) -> Page:
        context = await browser.new_context(
            base_url=hub_process.url, **{"viewport": DESKTOP, "locale": "en-IN", "reduced_motion": "reduce"} | options
        )
        context.set_default_timeout(WAIT_MS)
        page = await context.new_page()
        watched.watch(page)
        if token is not None:
            await page.goto(f"/#token={token}")
            await page.locator("#main").wait_for()
        if address is not None:
            await page.goto(f"/{address}")
        return page

    yield open_page
    watched.check()


@pytest.fixture
async def page(open_page: OpenPage) -> Page:
    """A page as wide as a desk's, at the address `/`, as whoever looks at a demonstration."""
    return await open_page()
