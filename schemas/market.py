"""Market data: ticks and depth as feeds make them (integers), and as publications carry them (decimals, JSON).

Inside, a price is an `int` in 1e-7 of its currency: fine enough for every Indian segment (currency futures are
quoted in 1e-7 by Kite and Angel), so one scale serves all, and sums and comparisons are exact. Decimals appear only
in publications. Quantities are integers. A time is exchange time in integer milliseconds since the Unix epoch
(`_ms`), and in a publication an ISO 8601 text in Indian Standard Time.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from functools import lru_cache
from itertools import starmap
from typing import Annotated, Self, overload

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


Figures = tuple[int, ...]
"""One side of an order book, best first: price, quantity, orders, price, quantity, orders, and so on."""


class Depth(msgspec.Struct, frozen=True, gc=False):
    """The best levels of one instrument's order book, best first.

    A book passes as bare figures, since an object for each of its levels would cost a decoder as much as all the rest
    of a packet. `bids` and `asks` make the levels anew each time that they are asked for.
    """

    exchange: str
    symbol: str
    time_ms: int
    bid_figures: Figures
    ask_figures: Figures

    @classmethod
    def of(cls, exchange: str, symbol: str, time_ms: int, bids: Iterable[Level], asks: Iterable[Level]) -> Self:
        """A book of levels, for whoever has them as such."""
        return cls(exchange, symbol, time_ms, figures(bids), figures(asks))

    @property
    def bids(self) -> tuple[Level, ...]:
        """The levels of those who buy, the highest price first."""
        return tuple(starmap(Level, _rows(self.bid_figures)))

    @property
    def asks(self) -> tuple[Level, ...]:
        """The levels of those who sell, the lowest price first."""
        return tuple(starmap(Level, _rows(self.ask_figures)))


def figures(levels: Iterable[Level]) -> Figures:
    """One side of a book as `Depth` keeps it."""
    return tuple([figure for level in levels for figure in (level.price, level.quantity, level.orders)])


def _rows(side: Figures) -> Iterator[tuple[int, int, int]]:
    one = iter(side)
    return zip(one, one, one, strict=True)


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


@overload
def moment_text(time_s: int) -> str: ...
@overload
def moment_text(time_s: int | None) -> str | None: ...
def moment_text(time_s: int | None) -> str | None:
    """The same for Unix seconds; None for what has not happened, or has no end."""
    return None if time_s is None else ist_text(time_s * 1000)


class _TickText(msgspec.Struct, omit_defaults=True, gc=False):
    """MarketPayload's fields in its order, but by position: that halves what a tick's payload costs.

    Not frozen, so that what hardly any tick has can be filled in afterwards: each field costs, absent or not.
    """

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


_encode = msgspec.json.Encoder().encode


def tick_payload(tick: Tick) -> bytes:
    """The tick as a publication: compact JSON, decimals, the day's change worked out; absent figures left out.

    The bytes are those that the namespace's `normalise` would write. About 2 µs, the price of every tick on its way
    in, hence written out field by field.
    """
    price, close = tick.price, tick.close
    change = change_percent = None
    if close:
        change, change_percent = (price - close) / PRICE_SCALE, round((price - close) * 100 / close, 2)
    text = _TickText(
        price / PRICE_SCALE,
        change,
        change_percent,
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
        state=tick.state,
        time=ist_text(tick.time_ms),
    )
    if (auction := tick.auction) is not None:
        _add_auction(text, auction)
    if (greeks := tick.greeks) is not None:
        _add_greeks(text, greeks)
    return _encode(text)


def _add_auction(text: _TickText, auction: Auction) -> None:
    if auction.price is not None:
        text.indicative_price = auction.price / PRICE_SCALE
    if auction.reference_price is not None:
        text.reference_price = auction.reference_price / PRICE_SCALE
    text.indicative_quantity = auction.quantity
    text.imbalance_quantity = auction.imbalance_quantity


def _add_greeks(text: _TickText, greeks: Greeks) -> None:
    text.delta, text.gamma, text.theta = greeks.delta, greeks.gamma, greeks.theta
    text.vega, text.rho, text.implied_volatility = greeks.vega, greeks.rho, greeks.implied_volatility


def tick_of(said: MarketPayload, exchange: str, symbol: str, now_ms: int) -> Tick:
    """What a publication says as a tick, the inverse of `tick_payload`; `change` is worked out anew by who needs it.

    A time that was not said, lies ahead or makes no sense is now. What is not said stays unknown.
    """
    return Tick(
        exchange,
        symbol,
        scaled(said.price),
        now_ms if (moment := moment_ms(said.time)) is None else min(now_ms, moment),
        said.state,
        None if (value := said.open) is None else scaled(value),
        None if (value := said.high) is None else scaled(value),
        None if (value := said.low) is None else scaled(value),
        None if (value := said.close) is None else scaled(value),
        said.volume,
        None if (value := said.bid) is None else scaled(value),
        None if (value := said.ask) is None else scaled(value),
        said.bid_quantity,
        said.ask_quantity,
        said.last_quantity,
        None if (value := said.average_price) is None else scaled(value),
        said.total_buy_quantity,
        said.total_sell_quantity,
        said.open_interest,
        None if (value := said.lower_circuit) is None else scaled(value),
        None if (value := said.upper_circuit) is None else scaled(value),
        None if (value := said.year_low) is None else scaled(value),
        None if (value := said.year_high) is None else scaled(value),
        said.open_interest_low,
        said.open_interest_high,
        moment_ms(said.last_trade_time),
        _auction_of(said),
        _greeks_of(said),
    )


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def moment_ms(text: str | None) -> int | None:
    """Unix milliseconds of an ISO 8601 time; None where there is none, or one that names no moment."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return max(0, (moment - _EPOCH) // _MILLISECOND) if moment.tzinfo else None
    except (ValueError, OverflowError):  # kept by a release that looked less closely
        return None


