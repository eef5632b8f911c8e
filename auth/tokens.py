"""Access tokens (JWT): issued here, or by someone else's login whose keys we were given.

PyJWT checks the signature; what the claims must say is checked here, against types and a clock that is handed in.
Which algorithm a key verifies is fixed by the key, so no token can choose its own.
"""

import hashlib
import re
import secrets
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import msgspec
from jwt import (
    InvalidAlgorithmError,
    InvalidKeyError,
    InvalidSignatureError,
    PyJWS,
    PyJWTError,
)
from jwt.algorithms import HMACAlgorithm
from msgspec import Meta

from auth.identity import LANGUAGES, Identity, Plan, Role, is_account_id
from auth.jwks import ALGORITHMS, RemoteKeys, VerifyingKey, read_public_key
from auth.refusals import MAX_TOKEN_BYTES, Reason, TokenRefused
from auth.verified_tokens import VerifiedTokens
from schemas.durations import Seconds
from schemas.errors import Unavailable

ISSUER = "tickhub"
AUDIENCE = "tickhub"
ACCESS = "access"
ALGORITHM = "HS256"
MIN_SECRET_BYTES = 32
LEEWAY_S = 5
"""By how much two machines' clocks may differ."""

_FOREIGN_KINDS = frozenset({"access", "bearer", "jwt", "at+jwt"})
"""What `typ` may say in a token from elsewhere, where it says anything: not an ID token, nor one to refresh with."""


UnixTime = Annotated[float, Meta(ge=0, le=253_402_300_799)]
"""Seconds; a later time than the year 9999 is in milliseconds by mistake."""


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a token may say, as far as it matters here. What a foreign one says beyond the standard may be anything."""

    sub: str | int | None = None
    exp: UnixTime | None = None
    iat: UnixTime | None = None
    nbf: UnixTime | None = None
    iss: str | None = None
    aud: str | list[str] | None = None
    typ: Any = None
    jti: Any = None
    plan: Any = None
    role: Any = None
    sid: Any = None
    lang: Any = None


_jws = PyJWS(options={"enforce_minimum_key_length": True})
_encode = msgspec.json.Encoder().encode
_decode_claims = msgspec.json.Decoder(Claims).decode
_USER = re.compile(r"(?!user\Z)[\x21-\x7e](?:[\x20-\x7e]{0,126}[\x21-\x7e])?")
_TOKEN_ID = re.compile(r"[\x21-\x7e]{1,64}")


def signing_secret(secret: str) -> bytes:
    """The secret as a key for HS256. Raises ValueError for one that is too short or is some other kind of key."""
    key = secret.encode()
    if len(key) < MIN_SECRET_BYTES:
        raise ValueError(f"a signing secret has at least {MIN_SECRET_BYTES} characters")
    try:
        return HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(key)
    except InvalidKeyError as exc:
        raise ValueError("a signing secret is a random text, no PEM, certificate or JWK") from exc


def sign(claims: dict[str, Any], key: bytes) -> str:
    """The claims as a token, signed with HS256."""
    return _jws.encode(_encode(claims), key, ALGORITHM)


def open_signed(token: str, key: VerifyingKey | bytes) -> bytes:
    """The JSON inside a token that `key` has signed. Raises TokenRefused."""
    material, algorithm = (key, ALGORITHM) if isinstance(key, bytes) else (key.key, key.algorithm)
    try:
        payload: bytes = _jws.decode_complete(token, material, algorithms=[algorithm])["payload"]
    except InvalidAlgorithmError:
        raise TokenRefused(Reason.ALGORITHM) from None
    except InvalidSignatureError:
        raise TokenRefused(Reason.SIGNATURE) from None
    except PyJWTError:
        raise TokenRefused(Reason.MALFORMED) from None  # from None: PyJWT's text may quote the token
    return payload


def check_shape(token: str) -> None:
    """Refuses what is too long or cannot be a token, before anything is decoded. Raises TokenRefused."""
    if len(token) > MAX_TOKEN_BYTES:
        raise TokenRefused(Reason.TOO_LONG)
    if not token.isascii():
        raise TokenRefused(Reason.MALFORMED)


def check_user(subject: str | int | None) -> str:
    """The user's id: 1 to 128 printable ASCII characters, and not `user`, which channel names give to the caller.

    Raises TokenRefused.
    """
    user = str(subject) if isinstance(subject, int) else subject
    if user is None or not _USER.fullmatch(user):
        raise TokenRefused(Reason.SUBJECT)
    return user


class TokenIssuer:
    """Makes access tokens with the secret that all instances share."""

    def __init__(self, secret: str, expires_in_s: Seconds, *, clock: Callable[[], float] = time.time) -> None:
        """Raises ValueError for a secret that can't sign."""
        self._key = signing_secret(secret)
        self._expires_in_s = expires_in_s
        self._clock = clock

    @property
    def expires_in_s(self) -> Seconds:
        """How long a token lives where nothing else is asked for."""
        return self._expires_in_s

    def issue(
        self,
        user: str,
        plan: Plan = Plan.FREE,
        role: Role = Role.USER,
        expires_in_s: Seconds | None = None,
        *,
        session: str | None = None,
        language: str | None = None,
        issued_at: int | None = None,
    ) -> str:
        """A token for that user. Raises ValueError for an id that is none, or a lifetime that is not positive.

        `issued_at` (Unix seconds, else now) is for whoever looked up before now what the token says. A language that
        is none of ours is left out.
        """
        lifetime_s = self._expires_in_s if expires_in_s is None else expires_in_s
        if not _USER.fullmatch(user):
            raise ValueError("a user's id is 1 to 128 printable ASCII characters, and not the word user")
        if not 0 < lifetime_s < 100 * 365 * 86400:
            raise ValueError("a token lives longer than no time and shorter than 100 years")
        now = int(self._clock()) if issued_at is None else issued_at
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": user,
            "plan": plan,
            "role": role,
            "typ": ACCESS,
            "iat": now,
            "exp": now + max(1, int(lifetime_s)),
            "jti": secrets.token_urlsafe(16),
        }
        if session is not None:
            claims["sid"] = session
        if language in LANGUAGES:
            claims["lang"] = language
        return sign(claims, self._key)


