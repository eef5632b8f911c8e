"""Angel's binary packets: last prices, quotes, snapshots with five levels of depth, and depth of twenty levels.

A frame is one packet, or several one after another. All integers are little-endian; the first byte says the kind,
and with it the length:

    mode  bytes  fields, from offset 0
    1     51     mode, exchange type, token of 25 bytes padded with NUL, sequence number, exchange time, last price
    2     123    the same, last quantity, average price, volume, total buy and sell quantity (doubles), open, high,
                 low, close
    3     379    the same, last trade time (seconds), open interest, 8 bytes without meaning, ten levels of 20 bytes
                 (u16 flag: 1 bid, 0 offer; quantity, price, u16 orders), upper and lower circuit, the year's high
                 and low
    4     443    mode, exchange type, token, 8 bytes, time of receipt, then twenty bids and twenty offers of 10 bytes:
                 i32 quantity, i32 price, i16 orders

What isn't said otherwise is an i64, times are Unix milliseconds, prices paise, in currencies 1e-7 rupee. `close` is
the previous session's. Format: the page "WebSocket Streaming 2.0" of SmartAPI and the vendor's Python package 1.5.5,
whose names for the flag are the wrong way round until it swaps them at the end.

No price and no quantity here is below zero. A packet with one is `impossible` as a whole, as its fields may be
anywhere; and so is one with a number beyond all reason.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from itertools import chain
from struct import Struct

from feeds.feed import Update
from feeds.instruments import Instrument, Kind
from schemas.market import PRICE_SCALE, Depth, Figures, Tick

_LTP_MODE, _QUOTE_MODE, _SNAP_MODE, _DEPTH_MODE = 1, 2, 3, 4
_SEQUENCE_AT, _TIME_AT, _PRICE_AT, _LEVELS_AT, _LIMITS_AT = 27, 35, 43, 147, 347
_LAYOUTS = {
    _LTP_MODE: "QQ",
    _QUOTE_MODE: "QQQQQddQQQQ",
    _SNAP_MODE: "QQQQQddQQQQQQxxxxxxxx" + "HQQH" * 10 + "QQQQ",
    _DEPTH_MODE: "Q" + "IIh" * 40,
}
"""The fields of each mode from the time on. Integers are read as unsigned: `_TOP_BITS` has seen to their signs."""

_SIZES = {mode: _TIME_AT + Struct("<" + layout).size for mode, layout in _LAYOUTS.items()}
_START = Struct("<QQQ")
"""Sequence number, time and last price, which lie side by side."""
_QUOTE = Struct("<QQQQddQQQQ")
_SNAP = Struct("<QQQQddQQQQQQ")
_FIVE = Struct("<" + "HQQH" * 5)
_LIMITS = Struct("<QQQQ")
_DEPTH = Struct("<" + "IIh" * 40)
"""Parts of packets; the first two and the last one from the price's place on."""

_TOP: dict[str, int] = {"Q": 2**64 - 2**45, "I": 2**31, "h": -(2**15), "H": 0, "d": 0}
"""The bits that no number of its type has: the sign's, and of an i64 all from 2^45 on, 35 trillion paise or shares,
with which a price still is an i64 in 1/PRICE_SCALE."""


def _top_bits(layout: str) -> int:
    """The bits that must be zero, as one integer over the bytes of that layout."""
    bits = Struct("<" + layout).pack(*[_TOP[code] for code in layout if code != "x"])
    return int.from_bytes(bits, "little")


_TOP_BITS = {mode: _top_bits(layout) for mode, layout in _LAYOUTS.items()}

