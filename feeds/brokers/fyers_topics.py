"""Fyers' data frames: topics, of which a snapshot tells the name and every value and an update what has changed.

After the frame's length and type come the frame's number (u32 at 3) and how many records there are (u16 at 7), then
the records, one of

    83      snapshot: topic u16, name (u8 length, text), values (u8 count, i32 each), 2 unused bytes, multiplier u16,
            precision u8, three texts (u8 length each): exchange, token, symbol
    85      update: topic u16, values (u8 count, i32 each)
    76      last price: topic u16, i32

A price is its value / (10^precision x multiplier), and -2147483648 a value that has not changed, or isn't known. What
a topic's number means holds for one connection only; so an update before its snapshot is no good, whatever another
connection has told. Source: fyers-apiv3 3.2.0, `data_ws.py` and `map.json`.
"""

import struct
from collections.abc import Collection, Mapping, Sequence
from itertools import chain

from feeds.brokers.source import Bad, Event
from feeds.feed import Update
from feeds.instruments import Instrument
from schemas.market import PRICE_SCALE, Depth, Figures, Tick

_SNAPSHOT, _UPDATE, _LAST = 83, 85, 76
_HEAD = struct.Struct(">IH")
_TOPIC = struct.Struct(">HB")
_LAST_PRICE = struct.Struct(">Hi")
_SCALE = struct.Struct(">2xHB")
_VALUES = tuple(struct.Struct(f">{count}i") for count in range(256))

_SAME = -(1 << 31)
_PRICES, _INDEX, _DEPTH = "sf", "if", "dp"
_UNKNOWN: dict[str, tuple[int, ...]] = {
    _PRICES: (0, _SAME, 0, 0, _SAME, _SAME, 0, 0, _SAME, _SAME, _SAME, 0, _SAME, *(0,) * 8),
    _INDEX: (0,) * 6,
    _DEPTH: (0,) * 30,
}
"""A topic's values by kind before any is told: prices and times are 0, as the wire has them where there are none."""


class _Topic:
    """One topic: whose it is, what its values stand for, and what they were last."""

    __slots__ = ("kind", "name", "symbol", "token", "unit", "values")

    def __init__(self, name: str, unit: int, values: Sequence[int]) -> None:
        self.name = name
        self.kind, _, self.token = name.partition("|")
        self.symbol = ""
        """Whose it is in the hub, once told; a token that changes hands needs a new snapshot."""
        self.unit = unit
        self.values = list(_UNKNOWN[self.kind])
        self.merge(values)

    def merge(self, values: Sequence[int]) -> None:
        known = self.values
        for place, value in enumerate(values):
            if value != _SAME:
                known[place] = value


class _Garbled(Exception):
    """A record that says of itself what can't be; those after it can't be found."""


class Topics:
    """What the topics of one connection are and were last."""

    def __init__(self, listings: Mapping[str, Instrument]) -> None:
        self._listings = listings
        self._topics: dict[int, _Topic] = {}

    def forget(self, names: Collection[str]) -> None:
        """Ends topics by name: whatever is still under way for them is no good."""
        gone = frozenset(names)
        self._topics = {number: topic for number, topic in self._topics.items() if topic.name not in gone}

    def read(self, frame: bytes, received_ms: int, updates: list[Update], events: list[Event]) -> None:
        """Appends what the records of a data frame say; after a garbled one the rest of the frame is left."""
        at = 9
        try:
            for _ in range(_HEAD.unpack_from(frame, 3)[1]):
                topic, at = self._record(frame, at)
                update = topic if isinstance(topic, Bad) else self._tell(topic, received_ms)
                if isinstance(update, Bad):
                    events.append(update)
                else:
                    updates.append(update)
        except (struct.error, IndexError):
            events.append(Bad("truncated"))
        except _Garbled:
            events.append(Bad("unknown_record"))
        else:
            if at != len(frame):
                events.append(Bad("too_long"))

    def _tell(self, topic: _Topic, received_ms: int) -> Update | Bad:
        instrument = self._listings.get(topic.token)
        if instrument is None:
            return Bad("unknown_token")
        if topic.symbol != instrument.symbol:
            if topic.symbol:
                return Bad("unknown_topic")
            topic.symbol = instrument.symbol
        return _READERS[topic.kind](topic, instrument, received_ms) or Bad("no_price")

    def _record(self, frame: bytes, at: int) -> tuple[_Topic | Bad, int]:
        """The topic that the record at an offset has brought up to date, and where the next one begins."""
        kind = frame[at]
        if kind == _UPDATE:
            number, count = _TOPIC.unpack_from(frame, at + 1)
            values = _VALUES[count].unpack_from(frame, at + 4)
            return self._update(number, values), at + 4 + 4 * count
        if kind == _SNAPSHOT:
            return self._snapshot(frame, at + 1)
        if kind == _LAST:
            number, price = _LAST_PRICE.unpack_from(frame, at + 1)
            return self._update(number, (price,)), at + 7
        raise _Garbled

    def _update(self, number: int, values: Sequence[int]) -> _Topic | Bad:
        topic = self._topics.get(number)
        if topic is None:
            return Bad("unknown_topic")
        if len(values) > len(topic.values):
            return Bad("unknown_length")
        topic.merge(values)
        return topic

    def _snapshot(self, frame: bytes, at: int) -> tuple[_Topic | Bad, int]:
        number, size = _TOPIC.unpack_from(frame, at)
        self._topics.pop(number, None)  # whatever the number has meant, it does no longer
        at += 3 + size
        name = frame[at - size : at].decode("ascii", "replace")
        count = frame[at]
        values = _VALUES[count].unpack_from(frame, at + 1)
        at += 1 + 4 * count
        multiplier, precision = _SCALE.unpack_from(frame, at)
        at += 5
        for _ in range(3):
            at += 1 + frame[at]
        if at > len(frame):
            raise IndexError(at)
        unit, left = divmod(PRICE_SCALE, 10**precision * multiplier) if multiplier and precision < 10 else (0, 1)
        if left:
            return Bad("unknown_scale"), at
        if count > len(_UNKNOWN.get(name[:2], ())) or name[2:3] != "|":
            return Bad("unknown_topic"), at
        topic = self._topics[number] = _Topic(name, unit, values)
        return topic, at


