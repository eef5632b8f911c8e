"""The public keys that other people's tokens are verified with: one PEM, or a JWKS document behind a URL.

A key's algorithm follows from the key itself (its type, and the `alg` of a JWK), never from a token. Symmetric keys in
a JWKS document are passed over: whoever can read it could sign with them.
"""

import asyncio
import ipaddress
import logging
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt import PyJWK, PyJWTError

from schemas.durations import Seconds

log = logging.getLogger("tickhub.auth.jwks")

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

RSA_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
"""What the `alg` of an RSA key may say; RS256 where it says nothing. Every other key has one algorithm."""

ALGORITHMS = (*RSA_ALGORITHMS, "ES256", "ES384", "ES512", "EdDSA")
"""What somebody else's token may be signed with; which of them a key verifies is the key's own affair."""

MIN_RSA_BITS = 2048
MAX_BYTES = 256 * 1024
MAX_KEYS = 100

_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


class VerifyingKey(msgspec.Struct, frozen=True):
    """A public key and the one algorithm that it verifies."""

    algorithm: str
    key: PublicKey


def _algorithm_of(key: object) -> str:
    match key:
        case RSAPublicKey() if key.key_size < MIN_RSA_BITS:
            raise ValueError(f"an RSA key has at least {MIN_RSA_BITS} bits, this one {key.key_size}")
        case RSAPublicKey():
            return "RS256"
        case EllipticCurvePublicKey() if key.curve.name in _CURVES:
            return _CURVES[key.curve.name]
        case Ed25519PublicKey():
            return "EdDSA"
        case _:
            raise ValueError("the key is none of RSA, P-256, P-384, P-521 and Ed25519")


def read_public_key(pem: str) -> VerifyingKey:
    r"""The key of a PEM text (a public key or a certificate), for RS256, ES256/384/512 or EdDSA as its type says.

    Line breaks may be written `\n`, as environment variables often have them. Raises ValueError, without repeating the
    text, for anything else.
    """
    raw = pem.replace("\\n", "\n").strip().encode()
    if b"PRIVATE KEY" in raw:
        raise ValueError("this is a private key; give the public one, and keep the private one where tokens are made")
    try:
        certificate = raw.startswith(b"-----BEGIN CERTIFICATE")
        key = x509.load_pem_x509_certificate(raw).public_key() if certificate else load_pem_public_key(raw)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("this is no public key in PEM form (-----BEGIN PUBLIC KEY-----)") from None
    algorithm = _algorithm_of(key)
    assert isinstance(key, PublicKey)  # noqa: S101 - tells the type checker what `_algorithm_of` has checked
    return VerifyingKey(algorithm, key)


class _KeySet(msgspec.Struct):
    keys: list[Any]


def read_key_set(body: bytes) -> dict[str | None, VerifyingKey]:
    """The usable keys of a JWKS document by `kid`; under None the only one there is, where there is only one.

    Keys of other types, for other uses, without `kid` or too short are passed over. Raises ValueError where nothing
    usable is left, or the document is none.
    """
    try:
        documents = msgspec.json.decode(body, type=_KeySet).keys
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise ValueError("no JWKS document") from exc
    read = [found for document in documents[:MAX_KEYS] if (found := _read_jwk(document)) is not None]
    keys: dict[str | None, VerifyingKey] = {kid: key for kid, key in read if kid is not None}
    if len(read) == 1:
        keys[None] = read[0][1]
    if not keys:
        raise ValueError("no usable key in the JWKS document")
    return keys


def _read_jwk(document: object) -> tuple[str | None, VerifyingKey] | None:
    if not isinstance(document, dict):
        return None
    kid = document.get("kid")
    if document.get("use") not in (None, "sig") or not isinstance(kid, str | None):
        return None
    if document.get("alg") not in (None, *ALGORITHMS):
        return None
    try:
        jwk = PyJWK(document)
        default = _algorithm_of(jwk.key)
    except (PyJWTError, ValueError, TypeError, KeyError, AttributeError, UnsupportedAlgorithm):
        return None  # what a foreign document may hold has no end, and one odd key must not cost the others
    if jwk.algorithm_name not in (RSA_ALGORITHMS if default == "RS256" else (default,)):
        return None
    return kid, VerifyingKey(jwk.algorithm_name, jwk.key)


