"""Sign-in with someone else's login: OpenID Connect, authorization code flow with PKCE, state and nonce.

    begin    where to send the browser, and what to remember of it (`Pending`)
    finish   with the code that it comes back with: who it is, as the issuer's ID token says (`Person`)

https://openid.net/specs/openid-connect-core-1_0.html, sections 3.1.2 and 3.1.3. What stands in the requests and what
the claims must say is Authlib's affair; keys are read as everywhere here (`auth.jwks`), so that each of them verifies
one algorithm, and none of them is a shared secret. The issuer is asked over https, or http on this machine alone.
"""

import base64
import ipaddress
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any
from urllib.parse import quote_plus, urlsplit

import aiohttp
import msgspec
from authlib.oauth2.rfc6749.parameters import (  # type: ignore[import-untyped]
    prepare_grant_uri,
    prepare_token_request,
)
from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]
from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped]
from joserfc.errors import ExpiredTokenError, JoseError
from jwt import PyJWS, PyJWTError

from auth.jwks import MAX_BYTES, VerifyingKey, read_key_set
from schemas.durations import Seconds
from schemas.errors import CommandError, ErrorCode, Unavailable
from schemas.phrases import translatable
from schemas.secret import Secret

log = logging.getLogger("tickhub.auth.oidc")

SCOPE = "openid email profile"
LEEWAY_S = 30
"""By how much the issuer's clock may differ from ours."""
KEEP_S: Seconds = 3600.0
"""How long the issuer's description and keys are taken for true."""
LEAST_PAUSE_S: Seconds = 30.0
"""An unknown key has the keys fetched anew, not more often than this."""
MAX_TOKEN_BYTES = 16 * 1024

_WELL_KNOWN = "/.well-known/openid-configuration"


class Reason(StrEnum):
    """Why a sign-in was refused, as a word for metrics and logs."""

    CODE = "code"
    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown_key"
    SIGNATURE = "signature"
    EXPIRED = "expired"
    CLAIMS = "claims"


class SignInRefused(CommandError):
    """The issuer, or what it said, doesn't prove who somebody is. `reason` is the word for metrics."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(ErrorCode.UNAUTHORIZED, translatable("The sign-in did not succeed: please begin again"))
        self.reason = reason


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """One sign-in under way. Whoever has it could finish it in the browser's place: seal it."""

    state: str
    nonce: str
    verifier: str


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Whom the issuer vouches for. `subject` never changes; the address may, and counts only if `email_verified`."""

    issuer: str
    subject: str
    email: str | None
    email_verified: bool
    name: str


class _Description(msgspec.Struct, kw_only=True):
    """What is used of https://openid.net/specs/openid-connect-discovery-1_0.html, section 3."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class _TokenAnswer(msgspec.Struct, kw_only=True):
    id_token: str
    access_token: str = ""


_jws = PyJWS(options={"enforce_minimum_key_length": True})


