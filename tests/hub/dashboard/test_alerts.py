"""The view of the alerts and the dialog in which one is written, in a real browser on a real hub."""

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Locator, Page, expect

from tests.hub.dashboard.conftest import PHONE, OpenPage
from tests.hub.live import HubProcess, bearer, request, token

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

ENVIRON = {"RATE_LIMIT_MAX": "10000"}

Ask = Callable[..., Any]


@pytest.fixture
def ask(hub_process: HubProcess) -> Ask:
    """What the API answers a user, or `admin`, who publishes."""

    async def asked(user: str, method: str, path: str, **body: Any) -> Any:
        role = "admin" if user == "admin" else "user"
        headers = bearer(user, "pro", role) | {"Content-Type": "application/json"}
        url = f"{hub_process.url}/api/v1{path}"
        sent = json.dumps(body).encode() if body or method == "POST" else None
        return (await asyncio.to_thread(request, url, method, sent, **headers)).data

    return asked


@pytest.fixture
def publish(ask: Ask) -> Callable[[str, float], Any]:
    """A price of an instrument that no feed has."""
    return lambda symbol, price: ask("admin", "POST", "/publish", channel=f"market:NSE:{symbol}", data={"price": price})


def row(page: Page, words: str) -> Locator:
    return page.get_by_role("row").filter(has_text=words)


async def new_alert(page: Page) -> Locator:
    await page.get_by_role("button", name="New alert").click()
    return page.get_by_role("dialog", name="New alert")


async def test_one_click_on_an_example_and_one_more_make_an_alert(open_page: OpenPage) -> None:
    page = await open_page("#/alerts", token=token("beginner"))
    await page.get_by_role("button", name="RELIANCE moves 1% in 5 minutes").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.locator(".in-words")).to_have_text("RELIANCE moves 1% within 5 minutes")
    await expect(dialog.get_by_text("Fires at the moment when this happens")).to_be_visible()
    await expect(dialog.get_by_role("radio", name="Move")).to_be_checked()
    await dialog.get_by_role("button", name="Create alert").click()
    await expect(row(page, "RELIANCE moves 1% within 5 minutes")).to_contain_text("Active")
    await expect(page.get_by_text("1 of 500 active")).to_be_visible()


async def test_a_condition_goes_from_the_form_to_a_text_and_back(open_page: OpenPage, expected: list[str]) -> None:
    expected.append("status of 400")
    page = await open_page("#/alerts", token=token("writer"))
    dialog = await new_alert(page)
    await dialog.get_by_label("Level", exact=True).and_(dialog.locator("input:not([type=radio])")).fill("2,500.5")
    await expect(dialog.locator(".in-words")).to_have_text("RELIANCE crosses above ₹2,500.50")
    await dialog.get_by_role("button", name="Write it as text").click()
    text = dialog.get_by_role("textbox", name="Condition")
    await expect(text).to_have_value("price crosses above 2500.5")
    await text.fill("price > 2500 and prc < 3")
    await expect(dialog.get_by_text("No figure or indicator is called 'prc'")).to_be_visible()
    await dialog.get_by_role("button", name="Show where").click()
    assert await text.evaluate("box => box.value.slice(box.selectionStart, box.selectionEnd)") == "prc"
    await text.fill("price > 2500 for 10s")
    await expect(dialog.locator(".in-words")).to_have_text("RELIANCE is above ₹2,500 for 10 seconds")
    await dialog.get_by_role("button", name="Use a form").click()
    await expect(dialog.get_by_text("No form says just this")).to_be_visible()
    await text.fill("rsi(14) on 15m crosses below 30")
    await expect(dialog.locator(".in-words")).to_have_text("RELIANCE RSI (15m) crosses below 30")
    await dialog.get_by_role("button", name="Use a form").click()
    await expect(dialog.get_by_role("radio", name="Indicator")).to_be_checked()


async def test_a_level_is_moved_on_the_chart(open_page: OpenPage) -> None:
    page = await open_page("#/alerts", token=token("mover"))
    dialog = await new_alert(page)
    handle = dialog.get_by_role("slider", name="Level")
    await expect(handle).to_be_visible()
    before = float(await handle.get_attribute("aria-valuenow") or 0)
    await handle.hover(position={"x": 20, "y": 13})
    await page.mouse.down()
    box = await handle.bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + 20, box["y"] + 60, steps=3)
    await page.mouse.up()
    dragged = float(await handle.get_attribute("aria-valuenow") or 0)
    assert dragged != before
    await expect(dialog.locator(".written code")).to_have_text(f"price crosses above {dragged:g}")
    await handle.press("ArrowUp")
    stepped = float(await handle.get_attribute("aria-valuenow") or 0)
    assert stepped > dragged
    await expect(dialog.locator(".in-words")).to_contain_text(f"₹{stepped:,.2f}".removesuffix(".00"))


