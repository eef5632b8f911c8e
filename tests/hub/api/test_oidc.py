"""A browser signs in elsewhere and is logged in here: once, to its own account, and sent to no other host."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.account import Account
from auth.accounts import Accounts
from auth.oidc import Issuer
from auth.passwords import Cost, Passwords
from auth.preferences import Preference
from auth.sealing import Sealer
from channels.broker_memory import MemoryBroker
from hub.api.account_views import LoggedIn, SecondFactorWanted, account_view
from hub.api.oidc import LOGIN_S, SIGN_IN_S, OidcApi, issuer_of, local_path
from hub.database import engine_for, migrate
from hub.http.endpoint import Call, Reply
from schemas.errors import CommandError, ErrorCode, SettingsError
from schemas.secret import Secret
from schemas.settings import load
from tests.auth.oidc_issuer import CLIENT_ID, CLIENT_SECRET, OidcIssuer
from tests.hub.api_client import browser

START = "/api/v1/auth/oidc/login"
EXCHANGE = "/api/v1/auth/oidc/exchange"
PASSWORD = "kettle-Orbit-49-lantern"


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


on_both_engines = pytest.mark.parametrize("engine", ["sqlite", "postgres"], indirect=True)


@pytest.fixture
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """SQLite, where a test asks for nothing else."""
    postgres = getattr(request, "param", "sqlite") == "postgres"
    engine = engine_for(request.getfixturevalue("postgres_url") if postgres else "", tmp_path)
    await migrate(engine)
    yield engine
    await engine.dispose()


class House:
    """The hub's side of it, with an issuer to lie to it."""

    def __init__(self, server: OidcIssuer, engine: AsyncEngine, base_url: str = "https://hub.test") -> None:
        self.server = server
        self.clock = Clock()
        self.passwords = Passwords(Cost(memory_kib=64, passes=1))
        self.accounts = Accounts(engine, passwords=self.passwords, wall=self.clock)
        self.recorded: list[tuple[str, str]] = []
        self.cookies: list[bool] = []
        self.api = OidcApi(
            Issuer(server.url, CLIENT_ID, Secret(CLIENT_SECRET)),
            name="Acme ID",
            base_url=base_url,
            accounts=self.accounts,
            enter=self._enter,
            record=self._record,
            sealer=Sealer([b"k" * 32]),
            claim=MemoryBroker(clock=self.clock).claim,
            wall=self.clock,
        )

    async def _enter(self, _: Call, account: Account, cookie: bool) -> Reply[LoggedIn | SecondFactorWanted]:
        self.cookies.append(cookie)
        user = account_view(account, Preference())
        return Reply(LoggedIn(access_token="a", refresh_token="r", expires_in=900, refresh_expires_in=9, user=user))

    async def _record(self, _: Call, action: str, account: Account) -> None:
        self.recorded.append((action, account.id))

    async def back(self, client: httpx2.AsyncClient, return_to: str = "/app?tab=1", **changed: str) -> httpx2.Response:
        """What the callback answers a person who has agreed at the issuer."""
        begun = await client.get(START, params={"return_to": return_to})
        assert begun.status_code == 303, begun.text
        return await client.get(self.server.callback(begun.headers["location"], **changed))


@pytest.fixture
async def house(engine: AsyncEngine) -> AsyncIterator[House]:
    async with OidcIssuer() as server:
        house = House(server, engine)
        yield house


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    async with browser(house.api.endpoints) as client:
        yield client


def login_code(answer: httpx2.Response) -> str:
    assert answer.status_code == 303, answer.text
    return urlsplit(answer.headers["location"]).fragment.removeprefix("login=")


async def test_the_page_may_have_the_refresh_token_in_a_cookie(house: House, client: httpx2.AsyncClient) -> None:
    for wish in ({}, {"cookie": True}):
        code = login_code(await house.back(client))
        assert (await client.post(EXCHANGE, json={"code": code} | wish)).status_code == 200
    assert house.cookies == [False, True]


async def refusal(client: httpx2.AsyncClient, answer: httpx2.Response) -> tuple[int, str, str]:
    """What the page that a sign-in without success leads to is told: status, code, text."""
    told = await client.post(EXCHANGE, json={"code": login_code(answer)})
    error = told.json()["error"]
    return told.status_code, error["code"], error["message"]


def code_of(answer: httpx2.Response) -> str:
    """The error's code."""
    return str(answer.json()["error"]["code"])


@on_both_engines
async def test_somebody_new_gets_an_account_and_is_logged_in(house: House, client: httpx2.AsyncClient) -> None:
    answer = await house.back(client)
    assert answer.headers["location"].startswith("/app?tab=1#login=")
    entered = await client.post(EXCHANGE, json={"code": login_code(answer)})
    user = entered.json()["data"]["user"]
    assert (user["email"], user["email_verified"], user["name"]) == ("Asha@example.com", True, "Asha Patil")
    assert entered.json()["data"]["access_token"] == "a"
    assert house.recorded == [("account.created", user["id"])]


