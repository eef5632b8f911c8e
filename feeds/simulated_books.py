"""The instruments of the simulated market, one by one: what orders and trades do to a stock, and stocks to an index.

One factor moves the market, one each sector, and each stock has noise of its own; indices follow the stocks that make
them by weight. As in a real market, most updates move quotes, about a third are trades.
"""

from collections.abc import Sequence
from datetime import date
from math import exp, log, sqrt
from operator import mul
from random import Random
from statistics import NormalDist

import msgspec

from feeds.instruments import SimulatedInstrument
from schemas.market import PRICE_SCALE, Depth, Level, MarketState, Tick

DEPTH_INTERVAL_MS = 1000
"""Each stock's depth is told with a tick, at most this often."""
LEVELS = 5

_PAISA = PRICE_SCALE // 100
_TRADES = 0.35
"""The share of trades among a stock's updates."""
_LEAN = 0.6
"""The share of trades at the quote that lies nearer to the fair price."""
_MARKET_SIGMA = 6e-5
_SECTOR_SIGMA = 3e-5
_OWN_SIGMA = 6e-5
"""Standard deviations of the logarithm in a root second; together about 1.4 % in a trading day."""
_REVERSION_S = 4 * 3600.0
"""How long a factor remembers. Without it, a market that never closes would end at its circuits."""
_LONGEST_MOVE_MS = 60_000
"""A stock that was not visited for longer moves no more than in this time."""

_QUANTILES = tuple(NormalDist().inv_cdf((place + 0.5) / 4096) for place in range(4096))
"""A normal deviate is `_QUANTILES[getrandbits(12)]`: a quarter of what `Random.gauss` costs."""
_SIZES = tuple(max(1, round(exp(3.2 + 1.1 * _QUANTILES[place * 4]))) for place in range(1024))
"""Quantities of orders, by `getrandbits(10)`: half of them at most 25, a few over 1,000."""
_DEEPEST = 64 * max(_SIZES)

AUCTIONS = frozenset({MarketState.PRE_OPEN, MarketState.CLOSING_AUCTION})
MOVING = AUCTIONS | {MarketState.CONTINUOUS}


class Stand(msgspec.Struct, frozen=True, kw_only=True):
    """How an instrument stood when the market stopped: its price and that day's figures, in 1/PRICE_SCALE."""

    day: date
    price: int
    previous_close: int
    open: int
    high: int
    low: int
    average_price: int
    volume: int = 0

    def goes_on(self, day: date) -> bool:
        """Whether that day is still the same, and within the circuits that this market would give it."""
        return day == self.day and abs(self.price - self.previous_close) * 12 < self.previous_close


class Factors:
    """What moves many stocks at once, as logarithms: the market, and each sector beside it."""

    __slots__ = ("_now_ms", "_random", "market", "sectors")

    def __init__(self, random: Random, sectors: int) -> None:
        self._random = random
        self._now_ms = 0
        self.market = 0.0
        self.sectors = [0.0] * sectors

    def move(self, now_ms: int) -> None:
        """Moves all of them up to a time."""
        elapsed_s = min(now_ms - self._now_ms, _LONGEST_MOVE_MS) / 1000
        self._now_ms = now_ms
        if not elapsed_s:
            return
        self.market = self._moved(self.market, _MARKET_SIGMA, elapsed_s)
        self.sectors = [self._moved(sector, _SECTOR_SIGMA, elapsed_s) for sector in self.sectors]

    def restart(self) -> None:
        """The new day starts from the last prices."""
        self.market = 0.0
        self.sectors = [0.0] * len(self.sectors)

    def _moved(self, value: float, sigma: float, elapsed_s: float) -> float:
        deviate = _QUANTILES[self._random.getrandbits(12)]
        return value * (1 - elapsed_s / _REVERSION_S) + sigma * sqrt(elapsed_s) * deviate