async def test_an_alert_that_fires_is_told_wherever_one_is_and_in_the_list(
    open_page: OpenPage, ask: Ask, publish: Any, expected: list[str]
) -> None:
    expected.append("status of 404.*chart/NSE%3AZEBRA")  # what no feed has, has no candles either
    await publish("ZEBRA", 90.0)
    await ask("hearer", "POST", "/alerts", symbol="ZEBRA", condition="price crosses above 100")
    page = await open_page("#/alerts", token=token("hearer"))
    await expect(row(page, "ZEBRA")).to_contain_text("+11.11%")
    await page.get_by_role("link", name="Signals").click()
    await expect(page.get_by_role("heading", name="Signals")).to_be_visible()
    await publish("ZEBRA", 104.5)
    notice = page.get_by_role("alert").filter(has_text="ZEBRA")
    await expect(notice).to_have_count(1)
    await notice.get_by_role("button", name="Show").click()
    await expect(page.get_by_role("heading", name="ZEBRA crosses above ₹100")).to_be_visible()
    await expect(page.locator(".trigger").first).to_contain_text("from 90.00 to 104.50")
    await page.get_by_role("link", name="Alerts", exact=True).last.click()
    await expect(row(page, "ZEBRA")).to_contain_text("Fired, and over")


async def test_the_list_hears_of_a_firing_without_being_read_again(open_page: OpenPage, ask: Ask, publish: Any) -> None:
    await publish("YAK", 90.0)
    await ask("watcher", "POST", "/alerts", symbol="YAK", condition="price crosses 100", frequency="every")
    page = await open_page("#/alerts", token=token("watcher"))
    await expect(row(page, "YAK")).to_contain_text("Not yet")
    await page.locator("#connection[data-state=live]").wait_for()
    await publish("YAK", 101.0)
    await expect(row(page, "YAK")).to_contain_text("Once")
    await publish("YAK", 99.0)
    await expect(row(page, "YAK")).to_contain_text("2 times")


async def test_a_test_shows_how_its_deliveries_go(open_page: OpenPage, ask: Ask) -> None:
    made = await ask("tester", "POST", "/alerts", symbol="TCS", condition="price > 999999", channels=["email"])
    page = await open_page(f"#/alerts/{made['id']}", token=token("tester"))
    await expect(page.get_by_text("It has not fired yet")).to_be_visible()
    await page.get_by_role("button", name="Send a test").click()
    entry = page.locator(".trigger", has_text="You asked for it.")
    await expect(entry.get_by_text("On screen: Delivered")).to_be_attached()
    await expect(entry.get_by_text("Mail: Skipped (no verified address)")).to_be_attached()
    await page.get_by_role("tab", name="Deliveries").click()
    await expect(page.locator(".trigger", has_text="Mail")).to_contain_text("no verified address")


async def test_what_somebody_else_has_changed_is_not_overwritten_unasked(
    open_page: OpenPage, ask: Ask, expected: list[str]
) -> None:
    expected.append("status of 409")
    made = await ask("editor", "POST", "/alerts", symbol="INFY", condition="price crosses above 2000")
    page = await open_page("#/alerts", token=token("editor"))
    await row(page, "INFY").get_by_role("link", name="INFY crosses above ₹2,000").focus()
    await page.keyboard.press("e")
    dialog = page.get_by_role("dialog", name="Edit alert")
    await expect(dialog.locator(".in-words")).to_have_text("INFY crosses above ₹2,000")
    await ask("editor", "PUT", f"/alerts/{made['id']}", condition="price crosses above 3000")
    await dialog.get_by_role("tab", name="Message").click()
    await dialog.get_by_label("Name").fill("Mine")
    await dialog.get_by_role("button", name="Save").click()
    question = page.get_by_role("dialog", name="The alert was changed elsewhere")
    await expect(question).to_contain_text("INFY crosses above ₹3,000")
    await question.get_by_role("button", name="Overwrite").click()
    await dialog.get_by_role("button", name="Save").click()
    await expect(row(page, "Mine")).to_be_visible()


async def test_the_keyboard_alone_pauses_and_deletes(open_page: OpenPage, ask: Ask) -> None:
    for symbol in ("SBIN", "TCS"):
        await ask("typist", "POST", "/alerts", symbol=symbol, condition="price crosses above 99999")
    page = await open_page("#/alerts", token=token("typist"))
    await row(page, "TCS").get_by_role("link", name="TCS crosses").focus()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("p")
    await expect(row(page, "SBIN")).to_contain_text("Paused")
    await page.keyboard.press("Delete")
    await page.get_by_role("dialog", name="Delete this alert?").get_by_role("button", name="Delete").press("Enter")
    await expect(row(page, "SBIN")).to_have_count(0)
    await expect(row(page, "TCS")).to_contain_text("Active")


