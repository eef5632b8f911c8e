"""The viewer of the API, in a real browser; the dashboard's tests are in `tests/hub/dashboard`."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.hub.live import HubProcess

pytestmark = pytest.mark.browser

ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
]


class Tab:
    """One page of the browser, over its debugging protocol."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = 0

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._ids += 1
        await self._socket.send(json.dumps({"id": self._ids, "method": method, "params": params}))
        while True:
            answer = json.loads(await self._socket.recv())
            if answer.get("id") == self._ids:
                return dict(answer["result"])

    async def value(self, expression: str) -> Any:
        answer = await self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        return answer["result"].get("value")

    async def until(self, expression: str) -> None:
        """Returns once the expression is true, asked whenever the page has drawn."""
        async with asyncio.timeout(20):
            while not await self.value(f"new Promise(done => requestAnimationFrame(() => done(!!({expression}))))"):
                pass


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Tab]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.fail("the tests marked `browser` need Chromium on PATH", pytrace=False)
    process = await asyncio.create_subprocess_exec(
        chromium,
        *ARGUMENTS,
        f"--user-data-dir={tmp_path}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        async with asyncio.timeout(30):
            async for line in process.stderr:
                if line.startswith(b"DevTools listening on "):
                    browser = line.split()[-1].decode()
                    break
        async with connect(browser, compression=None, max_size=None) as socket:
            targets = (await Tab(socket).ask("Target.getTargets"))["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        place = browser.split("/devtools/")[0]
        async with connect(f"{place}/devtools/page/{page}", compression=None, max_size=None) as socket:
            yield Tab(socket)
    finally:
        process.terminate()
        assert process.stderr is not None
        await process.stderr.read()
        await process.wait()


@pytest.mark.timeout(120)
async def test_the_documents_are_readable_and_ask_no_other_host(tab: Tab) -> None:
    """Swagger UI shows every family of routes and tries one out, within the page's own policy."""
    hub = HubProcess()
    await asyncio.to_thread(hub.start)
    try:
        await tab.ask("Page.enable")
        await tab.ask(
            "Page.addScriptToEvaluateOnNewDocument",
            source="window.refused = []; addEventListener('securitypolicyviolation', e => refused.push(e.blockedURI))",
        )
        await tab.ask("Page.navigate", url=f"{hub.url}/docs")
        await tab.until("document.querySelectorAll('.opblock').length > 20")
        shown = await tab.value("[...document.querySelectorAll('.opblock-tag')].map(tag => tag.dataset.tag)")
        assert {"auth", "market", "signals", "admin", "system"} <= set(shown)
        await tab.value("document.querySelector('[data-path=\\'/health\\']').click()")
        await tab.until("document.querySelector('.try-out__btn')")
        await tab.value("document.querySelector('.try-out__btn').click()")
        await tab.until("document.querySelector('.execute')")
        await tab.value("document.querySelector('.execute').click()")
        await tab.until("document.querySelector('.live-responses-table')?.textContent.includes('uptime')")
        asked = await tab.value("performance.getEntriesByType('resource').map(entry => entry.name)")
        assert len(asked) >= 5
        assert {address for address in asked if not address.startswith((hub.url, "data:"))} == set()
        assert await tab.value("refused") == []
    finally:
        await asyncio.to_thread(hub.close)
