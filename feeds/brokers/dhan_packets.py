"""Dhan's live packets: little-endian structs of fixed size, several of them in one frame.

Each packet begins with eight bytes: what it is (u8), its whole length (u16), the segment (u8) and the security id
(u32). Segment and id together are an instrument's token, `1|1333`.

    code       what                        size   beside the last price
    2          ticker                        16   time of the last trade
    4          quote                         50   quantities, average, volume, day's figures
    5          open interest                 12   a packet of its own in mode quote
    6          previous close                16   a packet of its own, sent after every subscription
    7          market status                  8   without content
    8          full                         162   quote, open interest and five levels of depth
    50         disconnect                    10   the reason

Prices are 32-bit floats in rupees; from 131,072 rupees on their spacing exceeds a paisa, so each snaps to the tick of
its instrument. Sources: the vendor's page "Live Market Feed" (v2) and its package dhanhq 2.3.0.
"""

import struct
from collections.abc import Mapping
from itertools import chain
from typing import Any

import msgspec

from feeds.brokers.source import Alive, Bad, Event, Rejected, TokenExpired
from feeds.feed import Update
from feeds.instruments import Instrument, Kind
from schemas.market import PRICE_SCALE, Depth, Figures, Tick

_TICKER, _QUOTE, _INTEREST, _CLOSE, _STATUS, _FULL, _DISCONNECT = 2, 4, 5, 6, 7, 8, 50
_HEADER = struct.Struct("<BHBI")
_LAYOUTS = {
    _TICKER: struct.Struct("<8xfI"),
    _QUOTE: struct.Struct("<8xfHIfIIIffff"),
    _INTEREST: struct.Struct("<8xI"),
    _CLOSE: struct.Struct("<8xfI"),
    _STATUS: struct.Struct("<8x"),
    _FULL: struct.Struct("<8xfHIfIIIIIIffff" + "IIHHff" * 5),
    _DISCONNECT: struct.Struct("<8xH"),
}

_REASONS = {
    805: "too many connections, or requests too fast",
    806: "the account has no subscription to Dhan's data",
    807: "the access token has expired",
    808: "the client id or the access token is wrong",
    809: "the access token is not valid",
    810: "the client id is not valid",
}
_CREDENTIALS = frozenset({807, 808, 809, 810})

_Fields = tuple[Any, ...]
"""What a struct holds: integers and floats, by its layout."""

_NO_HEADER = (0, 0, 0, 0)

_PAISA = PRICE_SCALE // 100
_PAISA_TOLD_BELOW = float(1 << 17)
_IST_MS = 19_800_000
_HOUR_MS = 3_600_000
_QUANTITY_WRAPS = 1 << 16


class PriceGrid(dict[float, int]):
    """From an instrument's decimal prices to the integers of its tick, each worked out once: the same few recur.

    Raises ValueError for what can't be a price: not a number, infinite, beyond a thousand million.
    """

    __slots__ = ("_tick",)

    def __init__(self, tick: int) -> None:
        super().__init__()
        self._tick = tick

    def __missing__(self, price: float) -> int:
        if not -1e9 < price < 1e9:  # also refuses NaN
            raise ValueError(f"{price} is no price")
        if len(self) >= 4096:
            self.clear()
        snapped = self[price] = round(price * PRICE_SCALE / self._tick) * self._tick
        return snapped


class _NoPrice(Exception):
    """A packet whose last price is zero."""


