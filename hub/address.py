"""Where the hub of these settings is, as seen from this machine and from the world."""

from schemas.settings import Settings

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - told, not bound
_THIS_MACHINE = ("127.0.0.1", "::1", *_EVERYWHERE)


def place_of(settings: Settings) -> str:
    """`host:port`, to connect to from here."""
    return _joined(_EVERYWHERE.get(settings.host, settings.host), settings.port)


def page_of(settings: Settings) -> str:
    """The address to open in a browser, without a slash at its end."""
    if settings.public_url:
        return settings.public_url
    host = "localhost" if settings.host in _THIS_MACHINE else settings.host
    return f"http://{_joined(host, settings.port)}"


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
