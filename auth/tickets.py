"""Tickets: what a browser puts into a WebSocket's URL instead of its token. Good once, for half a minute.

A ticket is a signed JWT of a kind of its own, so it is no token and no token is a ticket. It carries the token it was
given for: a socket opened by ticket ends and is revoked with that token, and with the login or key it comes from.
"""

import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from auth.identity import Identity, Plan, Role
from auth.refusals import Reason, TokenRefused
from auth.tokens import (
    LEEWAY_S,
    Claims,
    check_shape,
    check_times,
    open_signed,
    sign,
    signing_secret,
)
from schemas.durations import Seconds

TICKET = "ticket"
TICKET_LIFETIME_S = 30

Claim = Callable[[str, Seconds], Awaitable[bool]]
"""True for the first caller with this key in all processes within so many seconds (`Broker.claim`)."""


class _TicketClaims(Claims, frozen=True, kw_only=True):
    """`jti` is the ticket's own id; what stands of the token begins with `token_`."""

    sub: str
    plan: Plan
    role: Role
    jti: str
    token_id: str
    token_issued_at: int
    token_expires_at: int
    session: str | None = None
    scopes: frozenset[str] | None = None
    language: str | None = None
    foreign: bool = False


_decode = msgspec.json.Decoder(_TicketClaims).decode


class Tickets:
    """Gives tickets out, and takes each of them once."""

    def __init__(self, secret: str, claim: Claim, *, clock: Callable[[], float] = time.time) -> None:
        """Raises ValueError for a secret that can't sign."""
        self._key = signing_secret(secret)
        self._claim = claim
        self._clock = clock

    def issue(self, identity: Identity) -> tuple[str, int]:
        """A ticket for the bearer of a token, and for how many seconds it is good: 30, or what the token has left.

        Raises TokenRefused where the token has ended.
        """
        now = int(self._clock())
        expires_at = min(now + TICKET_LIFETIME_S, identity.expires_at)
        if expires_at <= now:
            raise TokenRefused(Reason.EXPIRED)
        claims: dict[str, Any] = {
            "typ": TICKET,
            "jti": secrets.token_urlsafe(16),
            "iat": now,
            "exp": expires_at,
            "sub": identity.user,
            "plan": identity.plan,
            "role": identity.role,
            "token_id": identity.token_id,
            "token_issued_at": identity.issued_at,
            "token_expires_at": identity.expires_at,
            "foreign": identity.foreign,
        }
        carried = {"session": identity.session, "scopes": identity.scopes, "language": identity.language}
        claims |= {name: value for name, value in carried.items() if value is not None}
        return sign(claims, self._key), expires_at - now

    async def redeem(self, ticket: str) -> Identity:
        """The bearer of the token that the ticket was given for. The ticket is used up, even where this is cancelled.

        Raises TokenRefused: TOKEN_EXPIRED after its time, else UNAUTHORIZED; Unavailable where nobody can tell
        whether it has been used.
        """
        check_shape(ticket)
        claims = _read(open_signed(ticket, self._key))
        check_times(claims, self._clock())  # a ticket never outlives its token
        if not await self._claim(f"ticket:{claims.jti}", TICKET_LIFETIME_S + 2.0 * LEEWAY_S):
            raise TokenRefused(Reason.REUSED)
        return Identity(
            user=claims.sub,
            plan=claims.plan,
            role=claims.role,
            token_id=claims.token_id,
            issued_at=claims.token_issued_at,
            expires_at=claims.token_expires_at,
            session=claims.session,
            scopes=claims.scopes,
            language=claims.language,
            foreign=claims.foreign,
        )


def _read(payload: bytes) -> _TicketClaims:
    try:
        kind = msgspec.json.decode(payload, type=Claims).typ
        if kind != TICKET:
            raise TokenRefused(Reason.KIND)
        return _decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise TokenRefused(Reason.CLAIMS) from None
