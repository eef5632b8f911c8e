"""The ways in and out, in a real browser: what a login survives, and what ends it everywhere."""

import asyncio
import json
import re
import shutil
from collections import Counter
from functools import partial
from itertools import count
from typing import Any

import pyotp
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, Route, async_playwright, expect

from tests.auth.oidc_issuer import CLIENT_ID, CLIENT_SECRET, OidcIssuer
from tests.auth.test_push_subscriptions import AUTH, ENDPOINT, P256DH
from tests.hub.dashboard.conftest import ARGUMENTS, PHONE, OpenPage
from tests.hub.live import HubProcess, request, token

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

PASSWORD = "monsoon-Tram-81"
COOKIE = "__Secure-tickhub_refresh"
REFRESH = "/api/v1/auth/refresh"
RENEW = """async () => {
  const { src } = document.querySelector("script[type=module]");
  const { session } = await import(src.replace("app.js", "core/session.js"));
  return session.token({ renew: true });
}"""
SOCKET_LEFT = "WebSocket is closed before the connection is established"

_numbers = count(1)


def address() -> str:
    """A mail address that nobody had yet."""
    return f"person{next(_numbers)}@login.example"


def account_of(hub: HubProcess) -> str:
    """The mail address of a new account, made without the page."""
    email = address()
    body = json.dumps({"email": email, "password": PASSWORD, "name": "Asha"}).encode()
    assert request(f"{hub.url}/api/v1/auth/register", "POST", body).status == 201
    return email


async def log_in(page: Page, email: str, password: str = PASSWORD) -> None:
    await page.get_by_label("Mail address").fill(email)
    await page.get_by_label("Password", exact=True).fill(password)
    await page.keyboard.press("Enter")


async def is_in(page: Page) -> None:
    """Waits until the page is that of an account."""
    await page.locator("#connection[data-state=live]").wait_for()
    await page.get_by_role("button", name=re.compile("plan free")).wait_for()


async def log_out(page: Page) -> None:
    await page.get_by_role("button", name=re.compile("plan free")).click()
    await page.get_by_role("menuitem", name="Log out").click()


async def test_somebody_registers_and_stays_logged_in_over_a_reload(open_page: OpenPage, expected: list[str]) -> None:
    expected.append("status of 400")
    page = await open_page("#/login/register?to=%23%2Faccount")
    email = address()
    await page.get_by_label("Mail address").fill(email)
    password = page.get_by_label("Password", exact=True)
    await password.press_sequentially("monsoon")
    rules = page.locator(".rules li")
    await expect(rules.nth(0)).to_have_attribute("data-fine", "false")
    await expect(rules.nth(2)).to_have_attribute("data-fine", "true")
    await password.fill("Password1")
    await expect(page.locator(".rules li[data-fine=true]")).to_have_count(3)
    await page.keyboard.press("Enter")
    await expect(page.locator(".field", has=password).get_by_role("alert")).to_contain_text("commonly used")
    await expect(password).to_be_focused()
    await password.fill(PASSWORD)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/#/account")
    await expect(page.get_by_role("heading", name=email)).to_be_visible()
    assert [one["name"] for one in await page.context.cookies()] == [COOKIE]
    await page.reload()
    await expect(page.get_by_role("heading", name=email)).to_be_visible()


async def test_what_is_wrong_stands_at_its_field(
    open_page: OpenPage, hub_process: HubProcess, expected: list[str]
) -> None:
    expected += ["status of 40[019]"]
    page = await open_page("#/login")
    await page.get_by_role("button", name="Log in", exact=True).click()
    mail = page.get_by_label("Mail address")
    await expect(mail).to_be_focused()
    await expect(mail).to_have_attribute("aria-invalid", "true")
    await log_in(page, "nobody@login.example", "wrong-Password-1")
    await expect(page.locator(".trouble")).to_contain_text("is wrong")
    known = await asyncio.to_thread(account_of, hub_process)
    await page.get_by_role("link", name="Create an account").click()
    await expect(page.get_by_label("Mail address")).to_have_value("nobody@login.example")
    await log_in(page, known)
    await expect(page.locator(".trouble")).to_contain_text("account")
    await log_in(page, "no address")
    await expect(page.locator(".field", has=page.get_by_label("Mail address")).get_by_role("alert")).to_be_visible()


