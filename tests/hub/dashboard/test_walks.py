"""Whole walks through the dashboard: a new user's, from registering to coming back online, and an administrator's."""

import asyncio
import email
import email.policy
import json
import re
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from tests.hub.dashboard.conftest import OpenPage
from tests.hub.live import HubProcess, bearer, request, token, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

ENVIRON = {"RATE_LIMIT_MAX": "10000"}
PASSWORD = "monsoon-Tram-81"
DEVANAGARI = re.compile("[\u0900-\u097f]")
AWAY_S = 10.0
SERVER = bearer("server", role="publisher")


def letters(hub: HubProcess, words: str) -> list[str]:
    """The text of each mail in the outbox that has these words."""
    found = []
    for path in sorted((Path(hub.environ["DATA_DIR"]) / "outbox").glob("*.eml")):
        body = email.message_from_bytes(path.read_bytes(), policy=email.policy.default).get_body(("plain",))
        text = body.get_content() if body is not None else ""
        if words in text:
            found.append(text)
    return found


async def confirm_address(page: Page, hub: HubProcess) -> None:
    """Presses the button behind the link in the mail."""
    link = re.search(r"https?://\S+verify-email\S+", letters(hub, "verify-email")[-1])
    assert link
    other = await page.context.new_page()
    await other.goto(link[0])
    await other.get_by_role("button").click()
    await other.get_by_text("is confirmed").wait_for()
    await other.close()


def give_plan(hub: HubProcess, address: str, plan: str) -> None:
    boss = bearer("boss", role="admin")
    found = request(f"{hub.url}/api/v1/admin/users?q={address}", **boss).data["items"][0]["id"]
    body = json.dumps({"plan": plan}).encode()
    assert request(f"{hub.url}/api/v1/admin/users/{found}", "PUT", body, **boss).status == 200


def publish(hub: HubProcess, channel: str, **data: object) -> None:
    body = json.dumps({"channel": channel, "data": data}).encode()
    assert request(f"{hub.url}/api/v1/publish", "POST", body, **SERVER).status == 201


async def is_live(page: Page) -> None:
    await expect(page.locator("#connection")).to_have_attribute("data-state", "live", timeout=20_000)


async def choose(page: Page, menu: Locator, item: str) -> None:
    await menu.click()
    await page.get_by_role("menuitemradio", name=item).click()


async def register(page: Page, hub: HubProcess, address: str) -> None:
    """Registers, and confirms the address that mail of alerts goes to."""
    before = len(letters(hub, "verify-email"))
    await page.get_by_label("Mail address").fill(address)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.keyboard.press("Enter")
    await is_live(page)
    await until(lambda: len(letters(hub, "verify-email")) > before)
    await confirm_address(page, hub)


async def find(page: Page, words: str, symbol: str) -> None:
    """Finds an instrument by the keyboard alone, and sees its price move beside the chart."""
    await page.keyboard.press("Control+k")
    await page.get_by_role("combobox", name="Symbol, name or ISIN").press_sequentially(words)
    await page.get_by_role("option").first.wait_for()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name=symbol)).to_be_visible()
    last = page.locator(".symbol-header .last")
    await expect(last).to_have_text(re.compile("[0-9]"))
    await expect(last).not_to_have_text(await last.inner_text())
    await expect(page.locator("#main canvas").first).to_be_visible()


async def set_alert(page: Page, condition: str) -> None:
    """Writes an alert over the chart, to be told by mail too."""
    await page.get_by_role("button", name="Set an alert").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Write it as text").click()
    await dialog.get_by_role("textbox", name="Condition").fill(condition)
    await expect(dialog.locator(".in-words")).to_contain_text("INFY")
    await dialog.get_by_role("tab", name="Told by").click()
    await dialog.get_by_role("checkbox", name=re.compile("Mail")).check()
    await dialog.get_by_role("button", name="Create alert").click()


async def read_delivery(page: Page, hub: HubProcess) -> None:
    """It fires: a notice tells so, the alert's page explains it, and the mail stands there and in the outbox."""
    notice = page.get_by_role("alert").filter(has_text="INFY")
    await notice.first.get_by_role("button", name="Show").click()
    await expect(page.locator(".trigger").first).to_contain_text("from")
    await page.get_by_role("tab", name="Deliveries").click()
    await expect(page.locator("#main")).to_contain_text(re.compile("Mail.*(Sent|Delivered)", re.DOTALL), timeout=20_000)
    await until(lambda: letters(hub, "INFY"))


