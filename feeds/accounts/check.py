"""What `python -m hub feeds --check kite` says: each step on the way to a first price, in plain words.

One attempt, one connection; nothing is published, nothing retried. A failure ends the check and says what to do.
"""

import asyncio
import socket
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import NoReturn
from urllib.parse import urlsplit

from channels.broker import Clock
from feeds.accounts.connection import Connection, Pace, open_socket
from feeds.accounts.http import HttpClient
from feeds.brokers.source import Bad, Credentials, Heard, InstrumentRefused, Said, Source
from feeds.errors import ConnectionLost, CredentialsMissing, CredentialsUnreadable, VendorRefused
from feeds.instruments import Listing
from feeds.listings.directory import Directory
from feeds.market_hours.sessions import MarketSession
from feeds.publisher import SessionOf
from schemas.durations import Seconds
from schemas.market import IST, PRICE_SCALE, MarketState, Tick

Say = Callable[[str], None]
"""Takes one line."""

WELL_KNOWN = (("NSE", "NIFTY 50"), ("NSE", "RELIANCE"), ("BSE", "SENSEX"), ("BSE", "RELIANCE"))
"""The first of these that a directory lists is asked for."""

FIRST_TICK_S: Seconds = 10.0
EARLY_S: Seconds = 1.0
"""For how long a vendor that lets everybody in may take to refuse somebody."""

_MOVING = frozenset({MarketState.PRE_OPEN, MarketState.CONTINUOUS, MarketState.CLOSING_AUCTION})
_STATES = {
    MarketState.PRE_OPEN: "in its pre-open",
    MarketState.CONTINUOUS: "open",
    MarketState.CLOSING_AUCTION: "in its closing auction",
    MarketState.POST_CLOSE: "past its close",
    MarketState.HALTED: "halted",
    MarketState.CLOSED: "closed",
}
_FRESH_S: Seconds = 60.0
_AHEAD_S: Seconds = 5.0
"""Exchange time may be this far ahead of ours before it is worth a word."""


class _Wrong(Exception):
    """The check ends here; it has been said why."""


class _Report:
    """The lines, one for each step, and one below a wrong one for what to do."""

    def __init__(self, say: Say) -> None:
        self._say = say

    def well(self, step: str, text: str) -> None:
        self._say(f"  ok    {step:<12} {text}")

    def wrong(self, step: str, text: str, advice: str = "") -> NoReturn:
        self._say(f"  WRONG {step:<12} {text}")
        if advice:
            self._say(f"        {'':<12} {advice}")
        raise _Wrong


async def check(
    source: Source,
    directory: Directory,
    credentials: Callable[[], Credentials],
    session_of: SessionOf,
    say: Say,
    *,
    tls: ssl.SSLContext | None = None,
    wall: Clock = time.time,
    first_tick_s: Seconds = FIRST_TICK_S,
) -> bool:
    """Goes from the credentials to the first tick and says each step; whether all is as it should be now.

    `credentials` is read in a thread. Raises nothing that the world can cause; cancelling is safe.
    """
    report, hints = _Report(say), dict(getattr(source, "hints", {}))
    title = hints.get("title", source.name)
    try:
        known = await _read(source, credentials, report)
        listing = _choose(directory, title, report)
        context = await asyncio.to_thread(ssl.create_default_context) if tls is None else tls
        async with _connected(source, known, listing, context, wall) as (connection, host):
            first = _First(listing, wall)
            await first.listen(connection, EARLY_S, lambda: first.frames > 0)  # some refuse once connected
            report.well("connection", f"{host} has let us in")
            await connection.subscribe([listing], "full")
            report.well("subscribed", _name(listing))
            session = session_of(listing.instrument.exchange)
            await first.listen(connection, first_tick_s, lambda: first.enough(session))
        _tell_first(first, title, session, report, first_tick_s)
    except _Wrong:
        return False
    except (VendorRefused, ConnectionLost) as exc:
        say(f"  WRONG {'connection':<12} {exc.reason}")
        say(f"        {'':<12} {_advice(exc, source, hints)}")
        return False
    say(f"{title} is ready. Start the hub with FEED={source.name}.")
    return True


async def _read(source: Source, credentials: Callable[[], Credentials], report: _Report) -> Credentials:
    try:
        known = await asyncio.to_thread(credentials)
    except CredentialsUnreadable as exc:
        report.wrong("credentials", str(exc))
    except CredentialsMissing as exc:
        what, them = ("is", "it") if len(exc.names) == 1 else ("are", "them")
        advice = f"set {them} in the environment or in .env, or a file's path in {exc.names[0]}_FILE"
        report.wrong("credentials", f"{_listed(exc.names)} {what} not set", advice)
    names = [f"{source.name}_{name}".upper() for name in source.credential_names]
    report.well("credentials", f"{_listed(names)} {'is' if len(names) == 1 else 'are'} set")
    return known


def _choose(directory: Directory, title: str, report: _Report) -> Listing:
    listing = next((found for key in WELL_KNOWN if (found := directory.find(*key)) is not None), None)
    if listing is None:
        names = _listed([f"{exchange}:{symbol}" for exchange, symbol in WELL_KNOWN])
        report.wrong("instruments", f"{title}'s list has none of {names}", "it is empty, or not the whole list")
    report.well("instruments", f"{_name(listing)} is {listing.token} at {title}")
    return listing