def _prices(topic: _Topic, instrument: Instrument, received_ms: int) -> Tick | None:
    (
        last, volume, trade_s, exchange_s, bid_quantity, ask_quantity, bid, ask, quantity, buy, sell, average,
        interest, low, high, year_high, year_low, lower, upper, opened, close,
    ) = topic.values  # fmt: skip
    if not last:
        return None
    unit = topic.unit
    # The vendor's own client shows none of these four; so only where they make sense beside the price.
    if not 0 < lower <= last <= upper:
        lower = upper = 0
    if not 0 < year_low <= min(year_high, 2 * last) or last > 2 * year_high:  # today's may lie beyond either
        year_low = year_high = 0
    return Tick(
        instrument.exchange,
        instrument.symbol,
        last * unit,
        exchange_s * 1000 if exchange_s > 0 else received_ms,
        None,
        opened * unit or None,
        high * unit or None,
        low * unit or None,
        close * unit or None,
        volume if volume >= 0 else None,
        bid * unit or None,
        ask * unit or None,
        bid_quantity if bid_quantity >= 0 else None,
        ask_quantity if ask_quantity >= 0 else None,
        quantity if quantity >= 0 else None,
        average * unit or None,
        buy if buy >= 0 else None,
        sell if sell >= 0 else None,
        interest if interest > 0 else None,
        lower * unit or None,
        upper * unit or None,
        year_low * unit or None,
        year_high * unit or None,
        None,
        None,
        trade_s * 1000 if trade_s > 0 else None,
    )


def _index(topic: _Topic, instrument: Instrument, received_ms: int) -> Tick | None:
    last, close, exchange_s, high, low, opened = topic.values
    if not last:
        return None
    unit = topic.unit
    return Tick(
        instrument.exchange,
        instrument.symbol,
        last * unit,
        exchange_s * 1000 if exchange_s > 0 else received_ms,
        None,
        opened * unit or None,
        high * unit or None,
        low * unit or None,
        close * unit or None,
    )


def _depth(topic: _Topic, instrument: Instrument, received_ms: int) -> Depth:
    """Five bids and five asks: prices of both, then quantities of both, then numbers of orders of both."""
    values = topic.values
    return Depth(
        instrument.exchange,
        instrument.symbol,
        received_ms,
        _side(topic.unit, values[0:5], values[10:15], values[20:25]),
        _side(topic.unit, values[5:10], values[15:20], values[25:30]),
    )


def _side(unit: int, prices: Sequence[int], quantities: Sequence[int], orders: Sequence[int]) -> Figures:
    levels = zip(prices, quantities, orders, strict=True)
    filled = [(price * unit, size, max(count, 0)) for price, size, count in levels if price > 0 and size > 0]
    return tuple(chain(*filled))


_READERS = {_PRICES: _prices, _INDEX: _index, _DEPTH: _depth}
