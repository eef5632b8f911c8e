"""What callbacks and links prove themselves with: the delivery and the attempt that they are about, signed.

`<delivery>.<attempt>.<signature>`, the numbers in decimal, the signature 128 bits of an HMAC-SHA256 in URL-safe Base64.
Nothing expires with it: whoever uses one can say no more than that something has become of this one delivery.
"""

import base64
import hashlib
import hmac
import re
from typing import NamedTuple

_PURPOSE = b"tickhub delivery token\0"
_SIGNATURE_BYTES = 16
_TOKEN = re.compile(r"([1-9][0-9]{0,18})\.([1-9][0-9]{0,8})\.([A-Za-z0-9_-]{22})", re.ASCII)


class Reference(NamedTuple):
    """The attempt that a token stands for."""

    delivery_id: int
    attempt: int


class DeliveryTokens:
    """Signs and reads them; all processes need the same secret."""

    def __init__(self, secret: str) -> None:
        self._key = hmac.digest(secret.encode(), _PURPOSE, hashlib.sha256)

    def sign(self, delivery_id: int, attempt: int) -> str:
        """The token of an attempt, always the same one."""
        said = f"{delivery_id}.{attempt}"
        return f"{said}.{self._signature(said)}"

    def read(self, token: str) -> Reference | None:
        """What a token stands for, None for a forged one. Takes as long for every well-formed token."""
        match = _TOKEN.fullmatch(token)
        if match is None:
            return None
        said = f"{match[1]}.{match[2]}"
        if not hmac.compare_digest(match[3], self._signature(said)):
            return None
        return Reference(int(match[1]), int(match[2]))

    def _signature(self, said: str) -> str:
        digest = hmac.digest(self._key, said.encode(), hashlib.sha256)[:_SIGNATURE_BYTES]
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")