@asynccontextmanager
async def _connected(
    source: Source, credentials: Credentials, listing: Listing, tls: ssl.SSLContext, wall: Clock
) -> AsyncIterator[tuple[Connection, str]]:
    request = await source.request(credentials, HttpClient(tls))
    conversation = source.converse(credentials, {listing.token: listing.instrument})
    pace = Pace(source.limits.frames_per_second, clock=time.monotonic, sleep=asyncio.sleep)
    connection = Connection(await open_socket(request, tls), conversation, source.limits, pace)
    try:
        await connection.enter(wall)
        yield connection, urlsplit(request.url).hostname or ""
    finally:
        await connection.close()


class _First:
    """What came until the first tick, or until the time was over."""

    def __init__(self, listing: Listing, wall: Clock) -> None:
        self.listing = listing
        self.tick: Tick | None = None
        self.age_s: Seconds = 0.0
        self.refusal = ""
        self.said: list[str] = []
        self.bad: Counter[str] = Counter()
        self.frames = 0
        self._wall = wall

    async def listen(self, connection: Connection, at_most_s: Seconds, enough: Callable[[], bool]) -> None:
        """Hears until it is enough, or the time is over. Raises as `Connection.receive`."""
        try:
            async with asyncio.timeout(at_most_s):
                while not enough():
                    self._take(await connection.receive(self._wall))
        except TimeoutError:
            pass  # what has come shows it

    def enough(self, session: MarketSession) -> bool:
        """Whether nothing more is to be waited for: in an open market, a price that is a new one."""
        fresh = session.state is not MarketState.CONTINUOUS or self.age_s <= _FRESH_S
        return bool(self.refusal) or (self.tick is not None and fresh)

    def _take(self, heard: Heard) -> None:
        self.frames += 1
        wanted = (self.listing.instrument.exchange, self.listing.instrument.symbol)
        for update in heard.updates:
            if isinstance(update, Tick) and (update.exchange, update.symbol) == wanted:
                self.tick = update
                self.age_s = self._wall() - update.time_ms / 1000
        for event in heard.events:
            match event:
                case InstrumentRefused(reason=reason):
                    self.refusal = reason
                case Said(text=text):
                    self.said.append(text)
                case Bad(reason=reason, count=count):
                    self.bad[reason] += count
                case _:
                    pass


def _tell_first(first: _First, title: str, session: MarketSession, report: _Report, first_tick_s: Seconds) -> None:
    """Says what came, and whether it is what this hour lets expect."""
    exchange, name = first.listing.instrument.exchange, _name(first.listing)
    until = "" if session.until_ms is None else f" until {_moment(session.until_ms)}"
    market = f"{exchange} is {_STATES[session.state]}{until}"
    if first.refusal:
        report.wrong("first tick", f"{title} doesn't carry {name}: {first.refusal}")
    elif first.tick is not None:
        price = f"{name} {_price_and_age(first.tick, first.age_s)}"
        if first.enough(session):
            report.well("first tick", f"{price}; {market}")
        else:
            advice = "is today a holiday that the calendar doesn't know, or are the prices delayed?"
            report.wrong("first tick", f"{price}, though {market}", advice)
    elif session.state not in _MOVING:
        report.well("first tick", f"none in {first_tick_s:g} s, and none is due: {market}")
    else:
        report.wrong("first tick", f"none in {first_tick_s:g} s, though {market}", _why_no_tick(first, title))


def _why_no_tick(first: _First, title: str) -> str:
    if first.said:
        return f"{title} says: {first.said[-1][:200]}"
    if first.bad:
        kinds = ", ".join(f"{reason} ({count})" for reason, count in sorted(first.bad.items()))
        return f"{title} has sent what makes no sense: {kinds}"
    came = "only signs of life have come" if first.frames else "nothing at all has come"
    return f"{came}; is live market data part of what the account pays for?"


def _price_and_age(tick: Tick, age_s: Seconds) -> str:
    price = f"{tick.price / PRICE_SCALE:,.2f}"
    if age_s < -_AHEAD_S:
        return f"{price}, {-age_s:.0f} s ahead of this machine's clock (is it right?)"
    if age_s > _FRESH_S:
        return f"{price}, of {_moment(tick.time_ms)}"
    return f"{price}, {max(age_s, 0.0):.1f} s old"


def _advice(exc: VendorRefused | ConnectionLost, source: Source, hints: dict[str, str]) -> str:
    if isinstance(exc, ConnectionLost):
        return _advice_for_loss(exc, f"{source.name}_url".upper())
    if exc.expired:
        default = "log in to the vendor again and set the new token; most vendors' tokens end every morning"
        return hints.get("token_expired", default)
    if exc.status == HTTPStatus.TOO_MANY_REQUESTS:
        return "another program may use the same account; end it, or wait some minutes"
    return hints.get("refused", "the vendor's own status page or support knows more")


def _advice_for_loss(exc: ConnectionLost, setting: str) -> str:
    match exc.__cause__:
        case socket.gaierror():
            return f"is this machine online? If {setting} is set, is its name right?"
        case ssl.SSLCertVerificationError():
            return "this machine's clock or certificates are wrong, or somebody stands in between"
        case ConnectionRefusedError() | TimeoutError():
            return f"a firewall may stand in between; if {setting} is set, is it right?"
        case _:
            return "try again in a minute; if it stays so, the vendor's own status page knows more"


def _name(listing: Listing) -> str:
    return f"{listing.instrument.exchange}:{listing.instrument.symbol}"


def _listed(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _moment(moment_ms: int) -> str:
    return datetime.fromtimestamp(moment_ms / 1000, UTC).astimezone(IST).strftime("%a %d %b %H:%M")