async def test_filters_narrow_the_list(open_page: OpenPage, ask: Ask) -> None:
    made = [
        await ask("sorter", "POST", "/alerts", symbol=symbol, condition="price crosses above 99999")
        for symbol in ("SBIN", "TCS", "INFY")
    ]
    await ask("sorter", "POST", f"/alerts/{made[0]['id']}/pause")
    page = await open_page("#/alerts", token=token("sorter"))
    rows = page.locator("tbody tr")
    await expect(rows).to_have_count(3)
    await page.get_by_label("Status", exact=True).select_option("paused")
    await expect(rows).to_have_count(1)
    await page.get_by_label("Status", exact=True).select_option("")
    await page.get_by_label("Symbol or words").fill("infy ₹99,999")
    await expect(rows).to_have_count(1)
    await page.get_by_label("Symbol or words").fill("nothing like it")
    await expect(page.get_by_text("No alert fits")).to_be_visible()


VARIANTS = """async (token) => {
  const load = (path) => import(document.querySelector("script[type=module]").src.replace("app.js", path));
  const { FORMS } = await load("views/alerts/forms.js");
  const ask = async (condition) => {
    const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
    const body = JSON.stringify({ symbol: "RELIANCE", condition });
    return (await (await fetch("/api/v1/alerts/preview", { method: "POST", headers, body })).json()).data?.tree;
  };
  const found = [];
  for (const form of FORMS) {
    const first = form.first(1500);
    const variants = form.fields.flatMap(({ name, options, level }) => options
      ? options().map(([value]) => ({ ...first, [name]: value })) : [{ ...first, [name]: level ? "1501" : "7" }]);
    for (const values of variants) {
      const text = form.write(values);
      const tree = await ask(text);
      const shown = form.fields.filter((one) => one.shown?.(values) ?? true).map((one) => one.name);
      const read = tree && form.read(tree);
      found.push([text, shown.map((name) => values[name]), read && shown.map((name) => read[name])]);
    }
  }
  return found;
}"""
"""Every choice of every form: its text, what was filled in, and what it reads in the server's tree."""


async def test_whatever_a_form_writes_it_reads_again_in_the_servers_tree(open_page: OpenPage) -> None:
    page = await open_page("#/alerts", token=token("filler"))
    written = await page.evaluate(VARIANTS, token("filler"))
    assert len(written) > 60
    assert [text for text, values, read in written if read != values] == []


async def test_a_delivery_never_goes_back_in_whatever_order_it_is_told(open_page: OpenPage) -> None:
    page = await open_page("#/alerts", token=token("filler"))
    after = await page.evaluate(
        """async (statuses) => {
          const load = (path) => import(document.querySelector("script[type=module]").src.replace("app.js", path));
          const { withDelivery } = await load("views/alerts/log.js");
          const told = statuses.map((status) => ({ delivery: 4, trigger: 9, channel: "sms", status, time: "" }));
          return told.reduce(withDelivery, []).map(({ status, heard }) => [status, heard.length]);
        }""",
        ["sent", "delivered", "accepted"],
    )
    assert after == [["delivered", 3]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing(open_page: OpenPage, ask: Ask, scheme: str) -> None:
    user = f"reader {scheme}"
    made = await ask(user, "POST", "/alerts", symbol="TCS", condition="price > 1", channels=["email", "sms"], name="X")
    page = await open_page("#/alerts", token=token(user), color_scheme=scheme, viewport=PHONE)
    await expect(row(page, "TCS")).to_contain_text("Fired, and over")
    await clean(page)
    dialog = await new_alert(page)
    await expect(dialog.get_by_role("slider", name="Level")).to_be_attached()
    await expect(dialog.locator(".in-words")).to_be_visible()
    for part in ("How often", "Told by", "Message", "Condition"):
        await dialog.get_by_role("tab", name=part).click()
        await clean(page, "dialog")
    await page.keyboard.press("Escape")
    await page.goto(f"/#/alerts/{made['id']}")
    await expect(page.locator(".trigger").first).to_contain_text(re.compile("Fired"))
    await clean(page)


async def clean(page: Page, part: str = "#main") -> None:
    """Nothing there is out of reach for somebody."""
    found = await Axe().run(page, part, options={"resultTypes": ["violations"]})
    assert found.violations_count == 0, found.generate_report()
