"""Which URLs of users' may be asked from here, and which addresses: nothing that only we can reach.

A name may lead anywhere, and to another place each time that it is asked. So a URL is checked when it is given, for the
sake of a clear answer, and each address again at the moment of connecting, which is what counts (`outward`).

Addresses that are nobody's on the Internet are those of the IANA registries of special-purpose addresses (RFC 6890).
"""

import ipaddress
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from yarl import URL

from schemas.errors import CommandError, ErrorCode

MAX_URL = 2000

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NOT_PUBLIC_4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",  # what Azure tells its machines is said here
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
    )
)
_PUBLIC_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # Teredo among them, which has an IPv4 address inside
        "2001:db8::/32",
        "2002::/16",  # 6to4, likewise
        "3fff::/20",
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")


class Reach:
    """What may be asked: the Internet by https, and `networks` (addresses, or with a length) by http too.

    Pure.
    """

    def __init__(self, networks: Iterable[str] = ()) -> None:
        """Raises ValueError for a network that is none."""
        self._networks = tuple(ipaddress.ip_network(text, strict=False) for text in networks)

    def allows(self, scheme: str, address: str) -> bool:
        """Whether that address, as a socket is given it, may be connected to."""
        try:
            found = _embedded(ipaddress.ip_address(address))
        except ValueError:
            return False
        if any(found in network for network in self._networks):
            return scheme in {"http", "https"}
        return scheme == "https" and is_public(found)

    def url(self, text: str, place: str = "$.url") -> str:
        """The URL as it will be asked, in ASCII.

        Raises CommandError BAD_REQUEST for one that is none, that holds a password, or that leads to an address that
        may not be reached; where a name leads is not looked up.
        """
        if len(text) > MAX_URL:
            raise CommandError(
                ErrorCode.BAD_REQUEST, "Expected at most {most} characters - at `{place}`", most=MAX_URL, place=place
            )
        found = _parsed(text)
        schemes = {"http", "https"} if self._networks else {"https"}
        if found is None or found.scheme not in schemes or len(str(found)) > MAX_URL:
            raise CommandError(ErrorCode.BAD_REQUEST, "Expected an https:// address - at `{place}`", place=place)
        if found.user is not None or found.password is not None:
            raise CommandError(
                ErrorCode.BAD_REQUEST, "Expected an address without user and password - at `{place}`", place=place
            )
        host = _numeric(found.raw_host or "")
        if host is not None and not self.allows(found.scheme, host):
            raise CommandError(
                ErrorCode.BAD_REQUEST, "This address can't be reached from here - at `{place}`", place=place
            )
        return str(found.with_fragment(None))


def is_public(address: Address) -> bool:
    """Whether an address is somebody's on the Internet, and not one that has another inside."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    return address in _PUBLIC_6 and not any(address in network for network in _NOT_PUBLIC_6)


def _embedded(address: Address) -> Address:
    """The IPv4 address that this one is another spelling of, or that a translator makes of it (RFC 6052)."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _parsed(text: str) -> URL | None:
    """None for what is no absolute URL, or has a host that different programs read differently."""
    if not text.isprintable() or " " in text or "\\" in text:
        return None
    try:
        url = URL(text)
    except ValueError:
        return None
    host = url.raw_host
    if not url.absolute or not host or url.explicit_port == 0 or not host.isascii() or "%" in host:
        return None
    return url


def _numeric(host: str) -> str | None:
    """The address that a host is, None for a name.

    A host whose last part is a number is an address by the URL standard, and one that is not written in the usual way
    (`127.1`, `0x7f.1`, `2130706433`) none at all: the answer is then what nothing allows.
    """
    bare = host.rstrip(".")
    last = bare.rpartition(".")[2]
    is_number = last.isdigit() or last[:2].lower() == "0x"
    return bare if ":" in host or is_number else None
