"""The clock of the sessions, in a real browser on a hub that keeps the exchange's own hours."""

import re

import pytest
from playwright.async_api import Page, expect

pytestmark = pytest.mark.browser

ENVIRON = {"SIMULATOR_HOURS": "clock"}


async def test_the_clock_counts_down_to_the_next_change_without_asking_again(page: Page) -> None:
    """Whatever the hour is: the state, and how long it still lasts."""
    await page.locator("#connection[data-state=live]").wait_for()  # of the page that is left, nothing is counted
    sent: list[str] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(str(frame))))
    await page.reload()
    time = page.locator(".clock .time")
    await expect(time).to_have_text(re.compile(r"\d:\d\d"))
    before = await time.inner_text()
    await expect(time).not_to_have_text(before)
    assert sum("status:market" in frame for frame in sent) <= 1
    await page.locator(".clock").click()
    table = page.get_by_role("dialog", name="Market hours").locator("tbody tr")
    await expect(table.first).to_contain_text("NSE")
    await expect(table.first.locator("[data-left]")).to_have_text(re.compile(r"\d:\d\d"))