@on_both_engines
async def test_whoever_comes_again_is_the_same_even_under_another_address(
    house: House, client: httpx2.AsyncClient
) -> None:
    users = []
    for claims in ({}, {"email": "new@example.com", "email_verified": False}, {"email": None}):
        house.server.claims = claims
        entered = await client.post(EXCHANGE, json={"code": login_code(await house.back(client))})
        users.append(entered.json()["data"]["user"]["id"])
    assert len(set(users)) == 1
    assert len(house.recorded) == 1


@on_both_engines
async def test_a_verified_account_of_the_same_address_is_linked(house: House, client: httpx2.AsyncClient) -> None:
    mine = await house.accounts.create("asha@EXAMPLE.com", PASSWORD, "Asha", email_verified=True)
    entered = await client.post(EXCHANGE, json={"code": login_code(await house.back(client))})
    assert entered.json()["data"]["user"]["id"] == mine.id
    assert house.recorded == [("account.linked", mine.id)]


@on_both_engines
async def test_an_account_that_nobody_has_verified_is_not_linked(house: House, client: httpx2.AsyncClient) -> None:
    await house.accounts.create("asha@example.com", PASSWORD, "Somebody")
    answer = await house.back(client)
    assert answer.headers["location"].startswith("/app?tab=1#login=")
    status, code, message = await refusal(client, answer)
    assert (status, code) == (409, "CONFLICT")
    assert "not verified" in message
    assert await house.accounts.by_foreign(house.server.url, "person-1") is None


@pytest.mark.parametrize("claims", [{"email_verified": False}, {"email_verified": None}, {"email": None}])
@pytest.mark.parametrize("known", [True, False])
async def test_an_address_that_the_issuer_hasn_t_verified_opens_no_account(
    house: House, client: httpx2.AsyncClient, claims: dict[str, object], known: bool
) -> None:
    if known:
        await house.accounts.create("asha@example.com", PASSWORD, "Asha", email_verified=True)
    house.server.claims = claims
    told = await refusal(client, await house.back(client))
    assert told == (403, "PERMISSION_DENIED", "Acme ID has not verified your mail address")
    assert await house.accounts.by_foreign(house.server.url, "person-1") is None
    assert (await house.accounts.by_email("asha@example.com") is not None) is known


async def test_a_name_that_can_be_none_here_is_left_out(house: House, client: httpx2.AsyncClient) -> None:
    house.server.claims = {"name": "a\u202eb" * 300}
    entered = await client.post(EXCHANGE, json={"code": login_code(await house.back(client))})
    assert entered.json()["data"]["user"]["name"] == ""


async def test_the_cookie_is_for_this_alone(house: House, client: httpx2.AsyncClient) -> None:
    answer = await client.get(START)
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "Secure" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/api/v1/auth/oidc;" in cookie
    asked = httpx2.URL(answer.headers["location"]).params
    assert asked["redirect_uri"] == "https://hub.test/api/v1/auth/oidc/callback"
    assert asked["state"] not in cookie
    assert asked["nonce"] not in cookie


async def test_over_plain_http_the_cookie_still_comes(engine: AsyncEngine) -> None:
    async with OidcIssuer() as server:
        house = House(server, engine, "http://127.0.0.1:8081")
        async with browser(house.api.endpoints, base_url="http://127.0.0.1:8081") as client:
            assert login_code(await house.back(client))


async def test_a_sign_in_ends_only_in_the_browser_that_began_it(house: House, client: httpx2.AsyncClient) -> None:
    begun = await client.get(START)
    back = house.server.callback(begun.headers["location"])
    async with browser(house.api.endpoints) as other:
        assert (await refusal(other, await other.get(back)))[1] == "UNAUTHORIZED"
    lied = await client.get(house.server.callback(begun.headers["location"], state="x"))
    assert lied.headers["location"].startswith("/#login=")
    assert (await refusal(client, lied))[1] == "UNAUTHORIZED"
    assert login_code(await client.get(back))


async def test_a_state_is_good_once(house: House, client: httpx2.AsyncClient) -> None:
    begun = await client.get(START)
    cookies = dict(client.cookies)
    assert login_code(await client.get(house.server.callback(begun.headers["location"])))
    client.cookies.update(cookies)
    answer = await client.get(house.server.callback(begun.headers["location"]), headers={"Cookie": _header(cookies)})
    assert "has been used" in (await refusal(client, answer))[2]