class _Kept:
    """What is known of one instrument between its packets."""

    __slots__ = ("_finer", "close", "derivative", "instrument", "last_quantity", "open_interest", "prices", "tick",
                 "token", "volume")  # fmt: skip

    def __init__(self, token: str, instrument: Instrument) -> None:
        self.token = token
        self.close: int | None = None
        self.open_interest: int | None = None
        self.volume = 0
        self.last_quantity: int | None = None
        self.tick: Tick | None = None
        self.adopt(instrument)

    def adopt(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.derivative = instrument.kind in {Kind.FUTURE, Kind.OPTION}
        finer = PriceGrid(min(instrument.tick_size, _PAISA))
        self.prices = finer if instrument.kind is Kind.INDEX else PriceGrid(instrument.tick_size)
        self._finer = finer

    def price(self, last: float) -> int:
        """The last price. Raises _NoPrice where there is none, as before an instrument's first trade."""
        price = self.prices[last]
        if not price:
            raise _NoPrice
        return price

    def between_ticks(self, price: float) -> int | None:
        """An average, or a close of the days of another tick size: to the paisa, as far as a float tells it."""
        return (self._finer if price < _PAISA_TOLD_BELOW else self.prices)[price] or None

    def again(self, received_ms: int) -> list[Tick]:
        """The last tick with what has been learnt since; none where there was none."""
        if self.tick is None:
            return []
        self.tick = msgspec.structs.replace(
            self.tick, close=self.close, open_interest=self.open_interest, time_ms=received_ms
        )
        return [self.tick]

    def traded(self, volume: int, quantity: int) -> int | None:
        """The last trade's quantity, where 16 bits can be trusted with it.

        It wraps at 65,536. A trade can't be larger than the day's volume has grown since the packet before; after a
        greater leap it is unknown until the next trade.
        """
        grown = volume - self.volume
        if grown:
            self.last_quantity = quantity if 0 < grown < _QUANTITY_WRAPS else None
            self.volume = volume
        return self.last_quantity


def filled(side: Figures) -> Figures:
    """One side of an order book without its empty levels."""
    levels = zip(side[::3], side[1::3], side[2::3], strict=True)
    return tuple(chain(*[level for level in levels if level[0] and level[1]]))


def refusal(code: int) -> Event:
    """What a disconnect packet's code means to us; unknown ones refuse for a reason that is not known."""
    reason = f"Dhan has closed the connection: {_REASONS.get(code, 'no known reason')} ({code})"
    return TokenExpired(reason) if code in _CREDENTIALS else Rejected(reason)


class Packets:
    """What one connection's packets mean.

    Previous close and open interest come in packets of their own; they are kept per instrument, go into each of its
    ticks, and give a new tick where there was one before. The quote's own `close` is today's, sent after the
    market, so it is never taken for the previous one.

    The wire tells no time but the last trade's, so a tick's `time_ms` is when it was received.
    """

    def __init__(self, listings: Mapping[str, Instrument]) -> None:
        self._listings = listings
        self._kept: dict[int, _Kept] = {}
        self._shifted = False

    def read(self, frame: bytes, received_ms: int, updates: list[Update], events: list[Event]) -> None:
        """Appends what a frame holds; its rest is lost after a packet whose length can't be."""
        at, end = 0, len(frame)
        while at < end:
            at = self._packet(frame, at, received_ms, updates, events)

    def _packet(self, frame: bytes, at: int, received_ms: int, updates: list[Update], events: list[Event]) -> int:
        """Reads the packet at an offset; answers where the next one begins."""
        end = len(frame)
        header: tuple[int, int, int, int] = _HEADER.unpack_from(frame, at) if end - at >= 8 else _NO_HEADER
        code, length, segment, security = header
        if not 8 <= length <= end - at:
            events.append(Bad("truncated"))
            return len(frame)
        layout = _LAYOUTS.get(code)
        if layout is None or layout.size != length:
            events.append(Bad("unknown_code" if layout is None else "unknown_length"))
        elif code == _DISCONNECT:
            events.append(refusal(*layout.unpack_from(frame, at)))
        elif code == _STATUS:
            events.append(Alive())
        elif (kept := self._find(segment, security)) is None:
            events.append(Bad("unknown_token"))
        else:
            try:
                self._read(code, kept, layout.unpack_from(frame, at), received_ms, updates)
            except _NoPrice:
                events.append(Bad("no_price"))
            except ValueError:  # the grid's: one of its prices can't be
                events.append(Bad("impossible_price"))
        return at + length

    def _find(self, segment: int, security: int) -> _Kept | None:
        key = security << 8 | segment
        kept = self._kept.get(key)
        token = f"{segment}|{security}" if kept is None else kept.token
        instrument = self._listings.get(token)
        if instrument is None:
            return None
        if kept is None or kept.instrument is not instrument:
            kept = self._kept[key] = _renewed(kept, token, instrument)
        return kept

    def _read(self, code: int, kept: _Kept, fields: _Fields, received_ms: int, updates: list[Update]) -> None:
        """Appends what one packet says. Raises ValueError where a price can't be, _NoPrice where there is none."""
        if code == _FULL:
            self._full(kept, fields, received_ms, updates)
        elif code == _QUOTE:
            updates.append(self._quote(kept, fields, received_ms))
        elif code == _TICKER:
            updates.append(self._ticker(kept, fields, received_ms))
        else:
            if code == _CLOSE:
                kept.close = kept.between_ticks(fields[0])
            else:
                kept.open_interest = fields[0]
            updates += kept.again(received_ms)

    def _ticker(self, kept: _Kept, fields: _Fields, received_ms: int) -> Tick:
        instrument = kept.instrument
        kept.tick = Tick(
            instrument.exchange,
            instrument.symbol,
            kept.price(fields[0]),
            received_ms,
            close=kept.close,
            open_interest=kept.open_interest,
            last_trade_ms=self._trade_ms(fields[1], received_ms),
        )
        return kept.tick

    def _quote(self, kept: _Kept, fields: _Fields, received_ms: int) -> Tick:
        last, quantity, trade_s, average, volume, sell, buy, opened, _, high, low = fields
        instrument, prices = kept.instrument, kept.prices
        kept.tick = Tick(
            instrument.exchange,
            instrument.symbol,
            kept.price(last),
            received_ms,
            None,
            prices[opened] or None,
            prices[high] or None,
            prices[low] or None,
            kept.close,
            volume,
            average_price=kept.between_ticks(average),
            total_buy_quantity=buy,
            total_sell_quantity=sell,
            open_interest=kept.open_interest,
            last_quantity=kept.traded(volume, quantity),
            last_trade_ms=self._trade_ms(trade_s, received_ms),
        )
        return kept.tick

    def _full(self, kept: _Kept, fields: _Fields, received_ms: int, updates: list[Update]) -> None:
        # Without a loop over the levels, and without objects for them: either would double what a packet costs.
        # fmt: off
        (
            last, quantity, trade_s, average, volume, sell, buy, interest, most, least, opened, _, high, low,
            bq0, aq0, bn0, an0, bp0, ap0, bq1, aq1, bn1, an1, bp1, ap1, bq2, aq2, bn2, an2, bp2, ap2,
            bq3, aq3, bn3, an3, bp3, ap3, bq4, aq4, bn4, an4, bp4, ap4,
        ) = fields
        prices, instrument = kept.prices, kept.instrument
        exchange, symbol = instrument.exchange, instrument.symbol
        bid, ask, bid_quantity, ask_quantity = prices[bp0], prices[ap0], bq0, aq0
        bids: Figures = (bid, bq0, bn0, prices[bp1], bq1, bn1, prices[bp2], bq2, bn2,
                         prices[bp3], bq3, bn3, prices[bp4], bq4, bn4)
        asks: Figures = (ask, aq0, an0, prices[ap1], aq1, an1, prices[ap2], aq2, an2,
                         prices[ap3], aq3, an3, prices[ap4], aq4, an4)
        if not (bq0 and bp0 and bq1 and bp1 and bq2 and bp2 and bq3 and bp3 and bq4 and bp4
                and aq0 and ap0 and aq1 and ap1 and aq2 and ap2 and aq3 and ap3 and aq4 and ap4):
            bids, asks = filled(bids), filled(asks)
            bid, bid_quantity = bids[:2] or (0, 0)
            ask, ask_quantity = asks[:2] or (0, 0)
        updates.append(Depth(exchange, symbol, received_ms, bids, asks))  # even before the day's first trade
        if kept.derivative:
            kept.open_interest = interest
        else:
            least = most = None
        if not (price := prices[last]):
            raise _NoPrice
        kept.tick = tick = Tick(
            exchange, symbol, price, received_ms, None, prices[opened] or None, prices[high] or None,
            prices[low] or None, kept.close, volume, bid or None, ask or None, bid_quantity, ask_quantity,
            kept.traded(volume, quantity), kept.between_ticks(average), buy, sell, kept.open_interest, None, None,
            None, None, least, most, self._trade_ms(trade_s, received_ms),
        )
        updates.append(tick)
        # fmt: on

    def _trade_ms(self, seconds: int, received_ms: int) -> int | None:
        """The last trade's time, in Unix milliseconds; None where it can't be.

        Dhan is said to count seconds as though Indian clock time were UTC, 19,800 s too many; its pages don't tell.
        One live trade decides it: its time would lie in the future by five and a half hours, which only the shift
        explains. From then on the connection subtracts it from every time. Before that a time stays as it is, as
        what lies in the past may mean either.
        """
        if not seconds:
            return None
        ahead_ms = seconds * 1000 - received_ms
        if _HOUR_MS < ahead_ms < _IST_MS + _HOUR_MS:
            self._shifted = True
        if self._shifted:
            ahead_ms -= _IST_MS
        return received_ms + ahead_ms if ahead_ms < _HOUR_MS else None


def _renewed(kept: _Kept | None, token: str, instrument: Instrument) -> _Kept:
    """A fresh master brings new objects for the same instruments; only a token that changed hands starts anew."""
    if kept is None or (kept.instrument.exchange, kept.instrument.symbol) != (instrument.exchange, instrument.symbol):
        return _Kept(token, instrument)
    kept.adopt(instrument)
    return kept
