from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.identity import Identity
from auth.refresh_tokens import RefreshClaims, RefreshTokens
from auth.refusals import Reason, TokenRefused
from auth.tickets import Tickets
from auth.tokens import TokenIssuer, TokenVerifier
from tests.auth.keys import SECRET

NOW = 1_800_000_000.0
WEEK_S = 7 * 86_400
SESSION = "s_0123456789abcdef01234567"

tokens = RefreshTokens(SECRET, WEEK_S, clock=lambda: NOW)


async def claim(_: str, __: float) -> bool:
    return True


tickets = Tickets(SECRET, claim, clock=lambda: NOW)


def signed(**changed: Any) -> str:
    claims = {
        "iss": "tickhub",
        "aud": "tickhub",
        "typ": "refresh",
        "sub": "u_1",
        "sid": SESSION,
        "gen": 3,
        "iat": int(NOW),
        "exp": int(NOW) + 60,
    } | changed
    return jwt.encode({name: value for name, value in claims.items() if value is not ...}, SECRET, "HS256")


def refused(token: str, by: RefreshTokens = tokens) -> Reason:
    with pytest.raises(TokenRefused) as caught:
        by.read(token)
    assert len(token) < 8 or token[:8] not in str(caught.value)
    return caught.value.reason


@given(generation=st.integers(0, 2**31 - 1), lifetime_s=st.integers(1, 10**8))
def test_what_is_issued_is_what_is_read(generation: int, lifetime_s: int) -> None:
    by = RefreshTokens(SECRET, lifetime_s, clock=lambda: NOW)
    expected = RefreshClaims(user="u_1", session=SESSION, generation=generation, expires_at=int(NOW) + lifetime_s)
    assert by.read(by.issue("u_1", SESSION, generation)) == expected


def test_a_refresh_token_ends() -> None:
    token = tokens.issue("u_1", SESSION, 0)
    assert RefreshTokens(SECRET, 1, clock=lambda: NOW + WEEK_S).read(token).user == "u_1"
    assert refused(token, RefreshTokens(SECRET, 1, clock=lambda: NOW + WEEK_S + 5)) is Reason.EXPIRED


def test_a_refresh_token_is_no_access_token() -> None:
    with pytest.raises(TokenRefused) as caught:
        TokenVerifier(secret=SECRET, clock=lambda: NOW).verify_now(tokens.issue("u_1", SESSION, 0))
    assert caught.value.reason is Reason.KIND


async def test_a_refresh_token_is_no_ticket() -> None:
    with pytest.raises(TokenRefused) as caught:
        await tickets.redeem(tokens.issue("u_1", SESSION, 0))
    assert caught.value.reason is Reason.KIND


def test_neither_an_access_token_nor_a_ticket_is_a_refresh_token() -> None:
    access = TokenIssuer(SECRET, 900, clock=lambda: NOW).issue("u_1", session=SESSION)
    assert refused(access) is Reason.KIND
    bearer = Identity(user="u_1", token_id="a", issued_at=int(NOW), expires_at=int(NOW) + 60, session=SESSION)
    assert refused(tickets.issue(bearer)[0]) is Reason.KIND


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"typ": ...}, Reason.KIND),
        ({"typ": "Refresh"}, Reason.KIND),
        ({"typ": ["refresh"]}, Reason.KIND),
        ({"sub": ...}, Reason.CLAIMS),
        ({"sub": 7}, Reason.CLAIMS),
        ({"sub": ""}, Reason.SUBJECT),
        ({"sub": "user"}, Reason.SUBJECT),
        ({"sid": ...}, Reason.CLAIMS),
        ({"sid": None}, Reason.CLAIMS),
        ({"sid": ""}, Reason.CLAIMS),
        ({"sid": "s\x00"}, Reason.CLAIMS),
        ({"sid": "s" * 33}, Reason.CLAIMS),
        ({"gen": ...}, Reason.CLAIMS),
        ({"gen": -1}, Reason.CLAIMS),
        ({"gen": 2**31}, Reason.CLAIMS),
        ({"gen": "3"}, Reason.CLAIMS),
        ({"exp": ...}, Reason.CLAIMS),
        ({"exp": NOW - 5}, Reason.EXPIRED),
        ({"iat": NOW + 60}, Reason.NOT_YET_VALID),
        ({"iss": ...}, Reason.ISSUER),
        ({"iss": "elsewhere"}, Reason.ISSUER),
        ({"aud": ...}, Reason.AUDIENCE),
        ({"aud": "elsewhere"}, Reason.AUDIENCE),
    ],
)
def test_a_claim_that_is_wrong_is_refused_for_what_it_is(changed: dict[str, Any], reason: Reason) -> None:
    assert refused(signed(**changed)) is reason


def test_the_claims_of_these_tests_are_good_ones() -> None:
    assert tokens.read(signed()).generation == 3


_token = tokens.issue("u_1", SESSION, 0)


@given(place=st.integers(0, len(_token) - 1), byte=st.integers(0, 127))
def test_a_token_with_any_byte_changed_is_refused(place: int, byte: int) -> None:
    changed = _token[:place] + chr(byte) + _token[place + 1 :]
    if changed != _token:
        refused(changed)


def test_what_is_signed_by_someone_else_or_not_at_all_is_refused() -> None:
    assert refused(RefreshTokens(SECRET[::-1], 60, clock=lambda: NOW).issue("u_1", SESSION, 0)) is Reason.SIGNATURE
    assert refused(jwt.encode({"typ": "refresh"}, None, "none")) is Reason.ALGORITHM
    assert refused("") is Reason.MALFORMED
    assert refused("é.é.é") is Reason.MALFORMED
    assert refused("x" * 9000) is Reason.TOO_LONG


@pytest.mark.parametrize(("secret", "lifetime_s"), [("short", 60), (SECRET, 0), (SECRET, 0.5)])
def test_what_cannot_sign_or_lives_no_second_is_refused(secret: str, lifetime_s: float) -> None:
    with pytest.raises(ValueError, match=r"."):
        RefreshTokens(secret, lifetime_s)
