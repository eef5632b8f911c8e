"""The view of the markets, in a real browser on a hub of its own."""

import asyncio
import json
import re

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Locator, Page, expect

from tests.hub.dashboard.conftest import PHONE, OpenPage
from tests.hub.live import HubProcess, bearer, token
from tests.hub.live import request as ask

pytestmark = pytest.mark.browser

RELIANCE = "#/markets/NSE:RELIANCE?tf=5m"


@pytest.fixture
async def page(open_page: OpenPage, request: pytest.FixtureRequest) -> Page:
    """A page at a desk, for a user of this test alone, whose list is the first one."""
    return await open_page(token=token(request.node.originalname[:40]))


async def show(page: Page, address: str) -> None:
    """Goes to a symbol, and returns once it is what the page shows."""
    await page.goto(f"/{address}")
    symbol = re.search("NSE:([^?]*)", address)
    assert symbol is not None
    await expect(page.locator(".symbol-header h2")).to_have_text(symbol[1])


async def is_live(page: Page) -> None:
    """Returns once prices come."""
    await expect(page.locator("#connection")).to_have_attribute("data-state", "live")


def row(page: Page, place: str) -> Locator:
    """A row of the watchlist."""
    return page.locator(f'.watch-row[data-place="{place}"]')


async def test_the_watchlist_shows_prices_that_move_and_the_address_says_what_is_shown(page: Page) -> None:
    await is_live(page)
    price = row(page, "NSE:NIFTY 50").locator(".number").first
    await expect(price).to_have_text(re.compile(r"^[0-9,]+\.[0-9]{2}"))
    await expect(price).not_to_have_text(await price.inner_text())
    await expect(page).to_have_url(re.compile(r"#/markets/NSE:NIFTY%2050\?tf=5m$"))
    await expect(page.locator(".symbol-header .last")).to_have_text(re.compile(r"^[0-9,]+\.[0-9]{2}"))
    await expect(page).to_have_title("NIFTY 50 · tickhub")


async def test_a_price_that_moves_flashes(page: Page) -> None:
    await is_live(page)
    await page.locator(".watch-row [data-flash]").first.wait_for()


async def test_the_keyboard_walks_opens_moves_and_removes(page: Page) -> None:
    await is_live(page)
    grid = page.get_by_role("grid", name="Watchlist")
    first = [await page.locator(f"#watch-{index}").get_attribute("data-place") for index in range(4)]
    await grid.focus()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("ArrowDown")
    await expect(grid).to_have_attribute("aria-activedescendant", "watch-2")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(re.escape(f"#/markets/{first[2]}?tf=")))
    await expect(page.locator("#watch-2")).to_have_attribute("aria-selected", "true")
    await page.keyboard.press("Alt+ArrowUp")
    await expect(page.locator("#watch-1")).to_have_attribute("data-place", str(first[2]))
    await page.keyboard.press("Delete")
    await expect(page.locator("#watch-1")).to_have_attribute("data-place", str(first[1]))
    await page.get_by_role("button", name="Undo").click()
    await expect(page.locator("#watch-1")).to_have_attribute("data-place", str(first[2]))


async def test_a_row_is_dragged_to_another_place(page: Page) -> None:
    await is_live(page)
    place = await page.locator("#watch-4").get_attribute("data-place")
    await page.locator("#watch-4").drag_to(page.locator("#watch-1"), target_position={"x": 60, "y": 4})
    await expect(page.locator("#watch-1")).to_have_attribute("data-place", str(place))


async def test_a_filter_and_an_order_leave_what_is_wanted(page: Page) -> None:
    await is_live(page)
    await page.get_by_label("Filter the watchlist").fill("hdfc")
    await expect(page.locator(".watch-row")).to_have_count(2)
    await page.get_by_role("button", name="Symbol", exact=True).click()
    await expect(page.locator("#watch-0")).to_have_attribute("data-place", "NSE:HDFCBANK")
    await page.get_by_role("button", name="Symbol", exact=True).click()
    await expect(page.locator("#watch-0")).to_have_attribute("data-place", "NSE:HDFCLIFE")
    await page.get_by_label("Filter the watchlist").press("Enter")
    await page.wait_for_url("**/NSE:HDFCLIFE?**")
    await page.get_by_label("Filter the watchlist").press("ArrowDown")
    await expect(page.get_by_role("grid")).to_be_focused()
    await page.get_by_label("Filter the watchlist").fill("no such thing")
    await expect(page.get_by_text("Nothing fits the filter")).to_be_visible()