_CDE_FO = 13
_FACTORS = tuple(1 if exchange_type == _CDE_FO else PRICE_SCALE // 100 for exchange_type in range(256))
"""By exchange type: what makes an internal price of the wire's."""

_MOST = 2**62
"""No total quantity, which is a double, is larger."""
_EARLIEST_MS, _LATEST_MS = 946_684_800_000, 4_102_444_800_000
"""The years 2000 to 2099."""
_WITH_INTEREST = frozenset({Kind.FUTURE, Kind.OPTION})
_INDEX = Kind.INDEX  # through the class it takes 0.1 µs

_Read = Callable[[Instrument, int, bytes, int, int], tuple[Update, ...]]
"""What the packet at an offset holds, with its factor for prices and its time. Raises ValueError
where a number can't be."""


class PacketReader:
    """Reads the packets of one connection. It remembers how far each instrument is, to leave out what comes again.

    Each mode counts for itself: a snapshot in another mode repeats nothing. Indices have no meaningful sequence
    numbers; and a number that falls while the time goes on is an exchange that has begun to count anew.
    """

    def __init__(self, listings: Mapping[str, Instrument]) -> None:
        self._listings = listings
        self._newest: dict[tuple[int, str], tuple[int, int]] = {}

    def read(self, frame: bytes, received_ms: int) -> tuple[list[Update], dict[str, int]]:
        """The updates of a binary frame, and how many of its packets were no good, by reason.

        A packet of unknown length ends the frame, as nobody knows where the next one begins; those before it stand.
        About 4 µs a snapshot, which gives a tick and a depth.
        """
        updates: list[Update] = []
        bad: dict[str, int] = {} if frame else {"truncated": 1}
        at, size = 0, len(frame)
        while at < size:
            mode = frame[at]
            if mode not in _SIZES:
                bad["unknown_length"] = 1
                break
            end = at + _SIZES[mode]
            if end > size:
                bad["truncated"] = 1
                break
            try:
                reason = self._packet(frame, at, received_ms, updates)
            except ValueError:
                reason = "impossible"
            if reason:
                bad[reason] = bad.get(reason, 0) + 1
            at = end
        return updates, bad

    def _packet(self, frame: bytes, at: int, received_ms: int, updates: list[Update]) -> str:
        """Append what the packet holds; answer why it is of no use, or nothing. Raises as `_Read`."""
        mode, exchange_type = frame[at], frame[at + 1]
        token = _token(frame[at + 1 : at + _SEQUENCE_AT])
        instrument = self._listings.get(token)
        if instrument is None:
            return "unknown_token"
        if int.from_bytes(frame[at + _TIME_AT : at + _SIZES[mode]], "little") & _TOP_BITS[mode]:
            raise ValueError("a number that no price and no quantity can be")
        sequence, time_ms, price = _START.unpack_from(frame, at + _SEQUENCE_AT)
        time_ms = time_ms or received_ms
        if not _EARLIEST_MS <= time_ms < _LATEST_MS:
            return "bad_time"
        if mode == _DEPTH_MODE:
            updates += _depth(instrument, _FACTORS[exchange_type], frame, at, time_ms)
            return ""
        if not price:
            return "no_price"
        if instrument.kind is not _INDEX and (reason := self._repeats(mode, token, sequence, time_ms)):
            return reason
        updates += _READERS[mode](instrument, _FACTORS[exchange_type], frame, at, time_ms)
        return ""

    def _repeats(self, mode: int, token: str, sequence: int, time_ms: int) -> str:
        """Why a packet brings nothing new; one that does is the newest from now on."""
        newest = self._newest.get((mode, token))
        if newest and sequence and sequence <= newest[0] and time_ms <= newest[1]:
            return "duplicate" if newest == (sequence, time_ms) else "out_of_order"
        self._newest[mode, token] = (sequence, time_ms)
        return ""


@lru_cache(maxsize=16_384)
def _token(head: bytes) -> str:
    """A token as the hub writes it, `1|2885`, of exchange type and padded token: the first NUL ends it."""
    text = head[1:].partition(b"\0")[0].decode("latin-1")
    return f"{head[0]}|{text}"


# -- the kinds of packets ------------------------------------------------------------------------------------------


def _ltp(instrument: Instrument, factor: int, frame: bytes, at: int, time_ms: int) -> tuple[Update, ...]:
    price = int.from_bytes(frame[at + _PRICE_AT : at + _SIZES[_LTP_MODE]], "little")
    return (Tick(instrument.exchange, instrument.symbol, price * factor, time_ms),)


def _quote(instrument: Instrument, factor: int, frame: bytes, at: int, time_ms: int) -> tuple[Update, ...]:
    fields = _QUOTE.unpack_from(frame, at + _PRICE_AT)
    price, last_quantity, average, volume, buy, sell, opened, high, low, close = fields
    traded = instrument.kind is not _INDEX
    return (
        Tick(
            instrument.exchange,
            instrument.symbol,
            price * factor,
            time_ms,
            None,
            opened * factor or None,
            high * factor or None,
            low * factor or None,
            close * factor or None,
            volume if traded else None,
            None,
            None,
            None,
            None,
            last_quantity or None,
            average * factor or None,
            _quantity(buy) if traded else None,
            _quantity(sell) if traded else None,
        ),
    )


def _snap(instrument: Instrument, factor: int, frame: bytes, at: int, time_ms: int) -> tuple[Update, ...]:
    fields = _SNAP.unpack_from(frame, at + _PRICE_AT)
    price, last_quantity, average, volume, buy, sell, opened, high, low, close, last_trade_s, interest = fields
    upper, lower, year_high, year_low = _LIMITS.unpack_from(frame, at + _LIMITS_AT)
    exchange, symbol = instrument.exchange, instrument.symbol
    traded = instrument.kind is not _INDEX
    bids, asks = _levels(frame, at + _LEVELS_AT, factor)
    bid, bid_quantity = bids[:2] or (None, None)
    ask, ask_quantity = asks[:2] or (None, None)
    tick = Tick(
        exchange,
        symbol,
        price * factor,
        time_ms,
        None,
        opened * factor or None,
        high * factor or None,
        low * factor or None,
        close * factor or None,
        volume if traded else None,
        bid,
        ask,
        bid_quantity,
        ask_quantity,
        last_quantity or None,
        average * factor or None,
        _quantity(buy) if traded else None,
        _quantity(sell) if traded else None,
        interest if instrument.kind in _WITH_INTEREST else None,
        lower * factor or None,
        upper * factor or None,
        year_low * factor or None,
        year_high * factor or None,
        None,
        None,
        last_trade_s * 1000 if _EARLIEST_MS <= last_trade_s * 1000 < _LATEST_MS else None,
    )
    # An index has no book.
    return (tick, Depth(exchange, symbol, time_ms, bids, asks)) if traded else (tick,)


def _depth(instrument: Instrument, factor: int, frame: bytes, at: int, time_ms: int) -> tuple[Update, ...]:
    fields = _DEPTH.unpack_from(frame, at + _PRICE_AT)
    rows = list(zip(fields[1::3], fields[::3], fields[2::3], strict=True))
    bids, asks = (_filled(side, factor) for side in (rows[:20], rows[20:]))
    return (Depth(instrument.exchange, instrument.symbol, time_ms, bids, asks),)


_READERS: dict[int, _Read] = {_LTP_MODE: _ltp, _QUOTE_MODE: _quote, _SNAP_MODE: _snap}


# -- parts of a packet ---------------------------------------------------------------------------------------------


def _quantity(value: float) -> int:
    if 0 <= value <= _MOST:  # also false for a NaN
        return int(value)
    raise ValueError("a double that is no quantity")


def _levels(frame: bytes, at: int, factor: int) -> tuple[Figures, Figures]:
    """Ten levels as bids and offers, by their flags; the vendor sends the bids first."""
    first, second = _FIVE.unpack_from(frame, at), _FIVE.unpack_from(frame, at + _FIVE.size)
    bids, asks = _side(first, factor, 1), _side(second, factor, 0)
    if bids is not None and asks is not None:
        return bids, asks
    return _sorted(first + second, factor)


def _side(fields: tuple[int, ...], factor: int, flag: int) -> Figures | None:
    """Five levels of that side, or None where one is of the other side, or empty."""
    f0, q0, p0, n0, f1, q1, p1, n1, f2, q2, p2, n2, f3, q3, p3, n3, f4, q4, p4, n4 = fields
    if not (f0 == f1 == f2 == f3 == f4 == flag and q0 and p0 and q1 and p1 and q2 and p2 and q3 and p3 and q4 and p4):
        return None
    # fmt: off
    return (p0 * factor, q0, n0, p1 * factor, q1, n1, p2 * factor, q2, n2, p3 * factor, q3, n3, p4 * factor, q4, n4)
    # fmt: on


def _sorted(fields: tuple[int, ...], factor: int) -> tuple[Figures, Figures]:
    """The slow way, for books of fewer levels: those without a price or a quantity are left out."""
    rows = list(zip(fields[::4], fields[2::4], fields[1::4], fields[3::4], strict=True))
    bids, asks = (_filled([row[1:] for row in rows if row[0] == side], factor) for side in (1, 0))
    return bids, asks


def _filled(rows: Iterable[tuple[int, ...]], factor: int) -> Figures:
    """The levels that have a price and a quantity, of wire prices, quantities and orders."""
    levels = [(price * factor, quantity, orders) for price, quantity, orders in rows if price and quantity]
    return tuple(chain(*levels))
