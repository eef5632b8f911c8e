"""Kinds of settings: how each is read from text, and what is said of a value that is none.

`parse` raises ValueError with what was expected; the value itself is added by whoever may show it.
"""

import ipaddress
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import urlsplit

import msgspec

from schemas.durations import Seconds, duration_text, parse_duration
from schemas.market import EXCHANGES
from schemas.secret import Secret, SecretUrl

T = TypeVar("T")


class Kind(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """What a setting's text may be. `words` describes it in the documentation; a `secret` is never shown."""

    words: str
    parse: Callable[[str], T]
    secret: bool = False


def integer(low: int, high: int) -> Kind[int]:
    """A whole number, both bounds included."""
    expected = f"expected {low} to {high}"

    def parse(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", text) or not low <= int(text) <= high:
            raise ValueError(expected)
        return int(text)

    return Kind(words="whole number", parse=parse)


def _positive(text: str) -> float:
    expected = "expected a number above 0"
    try:
        value = float(text)
    except ValueError:
        raise ValueError(expected) from None
    if not (math.isfinite(value) and value > 0):
        raise ValueError(expected)
    return value


def _speed(text: str) -> float:
    return 0.0 if text == "0" else _positive(text)


def _places(text: str) -> tuple[str, ...]:
    expected = "expected EXCHANGE:SYMBOL, comma separated, such as NSE:RELIANCE,NSE:NIFTY 50"
    chosen = tuple(dict.fromkeys(part.strip().upper() for part in text.split(",")))
    for place in chosen:
        exchange, _, symbol = place.partition(":")
        if exchange not in EXCHANGES or not re.fullmatch(
            r"[\x21-\x39\x3b-\x7e](?:[\x20-\x39\x3b-\x7e]*[\x21-\x39\x3b-\x7e])?", symbol
        ):
            raise ValueError(expected)
    return chosen


def duration(low: str, high: str) -> Kind[Seconds]:
    """A length of time, both bounds included."""
    least, most = parse_duration(low), parse_duration(high)
    expected = f"expected a duration from {duration_text(least)} to {duration_text(most)}, such as 250ms, 15m or 7d"

    def parse(text: str) -> Seconds:
        try:
            seconds = parse_duration(text)
        except ValueError:
            raise ValueError(expected) from None
        if not least <= seconds <= most:
            raise ValueError(expected)
        return seconds

    return Kind(words="duration", parse=parse)


def one_of(*words: str, fold: Callable[[str], str] = str.lower) -> Kind[str]:
    """One of some words, in any case."""

    def parse(text: str) -> str:
        if fold(text) not in words:
            raise ValueError(f"expected {', '.join(words[:-1])} or {words[-1]}")
        return fold(text)

    return Kind(words=" or ".join(words), parse=parse)


def several_of(*words: str) -> Kind[tuple[str, ...]]:
    """Some of some words, comma separated, each at most once."""

    def parse(text: str) -> tuple[str, ...]:
        chosen = tuple(part.strip().lower() for part in text.split(","))
        if not set(chosen) <= set(words):
            raise ValueError(f"expected some of {', '.join(words)}, comma separated")
        if len(set(chosen)) < len(chosen):
            raise ValueError("expected each at most once")
        return chosen

    return Kind(words=f"some of {', '.join(words)}, comma separated", parse=parse)


def _truth(text: str) -> bool:
    match text.lower():
        case "true" | "yes" | "on" | "1":
            return True
        case "false" | "no" | "off" | "0":
            return False
        case _:
            raise ValueError("expected true or false")


_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")


def _host(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        if not _HOST_NAME.fullmatch(text) or len(text) > 253:
            raise ValueError("expected an IP address or a host name") from None
        return text


def _prefix(text: str) -> str:
    if not re.fullmatch(r"[^\s{}*?\[\]\\\x00-\x1f\x7f]{1,64}", text) or not text.isascii():
        raise ValueError("expected 1 to 64 ASCII characters without spaces and none of { } * ? [ ] \\")
    return text


def _web_url(text: str) -> str:
    expected = "expected http://… or https://… without a user name"
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        usable = False
    if not usable or re.search(r"\s", text):
        raise ValueError(expected)
    return text.rstrip("/")


def _origin(text: str) -> str:
    expected = "expected origins such as https://app.example.com, comma separated, or * alone"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(expected) from None
    bare = not (parts.path or parts.query or parts.fragment or "@" in parts.netloc or text.endswith(("?", "#")))
    if parts.scheme not in {"http", "https"} or not host or not bare or not re.fullmatch(r"[a-z0-9._:-]+", host):
        raise ValueError(expected)
    shown = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{shown}" + ("" if port in {None, usual} else f":{port}")


def _origins(text: str) -> tuple[str, ...]:
    if text.strip() == "*":
        return ("*",)
    return tuple(dict.fromkeys(_origin(part.strip()) for part in text.split(",")))


def _networks(text: str) -> tuple[str, ...]:
    expected = "expected addresses or networks such as 10.0.0.7 or 10.0.0.0/8, comma separated"
    try:
        return tuple(dict.fromkeys(str(ipaddress.ip_network(part.strip())) for part in text.split(",")))
    except ValueError:
        raise ValueError(expected) from None


def _names_hosts(text: str, schemes: tuple[str, ...], several: str) -> bool:
    """Whether `text` has one of the schemes, then a host, and nothing that a bare `/`, `?` or `@` has torn apart."""
    try:
        parts = urlsplit(text)
        hosts = [urlsplit(f"//{host}") for host in parts.netloc.rpartition("@")[2].split(",")]
        named = all(host.hostname and host.port != 0 for host in hosts)
    except ValueError:
        return False
    alone = len(hosts) == 1 or (bool(several) and several in parts.scheme)
    return parts.scheme in schemes and named and alone and "@" not in parts.path + parts.query


def _server_url(*schemes: str, several: str = "") -> Kind[SecretUrl]:
    """The URL of a server, which may hold a password; schemes that contain `several` take a list of hosts."""
    expected = f"expected {'://…, '.join(schemes[:-1])}://… or {schemes[-1]}://… with special characters %-encoded"

    def parse(text: str) -> SecretUrl:
        if not re.search(r"[\s#]", text) and _names_hosts(text, schemes, several):
            return SecretUrl(text)
        raise ValueError(expected)

    return Kind(words=f"URL, {', '.join(f'`{scheme}://`' for scheme in schemes)}", parse=parse, secret=True)


def secret(*, min_chars: int = 1) -> Kind[Secret]:
    """A text that nobody may see."""

    def parse(text: str) -> Secret:
        if len(text.strip()) < min_chars:
            raise ValueError(f"expected {min_chars} characters or more, got {len(text.strip())}")
        return Secret(text)

    return Kind(
        words=f"secret, {min_chars} characters or more" if min_chars > 1 else "secret", parse=parse, secret=True
    )


def secrets(*, min_chars: int) -> Kind[tuple[Secret, ...]]:
    """Texts that nobody may see, comma separated."""
    one = secret(min_chars=min_chars)

    def parse(text: str) -> tuple[Secret, ...]:
        found = tuple(one.parse(part.strip()) for part in text.split(","))
        if len(set(found)) < len(found):
            raise ValueError("expected each at most once")
        return found

    return Kind(words=f"secrets, comma separated, each {min_chars} characters or more", parse=parse, secret=True)


def _pem_or_path(text: str) -> str:
    if "-----BEGIN" not in text:
        return text
    pem = text.replace("\\n", "\n").strip() + "\n"  # how one line of an environment holds several
    if "PRIVATE KEY-----" in pem:
        raise ValueError("expected a public key; what stands here is a private one")
    if not re.match(r"-----BEGIN (?:RSA )?(?:PUBLIC KEY|CERTIFICATE)-----\n.*\n-----END ", pem, re.DOTALL):
        raise ValueError("expected a whole PEM from -----BEGIN PUBLIC KEY----- to its END line, or a path")
    return pem


def _private_pem_or_path(text: str) -> Secret:
    if "-----BEGIN" not in text:
        return Secret(text.strip())
    pem = text.replace("\\n", "\n").strip() + "\n"
    if not re.match(r"-----BEGIN (?:RSA |EC )?PRIVATE KEY-----\n.*\n-----END ", pem, re.DOTALL):
        raise ValueError("expected a whole PEM from -----BEGIN PRIVATE KEY----- to its END line, or a path")
    return Secret(pem)


def _phrase(text: str) -> str:
    return text


def _path(text: str) -> Path:
    if "\0" in text:
        raise ValueError("expected a path")
    return Path(text).expanduser()


TEXT = Kind(words="text", parse=_phrase)
TRUTH = Kind(words="true or false", parse=_truth)
SPEED = Kind(words="number, 0 for as fast as possible", parse=_speed)
PLACES = Kind(words="EXCHANGE:SYMBOL, comma separated", parse=_places)
PATH = Kind(words="path", parse=_path)
HOST = Kind(words="address or host name", parse=_host)
PREFIX = Kind(words="text", parse=_prefix)
WEB_URL = Kind(words="URL", parse=_web_url)
NETWORKS = Kind(words="addresses and networks, comma separated", parse=_networks)
ORIGINS = Kind(words="origins, comma separated, or `*`", parse=_origins)
PRIVATE_KEY = Kind(words="PEM, or the path of one", parse=_private_pem_or_path, secret=True)
PUBLIC_KEY = Kind(words="PEM, or the path of one", parse=_pem_or_path, secret=True)
"""No secret, but whoever pastes the wrong half of a pair must not see it in a message."""
REDIS_URL = _server_url("redis", "rediss", "redis+cluster", "rediss+cluster", several="+cluster")
DATABASE_URL = _server_url("postgresql", "postgres")
