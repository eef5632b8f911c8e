"""Frames for the decoders' benchmark, and our decoders beside the vendors' own.

Another decoder is one more function in `CASES`, and for its SDK a line in `bench/peers/sdk_decoders.py`. Kite's frames
are made here, the others' by the packets of the tests' servers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from struct import pack

from feeds.brokers.angel import Angel
from feeds.brokers.dhan import Dhan
from feeds.brokers.kite import Kite
from feeds.brokers.source import Heard, Source
from feeds.brokers.upstox import Upstox
from feeds.instruments import Instrument
from tests.feeds.brokers import angel, dhan, upstox

_NOW_MS = 1_795_407_301_250


@dataclass(frozen=True)
class Case:
    """One kind of frame. `decode` is ours, made anew; `sdk` names the vendor's decoder, if there is one to compare."""

    title: str
    frame: bytes
    packets: int
    decode: Callable[[], Callable[[bytes], Heard]]
    sdk: str | None = None
    most_us: float | None = None
    """What a packet may cost."""
    times_faster: float | None = None
    """How much quicker than the SDK it must be."""


def kite_cases() -> list[Case]:
    """Frames of 20 packets, of derivatives with a full book."""
    return [
        Case("Kite full", _kite_frame(184), _KITE_PACKETS, _kite, "kiteconnect", most_us=2.0, times_faster=8.0),
        Case("Kite quote", _kite_frame(44), _KITE_PACKETS, _kite, "kiteconnect", most_us=1.0),
        Case("Kite last price", _kite_frame(8), _KITE_PACKETS, _kite, "kiteconnect"),
    ]


def other_cases() -> list[Case]:
    """The largest packets of other brokers, one a frame; Upstox's message holds three instruments."""
    book = [(75 * (level + 9), 150_050 - 5 * level, 12 + level) for level in range(5)]
    snap = angel.snap_packet("2|50001", 150_050, volume=12_345_675, close=149_000, bids=book, offers=book)
    rows = [(750, 500, 12, 7, 1500.5 - 0.05 * level, 1500.55 + 0.05 * level) for level in range(5)]
    full = dhan.full("2|50001", 1500.5, 1_795_407_299, ohlc=(1490.0, 1510.0, 1480.0, 1495.0), levels=rows)
    levels = [(750, 1500.5 - 0.05 * level, 500, 1500.55 + 0.05 * level) for level in range(5)]
    keys = [f"NSE_FO|{number}" for number in range(50_001, 50_004)]
    last = {"ltp": 1500.5, "cp": 1490.0, "ltq": 75}
    feed = upstox.market_feed(levels=levels, day=(1490.0, 1510.0, 1480.0, 1495.0), last=last, vtt=12_345_675)
    return [
        Case("Angel snap quote", snap, 1, lambda: _ours(Angel(), ["2|50001"])),
        Case("Dhan full", full, 1, lambda: _ours(Dhan(), ["2|50001"])),
        Case("Upstox full", upstox.message(dict.fromkeys(keys, feed)), len(keys), lambda: _ours(Upstox(), keys)),
    ]


CASES: list[Callable[[], list[Case]]] = [kite_cases, other_cases]


def _ours(source: Source, tokens: list[str]) -> Callable[[bytes], Heard]:
    """A connection that has these tokens listed."""
    listings: Mapping[str, Instrument] = {
        token: Instrument(exchange="NFO", symbol=f"SIM{number}", name="", tick_size=500_000)
        for number, token in enumerate(tokens)
    }
    conversation = source.converse({}, listings)
    return lambda frame: conversation.receive(frame, _NOW_MS)


# -- Kite -----------------------------------------------------------------------------------------------------------

_KITE_PACKETS = 20
_KITE_TOKENS = [(50_000 + number) << 8 | 2 for number in range(_KITE_PACKETS)]


def _kite() -> Callable[[bytes], Heard]:
    return _ours(Kite(), [str(token) for token in _KITE_TOKENS])


def _kite_frame(length: int) -> bytes:
    packets = [_kite_full(number, token)[:length] for number, token in enumerate(_KITE_TOKENS)]
    return pack(">H", len(packets)) + b"".join(pack(">H", length) + packet for packet in packets)


def _kite_full(number: int, token: int) -> bytes:
    price = 150_050 + 5 * number
    prices = (price - 900, price + 1_000, price - 1_200, price - 300)
    times = (1_795_407_299, 9_000_000 + number, 9_900_000, 8_100_000, 1_795_407_300)
    head = pack(">IiIiIII4i5I", token, price, 75, price - 55, 12_345_675, 501_075, 609_150, *prices, *times)
    bids = [pack(">IiHxx", 75 * (level + 9), price - 5 * level, 12 + level) for level in range(5)]
    offers = [pack(">IiHxx", 75 * (level + 5), price + 5 + 5 * level, 7 + level) for level in range(5)]
    return head + b"".join(bids) + b"".join(offers)
