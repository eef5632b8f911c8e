"""A browser that has subscribed to push messages: it decrypts them by the text of RFC 8291, with nothing of ours."""

import base64
import json
import os
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def encode(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def point_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


class PushBrowser:
    """Has a key pair and a secret of its own."""

    def __init__(self, key: ec.EllipticCurvePrivateKey | None = None, auth: bytes | None = None) -> None:
        self._key = key or ec.generate_private_key(ec.SECP256R1())
        self._auth = auth or os.urandom(16)
        self.p256dh = encode(point_of(self._key))
        self.auth = encode(self._auth)

    def decrypt(self, body: bytes) -> bytes:
        """RFC 8188, 2 for the form of the body; RFC 8291, 3.4 for its key."""
        salt, size, sender = body[:16], int.from_bytes(body[16:20]), body[21 : 21 + body[20]]
        record = body[21 + body[20] :]
        assert len(sender) == 65
        assert len(record) <= size
        shared = self._key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender))
        ikm = _derive(self._auth, shared, b"WebPush: info\0" + point_of(self._key) + sender, 32)
        key = _derive(salt, ikm, b"Content-Encoding: aes128gcm\0", 16)
        nonce = _derive(salt, ikm, b"Content-Encoding: nonce\0", 12)
        padded = AESGCM(key).decrypt(nonce, record, None)
        text, delimiter, _ = padded.rstrip(b"\0").rpartition(b"\2")
        assert delimiter == b"\2"
        return text

    def read(self, body: bytes) -> Any:
        """What a service worker would be given."""
        return json.loads(self.decrypt(body))


def _derive(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    """HKDF of RFC 5869 for at most one block."""
    return _mac(_mac(salt, secret), info + b"\1")[:length]


def _mac(key: bytes, text: bytes) -> bytes:
    mac = HMAC(key, SHA256())
    mac.update(text)
    return mac.finalize()
