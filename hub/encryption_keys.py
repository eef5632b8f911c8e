"""The keys that seal secrets at rest, the first to seal with: as set, else out of what this installation has anyway."""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hub.secret import kept_secret
from schemas.settings import Settings

FILE_NAME = "encryption_key"


def encryption_keys(settings: Settings) -> list[bytes]:
    """ENCRYPTION_KEYS, then a key derived from JWT_SECRET, then the one kept in DATA_DIR; at least one. Blocks.

    Each that is there opens what it has sealed, so that who sets the next better one loses nothing. The kept one is
    made only where there is no other. Raises SettingsError where it can't be kept or was spoilt.
    """
    keys = [key.reveal().encode() for key in settings.encryption_keys]
    if settings.jwt_secret is not None:
        keys.append(_derived(settings.jwt_secret.reveal()))
    if not keys or (settings.data_dir / FILE_NAME).exists():
        keys.append(kept_secret(settings.data_dir, FILE_NAME).reveal().encode())
    return keys


def _derived(secret: str) -> bytes:
    """A key of its own: who has it can't sign tokens."""
    return HKDF(SHA256(), length=32, salt=None, info=b"tickhub encryption key").derive(secret.encode())
