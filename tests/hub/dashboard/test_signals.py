"""The view of the signals, in a real browser on a real hub."""

import asyncio
import json
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect

from tests.hub.dashboard.conftest import OpenPage
from tests.hub.live import HubProcess, bearer, request, token

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

BOSS = {"user": "boss", "plan": "enterprise", "role": "admin"}
WORDS = {"en": "EMA 9 crossed above EMA 21.", "hi": "EMA 9, EMA 21 के ऊपर गया।"}


async def give(hub: HubProcess, symbol: str, **fields: Any) -> None:
    body = {"symbol": symbol, "signal_type": "BUY", "confidence": 70} | fields
    headers = bearer(**BOSS) | {"Content-Type": "application/json"}
    made = await asyncio.to_thread(request, f"{hub.url}/api/v1/signals", "POST", json.dumps(body).encode(), **headers)
    assert made.status == 201, made.body


async def test_a_new_signal_comes_on_top_with_its_reason(open_page: OpenPage, hub_process: HubProcess) -> None:
    await give(hub_process, "SBIN", reason="Earlier")
    page = await open_page("#/signals", token=token())
    signals = page.locator(".one-signal")
    await expect(signals.first).to_contain_text("Earlier")
    await expect(page.get_by_role("table")).to_contain_text("1 buy")
    await page.locator("#connection[data-state=live]").wait_for()
    await give(hub_process, "TCS", signal_type="SELL", confidence=61, reason=WORDS, entry_price=3150, target_price=3120)
    await expect(signals.first).to_contain_text("TCS")
    await expect(signals.first).to_contain_text("Sell")
    await expect(signals.first).to_contain_text("61%")
    await expect(signals.first).to_contain_text(WORDS["en"])


async def test_filters_ask_for_what_fits(open_page: OpenPage, hub_process: HubProcess) -> None:
    await give(hub_process, "INFY", confidence=91)
    await give(hub_process, "HDFCBANK", signal_type="SELL", confidence=55)
    page = await open_page("#/signals", token=token())
    signals = page.locator(".one-signal")
    await expect(signals.filter(has_text="INFY")).to_have_count(1)
    await page.get_by_label("Confidence").select_option("80")
    await expect(signals).to_have_count(1)
    await page.get_by_label("Type").select_option("SELL")
    await expect(page.get_by_text("None fits these filters.")).to_be_visible()
    await page.get_by_label("Confidence").select_option("")
    await page.get_by_role("combobox", name="Instrument").fill("hdfcb")
    await page.get_by_role("option", name="HDFCBANK").first.click()
    await expect(signals).to_have_count(1)
    await expect(signals).to_contain_text("HDFCBANK")


async def test_a_plan_without_signals_is_told_which_has_them(open_page: OpenPage, expected: list[str]) -> None:
    expected.append("status of 403")
    page = await open_page("#/signals", token=token("guest", "free"))
    await expect(page.get_by_text("Signals come with the plan basic")).to_be_visible()


async def test_a_publisher_gives_a_signal_and_closes_it(open_page: OpenPage) -> None:
    page = await open_page("#/signals", token=token(**BOSS))
    await page.get_by_role("button", name="Give a signal").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Entry").fill("1,500")
    await dialog.get_by_label("Target").fill("1,600")
    await dialog.get_by_label("Stop").fill("1,450")
    await dialog.get_by_label("Reason").fill("It looks so.")
    await dialog.get_by_role("button", name="Give it").click()
    given = page.locator(".one-signal").filter(has_text="It looks so.")
    await expect(given).to_have_count(1)
    await given.get_by_role("button", name="Close the signal").click()
    await page.get_by_role("dialog").get_by_label("Price").fill("1530")
    await page.get_by_role("button", name="Close it").click()
    await expect(given).to_contain_text("Closed by hand +2.00%")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing(open_page: OpenPage, hub_process: HubProcess, scheme: str) -> None:
    await give(hub_process, "ITC", reason=WORDS, entry_price=400, target_price=410, stop_loss=395, timeframe="5m") if (
        scheme == "light"
    ) else None
    page = await open_page("#/signals", token=token(**BOSS), color_scheme=scheme)
    await expect(page.locator(".one-signal").filter(has_text="ITC")).to_have_count(1)
    found = await Axe().run(page, "#main", options={"resultTypes": ["violations"]})
    assert found.violations_count == 0, found.generate_report()
