"""Secrets that are made and kept where nobody set them, and keys that the settings name by path."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from auth.tokens import signing_secret
from schemas.errors import SettingsError
from schemas.private_folders import make_private
from schemas.secret import Secret
from schemas.settings import Settings

FILE_NAME = "jwt_secret"
_MIN_CHARS = 32


def random_secret() -> str:
    """384 bits as text."""
    return secrets.token_urlsafe(48)


def kept_secret(data_dir: Path, file_name: str = FILE_NAME, make: Callable[[], str] = random_secret) -> Secret:
    """The secret of that file in `data_dir`, made on the first call; only the owner may read it. Blocks.

    Two processes that make it at once agree on one. Raises SettingsError where it can't be kept or was spoilt.
    """
    path = data_dir / file_name
    try:
        make_private(data_dir)
        if not path.exists():
            _keep(path, make())
        path.chmod(0o600)
        text = path.read_text(encoding="ascii").strip()
    except OSError as exc:
        raise SettingsError(
            [f"DATA_DIR: the secret can't be kept in {path} ({exc.strerror}); set it to a folder that may be written"]
        ) from exc
    except UnicodeDecodeError:
        text = ""
    if len(text) < _MIN_CHARS:
        raise SettingsError(
            [f"DATA_DIR: {path} holds no secret of {_MIN_CHARS} characters; remove it to get a new one"]
        )
    return Secret(text)


def secret_of(settings: Settings) -> str:
    """What signs the tokens: the setting, or in embedded mode the one that is kept.

    Raises SettingsError for one that can't sign.
    """
    secret = (settings.jwt_secret or kept_secret(settings.data_dir)).reveal()
    try:
        signing_secret(secret)
    except ValueError as exc:
        raise SettingsError([f"JWT_SECRET: {exc}"]) from None
    return secret


def _keep(path: Path, secret: str) -> None:
    """Write aside and link into place: a crash leaves no half of a secret, and who comes second keeps the first."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{secret}\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, path)
        except FileExistsError:
            return
    finally:
        aside.unlink()


def public_key_pem(setting: str) -> str:
    """What `JWT_PUBLIC_KEY` means: itself where it is a PEM, else what the file of that path holds. Blocks.

    Raises SettingsError for a file that can't be read or holds no public key.
    """
    if setting.startswith("-----BEGIN"):
        return setting
    path = Path(setting).expanduser()
    try:
        pem = path.read_text(encoding="ascii").strip() + "\n"
    except OSError as exc:
        raise SettingsError([f"JWT_PUBLIC_KEY: the key file can't be read: {exc.strerror}"]) from exc
    except UnicodeDecodeError:
        pem = ""
    if "-----BEGIN" not in pem or "PRIVATE KEY-----" in pem:
        raise SettingsError(["JWT_PUBLIC_KEY: the key file holds no PEM of a public key"])
    return pem


def private_key_pem(setting: Secret, name: str) -> Secret:
    """What a setting of that name means: itself where it is a PEM, else what the file of that path holds. Blocks.

    Raises SettingsError for a file that can't be read or holds no private key.
    """
    text = setting.reveal()
    if text.startswith("-----BEGIN"):
        return setting
    try:
        pem = Path(text).expanduser().read_text(encoding="ascii").strip() + "\n"
    except OSError as exc:
        raise SettingsError([f"{name}: the key file can't be read: {exc.strerror}"]) from exc
    except UnicodeDecodeError:
        pem = ""
    if "PRIVATE KEY-----" not in pem:
        raise SettingsError([f"{name}: the key file holds no PEM of a private key"])
    return Secret(pem)