async def test_the_list_is_kept_for_the_user_wherever_they_look(open_page: OpenPage, hub_process: HubProcess) -> None:
    """A list of one's own, changed in one browser, is there in another."""
    page = await open_page("#/markets", token=token("asha"))
    await is_live(page)
    async with page.expect_response(lambda answer: answer.request.method == "PUT") as saved:
        await page.get_by_role("grid", name="Watchlist").focus()
        await page.keyboard.press("Delete")
    assert (await saved.value).ok
    url = f"{hub_process.url}/api/v1/users/preferences"
    kept = await asyncio.to_thread(ask, url, "GET", None, **bearer("asha"))
    assert "NSE:NIFTY 50" not in kept.data["watchlist"]
    elsewhere = await open_page("#/markets", token=token("asha"))
    await is_live(elsewhere)
    await expect(elsewhere.locator(".watch .tag").first).to_have_text(str(len(kept.data["watchlist"])))
    await expect(elsewhere.locator("#watch-0")).to_have_attribute("data-place", "NSE:BANK NIFTY")


async def test_the_search_finds_and_opens_by_the_keyboard_alone(page: Page) -> None:
    await is_live(page)
    await page.keyboard.press("/")
    box = page.get_by_role("combobox", name="Symbol, name or ISIN")
    await expect(box).to_be_focused()
    await box.press_sequentially("hdfc")
    options = page.get_by_role("option")
    await expect(options).to_have_count(2)
    await expect(options.first).to_have_attribute("aria-selected", "true")
    await expect(page.locator(".search-price").first).to_have_text(re.compile("[0-9]"))
    await page.keyboard.press("ArrowDown")
    await expect(box).to_have_attribute("aria-activedescendant", "search-1")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile("#/markets/NSE:HDFCLIFE$"))
    await expect(page.get_by_role("heading", name="HDFCLIFE")).to_be_visible()
    await page.keyboard.press("Control+k")
    await expect(page.get_by_text("Recent")).to_be_visible()
    await expect(options).to_have_count(1)
    await page.keyboard.press("Escape")
    await expect(box).not_to_be_visible()


async def test_the_search_puts_symbols_on_the_list_and_says_what_it_did_not_find(page: Page) -> None:
    await is_live(page)
    count = page.locator(".watch .tag").first
    before = int(await count.inner_text())
    await page.keyboard.press("/")
    await page.get_by_role("combobox").press_sequentially("hdfcbank")
    await expect(page.get_by_role("option")).to_have_count(1)
    await page.keyboard.press("Shift+Enter")
    await expect(count).to_have_text(str(before - 1))
    await page.keyboard.press("Shift+Enter")
    await expect(count).to_have_text(str(before))
    await page.get_by_role("combobox").fill("zzzzzz")
    await expect(page.get_by_text("Nothing was found for zzzzzz")).to_be_visible()


async def test_the_chart_has_candles_and_is_as_it_was_left(page: Page) -> None:
    await show(page, RELIANCE)
    close = page.locator(".chart-bar b").nth(3)
    await expect(close).to_have_text(re.compile(r"^[0-9,]+\.[0-9]{2}"))
    await page.get_by_role("button", name="1m", exact=True).click()
    await expect(page).to_have_url(re.compile(r"RELIANCE\?tf=1m$"))
    await page.get_by_role("button", name=re.compile("Indicators")).click()
    await page.get_by_role("button", name="Relative strength index").click()
    await expect(page.locator(".chart-lines")).to_contain_text("RSI 14")
    box = page.get_by_label("Any other by its name")
    await box.fill("willr(7)")
    await box.press("Enter")
    await expect(page.locator(".chart-lines")).to_contain_text("WILLR 7")
    await show(page, "#/markets/NSE:TCS")
    await page.reload()
    await expect(page.locator(".chart-lines")).to_contain_text("RSI 14")
    await expect(page.get_by_role("button", name="1m", exact=True)).to_have_attribute("aria-pressed", "true")