async def test_every_field_says_to_password_managers_what_it_is(open_page: OpenPage) -> None:
    page = await open_page("#/login")
    wanted = {"login": ["username", "current-password"], "register": ["username", "new-password", "name"]}
    for mode, names in wanted.items():
        await page.goto(f"/#/login/{mode}")
        await expect(page.locator(".entry form")).to_be_visible()
        fields = page.locator(".entry form input")
        await expect(fields).to_have_count(len(names))
        assert [await one.get_attribute("autocomplete") for one in await fields.all()] == names


async def test_a_forgotten_password_is_replaced_by_the_link_in_a_mail(
    open_page: OpenPage, hub_process: HubProcess, expected: list[str]
) -> None:
    email = await asyncio.to_thread(account_of, hub_process)
    page = await open_page("#/login")
    await page.get_by_role("link", name="Forgotten the password?").click()
    await page.get_by_label("Mail address").fill(email)
    await page.keyboard.press("Enter")
    await expect(page.locator(".told")).to_contain_text(email)
    await expect(page.locator(".told")).to_be_focused()


async def test_two_tabs_that_renew_at_once_share_one_answer(open_page: OpenPage, hub_process: HubProcess) -> None:
    page = await open_page("#/login")
    await log_in(page, await asyncio.to_thread(account_of, hub_process))
    await is_in(page)
    other = await page.context.new_page()
    await other.goto("/")
    await is_in(other)
    asked: Counter[str] = Counter()
    for one in (page, other):
        one.on("request", lambda sent: asked.update([REFRESH] if REFRESH in sent.url else []))
    tokens = await asyncio.gather(*(one.evaluate(RENEW) for one in (page, other)))
    assert tokens[0]
    assert tokens[0] == tokens[1]
    assert asked[REFRESH] == 1
    await page.evaluate("sessionStorage.clear()")
    await page.reload()
    await is_in(page)


async def test_a_page_left_while_it_renews_loses_no_login(open_page: OpenPage, hub_process: HubProcess) -> None:
    """The answer's cookie is kept though nobody hears the answer, and the next page waits for it."""
    page = await open_page("#/login")
    await log_in(page, await asyncio.to_thread(account_of, hub_process))
    await is_in(page)
    await page.add_init_script("sessionStorage.clear()")  # no page finds a token that it could go on with
    for _ in range(3):
        async with page.expect_request(f"**{REFRESH}"):
            await page.reload(wait_until="commit")
    await page.reload()
    await is_in(page)


async def test_a_logout_reaches_the_other_tabs_and_a_login_too(
    open_page: OpenPage, hub_process: HubProcess, expected: list[str]
) -> None:
    expected.append(SOCKET_LEFT)  # of the demonstration, which a login ends however short it was
    page = await open_page("#/login")
    email = await asyncio.to_thread(account_of, hub_process)
    await log_in(page, email)
    await is_in(page)
    other = await page.context.new_page()
    await other.goto("/#/account")
    await is_in(other)
    await log_out(page)
    await expect(other.locator(".farewell")).to_contain_text("has ended")
    await log_in(other, email)
    await is_in(other)
    assert other.url.endswith("#/account")
    await is_in(page)


async def test_a_login_that_is_ended_on_another_device_leads_to_the_login_with_a_calm_word(
    open_page: OpenPage, hub_process: HubProcess, expected: list[str]
) -> None:
    expected.append("status of 401")
    email = await asyncio.to_thread(account_of, hub_process)
    here, there = await open_page("#/login?to=%23%2Falerts"), await open_page("#/login?to=%23%2Faccount%2Fsecurity")
    for page in (here, there):
        await log_in(page, email)
        await is_in(page)
    await there.get_by_role("button", name="End all others").click()
    await there.get_by_role("button", name="End them").click()
    await expect(here.locator(".farewell")).to_contain_text("Log in to go on where you were")
    await log_in(here, email)
    await is_in(here)
    assert here.url.endswith("#/alerts")
    await is_in(there)


