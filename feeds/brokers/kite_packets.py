"""Kite's binary frames: packets of last prices, quotes, indices and full quotes with five levels of depth.

A frame is a u16 count, then as many packets, each after its own u16 length; all integers are big-endian. A packet
says its kind by its length alone:

    bytes   packet                    fields, from offset 0
    8       last price                token, last
    28      index, quote              token, last, high, low, open, close, change
    32      index, full               the same, exchange time
    44      quote                     token, last, last quantity, average, volume, total buy and sell quantity,
                                      open, high, low, close
    184     full                      the same, last trade time, open interest, its day's high and low, exchange time,
                                      then 5 bids and 5 offers of 12 bytes: quantity, price, u16 orders, 2 unused

Tokens, quantities and times (Unix seconds, 0: none) are u32; prices are i32, as prices below zero have happened. What a
price is worth depends on the token's segment. `close` is the previous session's. The change of an index is what last
and close say already. Format: the page "WebSocket streaming" of Kite Connect 3 and the vendor's own clients, of which
those before September 2026 have the wrong divisor for the NSE's commodities.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain, dropwhile
from struct import Struct
from typing import ClassVar

from feeds.feed import Update
from feeds.instruments import Instrument
from schemas.market import PRICE_SCALE, Depth, Figures, Tick

# Each packet with the length before it, so that equal ones in a row are read by one iterator.
_LTP = Struct(">HIi")
_INDEX_QUOTE = Struct(">HI5i4x")
_INDEX_FULL = Struct(">HI5i4xI")
_QUOTE = Struct(">HIiIiIII4i")
_FULL = Struct(">HIiIiIII4i5I" + "IiHxx" * 10)

_NSE, _CDS, _BSE, _BCD, _INDICES, _NCO = 1, 3, 4, 6, 9, 12
_DIVISORS = {_CDS: 10_000_000, _BCD: 10_000, _NCO: 10_000}
_SEGMENTS = tuple(
    (PRICE_SCALE // _DIVISORS.get(segment, 100), segment not in {_NSE, _BSE, _INDICES}) for segment in range(256)
)
"""By a token's lowest byte: what makes an internal price of the wire's; whether there is open interest, or zeros."""

_MOST_IN_A_RUN = 64
"""Bounds what a frame of packets that differ costs to look through."""


class _Texts(dict[int, str]):
    """A token's digits, as listings have it; the latest ones are kept, at most so many."""

    MOST = 10_000

    def __missing__(self, token: int) -> str:
        if len(self) >= self.MOST:
            self.clear()
        text = self[token] = str(token)
        return text


