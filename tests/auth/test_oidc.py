"""Somebody is who the issuer says, and only if everything that it says fits together."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from auth.jwks import MAX_BYTES
from auth.oidc import KEEP_S, LEAST_PAUSE_S, Issuer, Pending, Person, Reason, SignInRefused
from schemas.errors import ErrorCode, Unavailable
from schemas.secret import Secret
from tests.auth.oidc_issuer import CLIENT_ID, CLIENT_SECRET, OidcIssuer

HERE = "https://hub.test/api/v1/auth/oidc/callback"
DISCOVERY = "/.well-known/openid-configuration"


@pytest.fixture
async def server() -> AsyncIterator[OidcIssuer]:
    async with OidcIssuer() as server:
        yield server


class Ticker:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def issuer_at(server: OidcIssuer, **options: Any) -> Issuer:
    return Issuer(server.url, CLIENT_ID, Secret(CLIENT_SECRET), **options)


async def sign_in(server: OidcIssuer, issuer: Issuer | None = None) -> Person:
    issuer = issuer or issuer_at(server)
    url, pending = await issuer.begin(HERE)
    return await issuer.finish(server.authorize(url)["code"], pending, HERE)


async def refused(server: OidcIssuer) -> Reason:
    with pytest.raises(SignInRefused) as caught:
        await sign_in(server)
    assert caught.value.code is ErrorCode.UNAUTHORIZED
    return caught.value.reason


async def test_whoever_signs_in_is_whom_the_issuer_vouches_for(server: OidcIssuer) -> None:
    assert await sign_in(server) == Person(
        issuer=server.url, subject="person-1", email="Asha@example.com", email_verified=True, name="Asha Patil"
    )
    assert server.logins == ["basic"]


async def test_two_sign_ins_share_nothing(server: OidcIssuer) -> None:
    issuer = issuer_at(server)
    (one, first), (other, second) = await issuer.begin(HERE), await issuer.begin(HERE)
    assert one != other
    assert len({first.state, first.nonce, first.verifier, second.state, second.nonce, second.verifier}) == 6
    assert first.verifier not in one
    assert "theme=dark" in one


async def test_description_and_keys_are_fetched_once_and_again_after_an_hour(server: OidcIssuer) -> None:
    clock = Ticker()
    issuer = issuer_at(server, clock=clock)
    for _ in range(3):
        await sign_in(server, issuer)
    assert (server.requests.count(DISCOVERY), server.requests.count("/keys")) == (1, 1)
    clock.now += KEEP_S
    await sign_in(server, issuer)
    assert (server.requests.count(DISCOVERY), server.requests.count("/keys")) == (2, 2)


async def test_a_new_key_is_fetched_but_not_too_often(server: OidcIssuer) -> None:
    clock = Ticker()
    issuer = issuer_at(server, clock=clock)
    await sign_in(server, issuer)
    server.number, server.published = 1, [("RS256", 0), ("RS256", 1)]
    with pytest.raises(SignInRefused) as caught:
        await sign_in(server, issuer)
    assert caught.value.reason is Reason.UNKNOWN_KEY
    assert server.requests.count("/keys") == 1
    clock.now += LEAST_PAUSE_S
    await sign_in(server, issuer)
    assert server.requests.count("/keys") == 2


@pytest.mark.parametrize("methods", [["client_secret_post"], ["client_secret_post", "private_key_jwt"]])
async def test_the_client_proves_itself_as_the_issuer_wants(server: OidcIssuer, methods: list[str]) -> None:
    server.description["token_endpoint_auth_methods_supported"] = methods
    await sign_in(server)
    assert server.logins == ["form"]


@pytest.mark.parametrize(
    "changed",
    [
        {"nonce": "other"}, {"nonce": None}, {"aud": "someone else"}, {"aud": ["a", "b"]}, {"aud": None},
        {"aud": [CLIENT_ID, "other"]}, {"azp": "someone else"},
        {"aud": "someone else", "azp": CLIENT_ID}, {"iss": "https://accounts.google.com"}, {"iss": None},
        {"sub": None}, {"sub": ""}, {"sub": 7}, {"sub": "x" * 256}, {"exp": None}, {"exp": "tomorrow"}, {"iat": None},
        {"iat": 4_000_000_000}, {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, {"at_hash": [1]}, {"nbf": 4_000_000_000},
    ],
)  # fmt: skip
async def test_claims_that_don_t_fit_are_refused(server: OidcIssuer, changed: dict[str, Any]) -> None:
    server.claims = changed
    assert await refused(server) is Reason.CLAIMS


async def test_several_audiences_need_the_authorized_party(server: OidcIssuer) -> None:
    server.claims = {"aud": [CLIENT_ID, "other"], "azp": CLIENT_ID}
    assert (await sign_in(server)).subject == "person-1"


async def test_an_expired_token_is_refused(server: OidcIssuer) -> None:
    server.claims = {"exp": int(time.time()) - 60}
    assert await refused(server) is Reason.EXPIRED


@pytest.mark.parametrize("forged", ["none", "hs256-secret", "hs256-public"])
async def test_no_token_chooses_its_own_algorithm(server: OidcIssuer, forged: str) -> None:
    server.forged = forged
    assert await refused(server) is Reason.SIGNATURE


async def test_a_token_signed_by_somebody_else_is_refused(server: OidcIssuer) -> None:
    server.published = [("ES256", 0)]
    assert await refused(server) is Reason.UNKNOWN_KEY


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "x" * 20_000])
async def test_what_is_no_token_is_refused(server: OidcIssuer, text: str) -> None:
    server.forged = text
    assert await refused(server) is Reason.MALFORMED


async def test_a_code_is_good_once(server: OidcIssuer) -> None:
    issuer = issuer_at(server)
    url, pending = await issuer.begin(HERE)
    code = server.authorize(url)["code"]
    await issuer.finish(code, pending, HERE)
    with pytest.raises(SignInRefused) as caught:
        await issuer.finish(code, pending, HERE)
    assert caught.value.reason is Reason.CODE


async def test_a_stolen_code_is_of_no_use_without_the_verifier(server: OidcIssuer) -> None:
    issuer = issuer_at(server)
    url, _ = await issuer.begin(HERE)
    thief = Pending(state="s", nonce="n", verifier="v" * 43)
    with pytest.raises(SignInRefused):
        await issuer.finish(server.authorize(url)["code"], thief, HERE)


@pytest.mark.parametrize(
    ("said", "verified"), [(True, True), ("true", True), (False, False), ("false", False), (None, False), (1, False)]
)
async def test_an_address_counts_as_verified_only_where_that_is_said(
    server: OidcIssuer, said: Any, verified: bool
) -> None:
    server.claims = {"email_verified": said}
    assert (await sign_in(server)).email_verified is verified


async def test_an_odd_address_or_name_is_none(server: OidcIssuer) -> None:
    server.claims = {"email": ["a@b.c"], "name": 7}
    person = await sign_in(server)
    assert (person.email, person.name) == (None, "")


@pytest.mark.parametrize("path", [DISCOVERY, "/keys", "/token"])
@pytest.mark.parametrize(
    "answer", [(500, b"{}"), (302, b""), (404, b"{}"), (200, b"[]"), (200, b"\xff"), (200, b"x" * (MAX_BYTES + 1))]
)
async def test_an_issuer_that_doesn_t_answer_as_it_should_is_not_available(
    server: OidcIssuer, path: str, answer: tuple[int, bytes]
) -> None:
    server.answers[path] = answer
    with pytest.raises(Unavailable):
        await sign_in(server)


async def test_a_redirect_is_not_followed(server: OidcIssuer) -> None:
    server.answers[DISCOVERY] = (302, b"")
    with pytest.raises(Unavailable):
        await issuer_at(server).begin(HERE)
    assert server.requests == [DISCOVERY]


async def test_an_issuer_that_stalls_is_left(server: OidcIssuer) -> None:
    server.hold.clear()
    async with asyncio.timeout(5):
        with pytest.raises(Unavailable):
            await issuer_at(server, timeout_s=0.1).begin(HERE)


async def test_a_wrong_client_secret_is_our_fault_not_the_person_s(server: OidcIssuer) -> None:
    with pytest.raises(Unavailable):
        await sign_in(server, Issuer(server.url, CLIENT_ID, Secret("wrong")))


@pytest.mark.parametrize(
    "changed",
    [{"issuer": "https://other.example"}, {"token_endpoint": "http://other.example/token"},
     {"jwks_uri": "file:///etc/passwd"}, {"authorization_endpoint": "javascript:alert(1)"}, {"jwks_uri": 7}],
)  # fmt: skip
async def test_a_description_that_leads_astray_is_not_followed(server: OidcIssuer, changed: dict[str, Any]) -> None:
    server.description = changed
    with pytest.raises(Unavailable):
        await issuer_at(server).begin(HERE)


@pytest.mark.parametrize("url", ["http://login.example", "ftp://login.example", "login.example"])
def test_an_issuer_is_asked_over_https_or_on_this_machine(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        Issuer(url, "id", None)


async def test_an_issuer_knows_its_own_name(server: OidcIssuer) -> None:
    assert await issuer_at(server).is_issuer(server.url)
    assert not await issuer_at(server).is_issuer("https://other.example")
