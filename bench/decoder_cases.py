"""Frames for the decoders' benchmark, and our decoders beside the vendors' own.

Another decoder is one more function in `CASES`, and for its SDK a line in `bench/peers/sdk_decoders.py`. Kite's frames
are made here, the others' by the packets of the tests' servers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from struct import pack

from feeds.brokers.angel import Angel
from feeds.brokers.dhan import Dhan
from feeds.brokers.fyers import Fyers
from feeds.brokers.kite import Kite
from feeds.brokers.shoonya import Shoonya
from feeds.brokers.source import Frame, Heard, Source
from feeds.brokers.upstox import Upstox
from feeds.instruments import Instrument
from tests.feeds.brokers import angel, dhan, fyers, shoonya, upstox

_NOW_MS = 1_795_407_301_250

Decode = Callable[[Frame], Heard]


@dataclass(frozen=True)
class Case:
    """One kind of frame. `decode` is ours, made anew; `sdk` names the vendor's decoder, if there is one to compare."""

    title: str
    frame: Frame
    packets: int
    decode: Callable[[], Decode]
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
    message = upstox.message(dict.fromkeys(keys, feed))
    return [
        Case("Angel snap quote", snap, 1, lambda: _ours(Angel(), ["2|50001"]), "smartapi-python"),
        Case("Dhan full", full, 1, lambda: _ours(Dhan(), ["2|50001"]), "dhanhq", most_us=3.0),
        Case("Upstox full", message, len(keys), lambda: _ours(Upstox(), keys), "upstox-python-sdk"),
    ]


def changing_cases() -> list[Case]:
    """Those who tell only what has changed: price, quantities and the whole book of one instrument, after a snapshot.

    Their SDKs decode and keep state in the same breath as they talk to the socket, so there is none to compare.
    """
    paise = fyers.prices(150_050, volume=12_345_675, exchange_s=_NOW_MS // 1000, bid=150_050, ask=150_055)
    book = [*range(150_050, 150_025, -5), *range(150_055, 150_080, 5), *range(100, 110), *range(7, 17)]
    known = fyers.data(fyers.snapshot(1, "sf|nse_fo|50001", paise), fyers.snapshot(2, "dp|nse_fo|50001", book))
    changed = fyers.data(fyers.update(1, paise), fyers.update(2, book))
    levels = [
        {f"bp{one}": f"{1500.5 - one / 20:.2f}", f"bq{one}": f"{75 * one}", f"bo{one}": f"{one}"}
        | {f"sp{one}": f"{1500.5 + one / 20:.2f}", f"sq{one}": f"{75 * one}", f"so{one}": f"{one}"}
        for one in range(1, 6)
    ]
    fields = {"lp": "1500.50", "v": "12345675", "ltq": "75", "ft": str(_NOW_MS // 1000)}
    for level in levels:
        fields |= level
    first, text = (shoonya.text(kind, "NFO|50001", **fields) for kind in ("dk", "df"))
    return [
        Case("Fyers prices and depth", changed, 1, lambda: _ours(Fyers(), ["nse_fo|50001"], [known])),
        Case("Shoonya depth (JSON)", text, 1, lambda: _ours(Shoonya(), ["NFO|50001"], [first])),
    ]


CASES: list[Callable[[], list[Case]]] = [kite_cases, other_cases, changing_cases]


def _ours(source: Source, tokens: list[str], before: Sequence[Frame] = ()) -> Decode:
    """A connection that has these tokens listed, and has heard some frames before."""
    listings: Mapping[str, Instrument] = {
        token: Instrument(exchange="NFO", symbol=f"SIM{number}", name="", tick_size=500_000)
        for number, token in enumerate(tokens)
    }
    conversation = source.converse({"access_token": fyers.access_token("key")}, listings)
    for frame in before:
        conversation.receive(frame, _NOW_MS)
    return lambda frame: conversation.receive(frame, _NOW_MS)


# -- Kite -----------------------------------------------------------------------------------------------------------

_KITE_PACKETS = 20
_KITE_TOKENS = [(50_000 + number) << 8 | 2 for number in range(_KITE_PACKETS)]


def _kite() -> Decode:
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
