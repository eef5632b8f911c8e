import asyncio
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.identity import LANGUAGES, Identity, Plan, Role
from auth.refusals import Reason, TokenRefused
from auth.revocations import Revocation
from auth.tickets import TICKET_LIFETIME_S, Tickets
from auth.tokens import TokenIssuer, TokenVerifier
from schemas.errors import ErrorCode, Unavailable
from tests.auth.keys import SECRET

NOW = 1_800_000_000.0
SESSION = "s_0123456789abcdef01234567"


class Claims:
    """What all processes have claimed, and for how long; time stands still."""

    def __init__(self) -> None:
        self.taken: dict[str, float] = {}

    async def claim(self, key: str, ttl_s: float) -> bool:
        await asyncio.sleep(0)
        if key in self.taken:
            return False
        self.taken[key] = ttl_s
        return True


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def claims() -> Claims:
    return Claims()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tickets(claims: Claims, clock: Clock) -> Tickets:
    return Tickets(SECRET, claims.claim, clock=clock)


def identity(**changed: Any) -> Identity:
    fields = {
        "user": "7",
        "plan": Plan.PRO,
        "role": Role.ADMIN,
        "token_id": "parent",
        "issued_at": int(NOW) - 5,
        "expires_at": int(NOW) + 600,
    }
    return Identity(**fields | changed)


async def refused(tickets: Tickets, ticket: str) -> Reason:
    with pytest.raises(TokenRefused) as caught:
        await tickets.redeem(ticket)
    assert ticket[:20] not in str(caught.value) or not ticket
    return caught.value.reason


async def test_a_ticket_stands_for_the_token_it_was_given_for(tickets: Tickets) -> None:
    ticket, expires_in = tickets.issue(identity())
    assert expires_in == TICKET_LIFETIME_S == 30
    assert await tickets.redeem(ticket) == identity()
    assert len(ticket) < 500


identities = st.builds(
    Identity,
    user=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=128),
    plan=st.sampled_from(Plan),
    role=st.sampled_from(Role),
    token_id=st.just("parent"),
    issued_at=st.integers(0, int(NOW)),
    expires_at=st.integers(int(NOW) + 1, int(NOW) + 10**9),
    session=st.none() | st.just(SESSION),
    scopes=st.none() | st.frozensets(st.sampled_from(["publish", "read", "alerts"])),
    language=st.none() | st.sampled_from(LANGUAGES),
    foreign=st.booleans(),
)


@given(identities)
async def test_any_identity_comes_back_whole(bearer: Identity) -> None:
    tickets = Tickets(SECRET, Claims().claim, clock=lambda: NOW)
    ticket, expires_in = tickets.issue(bearer)
    assert expires_in == min(30, bearer.expires_at - int(NOW))
    assert await tickets.redeem(ticket) == bearer


async def test_a_ticket_is_good_once(tickets: Tickets) -> None:
    ticket, _ = tickets.issue(identity())
    await tickets.redeem(ticket)
    with pytest.raises(TokenRefused, match="used before") as caught:
        await tickets.redeem(ticket)
    assert (caught.value.reason, caught.value.code) == (Reason.REUSED, ErrorCode.UNAUTHORIZED)