class Issuer:
    """An OpenID Connect issuer, whose description and keys are fetched when they are first needed and then kept."""

    def __init__(
        self,
        url: str,
        client_id: str,
        client_secret: Secret | None,
        *,
        timeout_s: Seconds = 10.0,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises ValueError for a URL that is neither https:// nor http:// on this machine."""
        _check_url(url)
        self._url = url.rstrip("/")
        self._client_id = client_id
        self._client_secret = client_secret
        self._timeout_s = timeout_s
        self._wall = wall
        self._clock = clock
        self._description: tuple[float, _Description] | None = None
        self._keys: tuple[float, dict[str | None, VerifyingKey]] | None = None

    async def begin(self, redirect_uri: str) -> tuple[str, Pending]:
        """Where to send the browser, and what to remember until it is back. Raises Unavailable."""
        description = await self._describe()
        pending = Pending(
            state=secrets.token_urlsafe(24), nonce=secrets.token_urlsafe(24), verifier=secrets.token_urlsafe(48)
        )
        url: str = prepare_grant_uri(
            description.authorization_endpoint,
            self._client_id,
            "code",
            redirect_uri=redirect_uri,
            scope=SCOPE,
            state=pending.state,
            nonce=pending.nonce,
            code_challenge=create_s256_code_challenge(pending.verifier),
            code_challenge_method="S256",
        )
        return url, pending

    async def finish(self, code: str, pending: Pending, redirect_uri: str) -> Person:
        """Who came back with that code. Raises SignInRefused; Unavailable where the issuer doesn't answer as it should.

        A code is good once: after cancelling, the sign-in must begin again.
        """
        description = await self._describe()
        answer = await self._exchange(description, code, pending, redirect_uri)
        header, claims = await self._open(description, answer.id_token)
        self._check(description, header, claims, pending, answer.access_token)
        email, verified = claims.get("email"), claims.get("email_verified")
        name = claims.get("name")
        return Person(
            issuer=description.issuer,
            subject=claims["sub"],
            email=email if isinstance(email, str) and email else None,
            email_verified=verified is True or verified == "true",  # some issuers write all claims as text
            name=name if isinstance(name, str) else "",
        )

    async def is_issuer(self, text: str) -> bool:
        """Whether that is what the issuer calls itself (RFC 9207: mixed-up issuers). Raises Unavailable."""
        return text == (await self._describe()).issuer

    def _check(
        self,
        description: _Description,
        header: Mapping[str, Any],
        claims: Mapping[str, Any],
        pending: Pending,
        access_token: str,
    ) -> None:
        """All of section 3.1.3.7 but the signature."""
        wanted = {
            "iss": {"essential": True, "value": description.issuer},
            "aud": {"essential": True, "value": self._client_id},
            "sub": {"essential": True},
            "exp": {"essential": True},
            "iat": {"essential": True},
        }
        expected = {"client_id": self._client_id, "nonce": pending.nonce, "access_token": access_token}
        try:
            CodeIDToken(claims, header, wanted, expected).validate(now=int(self._wall()), leeway=LEEWAY_S)
        except ExpiredTokenError:
            raise SignInRefused(Reason.EXPIRED) from None
        except (JoseError, TypeError, ValueError, AttributeError):  # claims of types that Authlib didn't expect
            raise SignInRefused(Reason.CLAIMS) from None
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= 255:
            raise SignInRefused(Reason.CLAIMS)

    # -- the ID token's signature -------------------------------------------------------------------------------------

    async def _open(self, description: _Description, token: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Header and claims of a token that one of the issuer's keys has signed."""
        if len(token) > MAX_TOKEN_BYTES:
            raise SignInRefused(Reason.MALFORMED)
        try:
            kid = _jws.get_unverified_header(token).get("kid")
        except PyJWTError:
            raise SignInRefused(Reason.MALFORMED) from None
        key = await self._key(description, kid if isinstance(kid, str) else None)
        try:
            opened = _jws.decode_complete(token, key.key, algorithms=[key.algorithm])
        except PyJWTError:
            raise SignInRefused(Reason.SIGNATURE) from None
        try:
            claims = msgspec.json.decode(opened["payload"], type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise SignInRefused(Reason.MALFORMED) from None
        return dict(opened["header"]), claims

    async def _key(self, description: _Description, kid: str | None) -> VerifyingKey:
        now = self._clock()
        read_at, keys = self._keys or (now - KEEP_S, {})
        if now - read_at >= KEEP_S or (kid not in keys and now - read_at >= LEAST_PAUSE_S):
            keys = await self._fetch_keys(description.jwks_uri)
            self._keys = (now, keys)
        if kid not in keys:
            raise SignInRefused(Reason.UNKNOWN_KEY)
        return keys[kid]

    async def _fetch_keys(self, url: str) -> dict[str | None, VerifyingKey]:
        body = await self._get(url)
        try:
            return read_key_set(body)
        except ValueError as exc:
            raise Unavailable("the sign-in", "the issuer's keys can't be read") from exc

    # -- what the issuer is asked -------------------------------------------------------------------------------------

    async def _describe(self) -> _Description:
        if self._description is not None and self._clock() - self._description[0] < KEEP_S:
            return self._description[1]
        body = await self._get(self._url + _WELL_KNOWN)
        try:
            found = msgspec.json.decode(body, type=_Description)
            for url in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri):
                _check_url(url)
        except (ValueError, RecursionError) as exc:
            raise Unavailable("the sign-in", "the issuer's description can't be read") from exc
        if found.issuer.rstrip("/") != self._url:
            raise Unavailable("the sign-in", "the issuer's description is another issuer's")
        self._description = (self._clock(), found)
        return found

    async def _exchange(
        self, description: _Description, code: str, pending: Pending, redirect_uri: str
    ) -> _TokenAnswer:
        given = {"code": code, "code_verifier": pending.verifier}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        basic = "client_secret_basic" in description.token_endpoint_auth_methods_supported
        if self._client_secret is not None and basic:
            headers["Authorization"] = _basic(self._client_id, self._client_secret)
        else:
            given["client_id"] = self._client_id
            if self._client_secret is not None:
                given["client_secret"] = self._client_secret.reveal()
        form: str = prepare_token_request("authorization_code", redirect_uri=redirect_uri, **given)
        status, body = await self._ask("POST", description.token_endpoint, form, headers)
        if status == 400:
            raise SignInRefused(Reason.CODE)
        if status != 200:
            log.warning("oidc.exchange_failed", extra={"status": status})
            raise Unavailable("the sign-in", f"the issuer answers {status}")
        try:
            return msgspec.json.decode(body, type=_TokenAnswer)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            raise Unavailable("the sign-in", "the issuer's answer can't be read") from exc

    async def _get(self, url: str) -> bytes:
        status, body = await self._ask("GET", url, None, {})
        if status != 200:
            raise Unavailable("the sign-in", f"the issuer answers {status}")
        return body

    async def _ask(self, method: str, url: str, form: str | None, headers: dict[str, str]) -> tuple[int, bytes]:
        """One request; no redirects, a deadline, and a bound on what is read."""
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        sent = {"Accept": "application/json", "Accept-Encoding": "identity"} | headers
        body = bytearray()
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session,
                session.request(method, url, data=form, headers=sent, allow_redirects=False) as response,
            ):
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > MAX_BYTES:
                        raise Unavailable("the sign-in", "the issuer's answer is too long")
                return response.status, bytes(body)
        except (aiohttp.ClientError, OSError, TimeoutError) as exc:
            raise Unavailable("the sign-in", f"the issuer can't be reached ({type(exc).__name__})") from exc


def _basic(client_id: str, secret: Secret) -> str:
    """RFC 6749, 2.3.1: both are form-encoded first."""
    pair = f"{quote_plus(client_id)}:{quote_plus(secret.reveal())}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if not parts.hostname or parts.scheme not in {"http", "https"}:
        raise ValueError("an issuer stands behind an https:// URL")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError("an issuer may be asked over plain http:// on this machine only; use https://")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