class TokenVerifier:
    """Says who the bearer of a token is. Tokens of our own and, where configured, of someone else's login.

    A foreign token that names no plan or role we know gets the least of each.
    """

    def __init__(
        self,
        *,
        secret: str | None = None,
        public_key: str | None = None,
        remote_keys: RemoteKeys | None = None,
        audience: str | None = None,
        issuer: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raises ValueError for a secret or a PEM that is none, or where there is nothing to verify with."""
        if secret is None and public_key is None and remote_keys is None:
            raise ValueError("tokens are verified with a secret, a public key or a key set; there is none")
        self._secret = None if secret is None else signing_secret(secret)
        self._public_key = None if public_key is None else read_public_key(public_key)
        self._remote_keys = remote_keys
        self._audience = audience
        self._issuer = issuer
        self._clock = clock
        self._verified = VerifiedTokens()
        self._key_sets_seen = 0

    async def verify(self, token: str) -> Identity:
        """The bearer. Waits only where a key set has to be fetched first; cancelling is safe.

        Raises TokenRefused (TOKEN_EXPIRED or UNAUTHORIZED), Unavailable where the issuer's keys can't be had.
        """
        try:
            return self.verify_now(token)
        except TokenRefused as refused:
            if refused.reason is not Reason.UNKNOWN_KEY or self._remote_keys is None:
                raise
        await self._remote_keys.refreshed()
        try:
            return self.verify_now(token)
        except TokenRefused as again:
            if again.reason is Reason.UNKNOWN_KEY and self._remote_keys.failing:
                raise Unavailable("the token issuer's key set", "it could not be fetched") from None
            raise

    def verify_now(self, token: str) -> Identity:
        """The bearer, as far as the keys at hand can tell; UNKNOWN_KEY where a fetch might tell more.

        Raises TokenRefused. Costs some 40 µs for a token of our own, and 1 µs where it was verified before.
        """
        check_shape(token)
        self._forget_withdrawn_keys()
        known = self._verified.find(token)
        if known is not None:
            check_span(known.not_before, known.ends_at, self._clock())
            return known.identity
        payload, own = self._open(token)
        try:
            claims = _decode_claims(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise TokenRefused(Reason.CLAIMS) from None
        expires_at = check_times(claims, self._clock())
        if own:
            self._check_own(claims)
        else:
            self._check_foreign(claims)
        identity = Identity(
            user=check_user(claims.sub),
            plan=_member(Plan, claims.plan, Plan.FREE, strict=own),
            role=_member(Role, claims.role, Role.USER, strict=own),
            token_id=_token_id(token, claims.jti),
            issued_at=int(claims.iat or 0),
            expires_at=expires_at,
            session=_session(claims) if own else None,
            language=next((code for code in LANGUAGES if code == claims.lang), None),
            foreign=not own,
        )
        self._verified.keep(token, identity, not_before=_not_before(claims), ends_at=claims.exp or 0)
        return identity

    def _forget_withdrawn_keys(self) -> None:
        """With every key set that comes in, all tokens are verified anew: a key may be in it no more."""
        if self._remote_keys is not None and self._remote_keys.key_sets_read != self._key_sets_seen:
            self._key_sets_seen = self._remote_keys.key_sets_read
            self._verified.clear()

    def _open(self, token: str) -> tuple[bytes, bool]:
        """What the token says, by the first key that has signed it, and whether that key is our own."""
        refused = TokenRefused(Reason.ALGORITHM)
        if self._secret is not None:
            try:
                return open_signed(token, self._secret), True
            except TokenRefused as exc:
                refused = exc
        if self._public_key is not None and refused.reason is not Reason.MALFORMED:
            try:
                return open_signed(token, self._public_key), False
            except TokenRefused as exc:
                refused = _telling(refused, exc)
        if self._remote_keys is not None and refused.reason is not Reason.MALFORMED:
            try:
                return open_signed(token, self._remote_key(token, self._remote_keys)), False
            except TokenRefused as exc:
                refused = _telling(refused, exc)
        raise refused

    @staticmethod
    def _remote_key(token: str, remote_keys: RemoteKeys) -> VerifyingKey:
        try:
            header = _jws.get_unverified_header(token)
        except PyJWTError:
            raise TokenRefused(Reason.MALFORMED) from None
        if header.get("alg") not in ALGORITHMS:
            raise TokenRefused(Reason.ALGORITHM)
        key = remote_keys.find(header.get("kid"))
        if key is None:
            raise TokenRefused(Reason.UNKNOWN_KEY)
        return key

    def _check_own(self, claims: Claims) -> None:
        """Who knows the secret may leave out kind, issuer and audience, but not name others."""
        if claims.typ is not None and claims.typ != ACCESS:
            raise TokenRefused(Reason.KIND)
        if claims.iss not in {None, ISSUER, self._issuer}:
            raise TokenRefused(Reason.ISSUER)
        named = _audiences(claims)
        if AUDIENCE in named:
            return
        if self._audience not in named and (named or self._audience is not None):
            raise TokenRefused(Reason.AUDIENCE)

    def _check_foreign(self, claims: Claims) -> None:
        """A token that names an audience while none is configured is meant for someone else (RFC 7519, 4.1.3)."""
        if claims.typ is not None and str(claims.typ).lower() not in _FOREIGN_KINDS:
            raise TokenRefused(Reason.KIND)
        if isinstance(claims.sub, str) and is_account_id(claims.sub):
            raise TokenRefused(Reason.SUBJECT)  # accounts here log in here
        if self._issuer is not None and claims.iss != self._issuer:
            raise TokenRefused(Reason.ISSUER)
        named = _audiences(claims)
        if self._audience not in named and (named or self._audience is not None):
            raise TokenRefused(Reason.AUDIENCE)


def check_times(claims: Claims, now: float) -> int:
    """When the token ends. Raises TokenRefused where that is past or unknown, or the token isn't valid yet."""
    if claims.exp is None:
        raise TokenRefused(Reason.CLAIMS)
    check_span(_not_before(claims), claims.exp, now)
    return int(claims.exp)


def check_span(not_before: float, ends_at: float, now: float) -> None:
    """Raises TokenRefused where now is not between the two, as far as clocks agree."""
    if ends_at + LEEWAY_S <= now:
        raise TokenRefused(Reason.EXPIRED)
    if not_before > now + LEEWAY_S:
        raise TokenRefused(Reason.NOT_YET_VALID)


def _not_before(claims: Claims) -> float:
    return max(claims.nbf or 0, claims.iat or 0)


def _audiences(claims: Claims) -> list[str]:
    return [claims.aud] if isinstance(claims.aud, str) else (claims.aud or [])


def _telling(one: TokenRefused, other: TokenRefused) -> TokenRefused:
    """Of two refusals the one that says more; a key that may still come is worth waiting for."""
    for reason in (Reason.UNKNOWN_KEY, Reason.SIGNATURE):
        for refused in (other, one):
            if refused.reason is reason:
                return refused
    return other


_Member = TypeVar("_Member", bound=StrEnum)


def _member(kind: type[_Member], value: object, least: _Member, *, strict: bool) -> _Member:
    if value is None:
        return least
    try:
        return kind(str(value))
    except ValueError:
        if strict:
            raise TokenRefused(Reason.CLAIMS) from None
        return least


def _session(claims: Claims) -> str | None:
    """The login that the token comes from. Who else signs with our secret may have sessions of another kind."""
    if claims.iss != ISSUER or claims.sid is None:
        return None
    if not isinstance(claims.sid, str) or not _TOKEN_ID.fullmatch(claims.sid):
        raise TokenRefused(Reason.CLAIMS)
    return claims.sid


def _token_id(token: str, jti: object) -> str:
    """The token's own id, else a digest of what was signed: signatures can be rewritten by their bearer."""
    if isinstance(jti, str) and _TOKEN_ID.fullmatch(jti):
        return jti
    return hashlib.sha256(token.rpartition(".")[0].encode()).hexdigest()
