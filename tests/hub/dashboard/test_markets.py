"""The view of the markets, in a real browser."""

import pytest
from playwright.async_api import Page

pytestmark = pytest.mark.browser

ENVIRON = {"JWT_SECRET": ""}


async def test_it_opens(page: Page) -> None:
    await page.locator("#connection[data-state=live]").wait_for()
    assert await page.title() == "Markets · tickhub"