async def test_of_many_who_come_with_one_ticket_one_gets_in(tickets: Tickets) -> None:
    ticket, _ = tickets.issue(identity())
    outcomes = await asyncio.gather(*(tickets.redeem(ticket) for _ in range(20)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes].count(Identity) == 1
    assert [type(outcome) for outcome in outcomes].count(TokenRefused) == 19


async def test_a_ticket_used_on_one_instance_is_used_on_all(tickets: Tickets, claims: Claims, clock: Clock) -> None:
    ticket, _ = tickets.issue(identity())
    await Tickets(SECRET, claims.claim, clock=clock).redeem(ticket)
    assert await refused(tickets, ticket) is Reason.REUSED


async def test_the_claim_outlives_the_ticket(tickets: Tickets, claims: Claims) -> None:
    ticket, expires_in = tickets.issue(identity())
    await tickets.redeem(ticket)
    (ttl_s,) = claims.taken.values()
    assert ttl_s >= expires_in + 5 + 5  # whatever either clock says


async def test_a_ticket_ends_after_half_a_minute(tickets: Tickets, clock: Clock, claims: Claims) -> None:
    ticket, _ = tickets.issue(identity())
    clock.now += 35
    assert await refused(tickets, ticket) is Reason.EXPIRED
    assert claims.taken == {}
    clock.now -= 0.1
    await tickets.redeem(ticket)


async def test_a_ticket_never_outlives_its_token(tickets: Tickets, clock: Clock) -> None:
    ticket, expires_in = tickets.issue(identity(expires_at=int(NOW) + 3))
    assert expires_in == 3
    clock.now += 8
    assert await refused(tickets, ticket) is Reason.EXPIRED


async def test_a_token_that_has_ended_gets_no_ticket(tickets: Tickets) -> None:
    with pytest.raises(TokenRefused) as caught:
        tickets.issue(identity(expires_at=int(NOW)))
    assert caught.value.code is ErrorCode.TOKEN_EXPIRED


async def test_a_token_is_no_ticket(tickets: Tickets, clock: Clock) -> None:
    assert await refused(tickets, TokenIssuer(SECRET, 900, clock=clock).issue("7")) is Reason.KIND


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"typ": "ticket"},
        {"typ": "ticket", "sub": "7", "exp": NOW + 30},
        {"typ": "ticket", "sub": "7", "exp": NOW + 30, "plan": "gold", "role": "user", "jti": "a"},
    ],
)
async def test_a_ticket_that_lacks_something_is_refused(tickets: Tickets, said: dict[str, Any]) -> None:
    ticket = jwt.encode(said, SECRET, "HS256")
    assert await refused(tickets, ticket) in {Reason.KIND, Reason.CLAIMS}


async def test_a_ticket_of_another_secret_or_none_is_refused(tickets: Tickets, claims: Claims) -> None:
    other, _ = Tickets(SECRET[::-1], claims.claim, clock=lambda: NOW).issue(identity())
    assert await refused(tickets, other) is Reason.SIGNATURE
    assert await refused(tickets, "") is Reason.MALFORMED
    assert await refused(tickets, "x" * 9000) is Reason.TOO_LONG
    assert await refused(tickets, "é.é.é") is Reason.MALFORMED


_ticket, _ = Tickets(SECRET, Claims().claim, clock=lambda: NOW).issue(identity())


@given(place=st.integers(0, len(_ticket) - 1), byte=st.integers(0, 127))
async def test_a_ticket_with_any_byte_changed_is_refused(place: int, byte: int) -> None:
    changed = _ticket[:place] + chr(byte) + _ticket[place + 1 :]
    if changed != _ticket:
        claims = Claims()
        await refused(Tickets(SECRET, claims.claim, clock=lambda: NOW), changed)
        assert claims.taken == {}


async def test_where_nobody_can_tell_whether_it_was_used_the_ticket_is_not_taken(clock: Clock) -> None:
    async def claim(_: str, __: float) -> bool:
        raise Unavailable("redis", "connection refused")

    tickets = Tickets(SECRET, claim, clock=clock)
    with pytest.raises(Unavailable):
        await tickets.redeem(tickets.issue(identity())[0])


async def test_a_ticket_carries_what_revokes_it(tickets: Tickets, clock: Clock) -> None:
    token = TokenIssuer(SECRET, 900, clock=clock).issue("7")
    parent = TokenVerifier(secret=SECRET, clock=clock).verify_now(token)
    assert (await tickets.redeem(tickets.issue(parent)[0])).token_id == parent.token_id


async def test_a_socket_opened_by_ticket_ends_with_its_session(tickets: Tickets, clock: Clock) -> None:
    token = TokenIssuer(SECRET, 900, clock=clock).issue("7", session=SESSION, language="gu")
    parent = TokenVerifier(secret=SECRET, clock=clock).verify_now(token)
    bearer = await tickets.redeem(tickets.issue(parent)[0])
    assert bearer == parent
    assert Revocation(token_id=SESSION, expires_at=int(NOW) + 900).ends(bearer)


async def test_a_key_without_scopes_gets_none_by_ticket(tickets: Tickets) -> None:
    ticket, _ = tickets.issue(identity(token_id="k_1", scopes=frozenset()))
    assert (await tickets.redeem(ticket)).scopes == frozenset()
