"""DhanHQ's full market depth: 20 levels of up to 50 instruments, or 200 levels of one, on connections of their own.

Only NSE's cash and derivatives segments have it. A frame stacks little-endian messages, the bids of an instrument and
then its asks. Each begins with twelve bytes: its whole length (i16), what it is (u8: 41 bids, 51 asks, 50 disconnect),
the segment (u8), the security id (i32) and a u32, which with 200 levels is how many follow. A level is a price (f64),
a quantity and a number of orders (u32). Sources: the vendor's page "Full Market Depth" and its package dhanhq 2.3.0.
"""

import struct
from collections.abc import Mapping, Sequence
from itertools import chain

import msgspec

from feeds.brokers.dhan import connect_url, instrument_list
from feeds.brokers.dhan_packets import PriceGrid, filled, refusal
from feeds.brokers.source import Bad, Conversation, Credentials, Event, Frame, Heard, Http, Limits, Mode, Ping, Request
from feeds.feed import Update
from feeds.instruments import Instrument, Listing
from schemas.market import Depth, Figures

URL_20 = "wss://depth-api-feed.dhan.co/twentydepth"
URL_200 = "wss://full-depth-api.dhan.co/twohundreddepth"

_SUBSCRIBE, _UNSUBSCRIBE = 23, 24
_BIDS, _ASKS, _DISCONNECT = 41, 51, 50
_HEADER = struct.Struct("<hBBiI")
_LEVEL = struct.Struct("<dII")
_REASON = struct.Struct("<H")


class _Book:
    """The two sides of one instrument as they were last told."""

    __slots__ = ("asks", "bids", "grid", "instrument")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.grid = PriceGrid(instrument.tick_size)
        self.bids: Figures | None = None
        self.asks: Figures | None = None


class DhanDepthConversation(Conversation):
    """One connection to a depth feed. An instrument's book is told once both sides of it have come."""

    ready_at_once = True

    def __init__(self, listings: Mapping[str, Instrument], most_levels: int) -> None:
        self._listings = listings
        self._most_levels = most_levels
        self._books: dict[str, _Book] = {}

    def greeting(self) -> Sequence[Frame]:
        """Nothing: the handshake has carried the credentials."""
        return ()

    def subscribe(self, listings: Sequence[Listing], mode: Mode) -> Sequence[Frame]:
        """There is only one mode; instruments of other exchanges than NSE's are left to the vendor to refuse."""
        return self._requests(_SUBSCRIBE, listings)

    def unsubscribe(self, listings: Sequence[Listing]) -> Sequence[Frame]:
        """One more than the code that asked."""
        for listing in listings:
            self._books.pop(listing.token, None)
        return self._requests(_UNSUBSCRIBE, listings)

    def _requests(self, code: int, listings: Sequence[Listing]) -> list[Frame]:
        named = instrument_list([listing.token for listing in listings])
        if self._most_levels > 20:
            return [msgspec.json.encode({"RequestCode": code, **instrument}).decode() for instrument in named]
        parts = [named[at : at + 50] for at in range(0, len(named), 50)]
        return [
            msgspec.json.encode({"RequestCode": code, "InstrumentCount": len(part), "InstrumentList": part}).decode()
            for part in parts
        ]

    def receive(self, frame: Frame, received_ms: int) -> Heard:
        """Reads message after message; each instrument whose book changed gets one update, at the end of the frame."""
        if isinstance(frame, str):
            return Heard(events=(Bad("text_frame"),))
        events: list[Event] = []
        changed: dict[str, _Book] = {}
        at = 0
        while at < len(frame):
            at = self._message(frame, at, changed, events)
        return Heard([update for book in changed.values() for update in _updates(book, received_ms)], events)

    def _message(self, frame: bytes, at: int, changed: dict[str, _Book], events: list[Event]) -> int:
        """Reads the message at an offset; answers where the next one begins."""
        rest = len(frame) - at
        length, code, segment, security, rows = _HEADER.unpack_from(frame, at) if rest >= 12 else (0, 0, 0, 0, 0)
        if not 12 <= length <= rest:
            events.append(Bad("truncated"))
            return len(frame)
        body = frame[at + 12 : at + length]
        if code == _DISCONNECT:
            # The reason follows the header on the vendor's page and stands in its last field in the vendor's client.
            events.append(refusal(_REASON.unpack_from(body)[0] if len(body) >= 2 else rows))
        elif code not in {_BIDS, _ASKS}:
            events.append(Bad("unknown_code"))
        elif (book := self._book(token := f"{segment}|{security}")) is None:
            events.append(Bad("unknown_token"))
        elif isinstance(side := self._side(book, body, rows), Bad):
            events.append(side)
        else:
            book.bids, book.asks = (side, book.asks) if code == _BIDS else (book.bids, side)
            changed[token] = book
        return at + int(length)

    def _side(self, book: _Book, body: bytes, rows: int) -> Figures | Bad:
        count, odd = divmod(len(body), _LEVEL.size)
        if self._most_levels > 20:  # of the levels that fill the body only so many count
            odd, count = odd or int(rows > count), min(rows, count)
        if odd or count > self._most_levels:
            return Bad("unknown_length")
        levels = _LEVEL.iter_unpack(body[: count * _LEVEL.size])
        try:
            return filled(tuple(chain(*[(book.grid[price], *others) for price, *others in levels])))
        except ValueError:  # the grid's: one of its prices can't be
            return Bad("impossible_price")

    def _book(self, token: str) -> _Book | None:
        instrument = self._listings.get(token)
        if instrument is None:
            return None
        book = self._books.get(token)
        if book is None or book.instrument is not instrument:
            book = self._books[token] = _Book(instrument)
        return book


class DhanDepth:
    """The source `dhan_depth`: the same account's order books, 20 levels deep unless `most_levels` says 200."""

    name = "dhan_depth"
    credential_names: Sequence[str] = ("client_id", "access_token")
    ping: Ping | None = None
    silence_s = 30.0

    def __init__(self, most_levels: int = 20) -> None:
        self._most_levels = most_levels
        self.limits = Limits(connections=5, instruments_per_connection=50, instruments_per_frame=50)
        if most_levels > 20:
            self.limits = Limits(connections=5, instruments_per_connection=1, instruments_per_frame=1)

    async def request(self, credentials: Credentials, http: Http) -> Request:
        """The address with the credentials in its query; what is wrong with them is told once connected."""
        return Request(url=connect_url(URL_20 if self._most_levels <= 20 else URL_200, credentials))

    def converse(self, credentials: Credentials, listings: Mapping[str, Instrument]) -> Conversation:
        """A conversation for one connection."""
        return DhanDepthConversation(listings, self._most_levels)


def _updates(book: _Book, received_ms: int) -> list[Update]:
    if book.bids is None or book.asks is None:
        return []
    return [Depth(book.instrument.exchange, book.instrument.symbol, received_ms, book.bids, book.asks)]