async def test_the_second_factor_is_asked_for(open_page: OpenPage, expected: list[str]) -> None:
    expected += ["status of 401", SOCKET_LEFT]
    page = await open_page("#/login/register?to=%23%2Faccount%2Fsecurity")
    email = address()
    await log_in(page, email)
    await page.get_by_role("button", name="Set it up").click()
    assert await page.locator(".qr").evaluate("picture => picture.decode().then(() => picture.naturalWidth)") > 0
    code = pyotp.TOTP((await page.get_by_label("Secret for the app").inner_text()).replace(" ", ""))
    await page.get_by_label("The six digits").fill("000000")
    await page.keyboard.press("Enter")
    await expect(page.locator(".steps .trouble")).to_be_visible()
    await page.get_by_label("The six digits").fill(code.now())
    await page.keyboard.press("Enter")
    await expect(page.locator(".codes li")).to_have_count(10)
    recovery = await page.locator(".codes li").all_inner_texts()
    await page.get_by_role("button", name="I have kept them").click()
    await expect(page.get_by_text("Recovery codes left: 10")).to_be_visible()
    await log_out(page)
    await page.get_by_text("You are logged out").wait_for()
    await page.goto("/#/login?to=%23%2Faccount%2Fsecurity")
    await page.reload()  # whose form nothing replaces any more
    await log_in(page, email)
    await expect(page.get_by_label("Code")).to_be_focused()
    await expect(page.get_by_label("Code")).to_have_attribute("autocomplete", "one-time-code")
    await page.get_by_label("Code").fill("999999")  # sent by itself: six digits are a whole code
    await expect(page.locator(".trouble")).to_be_visible()
    await page.get_by_label("Code").fill(recovery[0])
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Recovery codes left: 9")).to_be_visible()


async def test_a_token_is_taken_and_said_to_have_ended(open_page: OpenPage, expected: list[str]) -> None:
    expected += ["status of 401", SOCKET_LEFT]
    page = await open_page("#/login/token")
    box = page.get_by_role("textbox", name="Token")
    await box.fill("nonsense")
    await page.get_by_role("button", name="Use it").click()
    await expect(page.locator(".field .error")).to_contain_text("no token")
    await box.fill(token("7", "pro", secret="another-secret-that-is-as-long-as-it-has-to-be"))
    await page.get_by_role("button", name="Use it").click()
    await expect(page.locator(".trouble")).to_be_visible()
    await box.fill(token("asha", "pro"))
    await page.get_by_role("button", name="Use it").click()
    await page.wait_for_url("**/#/markets")
    await page.goto("/#/account")
    await expect(page.get_by_role("heading", name="asha")).to_be_visible()
    await expect(page.get_by_text("You came with a token")).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("heading", name="asha")).to_be_visible()


async def test_one_may_look_around_first(open_page: OpenPage) -> None:
    page = await open_page("#/login?to=%23%2Falerts")
    await page.get_by_role("button", name="Look around first").click()
    await page.wait_for_url("**/#/alerts")


@pytest.mark.parametrize("shade", ["light", "dark"])
async def test_the_forms_are_accessible(open_page: OpenPage, shade: Any) -> None:
    page = await open_page("#/login", viewport=PHONE, color_scheme=shade)
    for mode in ("login", "register", "forgot", "token"):
        await page.goto(f"/#/login/{mode}")
        await expect(page.locator(".entry form")).to_be_visible()
        found = await Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


async def test_without_cookies_a_login_belongs_to_its_tab(hub_process: HubProcess) -> None:
    """Over plain http on another host browsers keep no such cookie: the tab has the token, a copy of it none."""
    email = await asyncio.to_thread(account_of, hub_process)
    chromium = shutil.which("chromium") or "chromium"
    rule = "--host-resolver-rules=MAP hub.test 127.0.0.1"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=[*ARGUMENTS, rule])
        page = await browser.new_page(base_url=f"http://hub.test:{hub_process.port}")
        await page.goto("/")
        assert await page.evaluate("isSecureContext") is False
        await log_in(page, email)
        await is_in(page)
        assert await page.context.cookies() == []
        for _ in range(2):
            await page.evaluate("sessionStorage.removeItem('tickhub.login')")
            await page.reload()
            await is_in(page)
        assert await page.evaluate("Object.keys(sessionStorage)") == ["tickhub.login"]
        await browser.close()


