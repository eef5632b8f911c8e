"""DKIM signatures (RFC 6376; RFC 8463 for Ed25519), so that receivers know that a mail is its domain's."""

import base64

import dkim  # type: ignore[import-untyped]
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from schemas.secret import Secret

LEAST_RSA_BITS = 1024
"""RFC 8301: shorter ones are not to be believed."""

SIGNED_HEADERS = (
    "From", "Reply-To", "To", "Cc", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type",
    "Content-Transfer-Encoding", "Content-Language", "Auto-Submitted", "List-Unsubscribe", "List-Unsubscribe-Post",
)  # fmt: skip
"""The last two must be (RFC 8058, 4). Each counts as often as a mail has it, and once more: none can be added."""


class Signer:
    """Signs mails of one domain with one key: `Signer("mail", "example.com", key).signed(content)`."""

    def __init__(self, selector: str, domain: str, private_key: Secret) -> None:
        """The key is a PEM of an RSA or Ed25519 key without a password. Raises ValueError for anything else."""
        self._selector = selector.encode("ascii")
        self._domain = domain.encode("ascii")
        self._algorithm, self._key = _key_of(private_key)

    def signed(self, content: bytes) -> bytes:
        """The mail with a signature before it. Takes some milliseconds with RSA; call it in a thread."""
        mail = dkim.DKIM(content, signature_algorithm=self._algorithm)
        present = [name.lower() for name, _ in mail.headers]
        headers = [
            name
            for header in SIGNED_HEADERS
            for name in [header.lower().encode()] * (present.count(header.lower().encode()) + 1)
        ]
        signature: bytes = mail.sign(
            self._selector,
            self._domain,
            self._key,
            canonicalize=(b"relaxed", b"relaxed"),
            include_headers=headers,
        )
        return signature + content


def _key_of(private_key: Secret) -> tuple[bytes, bytes]:
    """Algorithm and key, as the library wants them. Raises ValueError."""
    try:
        key = load_pem_private_key(private_key.reveal().encode(), password=None)
    except (TypeError, ValueError, UnsupportedAlgorithm) as exc:
        raise ValueError("expected the PEM of a private key without a password") from exc
    match key:
        case RSAPrivateKey() if key.key_size >= LEAST_RSA_BITS:
            return b"rsa-sha256", key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        case Ed25519PrivateKey():
            return b"ed25519-sha256", base64.b64encode(key.private_bytes_raw())
        case _:
            raise ValueError(f"expected an RSA key of at least {LEAST_RSA_BITS} bits, or an Ed25519 key")