def _header(cookies: dict[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in cookies.items())


async def test_a_sign_in_has_its_time(house: House, client: httpx2.AsyncClient) -> None:
    begun = await client.get(START)
    house.clock.now += SIGN_IN_S
    late = await client.get(house.server.callback(begun.headers["location"]))
    assert "took too long" in (await refusal(client, late))[2]


@pytest.mark.parametrize("changed", [{"error": "access_denied"}, {"code": ""}, {"iss": "https://other.example"}])
async def test_a_sign_in_that_did_not_succeed_is_told(
    house: House, client: httpx2.AsyncClient, changed: dict[str, str]
) -> None:
    answer = await house.back(client, **changed)
    assert answer.headers["location"].startswith("/app?tab=1#login=")
    assert (await refusal(client, answer))[:2] == (401, "UNAUTHORIZED")
    assert code_of(await client.post(EXCHANGE, json={"code": login_code(answer)})) == "UNAUTHORIZED"


async def test_an_issuer_that_lies_opens_nothing(house: House, client: httpx2.AsyncClient) -> None:
    house.server.claims = {"nonce": "other"}
    assert (await refusal(client, await house.back(client)))[:2] == (401, "UNAUTHORIZED")
    assert house.recorded == []


async def test_an_issuer_that_is_away_is_told_as_such(house: House, client: httpx2.AsyncClient) -> None:
    house.server.answers["/token"] = (500, b"")
    assert (await refusal(client, await house.back(client)))[:2] == (503, "NOT_AVAILABLE")


async def test_a_login_code_is_good_once(house: House, client: httpx2.AsyncClient) -> None:
    code = login_code(await house.back(client))
    assert (await client.post(EXCHANGE, json={"code": code})).status_code == 200
    assert code_of(await client.post(EXCHANGE, json={"code": code})) == "UNAUTHORIZED"


async def test_a_login_code_is_good_for_a_minute(house: House, client: httpx2.AsyncClient) -> None:
    code = login_code(await house.back(client))
    house.clock.now += LOGIN_S
    assert code_of(await client.post(EXCHANGE, json={"code": code})) == "UNAUTHORIZED"


async def test_nobody_is_logged_in_to_another_s_account_by_a_link(house: House, client: httpx2.AsyncClient) -> None:
    code = login_code(await house.back(client))
    async with browser(house.api.endpoints) as victim:
        assert code_of(await victim.post(EXCHANGE, json={"code": code})) == "UNAUTHORIZED"


@pytest.mark.parametrize("code", ["x", "a.b", "\u0906", "x" * 1024])
async def test_what_is_no_login_code_is_refused(client: httpx2.AsyncClient, code: str) -> None:
    assert code_of(await client.post(EXCHANGE, json={"code": code})) == "UNAUTHORIZED"


@pytest.mark.parametrize(
    "return_to",
    ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "", "/\t/evil.example", "/a\\b", "/#x",
     "/\r\nSet-Cookie: a=b", "javascript:alert(1)", "/\u0906", "\\/evil.example"],
)  # fmt: skip
async def test_nobody_is_sent_to_another_host(client: httpx2.AsyncClient, return_to: str) -> None:
    answer = await client.get(START, params={"return_to": return_to})
    assert (answer.status_code, code_of(answer)) == (400, "BAD_REQUEST")


@given(st.text(alphabet="/\\.:#?@ evil\t\n%2f", max_size=20).map(lambda text: "/" + text))
def test_whatever_is_taken_is_a_path_of_this_host(text: str) -> None:
    with contextlib.suppress(CommandError):
        assert httpx2.URL("https://hub.test/start").join(local_path(text)).host == "hub.test"


async def test_without_an_issuer_sign_in_is_not_available(house: House) -> None:
    house.api._issuer = None
    async with browser(house.api.endpoints) as client:
        assert (await client.get("/api/v1/auth/oidc")).json()["data"]["available"] is False
        for answer in (
            await client.get(START),
            await client.get("/api/v1/auth/oidc/callback", params={"code": "x", "state": "y"}),
            await client.post(EXCHANGE, json={"code": "x"}),
        ):
            assert (answer.status_code, code_of(answer)) == (404, ErrorCode.NOT_FOUND)


async def test_a_page_can_ask_what_its_button_should_say(client: httpx2.AsyncClient) -> None:
    data = (await client.get("/api/v1/auth/oidc")).json()["data"]
    assert data == {"available": True, "name": "Acme ID", "login_url": START}


def test_the_settings_name_the_issuer() -> None:
    assert issuer_of(load({})) is None
    known = {"OIDC_CLIENT_ID": "id", "OIDC_CLIENT_SECRET": "s"}
    assert isinstance(issuer_of(load({"OIDC_ISSUER": "https://accounts.google.com"} | known)), Issuer)
    with pytest.raises(SettingsError, match="OIDC_ISSUER"):
        issuer_of(load({"OIDC_ISSUER": "http://login.example"} | known))
