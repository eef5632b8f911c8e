"""Where a source's credentials come from: a setting each, or a file that a setting names.

They are read anew at every attempt to connect, because most vendors' tokens last a day: `KITE_ACCESS_TOKEN`, or the
content of the file that `KITE_ACCESS_TOKEN_FILE` names, whichever is set. The setting itself goes first.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from feeds.brokers.source import Credentials
from feeds.errors import CredentialsMissing, CredentialsUnreadable

Environ = Callable[[], Mapping[str, str]]
"""The settings as they are at this moment; asked at every read."""

MAX_BYTES = 16_384
"""No credential is longer; a file that is, is the wrong one."""


def read_credentials(source: str, names: Sequence[str], environ: Environ) -> Credentials:
    """The credentials of a source by their names, and `url` where the vendor's address is overridden.

    Blocks: it reads files. Raises `CredentialsMissing` with the settings' names, or `CredentialsUnreadable`.
    """
    settings = environ()
    found = {name: _read(setting_name(source, name), settings) for name in (*names, "url")}
    missing = [setting_name(source, name) for name in names if not found[name]]
    if missing:
        raise CredentialsMissing(missing)
    return {name: value for name, value in found.items() if value}


def setting_name(source: str, name: str) -> str:
    """What a credential is called among the settings: `KITE_API_KEY` of `kite` and `api_key`."""
    return f"{source}_{name}".upper()


def _read(setting: str, settings: Mapping[str, str]) -> str:
    if value := settings.get(setting, "").strip():
        return value
    path = settings.get(f"{setting}_FILE", "").strip()
    return _read_file(f"{setting}_FILE", Path(path)) if path else ""


def _read_file(setting: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as exc:
        raise CredentialsUnreadable(setting, f"can't read {path}: {exc.strerror}") from exc
    if len(content) > MAX_BYTES:
        raise CredentialsUnreadable(setting, f"{path} is longer than {MAX_BYTES} bytes")
    try:
        text = content.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise CredentialsUnreadable(setting, f"{path} is no text") from None  # the error quotes the content
    if not text:
        raise CredentialsUnreadable(setting, f"{path} is empty")
    return text