def _auction_of(said: MarketPayload) -> Auction | None:
    if said.indicative_price is said.indicative_quantity is said.reference_price is said.imbalance_quantity is None:
        return None
    return Auction(
        price=None if said.indicative_price is None else scaled(said.indicative_price),
        quantity=said.indicative_quantity,
        reference_price=None if said.reference_price is None else scaled(said.reference_price),
        imbalance_quantity=said.imbalance_quantity,
    )


def _greeks_of(said: MarketPayload) -> Greeks | None:
    greeks = (said.delta, said.gamma, said.theta, said.vega, said.rho, said.implied_volatility)
    if greeks.count(None) == len(greeks):
        return None
    delta, gamma, theta, vega, rho, implied = greeks
    return Greeks(delta=delta, gamma=gamma, theta=theta, vega=vega, rho=rho, implied_volatility=implied)


def depth_payload(depth: Depth) -> bytes:
    """The order book as a publication: compact JSON, decimals. About 2 µs with five levels a side."""
    bids, asks = _published(depth.bid_figures), _published(depth.ask_figures)
    return _encode(DepthPayload(bids=bids, asks=asks, time=ist_text(depth.time_ms)))


def _published(side: Figures) -> list[DepthLevel]:
    if len(side) != _FIVE_LEVELS:
        return [DepthLevel(price / PRICE_SCALE, quantity, orders) for price, quantity, orders in _rows(side)]
    # What nearly all books have, and without a loop it takes half the time.
    p0, q0, n0, p1, q1, n1, p2, q2, n2, p3, q3, n3, p4, q4, n4 = side
    return [
        DepthLevel(p0 / PRICE_SCALE, q0, n0),
        DepthLevel(p1 / PRICE_SCALE, q1, n1),
        DepthLevel(p2 / PRICE_SCALE, q2, n2),
        DepthLevel(p3 / PRICE_SCALE, q3, n3),
        DepthLevel(p4 / PRICE_SCALE, q4, n4),
    ]


_FIVE_LEVELS = 15
"""Figures of a side of five levels."""