async def test_the_chart_goes_on_by_itself(page: Page) -> None:
    await show(page, "#/markets/NSE:RELIANCE?tf=1m")
    close = page.locator(".chart-bar b").nth(3)
    await expect(close).to_have_text(re.compile("[0-9]"))
    await expect(close).not_to_have_text(await close.inner_text())


async def test_an_indicator_that_is_not_known_is_refused_in_words(page: Page, expected: list[str]) -> None:
    expected.append("status of 400")
    await show(page, RELIANCE)
    await page.get_by_role("button", name=re.compile("Indicators")).click()
    box = page.get_by_label("Any other by its name")
    await box.fill("magic(3)")
    await box.press("Enter")
    await expect(page.locator(".popover [role=alert]")).to_contain_text("magic")
    await page.get_by_role("button", name="Remove MAGIC 3").click()
    await expect(page.locator(".popover [role=alert]")).to_be_hidden()


async def test_the_order_book_has_five_levels_a_side(page: Page) -> None:
    await show(page, RELIANCE)
    for side in ("Bids", "Asks"):
        cells = page.get_by_role("table", name=side).locator("tbody tr")
        await expect(cells).to_have_count(5)
        await expect(cells.last).to_contain_text(re.compile("[0-9]"))


async def test_what_the_plan_does_not_have_is_said(open_page: OpenPage) -> None:
    page = await open_page(RELIANCE, token=token("12", plan="free"))
    await expect(page.get_by_text("Depth comes with the plan basic")).to_be_visible()
    await expect(page.get_by_text("Signals come with the plan basic")).to_be_visible()


async def test_a_signal_comes_onto_the_page_as_it_is_given(page: Page, hub_process: HubProcess) -> None:
    await show(page, "#/markets/NSE:INFY?tf=5m")
    await expect(page.get_by_text("Those of INFY come here")).to_be_visible()
    body = {"symbol": "INFY", "signal_type": "BUY", "confidence": 71, "reason": "<b>MACD</b> crossed its signal line"}
    url, headers = f"{hub_process.url}/api/v1/signals", bearer("erp", role="publisher")
    answer = await asyncio.to_thread(ask, url, "POST", json.dumps(body).encode(), **headers)
    assert answer.status == 201
    article = page.locator("article.signal")
    await expect(article).to_have_count(1)
    await expect(article).to_contain_text("<b>MACD</b> crossed its signal line")


async def test_on_a_phone_a_tap_opens_a_symbol_and_leads_back(open_page: OpenPage) -> None:
    page = await open_page("#/markets", viewport=PHONE, has_touch=True)
    await is_live(page)
    await expect(page).to_have_url(re.compile("#/markets$"))
    await row(page, "NSE:ADANIPORTS").tap()
    await expect(page).to_have_url(re.compile("#/markets/NSE:ADANIPORTS"))
    await expect(page.get_by_role("grid")).to_be_hidden()
    await expect(page.locator(".chart canvas").first).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    await page.get_by_role("link", name="Back to the watchlist").tap()
    await expect(page.get_by_role("grid")).to_be_visible()


async def test_the_sources_of_prices_are_behind_their_pill(page: Page) -> None:
    await page.get_by_role("button", name="Simulated prices").click()
    await expect(page.get_by_role("dialog", name="Sources of prices")).to_contain_text("simulator")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="NSE: Open").click()
    await expect(page.get_by_role("dialog", name="Market hours")).to_contain_text("BSE")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desk", "phone"])
async def test_axe_finds_nothing(open_page: OpenPage, scheme: str, size: str) -> None:
    sizes = {"viewport": PHONE} if size == "phone" else {}
    page = await open_page(RELIANCE, color_scheme=scheme, **sizes)
    await page.get_by_role("table", name="Asks").wait_for()
    await page.locator(".chart canvas").first.wait_for()
    places = [] if size == "phone" else [page.keyboard.press("/")]
    found = (await Axe().run(page)).response["violations"]
    for step in places:
        await step
        await page.get_by_role("combobox").wait_for()
        found += (await Axe().run(page)).response["violations"]
    assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in found] == []
