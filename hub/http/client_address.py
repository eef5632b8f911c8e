"""Where a request comes from, as far as proxies that are trusted tell."""

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from starlette.types import Scope

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NOWHERE = "unknown"
"""The address of a peer that has none, such as one over a Unix socket."""


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Addresses and CIDR networks. Raises ValueError for what is neither."""
    return tuple(ipaddress.ip_network(text) for text in texts)


def client_address(scope: Scope, trusted: Sequence[Network]) -> str:
    """The peer's address; behind trusted proxies the last one in `X-Forwarded-For` that isn't theirs.

    Each proxy appends whom it heard, so the header is read from the right, and what stands left of the first address
    that nobody vouches for may be anybody's invention. An entry that is no address ends the search at the one before.
    IPv4 addresses are written as such, also where they come mapped into IPv6.
    """
    peer = scope.get("client")
    found = _address(peer[0]) if peer else None
    if found is None:
        return peer[0] if peer and peer[0] else NOWHERE
    for entry in _forwarded(scope) if trusted else ():
        if not _is_in(found, trusted):
            break
        heard = _address(entry)
        if heard is None:
            break
        found = heard
    return str(found)


def is_secure(scope: Scope, trusted: Sequence[Network]) -> bool:
    """Whether the request came over https, to us or to the trusted proxy that sent it on."""
    if scope.get("scheme") in ("https", "wss"):
        return True
    peer = scope.get("client")
    found = _address(peer[0]) if peer and trusted else None
    if found is None or not _is_in(found, trusted):
        return False
    said = [value for name, value in scope["headers"] if name == b"x-forwarded-proto"]
    return bool(said) and said[-1].rpartition(b",")[2].strip().lower() == b"https"


def _forwarded(scope: Scope) -> Iterator[str]:
    """The entries of X-Forwarded-For, from the right."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    for name, value in reversed(headers):
        if name == b"x-forwarded-for":
            yield from (entry.strip() for entry in reversed(value.decode("latin-1").split(",")))


def _is_in(address: Address, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted)


@lru_cache(maxsize=10_000)
def _address(text: str) -> Address | None:
    """`203.0.113.7`, `203.0.113.7:4711`, `2001:db8::7` or `[2001:db8::7]:4711`."""
    host: Any = text
    if text.startswith("["):
        host = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        host = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
