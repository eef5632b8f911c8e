"""Market data: ticks and depth as feeds make them (integers), and as publications carry them (decimals, JSON).

Inside, a price is an `int` in 1e-7 of its currency: fine enough for every Indian segment (currency futures are
quoted in 1e-7 by Kite and Angel), so one scale serves all, and sums and comparisons are exact. Decimals appear only
in publications. Quantities are integers. A time is exchange time in integer milliseconds since the Unix epoch
(`_ms`), and in a publication an ISO 8601 text in Indian Standard Time.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from functools import lru_cache
from typing import Annotated

import msgspec
from msgspec import Meta

PRICE_SCALE = 10_000_000
"""How many internal units make one rupee (or one index point)."""

IST = timezone(timedelta(hours=5, minutes=30), "IST")

EXCHANGES = frozenset({"NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX", "NCO"})
TIMEFRAMES = frozenset({"1m", "3m", "5m", "15m", "30m", "1h", "1d"})

Decimal = Annotated[float, Meta(ge=-1e12, le=1e12)]
PositiveDecimal = Annotated[float, Meta(gt=0, le=1e12)]
Quantity = Annotated[int, Meta(ge=0, le=2**62)]


class MarketState(StrEnum):
    """What the market of one instrument is doing."""

    PRE_OPEN = "pre_open"
    CONTINUOUS = "continuous"
    CLOSING_AUCTION = "closing_auction"
    POST_CLOSE = "post_close"
    HALTED = "halted"
    CLOSED = "closed"


class Auction(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a call auction (opening or closing) would give if it matched now. Prices in 1/PRICE_SCALE."""

    price: int | None = None
    """The indicative equilibrium price. Never a trade."""
    quantity: int | None = None
    """What would be matched at it."""
    reference_price: int | None = None
    """Around which the auction's price band lies."""
    imbalance_quantity: int | None = None
    """What would be left over, all orders counted."""
    market_imbalance_quantity: int | None = None
    """What would be left over of market orders."""
    eligible: bool | None = None
    """Whether the instrument takes part in the closing auction."""