class Book:
    """What stocks and indices share: the day's figures. Prices in 1/PRICE_SCALE."""

    __slots__ = (
        "_high", "_low", "_open", "_stood", "close", "day", "exchange", "has_derivatives", "price", "state", "symbol",
        "tick_size", "year_high", "year_low",
    )  # fmt: skip

    def __init__(self, row: SimulatedInstrument, stood: Stand | None) -> None:
        self.exchange = row.instrument.exchange
        self.symbol = row.instrument.symbol
        self.tick_size = row.instrument.tick_size
        self.has_derivatives = row.instrument.has_derivatives
        self.price = self.close = row.close
        self.year_low = row.year_low
        self.year_high = row.year_high
        self.state = MarketState.CLOSED
        self.day: date | None = None
        self._open: int | None = None
        self._high = self._low = row.close
        self._stood = stood

    def enter(self, now_ms: int, state: MarketState, day: date) -> None:
        """Begins another state of the market, and another day where it is one."""
        if day != self.day and state in MOVING:
            self.day = day
            stood, self._stood = self._stood, None
            if stood is not None and stood.goes_on(day):
                self._go_on(now_ms, stood)
            else:
                self._start_day(now_ms)
        self.state = state

    def move(self, now_ms: int) -> None:
        """One thing happens."""
        raise NotImplementedError

    def tick(self, now_ms: int) -> Tick:
        """The present figures."""
        raise NotImplementedError

    def _start_day(self, now_ms: int) -> None:
        self.close = self.price
        self._open = None

    def _go_on(self, _now_ms: int, stood: Stand) -> None:
        """The day goes on from where it stopped."""
        self.close = stood.previous_close
        self._open, self._high, self._low = stood.open, stood.high, stood.low
        self.year_high = max(self.year_high, stood.high)
        self.year_low = min(self.year_low, stood.low)

    def _trade_at(self, price: int) -> None:
        self.price = price
        if self._open is None:
            self._open = self._high = self._low = price
        elif price > self._high:
            self._high = price
        elif price < self._low:
            self._low = price
        if price > self.year_high:
            self.year_high = price
        elif price < self.year_low:
            self.year_low = price


