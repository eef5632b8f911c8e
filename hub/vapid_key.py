"""The key that push messages to browsers are signed with: as set, else out of what this installation has anyway.

Every process must have the same one, and keep it: browsers subscribe to its public half.
"""

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hub.secret import kept_secret, private_key_pem
from notifiers.providers.vapid import Vapid
from schemas.errors import SettingsError
from schemas.secret import Secret
from schemas.settings import Settings

FILE_NAME = "vapid_key.pem"

_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256 (FIPS 186-5)."""
_OCTETS = 48
"""Many more than the order has, so that each key is as likely as any other (FIPS 186-5, A.2.1)."""


def vapid(settings: Settings, sender: str) -> Vapid:
    """Who a hub is to push services: by VAPID_PRIVATE_KEY, else a key derived from JWT_SECRET, else one in DATA_DIR.

    `sender` is the address that mail comes from, which is named where VAPID_SUBJECT is empty. Blocks. Raises
    SettingsError for a key that can't be read or kept, or is none on P-256.
    """
    try:
        return Vapid(_key(settings), settings.vapid_subject or f"mailto:{sender}")
    except ValueError as exc:
        name = "VAPID_PRIVATE_KEY" if settings.vapid_private_key is not None else "DATA_DIR"
        place = "" if name == "VAPID_PRIVATE_KEY" else f": {settings.data_dir / FILE_NAME}"
        raise SettingsError([f"{name}{place}: no private key on P-256 without a password"]) from exc


def _key(settings: Settings) -> Secret:
    if settings.vapid_private_key is not None:
        return private_key_pem(settings.vapid_private_key, "VAPID_PRIVATE_KEY")
    if settings.jwt_secret is not None:
        return Secret(_pem(_derived(settings.jwt_secret.reveal())))
    return kept_secret(settings.data_dir, FILE_NAME, lambda: _pem(ec.generate_private_key(ec.SECP256R1())))


def _derived(secret: str) -> ec.EllipticCurvePrivateKey:
    """The same in every process that has the secret; who has the key can't sign tokens."""
    octets = HKDF(SHA256(), length=_OCTETS, salt=None, info=b"tickhub VAPID key").derive(secret.encode())
    return ec.derive_private_key(int.from_bytes(octets) % (_ORDER - 1) + 1, ec.SECP256R1())


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode().strip()
