"""How a hub shows push services who it is: a token signed with its own key, by RFC 8292.

A browser's subscription is bound to the public key that it was made with: with another key nobody is reached any more.
"""

import base64
import time
from collections.abc import Callable

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from yarl import URL

from schemas.secret import Secret

LIFETIME_S = 2 * 3600
"""Of a token; the RFC allows a day."""


class Vapid:
    """Signs for one hub. `subject` is where whoever runs it is reached, `mailto:…` or `https://…`."""

    def __init__(self, private_key_pem: Secret, subject: str, *, wall: Callable[[], float] = time.time) -> None:
        """Raises ValueError for a key that is none on P-256, or that has a password."""
        self._key = _loaded(private_key_pem)
        self._subject = subject
        self._wall = wall
        public = self._key.public_key()
        point = public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        self.public_key = base64.urlsafe_b64encode(point).rstrip(b"=").decode()
        """In base64url: the `applicationServerKey` of a browser's subscription."""

    def authorization(self, endpoint: str) -> str:
        """The header's value for a request to that endpoint; good for its whole origin."""
        claims = {
            "aud": str(URL(endpoint, encoded=True).origin()),
            "exp": int(self._wall()) + LIFETIME_S,
            "sub": self._subject,
        }
        return f"vapid t={jwt.encode(claims, self._key, algorithm='ES256')}, k={self.public_key}"


def _loaded(pem: Secret) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem.reveal().encode(), password=None)
    except TypeError as exc:
        raise ValueError("the key has a password") from exc
    match key:
        case ec.EllipticCurvePrivateKey(curve=ec.SECP256R1()):
            return key
        case _:
            raise ValueError("expected a private key on P-256")