class Packets:
    """Decodes the binary frames of one connection. `listings` is asked for each packet anew."""

    def __init__(self, listings: Mapping[str, Instrument]) -> None:
        self._find = listings.get
        self._texts = _Texts()
        self._updates: list[Update] = []
        self._bad: dict[str, int] = {}

    def decode(self, frame: bytes, received_ms: int) -> tuple[list[Update], dict[str, int]]:
        """The updates of a frame of two bytes or more, and how many of its packets were no good, by reason.

        A packet that ends too early ends the frame (`truncated`), those before it stand; what follows the last packet
        is `too_long`. About 0.6 µs a quote, and 1.7 µs a full packet, which gives a tick and a depth.
        """
        self._updates, self._bad = [], {}
        left = frame[0] << 8 | frame[1]
        at, size = 2, len(frame)
        while left:
            step = 2 + (frame[at] << 8 | frame[at + 1]) if at + 2 <= size else size
            if at + step > size:
                self._refuse("truncated")
                return self._updates, self._bad
            run, count = _run(frame, at, step, left)
            if read := self._READERS.get(step):
                read(self, run, received_ms)
            else:
                self._refuse("unknown_length", count)
            at += len(run)
            left -= count
        if at < size:
            self._refuse("too_long")
        return self._updates, self._bad

    def _refuse(self, reason: str, count: int = 1) -> None:
        self._bad[reason] = self._bad.get(reason, 0) + count

    def _ltp(self, run: bytes, received_ms: int) -> None:
        find, texts, append = self._find, self._texts, self._updates.append
        for _, token, price in _LTP.iter_unpack(run):
            instrument = find(texts[token])
            if instrument is None or not price:
                self._refuse(_fault(instrument))
                continue
            append(Tick(instrument.exchange, instrument.symbol, price * _SEGMENTS[token & 0xFF][0], received_ms))

    def _index_quote(self, run: bytes, received_ms: int) -> None:
        for _, *fields in _INDEX_QUOTE.iter_unpack(run):
            self._index(fields, received_ms)

    def _index_full(self, run: bytes, received_ms: int) -> None:
        for _, *fields, exchange_s in _INDEX_FULL.iter_unpack(run):
            self._index(fields, exchange_s * 1000 or received_ms)

    def _index(self, fields: Sequence[int], time_ms: int) -> None:
        token, price, high, low, opened, close = fields
        instrument = self._find(self._texts[token])
        if instrument is None or not price:
            self._refuse(_fault(instrument))
            return
        factor, _ = _SEGMENTS[token & 0xFF]
        # fmt: off
        self._updates.append(Tick(
            instrument.exchange, instrument.symbol, price * factor, time_ms, None,
            opened * factor or None, high * factor or None, low * factor or None, close * factor or None,
        ))
        # fmt: on

    def _quote(self, run: bytes, received_ms: int) -> None:
        find, texts, append = self._find, self._texts, self._updates.append
        # fmt: off
        for (
            _, token, price, last_quantity, average, volume, buy, sell, opened, high, low, close,
        ) in _QUOTE.iter_unpack(run):
            instrument = find(texts[token])
            if instrument is None or not price:
                self._refuse(_fault(instrument))
                continue
            factor, _ = _SEGMENTS[token & 0xFF]
            append(Tick(
                instrument.exchange, instrument.symbol, price * factor, received_ms, None,
                opened * factor or None, high * factor or None, low * factor or None, close * factor or None, volume,
                None, None, None, None, last_quantity, average * factor or None, buy, sell,
            ))
        # fmt: on

    def _full(self, run: bytes, received_ms: int) -> None:
        find, texts, updates = self._find, self._texts, self._updates
        # fmt: off
        for (
            _, token, price, last_quantity, average, volume, buy, sell, opened, high, low, close,
            last_trade_s, interest, interest_high, interest_low, exchange_s,
            bq0, bp0, bn0, bq1, bp1, bn1, bq2, bp2, bn2, bq3, bp3, bn3, bq4, bp4, bn4,
            aq0, ap0, an0, aq1, ap1, an1, aq2, ap2, an2, aq3, ap3, an3, aq4, ap4, an4,
        ) in _FULL.iter_unpack(run):
            instrument = find(texts[token])
            if instrument is None or not price:
                self._refuse(_fault(instrument))
                continue
            exchange, symbol = instrument.exchange, instrument.symbol
            factor, has_interest = _SEGMENTS[token & 0xFF]
            time_ms = exchange_s * 1000 or received_ms
            bid, ask, bid_quantity, ask_quantity = bp0 * factor, ap0 * factor, bq0, aq0
            bids: Figures = (bid, bq0, bn0, bp1 * factor, bq1, bn1, bp2 * factor, bq2, bn2,
                             bp3 * factor, bq3, bn3, bp4 * factor, bq4, bn4)
            asks: Figures = (ask, aq0, an0, ap1 * factor, aq1, an1, ap2 * factor, aq2, an2,
                             ap3 * factor, aq3, an3, ap4 * factor, aq4, an4)
            if not (bq0 and bp0 and bq1 and bq2 and bq3 and bq4 and aq0 and ap0 and aq1 and aq2 and aq3 and aq4):
                bids, bid, bid_quantity = _filled(bids)
                asks, ask, ask_quantity = _filled(asks)
            updates += (
                Tick(
                    exchange, symbol, price * factor, time_ms, None, opened * factor or None, high * factor or None,
                    low * factor or None, close * factor or None, volume, bid, ask, bid_quantity, ask_quantity,
                    last_quantity, average * factor or None, buy, sell, interest if has_interest else None, None, None,
                    None, None, interest_low or None, interest_high or None, last_trade_s * 1000 or None,
                ),
                Depth(exchange, symbol, time_ms, bids, asks),
            )
        # fmt: on

    _READERS: ClassVar[dict[int, Callable[["Packets", bytes, int], None]]] = {
        _LTP.size: _ltp,
        _INDEX_QUOTE.size: _index_quote,
        _INDEX_FULL.size: _index_full,
        _QUOTE.size: _quote,
        _FULL.size: _full,
    }
    """By a packet's size with its length; what they read is one such packet or several."""


def _run(frame: bytes, at: int, step: int, left: int) -> tuple[bytes, int]:
    """The packet at an offset with those of its length that follow, and how many they are; at least that one."""
    end = at + step
    if left == 1 or frame[end : end + 2] != frame[at : at + 2]:
        return frame[at:end], 1
    packets = frame[at : at + step * min(left, _MOST_IN_A_RUN, (len(frame) - at) // step)]
    highs, lows = packets[::step], packets[1::step]
    same_high = len(highs) - len(highs.lstrip(highs[:1]))
    same_low = len(lows) - len(lows.lstrip(lows[:1]))
    count = min(same_high, same_low)
    return packets[: count * step], count


def _fault(instrument: Instrument | None) -> str:
    return "unknown_token" if instrument is None else "no_price"


def _filled(side: Figures) -> tuple[Figures, int | None, int | None]:
    """A side of the book as far as it is filled, and price and quantity of its best level.

    What has no quantity is left out, and at the top of the book what has no price: orders at market stand there.
    """
    levels = zip(side[::3], side[1::3], side[2::3], strict=True)
    filled = tuple(chain(*dropwhile(lambda level: not level[0], (level for level in levels if level[1]))))
    return (filled, filled[0], filled[1]) if filled else ((), None, None)
