"""Prices, candles and instruments as HTTP shows them: decimals, times as texts, and only what there is."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
import orjson

from channels.broker import Publication
from channels.channel import Channel
from feeds.candles.bars import DAY, LENGTHS_MS, Bar
from feeds.instruments import Instrument, Kind
from feeds.market_hours.sessions import next_day_ms
from hub.http.endpoint import encoded
from schemas.market import PRICE_SCALE, CandlePayload, MarketPayload, ist_text, scaled

_encode = msgspec.json.Encoder().encode
_candle_of = msgspec.json.Decoder(CandlePayload).decode


class PriceView(MarketPayload, kw_only=True):
    """The last price of an instrument, with the day's figures where they are known; `seq` only ever grows."""

    exchange: str
    symbol: str
    seq: int


PriceBytes = Annotated[msgspec.Raw, encoded(PriceView)]
"""A `PriceView` that was never more than its bytes, for that is the fastest way there is."""


class CandleView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One candle; `time` is its first moment. `gap`: the source was away during a part of it."""

    time: str
    open: float
    high: float
    low: float
    close: float
    volume: int | None
    closed: bool
    open_interest: int | None = None
    gap: bool = False


class InstrumentView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One instrument, with what its kind has."""

    exchange: str
    symbol: str
    name: str
    kind: Kind
    tick_size: float
    lot_size: int
    has_derivatives: bool
    isin: str = ""
    series: str = ""
    underlying: str = ""
    expiry: str = ""
    strike: float | None = None
    option_type: str = ""
    lower_circuit: float | None = None
    upper_circuit: float | None = None


def place(channel: Channel) -> dict[str, Any]:
    """Which instrument it is."""
    return {"exchange": channel.exchange, "symbol": channel.symbol}


def price(channel: Channel, publication: Publication) -> msgspec.Raw:
    """A price as it was published, with its instrument and number; not read again, for it was checked on its way in."""
    known = _encode({**place(channel), "seq": publication.offset})
    return msgspec.Raw(known[:-1] + b"," + publication.payload[1:])


def price_time_ms(publication: Publication) -> int | None:
    """When a published price was made, if it says so."""
    text = orjson.loads(publication.payload).get("time")
    return None if text is None else int(datetime.fromisoformat(text).timestamp() * 1000)


def candle(bar: Bar) -> CandleView:
    """A candle of a chart."""
    return CandleView(
        time=ist_text(bar.start_ms),
        open=bar.open / PRICE_SCALE,
        high=bar.high / PRICE_SCALE,
        low=bar.low / PRICE_SCALE,
        close=bar.close / PRICE_SCALE,
        volume=bar.volume,
        closed=bar.closed,
        open_interest=bar.open_interest,
        gap=bar.gap,
    )


def bar_of(channel: Channel, publication: Publication) -> Bar | None:
    """A candle as it was published; None where its start is no time, as outsiders may write it."""
    published = _candle_of(publication.payload)
    try:
        start = datetime.fromisoformat(published.start)
    except ValueError:
        return None
    if start.tzinfo is None:
        return None
    timeframe, start_ms = channel.timeframe or DAY, round(start.timestamp() * 1000)
    return Bar(
        exchange=channel.exchange or "",
        symbol=channel.symbol or "",
        timeframe=timeframe,
        start_ms=start_ms,
        end_ms=next_day_ms(start_ms) if timeframe == DAY else start_ms + LENGTHS_MS[timeframe],
        open=scaled(published.open),
        high=scaled(published.high),
        low=scaled(published.low),
        close=scaled(published.close),
        volume=published.volume,
        open_interest=published.open_interest,
        gap=bool(published.gap),
        closed=bool(published.closed),
    )


def instrument(one: Instrument) -> InstrumentView:
    """An instrument for the outside."""
    return InstrumentView(
        exchange=one.exchange,
        symbol=one.symbol,
        name=one.name,
        kind=one.kind,
        tick_size=one.tick_size / PRICE_SCALE,
        lot_size=one.lot_size,
        has_derivatives=one.has_derivatives,
        isin=one.isin,
        series=one.series,
        underlying=one.underlying,
        expiry=one.expiry.isoformat() if one.expiry else "",
        strike=_decimal(one.strike),
        option_type=one.option_type,
        lower_circuit=_decimal(one.lower_circuit),
        upper_circuit=_decimal(one.upper_circuit),
    )


def _decimal(figure: int | None) -> float | None:
    return None if figure is None else figure / PRICE_SCALE
