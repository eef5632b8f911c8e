import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.http.client_address import NOWHERE, client_address, is_secure, networks

TRUSTED = networks(["10.0.0.0/8", "2001:db8:ffff::/48"])

Headers = list[tuple[bytes, bytes]]


def scope(peer: str | None, *forwarded: str, scheme: str = "http", proto: tuple[str, ...] = ()) -> dict[str, Any]:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    headers += [(b"x-forwarded-proto", value.encode()) for value in proto]
    return {"type": "http", "client": (peer, 4711) if peer else None, "headers": headers, "scheme": scheme}


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.7", [], "203.0.113.7"),
        ("203.0.113.7", ["198.51.100.1"], "203.0.113.7"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["198.51.100.1, 203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["198.51.100.1, 203.0.113.7, 10.0.0.2"], "203.0.113.7"),
        ("10.0.0.1", ["198.51.100.1", "203.0.113.7", "10.0.0.2"], "203.0.113.7"),
        ("10.0.0.1", ["10.0.0.3,10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["203.0.113.7, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.7, <script>, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["203.0.113.7:5555"], "203.0.113.7"),
        ("10.0.0.1", ["[2001:db8::7]:5555"], "2001:db8::7"),
        ("10.0.0.1", ["2001:DB8::0:7"], "2001:db8::7"),
        ("10.0.0.1", ["::ffff:203.0.113.7"], "203.0.113.7"),
        ("::ffff:10.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        ("2001:db8:ffff::1", ["203.0.113.7"], "203.0.113.7"),
        ("2001:db8:fffe::1", ["203.0.113.7"], "2001:db8:fffe::1"),
        ("10.0.0.1", ["203.0.113.7, \xff\xfe"], "10.0.0.1"),
        (None, ["203.0.113.7"], NOWHERE),
        ("testclient", ["203.0.113.7"], "testclient"),
    ],
)
def test_the_address_is_the_last_one_that_no_proxy_of_ours_has(
    peer: str | None, forwarded: list[str], address: str
) -> None:
    assert client_address(scope(peer, *forwarded), TRUSTED) == address


def test_nobody_is_trusted_where_the_settings_name_nobody() -> None:
    assert client_address(scope("127.0.0.1", "203.0.113.7", proto=("https",)), ()) == "127.0.0.1"
    assert not is_secure(scope("127.0.0.1", proto=("https",)), ())


strangers = st.ip_addresses().filter(lambda address: not any(address in network for network in TRUSTED)).map(str)
strangers = strangers.filter(lambda text: ipaddress.ip_address(text).version == 4 or "ffff:" not in text)
proxies = st.ip_addresses(network="10.0.0.0/8").map(str)
inventions = st.lists(st.one_of(st.ip_addresses().map(str), proxies, st.text(st.characters(codec="latin-1"))))


@given(strangers, inventions)
def test_whoever_is_not_trusted_is_itself_whatever_it_says(peer: str, said: list[str]) -> None:
    asked = scope(peer, *said, proto=("https",))
    assert client_address(asked, TRUSTED) == client_address(scope(peer), TRUSTED)
    assert not is_secure(asked, TRUSTED)


@given(strangers, st.lists(proxies, min_size=1, max_size=4), inventions, st.booleans())
def test_nothing_that_is_said_reaches_past_a_trusted_proxy(
    client: str, chain: list[str], said: list[str], lines: bool
) -> None:
    """Each proxy appends whom it heard; what the client said itself stands before that."""
    entries = [*said, client, *chain[:-1]]
    asked = scope(chain[-1], *entries) if lines else scope(chain[-1], ",".join(entries))
    assert client_address(asked, TRUSTED) == client_address(scope(client), TRUSTED)


@pytest.mark.parametrize(
    ("asked", "secure"),
    [
        (scope("203.0.113.7", scheme="https"), True),
        (scope("203.0.113.7", proto=("https",)), False),
        (scope("10.0.0.1"), False),
        (scope("10.0.0.1", proto=("https",)), True),
        (scope("10.0.0.1", proto=("HTTPS",)), True),
        (scope("10.0.0.1", proto=("http",)), False),
        (scope("10.0.0.1", proto=("https, http",)), False),
        (scope("10.0.0.1", proto=("http, https",)), True),
        (scope("10.0.0.1", proto=("https", "http")), False),
        (scope(None, proto=("https",)), False),
    ],
)
def test_a_request_is_secure_where_the_nearest_trusted_proxy_says_so(asked: dict[str, Any], secure: bool) -> None:
    assert is_secure(asked, TRUSTED) is secure


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match="proxy"):
        networks(["proxy"])