async def test_somebody_signs_in_elsewhere_and_comes_back_to_where_they_were(browser: Browser) -> None:
    async with OidcIssuer() as issuer:
        settings = {"OIDC_ISSUER": issuer.url, "OIDC_CLIENT_ID": CLIENT_ID, "OIDC_CLIENT_SECRET": CLIENT_SECRET}
        hub = HubProcess(OIDC_NAME="Acme ID", **settings)
        await asyncio.to_thread(hub.start)
        try:
            page = await browser.new_page()
            refuse = partial(_agree, issuer=issuer, hub=hub, error="access_denied")
            await page.route(re.compile("/auth/oidc/login"), refuse, times=1)
            await page.goto(f"{hub.url}/#/login?to=%23%2Faccount")
            await page.get_by_role("link", name="Sign in with Acme ID").click()
            await expect(page.locator(".farewell")).to_contain_text("was not completed there")
            await page.route(re.compile("/auth/oidc/login"), lambda route: _agree(route, issuer, hub))
            await page.goto(f"{hub.url}/#/login?to=%23%2Faccount")
            await page.get_by_role("link", name="Sign in with Acme ID").click()
            await page.wait_for_url("**/#/account")
            await expect(page.get_by_text("Verified")).to_be_visible()
            await page.evaluate("sessionStorage.clear()")
            await page.reload()
            await expect(page.get_by_text("Verified")).to_be_visible()
        finally:
            await asyncio.to_thread(hub.close)


async def _agree(route: Route, issuer: OidcIssuer, hub: HubProcess, **changed: str) -> None:
    """Sends the browser back at once, as if somebody had agreed at the issuer."""
    answer = await route.fetch(max_redirects=0)
    back = f"{hub.url}{issuer.callback(answer.headers['location'], **changed)}"
    await route.fulfill(response=answer, headers=answer.headers | {"location": back})


AHEAD = "const browsers = Date.now; Date.now = () => browsers() + 2 * 3600_000;"


async def test_a_browser_whose_clock_is_wrong_renews_no_more_than_others(
    open_page: OpenPage, hub_process: HubProcess
) -> None:
    page = await open_page(None)
    await page.context.add_init_script(AHEAD)
    refreshed: list[str] = []
    page.on("request", lambda request: refreshed.append(request.url) if REFRESH in request.url else None)
    await page.goto("/#/login")
    await log_in(page, await asyncio.to_thread(account_of, hub_process))
    await is_in(page)
    for view in ("account", "alerts", "markets"):
        await page.goto(f"/#/{view}")
        await expect(page.get_by_role("heading").first).to_be_visible()
    assert refreshed == []


SUBSCRIBED = """
  window.pushEnded = 0;
  const unsubscribe = async () => { window.pushEnded += 1; return true; };
  const getSubscription = async () => ({ endpoint: "ENDPOINT", unsubscribe });
  navigator.serviceWorker.getRegistration = async () => ({ pushManager: { getSubscription } });
""".replace("ENDPOINT", ENDPOINT)
SUBSCRIBE = """async (body) => {
  const { src } = document.querySelector("script[type=module]");
  const { post } = await import(src.replace("app.js", "core/api.js"));
  await post("/users/push-subscriptions", body);
}"""


async def test_who_logs_out_leaves_no_push_messages_to_the_next_at_this_browser(
    open_page: OpenPage, hub_process: HubProcess
) -> None:
    """With a browser's subscription that is made up, as no push service can be asked."""
    page = await open_page(None)
    await page.context.add_init_script(SUBSCRIBED)
    await page.goto("/#/login")
    await log_in(page, await asyncio.to_thread(account_of, hub_process))
    await is_in(page)
    await page.evaluate(SUBSCRIBE, {"endpoint": ENDPOINT, "keys": {"p256dh": P256DH, "auth": AUTH}})
    async with page.expect_request(lambda one: one.method == "DELETE") as removing:
        await log_out(page)
    answer = await (await removing.value).response()
    assert answer is not None
    assert answer.status == 200
    await page.wait_for_function("window.pushEnded === 1")
