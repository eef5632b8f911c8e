"""What stands around every view: odd addresses, files that can't be had, and what is left of somebody who has gone."""

import asyncio
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from tests.hub.dashboard.conftest import OpenPage
from tests.hub.live import HubProcess, token

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

BOSS: dict[str, Any] = {"user": "boss", "role": "admin"}


async def run(page: Page, file: str, code: str) -> Any:
    """`code` with `module`, a file of the page that it has."""
    return await page.evaluate(
        f"""async () => {{
          const {{ src }} = document.querySelector("script[type=module]");
          const module = await import(src.replace("app.js", "{file}"));
          return {code};
        }}"""
    )


@pytest.mark.parametrize("address", ["#/alerts/%E0%A4%A", "#/constructor", "#/%", "#/__proto__"])
async def test_an_address_that_makes_no_sense_shows_a_view_all_the_same(open_page: OpenPage, address: str) -> None:
    page = await open_page(address)
    await expect(page.locator("#main h1, #main h2").first).to_be_visible()


async def test_a_token_that_is_pasted_into_an_open_page_is_taken_out_of_its_address(open_page: OpenPage) -> None:
    page = await open_page("#/alerts")
    await expect(page.get_by_role("link", name="Admin")).to_have_count(0)
    async with page.expect_navigation(wait_until="load"):
        await page.evaluate("address => { location.hash = address; }", f"token={token(**BOSS)}")
    await expect(page.get_by_role("link", name="Admin")).to_be_visible()
    assert "token" not in page.url


async def test_a_view_whose_file_is_of_an_older_hub_says_so_and_offers_to_load_anew(
    open_page: OpenPage, expected: list[str]
) -> None:
    expected.append("status of 404")
    page = await open_page()
    await page.route("**/views/signals/signals.js", lambda route: route.fulfill(status=404, body="{}"))
    await page.get_by_role("link", name="Signals", exact=True).click()
    await expect(page.get_by_text("This could not be read")).to_be_visible()
    await page.unroute("**/views/signals/signals.js")
    await page.get_by_role("button", name="Try again").click()
    await expect(page.get_by_role("heading", name="Signals", exact=True)).to_be_visible()


async def test_notices_are_in_reach_while_a_dialog_is_open_and_stay_behind_it(open_page: OpenPage) -> None:
    page = await open_page("#/alerts")
    await run(page, "ui/dialog.js", "void module.openDialog({ title: 'Asked', body: () => new Text('?') })")
    await run(page, "ui/notices.js", "void module.notify({ title: 'It failed', kind: 'bad', stays: true })")
    notice = page.get_by_role("alert").filter(has_text="It failed")
    await expect(notice).to_be_visible()
    await page.get_by_role("dialog").locator("header").get_by_role("button", name="Close").click()
    await expect(page.get_by_role("dialog", name="Asked")).to_have_count(0)
    await notice.get_by_role("button", name="Close").click()
    await expect(notice).to_have_count(0)


async def test_dialogs_and_notices_of_somebody_go_with_them(open_page: OpenPage) -> None:
    page = await open_page("#/alerts", token=token(user="seven"))
    await run(page, "ui/notices.js", "void module.notify({ title: 'RELIANCE is high', stays: true })")
    await run(page, "ui/dialog.js", "void module.openDialog({ title: 'An alert of seven', body: () => new Text('?') })")
    await expect(page.get_by_role("dialog", name="An alert of seven")).to_be_visible()
    await run(page, "core/session.js", "module.session.logout()")
    await expect(page.get_by_role("dialog", name="An alert of seven")).to_have_count(0)
    await expect(page.get_by_text("RELIANCE is high")).to_have_count(0)


async def test_a_tab_that_comes_late_does_not_draw_over_another(open_page: OpenPage, hub_process: HubProcess) -> None:
    page = await open_page(None, token=token(**BOSS))
    answer = asyncio.Event()

    async def later(route: Route) -> None:
        await answer.wait()
        await route.continue_()

    await page.route("**/api/v1/admin/config", later)
    await page.goto(f"{hub_process.url}/#/admin/configuration")
    await page.get_by_role("tab", name="Publish").click()
    async with page.expect_response("**/api/v1/admin/config"):
        answer.set()
    await expect(page.get_by_label("Message, a JSON object")).to_be_visible()
    await page.wait_for_function("() => new Promise((done) => requestAnimationFrame(() => done(true)))")
    await expect(page.get_by_label("Message, a JSON object")).to_be_visible()


@pytest.mark.parametrize(
    ("value", "text"),
    [("1234567.5", "+12,34,567.50"), ("-1234.5", "\u22121,234.50"), ("-0.001", "0.00"), ("null", "\u2013")],
)
async def test_changes_are_written_as_in_india(page: Page, value: str, text: str) -> None:
    assert await run(page, "core/format.js", f"module.signed({value})") == text
