"""What a stranger's URL leads to is asked once, in bounded time, and never where only we can reach."""

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from notifiers.errors import OutcomeUnknown
from notifiers.people.reach import Reach
from notifiers.providers.outward import LONGEST_RETRY_AFTER_S, MAX_ANSWER_BYTES, NotReachable, Outward, retry_after
from schemas.errors import Unavailable
from tests.notifiers.providers.cue_server import CUT, CueServer, answer

HERE = Reach(["127.0.0.0/8"])
INTERNET = Reach()


@pytest.fixture
async def server(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> AsyncIterator[CueServer]:
    async with CueServer(tls[0]) as server:
        yield server


@pytest.fixture
async def here(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> AsyncIterator[Outward]:
    outward = Outward(tls[1], HERE, timeout_s=5)
    yield outward
    await outward.close()


@pytest.fixture
async def internet(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> AsyncIterator[Outward]:
    outward = Outward(tls[1], INTERNET, timeout_s=5)
    yield outward
    await outward.close()


class Names:
    """What names lead to instead of what the machine knows: a list of addresses for each, another at each question."""

    def __init__(self, **known: list[list[str]]) -> None:
        self.known = {name.replace("_", "."): places for name, places in known.items()}
        self.asked: list[str] = []

    def __call__(self, host: bytes, port: int, *_: Any) -> list[Any]:
        name = host.decode()
        self.asked.append(name)
        places = self.known.get(name)
        if places is None:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        found = places.pop(0) if len(places) > 1 else places[0]
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in found
        ]


async def test_a_body_is_posted_as_it_is(server: CueServer, here: Outward) -> None:
    server.cues = [answer(202, b"taken", Set_Cookie="a=b")]
    for _ in range(2):
        got = await here.post(f"{server.url}/a%7Eb?c=%20d", {"X-A": "1"}, b"body")
        assert (got.status, got.body, got.retry_after_s) == (202, b"taken", None)
    asked = server.asked[1]
    assert (asked.method, asked.path, asked.body, asked.headers["x-a"]) == ("POST", "/a%7Eb?c=%20d", b"body", "1")
    assert "cookie" not in asked.headers
    assert asked.headers["user-agent"] == "tickhub"
    assert server.connections == 1


async def test_no_redirect_is_followed(server: CueServer, here: Outward) -> None:
    server.cues = [answer(307, Location=f"{server.url}/elsewhere")]
    assert (await here.post(f"{server.url}/a", {}, b"")).status == 307
    assert [asked.path for asked in server.asked] == ["/a"]


async def test_no_proxy_is_taken_from_the_environment(
    server: CueServer, here: Outward, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await here.post(server.url, {}, b"")).status == 201


async def test_an_answer_has_an_end(server: CueServer, here: Outward) -> None:
    server.cues = [b"HTTP/1.1 200 Cue\r\n\r\n"]
    server.endless = True
    got = await here.post(server.url, {}, b"")
    assert (got.status, len(got.body)) == (200, MAX_ANSWER_BYTES)


async def test_nothing_is_unpacked(server: CueServer, here: Outward) -> None:
    packed = gzip.compress(bytes(10_000_000))
    server.cues = [answer(200, packed, Content_Encoding="gzip")]
    assert (await here.post(server.url, {}, b"")).body == packed
    assert server.asked[0].headers["accept-encoding"] == "identity"


async def test_the_status_counts_though_the_body_never_ends(
    server: CueServer, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    server.cues = [b"HTTP/1.1 200 Cue\r\nContent-Length: 10\r\n\r\nhalf"]
    outward = Outward(tls[1], HERE, timeout_s=0.3)
    got = await outward.post(server.url, {}, b"")
    assert (got.status, got.body) == (200, b"half")
    await outward.close()


async def test_a_line_that_is_cut_leaves_it_open(server: CueServer, here: Outward) -> None:
    server.cues = [CUT]
    with pytest.raises(OutcomeUnknown):
        await here.post(server.url, {}, b"")
    assert len(server.asked) == 1


async def test_a_kept_line_that_is_cut_is_not_tried_again(server: CueServer, here: Outward) -> None:
    server.cues = [answer(201), CUT, answer(201)]
    await here.post(server.url, {}, b"")
    with pytest.raises(OutcomeUnknown):
        await here.post(server.url, {}, b"")
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    "said", [b"no HTTP\r\n\r\n", b"HTTP/1.1 2OO Cue\r\n\r\n", b"HTTP/1.1 200 Cue\r\nA: " + b"x" * 99_999]
)
async def test_an_answer_that_is_none_leaves_it_open(server: CueServer, here: Outward, said: bytes) -> None:
    server.cues = [said]
    with pytest.raises(OutcomeUnknown):
        await here.post(server.url, {}, b"")


async def test_a_server_that_stalls_leaves_it_open(
    server: CueServer, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    server.hold.clear()
    outward = Outward(tls[1], HERE, timeout_s=0.3)
    async with asyncio.timeout(3):
        with pytest.raises(OutcomeUnknown):
            await outward.post(server.url, {}, b"")
    await outward.close()


async def test_nobody_there_is_surely_not_sent(here: Outward) -> None:
    async with CueServer() as gone:
        url = gone.url
    with pytest.raises(Unavailable):
        await here.post(url, {}, b"")


async def test_a_certificate_that_nobody_vouches_for_is_not_believed(server: CueServer) -> None:
    outward = Outward(await asyncio.to_thread(ssl.create_default_context), HERE, timeout_s=5)
    with pytest.raises(Unavailable):
        await outward.post(server.url, {}, b"")
    assert server.asked == []
    await outward.close()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[fe80::1%25lo]", "0.0.0.0", "[::]"]
)
async def test_a_private_address_is_not_connected_to(server: CueServer, internet: Outward, host: str) -> None:
    with pytest.raises(NotReachable):
        await internet.post(f"https://{host}:{server.port}/", {}, b"")
    assert server.connections == 0


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost.", "LOCALHOST", "2130706433", "127.1", "0x7f.1", "0177.0.0.1", "127.0.0.1.", "0", "a..b",
     "xn--", "a%00b", "x" * 300, "-", "a_b.invalid"],
)  # fmt: skip
async def test_no_spelling_gets_past_the_check(server: CueServer, internet: Outward, host: str) -> None:
    with pytest.raises((NotReachable, Unavailable)):
        await internet.post(f"https://{host}:{server.port}/", {}, b"")
    assert server.connections == 0