class Greeks(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An option's sensitivities and implied volatility (percent or fraction, as the source says), as decimals."""

    delta: float | None = None
    gamma: float | None = None
    theta: float | None = None
    vega: float | None = None
    rho: float | None = None
    implied_volatility: float | None = None


class Tick(msgspec.Struct, frozen=True, gc=False):
    """One instrument's last price and day's figures at one moment. Prices in 1/PRICE_SCALE; None where unknown.

    Decoders make it by position, a fifth of what 20 keywords cost; so new fields go to the end.
    """

    exchange: str
    symbol: str
    price: int
    time_ms: int
    state: MarketState | None = None
    open: int | None = None
    high: int | None = None
    low: int | None = None
    close: int | None = None
    """The previous session's close, from which the day's change is measured."""
    volume: int | None = None
    bid: int | None = None
    ask: int | None = None
    bid_quantity: int | None = None
    ask_quantity: int | None = None
    last_quantity: int | None = None
    average_price: int | None = None
    total_buy_quantity: int | None = None
    total_sell_quantity: int | None = None
    open_interest: int | None = None
    lower_circuit: int | None = None
    upper_circuit: int | None = None
    year_low: int | None = None
    year_high: int | None = None
    open_interest_low: int | None = None
    open_interest_high: int | None = None
    """The day's extremes of open interest."""
    last_trade_ms: int | None = None
    """When the last trade happened."""
    auction: Auction | None = None
    greeks: Greeks | None = None


class Level(msgspec.Struct, frozen=True, gc=False):
    """One level of the order book: price in 1/PRICE_SCALE, quantity, number of orders."""

    price: int
    quantity: int
    orders: int


class Depth(msgspec.Struct, frozen=True, gc=False):
    """The best levels of one instrument's order book, best first."""

    exchange: str
    symbol: str
    time_ms: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class MarketPayload(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """What a publication on `market:` holds. Only `price` must be there."""

    price: PositiveDecimal
    change: Decimal | None = None
    change_percent: Decimal | None = None
    open: PositiveDecimal | None = None
    high: PositiveDecimal | None = None
    low: PositiveDecimal | None = None
    close: PositiveDecimal | None = None
    volume: Quantity | None = None
    bid: Annotated[float, Meta(ge=0, le=1e12)] | None = None
    ask: Annotated[float, Meta(ge=0, le=1e12)] | None = None
    bid_quantity: Quantity | None = None
    ask_quantity: Quantity | None = None
    last_quantity: Quantity | None = None
    average_price: Annotated[float, Meta(ge=0, le=1e12)] | None = None
    total_buy_quantity: Quantity | None = None
    total_sell_quantity: Quantity | None = None
    open_interest: Quantity | None = None
    lower_circuit: Decimal | None = None
    upper_circuit: Decimal | None = None
    year_low: Decimal | None = None
    year_high: Decimal | None = None
    open_interest_low: Quantity | None = None
    open_interest_high: Quantity | None = None
    last_trade_time: Annotated[str, Meta(max_length=40)] | None = None
    indicative_price: Decimal | None = None
    indicative_quantity: Quantity | None = None
    reference_price: Decimal | None = None
    imbalance_quantity: Annotated[int, Meta(ge=-(2**62), le=2**62)] | None = None
    delta: Decimal | None = None
    gamma: Decimal | None = None
    theta: Decimal | None = None
    vega: Decimal | None = None
    rho: Decimal | None = None
    implied_volatility: Decimal | None = None
    state: MarketState | None = None
    time: Annotated[str, Meta(max_length=40)] | None = None


LTP_FIELDS = frozenset({"price", "change", "change_percent", "time"})
"""What a subscriber in mode `ltp` gets."""

QUOTE_FIELDS = LTP_FIELDS | {"open", "high", "low", "close", "volume", "bid", "ask", "last_quantity", "state"}
"""What a subscriber in mode `quote` gets; `full` is everything."""


class DepthLevel(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One level of a published order book."""

    price: PositiveDecimal
    quantity: Quantity
    orders: Quantity | None = None


class DepthPayload(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """What a publication on `depth:` holds: up to 20 levels a side, best first."""

    bids: Annotated[list[DepthLevel], Meta(max_length=20)]
    asks: Annotated[list[DepthLevel], Meta(max_length=20)]
    time: Annotated[str, Meta(max_length=40)] | None = None


class CandlePayload(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """What a publication on `candles:` holds: the forming candle, `closed` at its end; `start` is its first moment."""

    open: PositiveDecimal
    high: PositiveDecimal
    low: PositiveDecimal
    close: PositiveDecimal
    start: Annotated[str, Meta(max_length=40)]
    volume: Quantity | None = None
    open_interest: Quantity | None = None
    closed: bool | None = None
    gap: bool | None = None
    """True where the source was away during a part of it."""
    indicators: dict[str, Decimal | dict[str, Decimal] | None] | None = None
    """Those that some subscriber asked for, by name; several values where the indicator has several lines."""


def scaled(price: float) -> int:
    """The internal integer of a decimal price, exact to the seventh decimal."""
    return round(price * PRICE_SCALE)


@lru_cache(maxsize=1024)
def _second_text(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).astimezone(IST).strftime("%Y-%m-%dT%H:%M:%S.")


@lru_cache(maxsize=256)
def ist_text(time_ms: int) -> str:
    """ISO 8601 in Indian Standard Time with milliseconds, e.g. `2026-11-23T09:15:01.250+05:30`.

    Ticks come in the thousands a second, many of them within the same millisecond, so the last texts are kept.
    """
    second, ms = divmod(time_ms, 1000)
    return f"{_second_text(second)}{ms:03d}+05:30"


class _TickText(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """MarketPayload's fields in its order, but by position: that halves what a tick's payload costs."""

    price: float
    change: float | None = None
    change_percent: float | None = None
    open: float | None = None
    high: float | None = None
    low: float | None = None
    close: float | None = None
    volume: int | None = None
    bid: float | None = None
    ask: float | None = None
    bid_quantity: int | None = None
    ask_quantity: int | None = None
    last_quantity: int | None = None
    average_price: float | None = None
    total_buy_quantity: int | None = None
    total_sell_quantity: int | None = None
    open_interest: int | None = None
    lower_circuit: float | None = None
    upper_circuit: float | None = None
    year_low: float | None = None
    year_high: float | None = None
    open_interest_low: int | None = None
    open_interest_high: int | None = None
    last_trade_time: str | None = None
    indicative_price: float | None = None
    indicative_quantity: int | None = None
    reference_price: float | None = None
    imbalance_quantity: int | None = None
    delta: float | None = None
    gamma: float | None = None
    theta: float | None = None
    vega: float | None = None
    rho: float | None = None
    implied_volatility: float | None = None
    state: MarketState | None = None
    time: str | None = None


_NO_AUCTION = (None, None, None, None)
_NO_GREEKS = (None, None, None, None, None, None)

_encode = msgspec.json.Encoder().encode


def tick_payload(tick: Tick) -> bytes:
    """The tick as a publication: compact JSON, decimals, the day's change worked out; absent figures left out.

    The bytes are those that the namespace's `normalise` would write. About 2 µs, the price of every tick on its way
    in, hence written out field by field.
    """
    price, close = tick.price, tick.close
    change = price - close if close else None
    return _encode(
        _TickText(
            price / PRICE_SCALE,
            None if change is None else change / PRICE_SCALE,
            None if change is None or not close else round(change * 100 / close, 2),
            None if (value := tick.open) is None else value / PRICE_SCALE,
            None if (value := tick.high) is None else value / PRICE_SCALE,
            None if (value := tick.low) is None else value / PRICE_SCALE,
            None if close is None else close / PRICE_SCALE,
            tick.volume,
            None if (value := tick.bid) is None else value / PRICE_SCALE,
            None if (value := tick.ask) is None else value / PRICE_SCALE,
            tick.bid_quantity,
            tick.ask_quantity,
            tick.last_quantity,
            None if (value := tick.average_price) is None else value / PRICE_SCALE,
            tick.total_buy_quantity,
            tick.total_sell_quantity,
            tick.open_interest,
            None if (value := tick.lower_circuit) is None else value / PRICE_SCALE,
            None if (value := tick.upper_circuit) is None else value / PRICE_SCALE,
            None if (value := tick.year_low) is None else value / PRICE_SCALE,
            None if (value := tick.year_high) is None else value / PRICE_SCALE,
            tick.open_interest_low,
            tick.open_interest_high,
            None if (moment := tick.last_trade_ms) is None else ist_text(moment),
            *(_NO_AUCTION if (auction := tick.auction) is None else _auction_fields(auction)),
            *(_NO_GREEKS if (greeks := tick.greeks) is None else _greek_fields(greeks)),
            tick.state,
            ist_text(tick.time_ms),
        )
    )


def _auction_fields(auction: Auction) -> tuple[float | None, int | None, float | None, int | None]:
    return (
        None if auction.price is None else auction.price / PRICE_SCALE,
        auction.quantity,
        None if auction.reference_price is None else auction.reference_price / PRICE_SCALE,
        auction.imbalance_quantity,
    )


_Decimals = tuple[float | None, float | None, float | None, float | None, float | None, float | None]


def _greek_fields(greeks: Greeks) -> _Decimals:
    return (greeks.delta, greeks.gamma, greeks.theta, greeks.vega, greeks.rho, greeks.implied_volatility)


def depth_payload(depth: Depth) -> bytes:
    """The order book as a publication: compact JSON, decimals."""

    def levels(side: Iterable[Level]) -> list[DepthLevel]:
        return [DepthLevel(level.price / PRICE_SCALE, level.quantity, level.orders) for level in side]

    return _encode(DepthPayload(bids=levels(depth.bids), asks=levels(depth.asks), time=ist_text(depth.time_ms)))