class Stock(Book):
    """One stock: a fair price that wanders, quotes around it, trades at the quotes."""

    __slots__ = (
        "_ask", "_ask_quantity", "_average_price", "_beta", "_bid", "_bid_quantity", "_bits", "_chance",
        "_deep_asks", "_deep_bids", "_depth_ms", "_factors", "_fair", "_last_quantity", "_lower", "_moved_ms", "_own",
        "_place", "_prices", "_rest_buy", "_rest_sell", "_scale", "_sector", "_turnover", "_upper", "_volume",
    )  # fmt: skip

    def __init__(
        self,
        row: SimulatedInstrument,
        stood: Stand | None,
        *,
        random: Random,
        factors: Factors,
        sector: int,
        prices: list[int],
    ) -> None:
        super().__init__(row, stood)
        self._chance = random.random
        self._bits = random.getrandbits
        self._factors = factors
        self._sector = sector
        self._prices = prices
        self._place = len(prices)
        prices.append(row.close)
        self._beta = row.beta
        self._own = 0.0
        self._moved_ms = self._depth_ms = 0
        self._scale = max(1, 1500 * PRICE_SCALE // row.close)  # the cheaper the share, the more of them in an order
        self._clear()
        self._bid = row.close // row.instrument.tick_size * row.instrument.tick_size
        self._ask = self._bid + row.instrument.tick_size
        self._bid_quantity, self._ask_quantity = self._new_level(), self._new_level()
        self._deep_bids = [self._new_level() for _ in range(LEVELS - 1)]
        self._deep_asks = [self._new_level() for _ in range(LEVELS - 1)]
        self._rest_buy = sum(self._deep_bids) + 1000 * self._new_level()
        self._rest_sell = sum(self._deep_asks) + 1000 * self._new_level()

    def enter(self, now_ms: int, state: MarketState, day: date) -> None:
        """Begins another state; an auction that ends has its one trade then, and so has a day without pre-open."""
        uncrosses = self.state in AUCTIONS and state not in AUCTIONS
        super().enter(now_ms, state, day)
        if uncrosses or (self._open is None and state is MarketState.CONTINUOUS):
            self._drift(now_ms)
            self._requote()
            self._trade(buys=self._bits(1) == 1)

    def move(self, now_ms: int) -> None:
        """A trade, a quote that follows the fair price, or an order that comes or goes."""
        if now_ms != self._moved_ms:
            self._drift(now_ms)
        chance = self._chance()
        if chance < _TRADES and self.state is MarketState.CONTINUOUS:
            rises = self._fair * 2 > self._bid + self._ask
            self._trade(buys=rises == (chance < _TRADES * _LEAN))
        elif not self._bid <= self._fair <= self._ask or self._ask - self._bid > 3 * self.tick_size:
            self._requote()
        else:
            self._order()

    def tick(self, now_ms: int) -> Tick:
        """The present figures; those of trades are absent before the day's first."""
        traded = self._open is not None
        return Tick(
            exchange=self.exchange,
            symbol=self.symbol,
            price=self.price,
            time_ms=now_ms,
            state=self.state,
            open=self._open,
            high=self._high if traded else None,
            low=self._low if traded else None,
            close=self.close,
            volume=self._volume,
            bid=self._bid,
            ask=self._ask,
            bid_quantity=self._bid_quantity,
            ask_quantity=self._ask_quantity,
            last_quantity=self._last_quantity if traded else None,
            average_price=self._average_price if traded else None,
            total_buy_quantity=self._rest_buy + self._bid_quantity,
            total_sell_quantity=self._rest_sell + self._ask_quantity,
            lower_circuit=self._lower,
            upper_circuit=self._upper,
            year_low=self.year_low,
            year_high=self.year_high,
        )

    def depth(self, now_ms: int) -> Depth | None:
        """The order book, or None where it was told just before. Near a circuit a side has fewer levels."""
        if now_ms - self._depth_ms < DEPTH_INTERVAL_MS:
            return None
        self._depth_ms = now_ms
        tick = self.tick_size
        bids = range(self._bid, max(self._bid - LEVELS * tick, self._lower - tick), -tick)
        asks = range(self._ask, min(self._ask + LEVELS * tick, self._upper + tick), tick)
        return Depth.of(
            exchange=self.exchange,
            symbol=self.symbol,
            time_ms=now_ms,
            bids=self._levels(bids, (self._bid_quantity, *self._deep_bids)),
            asks=self._levels(asks, (self._ask_quantity, *self._deep_asks)),
        )

    def _levels(self, prices: range, quantities: tuple[int, ...]) -> tuple[Level, ...]:
        order = 60 * self._scale
        return tuple(
            Level(price, quantity, 1 + quantity // order) for price, quantity in zip(prices, quantities, strict=False)
        )

    def _start_day(self, now_ms: int) -> None:
        super()._start_day(now_ms)
        self._own = _OWN_SIGMA * 60 * _QUANTILES[self._bits(12)]  # what happened over night
        self._clear()
        self._drift(now_ms)
        self._requote()

    def _go_on(self, now_ms: int, stood: Stand) -> None:
        super()._go_on(now_ms, stood)
        self._clear()
        self._own = log(self.price / self.close)
        self._volume = stood.volume
        self._turnover = stood.average_price // _PAISA * stood.volume
        self._average_price = stood.average_price // _PAISA * _PAISA
        self._last_quantity = min(_SIZES[self._bits(10)] * self._scale, stood.volume)
        self._drift(now_ms)
        self._requote()

    def _clear(self) -> None:
        self._volume = self._turnover = self._last_quantity = 0
        self._average_price = self.close
        tick = self.tick_size
        self._lower = -(-self.close * 9 // (10 * tick)) * tick
        self._upper = self.close * 11 // (10 * tick) * tick
        self._fair = float(self.close)

    def _drift(self, now_ms: int) -> None:
        elapsed_s = min(now_ms - self._moved_ms, _LONGEST_MOVE_MS) / 1000
        self._moved_ms = now_ms
        self._own *= 1 - elapsed_s / _REVERSION_S
        self._own += _OWN_SIGMA * sqrt(elapsed_s) * _QUANTILES[self._bits(12)]
        factors = self._factors
        fair = self.close * exp(self._own + self._beta * factors.market + factors.sectors[self._sector])
        self._fair = min(max(fair, self._lower + self.tick_size), self._upper - self.tick_size)

    def _requote(self) -> None:
        """Quotes one to three ticks apart around the fair price, which keeps a tick away from the circuits."""
        tick = self.tick_size
        width = self._bits(4)
        bid = int(self._fair) // tick * tick
        ask = min(bid + tick * (3 if width == 0 else 2 if width < 4 else 1), self._upper)
        if bid != self._bid:
            self._bid, self._bid_quantity = bid, self._new_level()
        if ask != self._ask:
            self._ask, self._ask_quantity = ask, self._new_level()

    def _order(self) -> None:
        """An order comes or goes: at the best price or, a quarter of them, behind it."""
        bits = self._bits(5)
        size = _SIZES[self._bits(10)] * self._scale
        buys, behind, place = bits & 1, bits & 6 == 6, bits >> 3
        if behind:
            deep = self._deep_bids if buys else self._deep_asks
            quantity = self._resized(deep[place], size)
            if buys:
                self._rest_buy += quantity - deep[place]
            else:
                self._rest_sell += quantity - deep[place]
            deep[place] = quantity
        elif buys:
            self._bid_quantity = self._resized(self._bid_quantity, size)
        else:
            self._ask_quantity = self._resized(self._ask_quantity, size)

    def _resized(self, quantity: int, size: int) -> int:
        grows = size >= quantity or (quantity < _DEEPEST * self._scale and self._chance() < 0.5)
        return quantity + size if grows else quantity - size

    def _trade(self, *, buys: bool) -> None:
        size = _SIZES[self._bits(10)] * self._scale
        if buys:
            price, quantity = self._ask, min(size, self._ask_quantity)
            self._ask_quantity -= quantity
            if not self._ask_quantity:
                self._ask, self._ask_quantity = min(price + self.tick_size, self._upper), self._new_level()
        else:
            price, quantity = self._bid, min(size, self._bid_quantity)
            self._bid_quantity -= quantity
            if not self._bid_quantity:
                self._bid, self._bid_quantity = max(price - self.tick_size, self._lower), self._new_level()
        self._trade_at(price)
        self._prices[self._place] = price
        self._last_quantity = quantity
        self._volume += quantity
        self._turnover += price // _PAISA * quantity
        self._average_price = (2 * self._turnover + self._volume) // (2 * self._volume) * _PAISA

    def _new_level(self) -> int:
        return 8 * _SIZES[self._bits(10)] * self._scale


class Index(Book):
    """One index: a weighted sum of its stocks' last prices, rounded to the index's grid."""

    __slots__ = ("_prices", "_units")

    SHARES = 10**9
    """The sum of all shares held, over the index's value; large, so that whole shares keep the weights exactly."""

    def __init__(
        self,
        row: SimulatedInstrument,
        stood: Stand | None,
        *,
        stocks: Sequence[SimulatedInstrument],
        prices: list[int],
    ) -> None:
        super().__init__(row, stood)
        symbol = row.instrument.symbol
        whole = sum(stock.weight for stock in stocks if symbol in stock.indices)
        self._units = [
            round(self.SHARES * row.close / stock.close * stock.weight / whole) if symbol in stock.indices else 0
            for stock in stocks
        ]
        self._prices = prices

    def move(self, now_ms: int) -> None:
        """Follows its stocks, while they trade."""
        if self.state is MarketState.CONTINUOUS or self._open is not None:
            self._trade_at(self._value())

    def tick(self, now_ms: int) -> Tick:
        """The present figures; an index has neither volume nor quotes."""
        traded = self._open is not None
        return Tick(
            exchange=self.exchange,
            symbol=self.symbol,
            price=self.price,
            time_ms=now_ms,
            state=self.state,
            open=self._open,
            high=self._high if traded else None,
            low=self._low if traded else None,
            close=self.close,
            year_low=self.year_low,
            year_high=self.year_high,
        )

    def enter(self, now_ms: int, state: MarketState, day: date) -> None:
        """Begins another state; the day's last value counts the closing auction's trades."""
        super().enter(now_ms, state, day)
        self.move(now_ms)

    def _value(self) -> int:
        held: int = sum(map(mul, self._units, self._prices))
        cell = self.SHARES * self.tick_size
        return (2 * held + cell) // (2 * cell) * self.tick_size