class RemoteKeys:
    """The key set behind a URL: fetched in the background, kept while the URL fails.

    `run` is what fetches, and somebody must run it. `find` is a look-up; who misses a key waits for `refreshed`.
    """

    def __init__(
        self, url: str, *, refresh_s: Seconds = 600.0, cooldown_s: Seconds = 30.0, timeout_s: Seconds = 5.0
    ) -> None:
        """Raises ValueError for a URL that is neither https:// nor http:// on this machine."""
        _check_url(url)
        self.failing = True
        """Whether the last fetch failed, or there was none yet."""
        self.key_sets_read = 0
        """How many key sets have come in; another number, other keys."""
        self._url = url
        self._refresh_s = max(refresh_s, cooldown_s)
        self._cooldown_s = cooldown_s
        self._timeout_s = timeout_s
        self._keys: dict[str | None, VerifyingKey] = {}
        self._resting = False
        self._wanted = asyncio.Event()
        self._attempted = asyncio.Event()

    def find(self, kid: str | None) -> VerifyingKey | None:
        """The key of that id; without an id the only key there is."""
        return self._keys.get(kid)

    async def run(self) -> None:
        """Fetch now, every `refresh_s`, and when a key is missed, but never twice within `cooldown_s`.

        Never ends but by cancelling, which is safe. A failed fetch is tried again after 1, 2, 4 … `cooldown_s` seconds.
        """
        failures = 0
        while True:
            self._wanted.clear()
            await self._attempt()
            failures = failures + 1 if self.failing else 0
            self._resting = True
            await asyncio.sleep(min(self._cooldown_s, 2.0 ** min(failures - 1, 10)) if failures else self._cooldown_s)
            self._resting = False
            if not failures:
                await self._until_wanted(self._refresh_s - self._cooldown_s)

    async def refreshed(self) -> None:
        """Return after the next fetch, or at once where none is due yet, or once a fetch has taken too long.

        Cancelling is safe, and the fetch goes on for the others.
        """
        if self._resting:
            return
        self._wanted.set()
        attempted = self._attempted
        try:
            async with asyncio.timeout(self._timeout_s + 1):
                await attempted.wait()
        except TimeoutError:
            return

    async def _until_wanted(self, at_most_s: Seconds) -> None:
        try:
            async with asyncio.timeout(at_most_s):
                await self._wanted.wait()
        except TimeoutError:
            return

    async def _attempt(self) -> None:
        try:
            self._keys = read_key_set(await _fetch(self._url, self._timeout_s))
            self.key_sets_read += 1
            self.failing = False
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as exc:
            self.failing = True
            log.warning("jwks.fetch_failed", extra={"error": type(exc).__name__, "keys_kept": len(self._keys)})
        attempted, self._attempted = self._attempted, asyncio.Event()
        attempted.set()


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if not parts.hostname or parts.scheme not in {"http", "https"}:
        raise ValueError("a key set stands behind an https:// URL")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError("a key set may come over plain http:// from this machine only; use https://")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _fetch(url: str, timeout_s: Seconds) -> bytes:
    """The body behind a URL. Raises ValueError where it is no 200 or longer than MAX_BYTES; follows no redirect."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout_s), auto_decompress=False) as session,
        session.get(
            url, allow_redirects=False, headers={"Accept": "application/json", "Accept-Encoding": "identity"}
        ) as response,
    ):
        if response.status != 200:
            raise ValueError(f"status {response.status}")
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > MAX_BYTES:
                raise ValueError(f"more than {MAX_BYTES} bytes")
        return bytes(body)