async def go_offline(page: Page, hub: HubProcess) -> None:
    """Loses the network for ten seconds, in which five signals are given, and comes back with each of them."""
    main = page.locator("#main")
    while "WALK0" not in await main.inner_text():  # until the view is subscribed; what comes before is nobody's
        await asyncio.to_thread(publish, hub, "signals:generated", symbol="WALK0", signal_type="BUY", confidence=60)
        await page.wait_for_timeout(200)
    await page.context.set_offline(offline=True)
    await expect(page.locator("#connection")).to_have_attribute("data-state", "offline")
    await expect(page.locator(".banner")).to_be_visible()
    for number in range(1, 6):
        signal = {"symbol": f"WALK{number}", "signal_type": "SELL", "confidence": 70}
        await asyncio.to_thread(publish, hub, "signals:generated", **signal)
    await page.wait_for_timeout(AWAY_S * 1000)  # what is tried here is a while without a network
    assert "WALK1" not in await main.inner_text()
    await page.context.set_offline(offline=False)
    await is_live(page)
    await expect(page.locator(".banner")).to_be_hidden()
    await expect(main).to_contain_text("WALK5")
    shown = re.findall(r"WALK\d", await main.inner_text())
    assert list(dict.fromkeys(shown)) == ["WALK5", "WALK4", "WALK3", "WALK2", "WALK1", "WALK0"]


async def test_a_new_user_sets_an_alert_sees_it_fire_and_misses_nothing_while_offline(
    open_page: OpenPage, hub_process: HubProcess, expected: list[str]
) -> None:
    expected += ["ERR_INTERNET_DISCONNECTED", "WebSocket"]
    page = await open_page("#/login/register")
    await register(page, hub_process, "asha@walk.example")
    await find(page, "infosys", "INFY")
    await set_alert(page, "price steps 0.05")
    await read_delivery(page, hub_process)

    await choose(page, page.get_by_role("button", name="Language"), "मराठी")
    await expect(page.locator("html")).to_have_attribute("lang", "mr")
    await expect(page.locator(".places a").first).to_have_text(DEVANAGARI)
    await page.locator(".bar .menu-place button").last.click()
    await page.locator(".menu:popover-open [role=menuitemradio]").nth(1).click()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")

    await choose(page, page.locator(".bar .menu-place button").first, "English")
    await asyncio.to_thread(give_plan, hub_process, "asha@walk.example", "pro")
    await page.goto(f"{hub_process.url}/#/signals")
    await is_live(page)
    await go_offline(page, hub_process)


async def test_an_administrator_sees_a_user_changes_the_plan_publishes_and_reads_the_trail(
    open_page: OpenPage, hub_process: HubProcess, expected: list[str]
) -> None:
    expected.append("status of 403")  # signals, before the plan has them
    hub = hub_process
    user = await open_page("#/login/register")
    await register(user, hub, "ravi@walk.example")
    await user.goto(f"{hub.url}/#/signals")
    await expect(user.locator("#main")).to_contain_text("basic", ignore_case=True)  # the plan that has signals

    boss = await open_page("#/admin/overview", token=token("boss", "enterprise", "admin"))
    await expect(boss.locator(".plot", has_text="Connections").locator("strong")).to_have_text("2")
    await boss.get_by_role("tab", name="Users").click()
    await boss.get_by_role("row", name="ravi@walk.example").get_by_role("button", name="Edit").click()
    await boss.get_by_label("Plan", exact=True).last.select_option("pro")
    await boss.get_by_role("button", name="Save").click()
    await boss.get_by_text("Open sockets have the new rights").wait_for()

    # The open page of the user has the plan at once, and hears what the administrator publishes.
    await expect(user.get_by_role("button", name=re.compile("plan pro"))).to_be_visible()
    await boss.get_by_role("tab", name="Publish").click()
    await boss.get_by_role("button", name="Publish", exact=True).click()
    await expect(user.locator("#main")).to_contain_text("RELIANCE")

    await boss.get_by_role("tab", name="Audit trail").click()
    await expect(boss.locator("table")).to_contain_text("boss")
    await boss.get_by_role("button", name="Check the chain").click()
    await expect(boss.get_by_text("Intact:")).to_be_visible()
