"""The administrator's view."""

import asyncio
import json
import re

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from tests.hub.dashboard.conftest import PHONE, OpenPage
from tests.hub.live import HubProcess, bearer, client_of, request, token

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

BOSS = {"user": "boss", "plan": "enterprise", "role": "admin"}


async def see(open_page: OpenPage, tab: str) -> Page:
    return await open_page(f"#/admin/{tab}", token=token(**BOSS))


async def test_the_plots_move_with_what_the_hub_does(open_page: OpenPage, hub_process: HubProcess) -> None:
    page = await see(open_page, "overview")
    plot = page.locator(".plot", has_text="Throughput a second")
    async with client_of(hub_process.place) as client:
        await client.subscribe("market:RELIANCE", "market:TCS", "market:INFY", "market:NIFTY 50")
        await expect(plot.locator(".figure", has_text="deliveries").locator("strong")).to_have_text(re.compile("[1-9]"))
        await expect(page.locator(".plot", has_text="Connections").locator("strong")).to_have_text("2")
    await expect(page.get_by_text("database: well")).to_be_visible()
    await expect(plot.locator("canvas").first).to_be_visible()
    await expect(page.get_by_role("row")).to_have_count(2)


async def test_a_socket_is_shown_with_its_channels_and_ended(open_page: OpenPage, hub_process: HubProcess) -> None:
    page = await see(open_page, "connections")
    async with client_of(hub_process.place, user="asha", plan="pro") as client:
        await client.subscribe("market:TCS", "signals:generated")
        await page.get_by_role("searchbox", name="User").fill("asha")
        row = page.get_by_role("row", name="asha")
        await row.get_by_role("button", name="asha").click()
        await expect(page.get_by_role("dialog")).to_contain_text("market:NSE:TCS")
        await page.keyboard.press("Escape")
        await row.get_by_role("button", name="End").click()
        await page.get_by_role("button", name="End it").click()
        assert await client.close_code() == 3503
    await expect(page.get_by_text("Nobody is connected")).to_be_visible()


async def test_a_plan_is_changed_and_the_trail_says_by_whom(open_page: OpenPage, hub_process: HubProcess) -> None:
    body = json.dumps({"email": "ravi@example.com", "password": "Monsoon-Tides-44", "name": "Ravi"}).encode()
    made = await asyncio.to_thread(request, f"{hub_process.url}/api/v1/auth/register", "POST", body)
    assert made.status == 201
    page = await see(open_page, "users")
    await page.get_by_role("row", name="ravi@example.com").get_by_role("button", name="Edit").click()
    await page.get_by_label("Plan", exact=True).last.select_option("pro")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("row", name="ravi@example.com").get_by_role("cell", name="pro")).to_be_visible()
    await page.get_by_role("tab", name="Audit trail").click()
    await expect(page.get_by_role("row", name="boss").first).to_be_visible()
    await page.get_by_role("button", name="Check the chain").click()
    await expect(page.get_by_text("Intact:")).to_be_visible()


async def test_a_message_is_published_and_a_bad_one_explained(open_page: OpenPage, hub_process: HubProcess) -> None:
    page = await see(open_page, "publish")
    async with client_of(hub_process.place, plan="pro") as client:
        await client.subscribe("signals:NSE:RELIANCE")
        await page.get_by_role("button", name="Publish", exact=True).click()
        await expect(page.locator(".sent li")).to_contain_text("signals:generated")
    message = page.get_by_label("Message, a JSON object")
    await message.fill("{")
    await page.get_by_role("button", name="Publish", exact=True).click()
    await expect(page.get_by_role("alert")).to_contain_text("This is no JSON")


async def test_a_refused_message_says_what_is_wrong(open_page: OpenPage, expected: list[str]) -> None:
    expected.append("status of 400")
    page = await see(open_page, "publish")
    await page.get_by_label("Message, a JSON object").fill('{"symbol": "TCS"}')
    await page.get_by_role("button", name="Publish", exact=True).click()
    await expect(page.get_by_role("alert")).to_contain_text("signal_type")


async def test_limits_are_set_and_taken_back_while_the_hub_runs(open_page: OpenPage, hub_process: HubProcess) -> None:
    page = await see(open_page, "configuration")
    card = page.locator("section.card", has_text="Limits")
    await card.get_by_label("Limits as JSON").fill('{"rate_limit_max": 777}')
    await card.get_by_role("button", name="Save").click()
    await expect(card.get_by_text("Set by boss")).to_be_visible()
    shown = await asyncio.to_thread(request, f"{hub_process.url}/api/v1/admin/config", "GET", None, **bearer(**BOSS))
    assert shown.data["limits"]["value"] == {"rate_limit_max": 777}
    await card.get_by_role("button", name="Take it back").click()
    await page.get_by_role("dialog").get_by_role("button", name="Take it back").click()
    await expect(card.get_by_text("Not set")).to_be_visible()


async def test_others_are_told_that_it_is_for_administrators(open_page: OpenPage) -> None:
    page = await open_page("#/admin")
    await expect(page.get_by_text("This page is for administrators")).to_be_visible()
    await expect(page.get_by_role("link", name="Admin")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_tab_can_be_read_by_everyone(open_page: OpenPage, scheme: str) -> None:
    """Contrast, names and roles, by axe; and nothing is wider than a phone."""
    page = await open_page("#/admin/overview", token=token(**BOSS), color_scheme=scheme, viewport=PHONE)
    tabs = page.get_by_role("tab")
    await expect(tabs).to_have_count(7)
    for tab in await tabs.all():
        await tab.click()
        await expect(page.locator(".loading")).to_have_count(0)
        found = await Axe().run(page, options={"resultTypes": ["violations"]})
        assert found.violations_count == 0, found.generate_report()
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
