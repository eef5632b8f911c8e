"""Nothing that only we can reach is reached for a stranger, however it is spelt."""

import contextlib
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifiers.people.reach import MAX_URL, Reach, is_public
from schemas.errors import CommandError, ErrorCode

INTERNET = Reach()
OPEN = Reach(["10.1.0.0/16", "127.0.0.1", "fd00::/8"])

BARRED = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.168.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:a9fe:a9fe",
    "64:ff9b::7f00:1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::7f00:1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "not an address",
    "",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.0",
    "172.32.0.1",
    "223.255.255.254",
    "2606:4700::1111",
    "2a00:1450::1",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
]


@pytest.mark.parametrize("address", BARRED)
def test_what_is_nobodys_on_the_internet_is_barred(address: str) -> None:
    assert not INTERNET.allows("https", address)


@pytest.mark.parametrize("address", PUBLIC)
def test_the_internet_is_reached_by_https_alone(address: str) -> None:
    assert INTERNET.allows("https", address)
    assert not INTERNET.allows("http", address)
    assert not INTERNET.allows("ftp", address)
    assert not OPEN.allows("http", address)


@pytest.mark.parametrize("address", ["10.1.2.3", "127.0.0.1", "::ffff:10.1.2.3", "fd12::1"])
def test_networks_that_are_opened_are_reached_both_ways(address: str) -> None:
    assert OPEN.allows("https", address)
    assert OPEN.allows("http", address)
    assert not OPEN.allows("ftp", address)


@pytest.mark.parametrize("address", ["10.2.0.1", "127.0.0.2", "fe80::1", "::1"])
def test_networks_beside_those_stay_barred(address: str) -> None:
    assert not OPEN.allows("https", address)


@given(st.ip_addresses())
def test_whatever_python_knows_to_be_special_is_barred(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    special = (
        address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
    )
    if special:
        assert not is_public(address)


@given(st.ip_addresses(v=4))
def test_an_address_within_another_is_judged_as_itself(address: ipaddress.IPv4Address) -> None:
    plain = INTERNET.allows("https", str(address))
    assert INTERNET.allows("https", f"::ffff:{address}") is plain
    assert INTERNET.allows("https", f"64:ff9b::{address}") is plain


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://hooks.example.com/a?b=c", "https://hooks.example.com/a?b=c"),
        ("HTTPS://Hooks.Example.COM", "https://hooks.example.com"),
        ("https://bücher.example/ü", "https://xn--bcher-kva.example/%C3%BC"),
        ("https://hooks.example.com./a", "https://hooks.example.com./a"),
        ("https://hooks.example.com:8443/#part", "https://hooks.example.com:8443/"),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://[2606:4700::1111]/", "https://[2606:4700::1111]/"),
        ("https://4chan.example/", "https://4chan.example/"),
        ("https://a_b.example/", "https://a_b.example/"),
    ],
)
def test_a_url_is_kept_in_ascii(given: str, kept: str) -> None:
    assert INTERNET.url(given) == kept
    assert INTERNET.url(kept) == kept


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.com",
        "//hooks.example.com/",
        "https:hooks.example.com",
        "https://",
        "https:///path",
        "http://hooks.example.com/",
        "ftp://hooks.example.com/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_FLUSHALL",
        "javascript:alert(1)",
        "https://user:password@hooks.example.com/",
        "https://user@hooks.example.com/",
        "https://:@hooks.example.com/",
        "https://hooks.example.com\\@127.0.0.1/",
        "https://hooks.example.com\\.evil.example/",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:99999/",
        "https://hooks.example.com:http/",
        "https://hooks example.com/",
        "https://hooks.example.com/a b",
        "https://hooks.example.com/\r\nX: y",
        "https://\t127.0.0.1/",
        "https://hooks.example.com/\x00",
        "https://hooks.example.com/\ud800",
        "https://hooks%2eexample.com/",
        "https://[::1/",
        "https://127.0.0.1/",
        "https://127.0.0.1./",
        "https://127.1/",
        "https://0/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.0.0.1/",
        "https://0X7F.1/",
        "https://0177.0.0.1/",
        "https://00000177.0.0.01/",
        "https://127.0.0.1.0/",
        "https://256.256.256.256/",
        "https://\uff11\uff12\uff17.\uff10.\uff10.\uff11/",
        "https://①②⑦.⓪.⓪.①/",
        "https://127。0。0。1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/",
        "https://[::]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[0:0:0:0:0:ffff:127.0.0.1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://[fe80::1%25eth0]/",
        "https://[fd00:ec2::254]/",
        "https://hooks.example.com/" + "x" * MAX_URL,
        "https://hooks.example.com/" + "ü" * (MAX_URL // 2),
    ],
)
def test_what_cannot_be_asked_is_refused(url: str) -> None:
    with pytest.raises(CommandError, match=r"at `\$\.url`") as caught:
        INTERNET.url(url)
    assert caught.value.code is ErrorCode.BAD_REQUEST


def test_an_opened_network_takes_http_urls_and_its_own_addresses() -> None:
    assert OPEN.url("http://10.1.0.7:8080/hook") == "http://10.1.0.7:8080/hook"
    assert OPEN.url("http://printer/hook") == "http://printer/hook"
    for url in ("http://10.2.0.7/", "http://8.8.8.8/", "https://192.168.0.1/"):
        with pytest.raises(CommandError):
            OPEN.url(url)


@given(st.text(st.characters(), max_size=40).map("https://".__add__) | st.text(st.characters()))
def test_any_text_is_kept_or_refused_and_what_is_kept_is_plain(text: str) -> None:
    kept = "https://"
    with contextlib.suppress(CommandError):
        kept = INTERNET.url(text)
    assert kept.isascii()
    assert kept.startswith("https://")


def test_a_network_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="10"):
        Reach(["10.0.0.0/99"])