@pytest.mark.parametrize(
    "url",
    ["ftp://hooks.example/", "//hooks.example/", "hooks.example", "", "https://user:password@127.0.0.1/",
     "https://user@127.0.0.1/", "https://[::1", "https://127.0.0.1:99999/"],
)  # fmt: skip
async def test_what_is_no_url_of_the_web_is_not_asked(here: Outward, url: str) -> None:
    with pytest.raises(NotReachable):
        await here.post(url, {}, b"")


async def test_a_name_is_asked_where_it_led_when_it_was_checked(here: Outward, monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(rebinding_example=[["127.0.0.1"], ["10.0.0.1"]])
    monkeypatch.setattr(socket, "getaddrinfo", names)
    async with CueServer() as plain:
        assert (await here.post(f"http://rebinding.example:{plain.port}/", {}, b"")).status == 201
        assert plain.asked[0].headers["host"] == f"rebinding.example:{plain.port}"
    assert names.asked == ["rebinding.example"]


@pytest.mark.parametrize(
    "places", [["127.0.0.1"], ["::1"], ["8.8.8.8", "127.0.0.1"], ["2606:4700::1111", "::ffff:10.0.0.1"]]
)
async def test_a_name_with_any_private_address_is_not_asked(
    server: CueServer, internet: Outward, monkeypatch: pytest.MonkeyPatch, places: list[str]
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Names(inside_example=[places]))
    with pytest.raises(NotReachable):
        await internet.post(f"https://inside.example:{server.port}/", {}, b"")
    assert server.connections == 0


async def test_a_name_that_leads_nowhere_is_surely_not_sent(internet: Outward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Names())
    with pytest.raises(Unavailable):
        await internet.post("https://nowhere.example/", {}, b"")


async def test_http_leads_to_opened_networks_alone(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with CueServer() as plain:
        open_here, open_elsewhere = Outward(tls[1], HERE), Outward(tls[1], Reach(["10.0.0.0/8"]))
        assert (await open_here.post(f"{plain.url}/hook", {}, b"")).status == 201
        with pytest.raises(NotReachable):
            await open_elsewhere.post(f"{plain.url}/hook", {}, b"")
        assert plain.connections == 1
        await open_here.close()
        await open_elsewhere.close()
        await open_elsewhere.close()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("7", 7), ("99999999", LONGEST_RETRY_AFTER_S), ("", None), ("-1", None), ("soon", None), ("1e9", None),
     ("\u0667", None), ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("Thu, 01 Jan 1970 00:00:00 -0000", None)],
)  # fmt: skip
def test_how_long_to_wait_is_read_with_sense(text: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": text}) == seconds


def test_a_moment_to_wait_for_is_read() -> None:
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert retry_after({"Retry-After": moment}) == pytest.approx(90, abs=2)


async def test_headers_say_how_long_to_wait(server: CueServer, here: Outward) -> None:
    server.cues = [answer(503, Retry_After="12")]
    assert (await here.post(server.url, {}, b"")).retry_after_s == 12
