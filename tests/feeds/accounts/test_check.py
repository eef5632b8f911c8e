"""What the check says, word for word."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from feeds.accounts.check import check
from feeds.brokers.source import Credentials
from feeds.errors import CredentialsMissing, CredentialsUnreadable
from feeds.listings.directory import Directory
from schemas.market import MarketState
from tests.feeds.brokers.plain import PlainServer, PlainSource, price
from tests.feeds.brokers.server import BrokerServer
from tests.feeds.clockwork import START_S, Market, listing
from tests.feeds.tls import self_signed

DIRECTORY = Directory([listing("RELIANCE", "7"), listing("SBIN", "8")])
FRIDAY_S = START_S - 3 * 86_400 + 5.5 * 3600
"""Friday 20 November 2026, 15:30 IST."""

BEFORE_TICK = """\
  ok    credentials  PLAIN_TOKEN is set
  ok    instruments  NSE:RELIANCE is 7 at plain
  ok    connection   127.0.0.1 has let us in
  ok    subscribed   NSE:RELIANCE
"""


class HintingSource(PlainSource):
    """A source that knows something of its vendor."""

    hints = {  # noqa: RUF012 - a constant
        "title": "Plain & Sons",
        "token_expired": "Plain's tokens end at about 06:00; log in at plain.example and set PLAIN_TOKEN.",
    }


class Screen:
    """Runs the check and keeps what it says."""

    def __init__(self, server: BrokerServer | None = None) -> None:
        self.credentials: Credentials = {"token": "good", "url": server.url if server else "ws://127.0.0.1:1"}
        self.market = Market()
        self.now_s = START_S
        self.lines: list[str] = []

    async def check(
        self,
        source: PlainSource | None = None,
        *,
        directory: Directory = DIRECTORY,
        read: Callable[[], Credentials] | None = None,
        first_tick_s: float = 5,
    ) -> bool:
        return await check(
            source or PlainSource(),
            directory,
            read or (lambda: self.credentials),
            self.market,
            self.lines.append,
            tls=ssl.create_default_context(),
            wall=lambda: self.now_s,
            first_tick_s=first_tick_s,
        )

    def shows(self, text: str) -> bool:
        assert "\n".join(self.lines) == text.rstrip("\n")
        return True


@pytest.fixture
async def server() -> AsyncIterator[PlainServer]:
    async with PlainServer() as server:
        server.prices["7"] = 123_456_705
        yield server


async def test_all_is_well(server: PlainServer) -> None:
    screen = Screen(server)
    assert await screen.check()
    screen.shows(
        BEFORE_TICK + "  ok    first tick   NSE:RELIANCE 1,234,567.05, 0.0 s old; NSE is open\n"
        "plain is ready. Start the hub with FEED=plain."
    )
    await server.until(lambda: not server.connections)


async def test_the_last_price_of_friday_is_told_with_its_time(server: PlainServer) -> None:
    screen = Screen(server)
    screen.market = Market(MarketState.CLOSED, until_ms=int((START_S + 23 * 3600) * 1000))
    moments = iter([START_S, FRIDAY_S])  # the greeting, the price
    screen_wall = lambda: next(moments, START_S)  # noqa: E731
    good = await check(
        PlainSource(), DIRECTORY, lambda: screen.credentials, screen.market, screen.lines.append, wall=screen_wall
    )
    assert good
    assert screen.lines[4:] == [
        "  ok    first tick   NSE:RELIANCE 1,234,567.05, of Fri 20 Nov 15:30; NSE is closed until Tue 24 Nov 09:00",
        "plain is ready. Start the hub with FEED=plain.",
    ]


async def test_a_price_of_friday_in_an_open_market_is_wrong(server: PlainServer) -> None:
    screen = Screen(server)
    moments = iter([START_S, FRIDAY_S])
    good = await check(
        PlainSource(),
        Directory([listing("RELIANCE", "7")]),
        lambda: screen.credentials,
        screen.market,
        screen.lines.append,
        wall=lambda: next(moments, START_S),
        first_tick_s=0.1,
    )
    assert not good
    assert screen.lines[4:] == [
        "  WRONG first tick   NSE:RELIANCE 1,234,567.05, of Fri 20 Nov 15:30, though NSE is open",
        "                     is today a holiday that the calendar doesn't know, or are the prices delayed?",
    ]


async def test_a_vendor_that_lets_in_and_then_refuses_has_not_let_in(server: PlainServer) -> None:
    server.first_words = '{"expired": "token invalid"}'
    screen = Screen(server)
    assert not await screen.check()
    assert screen.lines[2] == "  WRONG connection   token invalid"


async def test_silence_of_a_closed_market_is_right(server: PlainServer) -> None:
    server.prices.clear()
    screen = Screen(server)
    screen.market = Market(MarketState.CLOSED, until_ms=int((START_S + 23 * 3600) * 1000))
    assert await screen.check(first_tick_s=0.1)
    screen.shows(
        BEFORE_TICK + "  ok    first tick   none in 0.1 s, and none is due: NSE is closed until Tue 24 Nov 09:00\n"
        "plain is ready. Start the hub with FEED=plain."
    )


async def test_silence_of_an_open_market_is_wrong(server: PlainServer) -> None:
    server.prices.clear()
    server.greets = False
    screen = Screen(server)
    assert not await screen.check(first_tick_s=0.1)
    screen.shows(
        BEFORE_TICK + "  WRONG first tick   none in 0.1 s, though NSE is open\n"
        "                     nothing at all has come; is live market data part of what the account pays for?"
    )


@pytest.mark.parametrize(
    ("frames", "advice"),
    [
        (['{"hb": 1}'], "only signs of life have come; is live market data part of what the account pays for?"),
        (['{"say": "your plan has ended"}'], "plain says: your plan has ended"),
        (["?", price("99", 1), "?"], "plain has sent what makes no sense: no_json (2), unknown_token (1)"),
    ],
)
async def test_what_came_instead_of_a_price_is_told(server: PlainServer, frames: list[str], advice: str) -> None:
    server.prices.clear()
    screen = Screen(server)
    checking = asyncio.create_task(screen.check(first_tick_s=0.5))
    await server.until_subscribed(["7"])
    await server.send(*frames)
    assert not await checking
    assert screen.lines[4:] == ["  WRONG first tick   none in 0.5 s, though NSE is open", f"{'':21}{advice}"]


async def test_an_instrument_that_the_vendor_refuses_is_told(server: PlainServer) -> None:
    server.prices.clear()
    screen = Screen(server)
    checking = asyncio.create_task(screen.check())
    await server.until_subscribed(["7"])
    await server.send('{"refused": "7"}')
    assert not await checking
    assert screen.lines[4:] == ["  WRONG first tick   plain doesn't carry NSE:RELIANCE: we don't carry it"]


@pytest.mark.parametrize(
    ("names", "lines"),
    [
        (
            ["PLAIN_TOKEN"],
            (
                "  WRONG credentials  PLAIN_TOKEN is not set\n"
                "                     set it in the environment or in .env, or a file's path in PLAIN_TOKEN_FILE"
            ),
        ),
        (
            ["PLAIN_KEY", "PLAIN_PIN", "PLAIN_TOKEN"],
            (
                "  WRONG credentials  PLAIN_KEY, PLAIN_PIN and PLAIN_TOKEN are not set\n"
                "                     set them in the environment or in .env, or a file's path in PLAIN_KEY_FILE"
            ),
        ),
    ],
)
async def test_credentials_that_are_not_set_are_named(names: list[str], lines: str) -> None:
    def read() -> Credentials:
        raise CredentialsMissing(names)

    screen = Screen()
    assert not await screen.check(read=read)
    screen.shows(lines)


async def test_a_credentials_file_that_cannot_be_read_is_named() -> None:
    def read() -> Credentials:
        raise CredentialsUnreadable("PLAIN_TOKEN_FILE", "can't read /run/token: Permission denied")

    screen = Screen()
    assert not await screen.check(read=read)
    screen.shows("  WRONG credentials  PLAIN_TOKEN_FILE: can't read /run/token: Permission denied")


async def test_a_list_without_any_well_known_instrument_is_wrong() -> None:
    screen = Screen()
    assert not await screen.check(directory=Directory([]))
    screen.shows(
        "  ok    credentials  PLAIN_TOKEN is set\n"
        "  WRONG instruments  plain's list has none of NSE:NIFTY 50, NSE:RELIANCE, BSE:SENSEX and BSE:RELIANCE\n"
        "                     it is empty, or not the whole list"
    )


async def test_a_token_that_has_ended_is_told_in_the_vendors_own_terms(server: PlainServer) -> None:
    screen = Screen(server)
    screen.credentials = {"token": "yesterday's", "url": server.url}
    assert not await screen.check(HintingSource())
    screen.shows(
        "  ok    credentials  PLAIN_TOKEN is set\n"
        "  ok    instruments  NSE:RELIANCE is 7 at Plain & Sons\n"
        "  WRONG connection   the credentials are refused (HTTP 403)\n"
        "                     Plain's tokens end at about 06:00; log in at plain.example and set PLAIN_TOKEN."
    )
    assert server.handshakes == 1


async def test_a_token_that_has_ended_is_told_without_hints(server: PlainServer) -> None:
    screen = Screen(server)
    screen.credentials = {"token": "yesterday's", "url": server.url}
    assert not await screen.check()
    assert screen.lines[2:] == [
        "  WRONG connection   the credentials are refused (HTTP 403)",
        "                     log in to the vendor again and set the new token; most vendors' tokens end every morning",
    ]


@pytest.mark.parametrize(
    ("status", "lines"),
    [
        (
            HTTPStatus.TOO_MANY_REQUESTS,
            (
                "  WRONG connection   too many connections or attempts (HTTP 429)\n"
                "                     another program may use the same account; end it, or wait some minutes"
            ),
        ),
        (
            HTTPStatus.BAD_GATEWAY,
            (
                "  WRONG connection   refused with HTTP 502\n"
                "                     the vendor's own status page or support knows more"
            ),
        ),
    ],
)
async def test_a_refusal_is_told(server: PlainServer, status: HTTPStatus, lines: str) -> None:
    server.refuse_with = status
    screen = Screen(server)
    assert not await screen.check()
    assert "\n".join(screen.lines[2:]) == lines


async def test_a_refusal_after_the_handshake_is_told(server: PlainServer) -> None:
    server.prices.clear()
    screen = Screen(server)
    checking = asyncio.create_task(screen.check())
    await server.until_subscribed(["7"])
    await server.send('{"rejected": "no data plan"}')
    assert not await checking
    assert screen.lines[4:] == [
        "  WRONG connection   no data plan",
        "                     the vendor's own status page or support knows more",
    ]


@pytest.mark.parametrize(
    ("url", "lines"),
    [
        (
            "ws://nosuch.invalid",
            (
                "  WRONG connection   the name nosuch.invalid can't be resolved\n"
                "                     is this machine online? If PLAIN_URL is set, is its name right?"
            ),
        ),
        (
            "ws://127.0.0.1:1",
            (
                "  WRONG connection   nobody listens at 127.0.0.1\n"
                "                     a firewall may stand in between; if PLAIN_URL is set, is it right?"
            ),
        ),
    ],
)
async def test_a_vendor_that_cannot_be_reached_is_told(url: str, lines: str) -> None:
    screen = Screen()
    screen.credentials = {"token": "good", "url": url}
    assert not await screen.check()
    assert "\n".join(screen.lines[2:]) == lines


async def test_a_certificate_that_nobody_vouches_for_is_told(tmp_path: Path) -> None:
    async def idle(client: ServerConnection) -> None:
        await client.wait_closed()

    async with serve(idle, "127.0.0.1", 0, ssl=self_signed(tmp_path)[0]) as server:
        screen = Screen()
        port = next(iter(server.sockets)).getsockname()[1]
        screen.credentials = {"token": "good", "url": f"wss://127.0.0.1:{port}"}
        assert not await screen.check()
    assert screen.lines[2:] == [
        "  WRONG connection   the certificate of 127.0.0.1 can't be trusted: self-signed certificate",
        "                     this machine's clock or certificates are wrong, or somebody stands in between",
    ]


async def test_a_connection_that_breaks_off_is_told(server: PlainServer) -> None:
    server.prices.clear()
    screen = Screen(server)
    checking = asyncio.create_task(screen.check())
    await server.until_subscribed(["7"])
    server.abort()
    assert not await checking
    assert screen.lines[4:] == [
        "  WRONG connection   the connection broke off",
        "                     try again in a minute; if it stays so, the vendor's own status page knows more",
    ]


async def test_a_slow_clock_of_this_machine_is_told(server: PlainServer) -> None:
    screen = Screen(server)
    moments = iter([START_S, START_S + 42])
    good = await check(
        PlainSource(),
        DIRECTORY,
        lambda: screen.credentials,
        screen.market,
        screen.lines.append,
        wall=lambda: next(moments, START_S),
    )
    assert good
    assert screen.lines[4] == (
        "  ok    first tick   NSE:RELIANCE 1,234,567.05, 42 s ahead of this machine's clock (is it right?); NSE is open"
    )
