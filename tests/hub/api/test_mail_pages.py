"""The pages that links in mail lead to do nothing by themselves, work without a script, and speak five languages."""

import base64
import hashlib
import re
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from auth.identity import LANGUAGES
from auth.passwords import check_password
from hub.api.mail_pages import MailPages
from hub.http.endpoint import Call
from hub.languages import tell
from schemas.errors import CommandError, ErrorCode, Unavailable
from tests.hub.api_client import browser

TOKEN = 'a"><script>&+='
TEXTS = tomllib.loads((Path(__file__).parents[3] / "hub" / "page" / "mail.toml").read_text(encoding="utf-8"))


class Accounts:
    """What the forms reach: takes `TOKEN`, and passwords of eight characters."""

    def __init__(self) -> None:
        self.verified: list[str] = []
        self.passwords: list[str] = []
        self.away = False

    async def verify_email(self, token: str, call: Call) -> None:
        assert call.address
        if self.away:
            raise Unavailable("the database", "away")
        if token != TOKEN:
            raise CommandError(ErrorCode.UNAUTHORIZED, "The link is <wrong>")
        self.verified.append(token)

    async def reset_password(self, token: str, password: str, call: Call) -> None:
        await self.verify_email(token, call)
        if len(password) < 8:
            raise CommandError(ErrorCode.BAD_REQUEST, "Expected {count} characters", count=8)
        self.passwords.append(password)


ACCOUNTS = Accounts()
PAGES = MailPages(
    verify_email=ACCOUNTS.verify_email,
    reset_password=ACCOUNTS.reset_password,
    tell=lambda error, language: f"[{language}] {error.message}",
)


async def set_good_password(token: str, password: str, call: Call) -> None:
    check_password(password, about=["Asha"])


STRICT_PAGES = MailPages(verify_email=ACCOUNTS.verify_email, reset_password=set_good_password, tell=tell)


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    ACCOUNTS.__init__()  # type: ignore[misc]
    async with browser(PAGES.endpoints) as client:
        yield client


def at(name: str) -> str:
    return f"/api/v1/auth/{name}"


def action_of(page: httpx2.Response) -> str:
    """Where the page's form leads."""
    found = re.search(r'<form method="post" action="([^"]+)"', page.text)
    assert found
    return str(page.url.join(found[1]).path)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("name", "title"), [("verify-email", "verify_title"), ("reset-password", "reset_title")])
async def test_the_page_is_in_the_reader_s_language_and_does_nothing(
    client: httpx2.AsyncClient, language: str, name: str, title: str
) -> None:
    page = await client.get(at(name), params={"token": TOKEN}, headers={"Accept-Language": f"{language}-IN"})
    assert page.status_code == 200
    assert f'<html lang="{language}">' in page.text
    assert TEXTS[language][title] in page.text
    assert action_of(page) == at(f"{name}/form")
    assert (ACCOUNTS.verified, ACCOUNTS.passwords) == ([], [])


def test_all_languages_have_the_same_texts() -> None:
    assert {language: texts.keys() for language, texts in TEXTS.items()} == dict.fromkeys(LANGUAGES, TEXTS["en"].keys())


async def test_the_page_shows_its_token_as_it_is_and_has_no_script(client: httpx2.AsyncClient) -> None:
    page = await client.get(at("verify-email"), params={"token": TOKEN})
    assert "<script" not in page.text
    assert 'value="a&#34;&gt;&lt;script&gt;&amp;+="' in page.text


async def test_the_page_allows_itself_no_more_than_it_needs(client: httpx2.AsyncClient) -> None:
    page = await client.get(at("reset-password"), params={"token": "x"})
    style = re.search(r"<style>(.*)</style>", page.text, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = page.headers["content-security-policy"]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert (page.headers["referrer-policy"], page.headers["cache-control"]) == ("no-referrer", "no-store")


async def test_the_button_confirms_the_address(client: httpx2.AsyncClient) -> None:
    page = await client.post(at("verify-email/form"), data={"token": TOKEN})
    assert page.status_code == 200
    assert TEXTS["en"]["verified_text"] in page.text
    assert ACCOUNTS.verified == [TOKEN]
    assert "<form" not in page.text


async def test_the_form_sets_the_password(client: httpx2.AsyncClient) -> None:
    page = await client.post(at("reset-password/form"), data={"token": TOKEN, "password": "päss & wörd +="})
    assert TEXTS["en"]["changed_text"] in page.text
    assert ACCOUNTS.passwords == ["päss & wörd +="]
    assert "wörd" not in page.text


async def test_a_password_that_is_not_taken_can_be_given_again(client: httpx2.AsyncClient) -> None:
    page = await client.post(
        at("reset-password/form"), data={"token": TOKEN, "password": "short"}, headers={"Accept-Language": "gu"}
    )
    assert page.status_code == 400
    assert "[gu] Expected 8 characters" in page.text
    assert action_of(page) == at("reset-password/form")
    assert "short" not in page.text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("password", ["short", "x" * 129, "Tab\there-12", "onlyletters", "asha-Rao-81", "Password1!"])
async def test_what_is_wrong_with_a_password_is_told_without_a_place(language: str, password: str) -> None:
    async with browser(STRICT_PAGES.endpoints) as client:
        form = {"token": TOKEN, "password": password}
        page = await client.post(at("reset-password/form"), data=form, headers={"Accept-Language": language})
    assert page.status_code == 400
    told = re.search(r'<p class="problem" role="alert">([^<]+)</p>', page.text)
    assert told
    assert "$" not in told[1]
    assert len(told[1]) > 10


@pytest.mark.parametrize("name", ["verify-email", "reset-password"])
async def test_a_link_that_is_not_good_is_told_without_a_form(client: httpx2.AsyncClient, name: str) -> None:
    page = await client.post(at(f"{name}/form"), data={"token": "other", "password": "long enough"})
    assert page.status_code == 401
    assert "The link is &lt;wrong&gt;" in page.text
    assert "<form" not in page.text


@pytest.mark.parametrize("name", ["verify-email", "reset-password"])
async def test_without_a_database_one_may_try_again(client: httpx2.AsyncClient, name: str) -> None:
    ACCOUNTS.away = True
    page = await client.post(at(f"{name}/form"), data={"token": TOKEN, "password": "long enough"})
    assert page.status_code == 503
    assert TEXTS["en"]["unavailable"] in page.text
    assert action_of(page) == at(f"{name}/form")


@pytest.mark.parametrize("name", ["verify-email", "reset-password"])
async def test_a_link_without_a_token_is_told(client: httpx2.AsyncClient, name: str) -> None:
    for page in (await client.get(at(name)), await client.post(at(f"{name}/form"), data={"password": "x"})):
        assert page.status_code == 400
        assert TEXTS["en"]["incomplete"] in page.text


async def test_words_that_mail_programs_add_to_a_link_do_no_harm(client: httpx2.AsyncClient) -> None:
    page = await client.get(at("verify-email"), params={"token": TOKEN, "utm_source": "mail"})
    assert page.status_code == 200


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"token=a&token=b", 400),
        (b"\xff=1", 400),
        (b"token", 400),
        (b"a=1&" * 20, 400),
        (b"token=" + b"x" * 20_000, 422),
    ],
)
async def test_what_is_no_form_is_refused(client: httpx2.AsyncClient, content: bytes, status: int) -> None:
    answer = await client.post(at("verify-email/form"), content=content)
    assert answer.status_code == status
    assert answer.json()["status"] == "error"
