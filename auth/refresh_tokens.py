"""Refresh tokens: what a client keeps to get its next access token. Each is good once (see `sessions`).

A refresh token is a signed JWT of a kind of its own: no access token and no ticket passes for one, nor it for them.
Whether its session still lives, and whether it is the session's newest, the database knows, not the token.
"""

import time
from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta

from auth.refusals import Reason, TokenRefused
from auth.tokens import (
    AUDIENCE,
    ISSUER,
    Claims,
    check_shape,
    check_times,
    check_user,
    open_signed,
    sign,
    signing_secret,
)
from schemas.durations import Seconds

REFRESH = "refresh"


class RefreshClaims(msgspec.Struct, frozen=True, kw_only=True):
    """Whose login the token refreshes, and the how many-th of the login's refresh tokens it is. Times: Unix seconds."""

    user: str
    session: str
    generation: int
    expires_at: int


class _SignedClaims(Claims, frozen=True, kw_only=True):
    sub: str
    sid: Annotated[str, Meta(pattern=r"^[\x21-\x7e]{1,32}$")]
    gen: Annotated[int, Meta(ge=0, lt=2**31)]


_decode_any = msgspec.json.Decoder(Claims).decode
_decode = msgspec.json.Decoder(_SignedClaims).decode


class RefreshTokens:
    """Makes refresh tokens, and reads them, with the secret that all instances share."""

    def __init__(self, secret: str, expires_in_s: Seconds, *, clock: Callable[[], float] = time.time) -> None:
        """Raises ValueError for a secret that can't sign, or a lifetime below a second."""
        if expires_in_s < 1:
            raise ValueError("a refresh token lives for a second or more")
        self._key = signing_secret(secret)
        self._expires_in_s = int(expires_in_s)
        self._clock = clock

    @property
    def expires_in_s(self) -> int:
        """How long a refresh token lives."""
        return self._expires_in_s

    def issue(self, user: str, session: str, generation: int) -> str:
        """The token of that generation, good from now on."""
        now = int(self._clock())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "typ": REFRESH,
            "sub": user,
            "sid": session,
            "gen": generation,
            "iat": now,
            "exp": now + self._expires_in_s,
        }
        return sign(claims, self._key)

    def read(self, token: str) -> RefreshClaims:
        """What the token says, if it was signed here and its time isn't up. Raises TokenRefused."""
        check_shape(token)
        claims = _read(open_signed(token, self._key))
        expires_at = check_times(claims, self._clock())
        return RefreshClaims(
            user=check_user(claims.sub), session=claims.sid, generation=claims.gen, expires_at=expires_at
        )


def _read(payload: bytes) -> _SignedClaims:
    try:
        if _decode_any(payload).typ != REFRESH:
            raise TokenRefused(Reason.KIND)
        claims = _decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise TokenRefused(Reason.CLAIMS) from None
    if claims.iss != ISSUER:
        raise TokenRefused(Reason.ISSUER)
    if claims.aud != AUDIENCE:
        raise TokenRefused(Reason.AUDIENCE)
    return claims
