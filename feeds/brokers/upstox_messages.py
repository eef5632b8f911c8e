"""What Upstox's binary frames mean: one protobuf message each, as `upstox_feed.proto` describes it.

Three things that the wire does to prices are undone here. Doubles carry noise, so whatever is traded or offered snaps
to the instrument's tick; figures that need not lie on it (averages, the previous close, which a corporate action may
have moved) to the fourth decimal. proto3 sends no zeros, so a price of zero is an unknown one, while a quantity of
zero is a quantity wherever the message has a place for it. And a double may be anything: what isn't a number, is
below zero or beyond all reason makes the whole entry `impossible`.

Only the day's bar ("1d") is read, and not its close, which is the running one: `cp` is the previous session's.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite

from google.protobuf.message import DecodeError

from feeds.brokers.source import Alive, Bad, Event, Heard, MarketStatus
from feeds.brokers.upstox_feed_pb2 import (
    LTPC,
    OHLC,
    Feed,
    FeedResponse,
    FirstLevelWithGreeks,
    IndexFullFeed,
    MarketFullFeed,
    MarketInfo,
    OptionGreeks,
    Quote,
)
from feeds.brokers.upstox_feed_pb2 import MarketStatus as SegmentState
from feeds.feed import Update
from feeds.instruments import Instrument, Kind
from schemas.market import PRICE_SCALE, Auction, Depth, Figures, Greeks, Tick

_FINE = PRICE_SCALE // 10_000
"""The grid of figures that need not lie on the tick, and of an instrument without one, as masters list indices: finer
than any tick, coarser than a double's noise."""
_FINE_PER = PRICE_SCALE // _FINE

_MOST = 2**62
"""No price (in 1/PRICE_SCALE) and no quantity is larger."""
_MOST_RUPEES = _MOST // PRICE_SCALE
_MOST_GREEK = 1e12
_EARLIEST_MS, _LATEST_MS = 946_684_800_000, 4_102_444_800_000
"""The years 2000 to 2099."""

_MOST_LEVELS = 20
"""What a publication of depth holds; `full_d30` would bring thirty."""

_WITH_INTEREST = frozenset({Kind.FUTURE, Kind.OPTION})

_parse = FeedResponse.FromString


def decode(listings: Mapping[str, Instrument], frame: bytes, received_ms: int) -> Heard:
    """The prices and states of one frame; about 10 µs for each full feed with five levels, 2 µs for a last price.

    The time of all its prices is the message's own `currentTs`: a quote may have changed since the last trade.
    """
    try:
        response = _parse(frame)
    except DecodeError:
        return _bad("garbage")
    time_ms = response.currentTs or received_ms
    if not _EARLIEST_MS <= time_ms < _LATEST_MS:
        return _bad("bad_time")
    feeds = response.feeds
    events: list[Event] = []
    if response.HasField("marketInfo"):
        events.extend(_states(response.marketInfo))
    elif not feeds:
        return Heard((), (Alive(),)) if response.currentTs else _bad("garbage")
    updates: list[Update] = []
    bad: dict[str, int] = {}
    for key in feeds:
        if reason := _read(listings.get(key), feeds[key], time_ms, updates):
            bad[reason] = bad.get(reason, 0) + 1
    events.extend(Bad(reason, count) for reason, count in bad.items())
    return Heard(updates, events)


def _bad(reason: str) -> Heard:
    return Heard((), (Bad(reason),))


def _states(info: MarketInfo) -> Iterable[MarketStatus]:
    """Each segment's state, and under `NSE_EQ:closing_auction` or `NSE_EQ:pre_open` those of its auctions."""
    for segment, state in info.segmentStatus.items():
        known = SegmentState.DESCRIPTOR.values_by_number.get(state)
        yield MarketStatus(segment, known.name if known else str(int(state)))
    for segment in info.casMarketStatus:
        yield MarketStatus(f"{segment}:closing_auction", info.casMarketStatus[segment].status)
    for segment in info.preOpenSessionStatus:
        yield MarketStatus(f"{segment}:pre_open", info.preOpenSessionStatus[segment].status)


def _read(instrument: Instrument | None, feed: Feed, time_ms: int, updates: list[Update]) -> str:
    """Append what one feed holds; answer why it is of no use, or nothing."""
    if instrument is None:
        return "unknown_token"
    try:
        match feed.WhichOneof("FeedUnion"):
            case "fullFeed":
                return _full(instrument, feed, time_ms, updates)
            case "ltpc":
                return _last(instrument, feed.ltpc, time_ms, updates)
            case "firstLevelWithGreeks":
                return _first_level(instrument, feed.firstLevelWithGreeks, time_ms, updates)
            case _:
                return "empty"
    except (ValueError, OverflowError):  # also what a NaN and an infinity become on their way to an int
        return "impossible"


def _full(instrument: Instrument, feed: Feed, time_ms: int, updates: list[Update]) -> str:
    full = feed.fullFeed
    match full.WhichOneof("FullFeedUnion"):
        case "marketFF":
            return _market(instrument, full.marketFF, time_ms, updates)
        case "indexFF":
            return _index(instrument, full.indexFF, time_ms, updates)
        case _:
            return "empty"


def _market(instrument: Instrument, feed: MarketFullFeed, time_ms: int, updates: list[Update]) -> str:
    ltpc = feed.ltpc
    tick = instrument.tick_size or _FINE
    per = PRICE_SCALE / tick
    price, close, last_quantity, last_ms = _last_price(ltpc, per, tick)
    if not price:
        return "no_price"
    opened, high, low = _day(feed.marketOHLC.ohlc, per, tick)
    average, volume = round(feed.atp * _FINE_PER) * _FINE, feed.vtt
    buy, sell, interest = int(feed.tbq), int(feed.tsq), int(feed.oi)
    _check(average, volume, buy, sell, interest)
    exchange, symbol, kind = instrument.exchange, instrument.symbol, instrument.kind
    quotes = feed.marketLevel.bidAskQuote
    bids, asks = _levels(quotes, per, tick)
    bid, bid_quantity = bids[:2] or (None, None)
    ask, ask_quantity = asks[:2] or (None, None)
    updates.append(
        Tick(
            exchange,
            symbol,
            price,
            time_ms,
            None,
            opened or None,
            high or None,
            low or None,
            close or None,
            volume,
            bid,
            ask,
            bid_quantity,
            ask_quantity,
            last_quantity or None,
            average or None,
            buy,
            sell,
            interest if kind in _WITH_INTEREST else None,
            last_trade_ms=last_ms,
            auction=_auction(feed, per, tick),
            greeks=_greeks(feed.optionGreeks, feed.iv) if kind is Kind.OPTION else None,
        )
    )
    if quotes:
        updates.append(Depth(exchange, symbol, time_ms, bids, asks))
    return ""


def _index(instrument: Instrument, feed: IndexFullFeed, time_ms: int, updates: list[Update]) -> str:
    tick = instrument.tick_size or _FINE
    per = PRICE_SCALE / tick
    price, close, _, last_ms = _last_price(feed.ltpc, per, tick)
    if not price:
        return "no_price"
    opened, high, low = _day(feed.marketOHLC.ohlc, per, tick)
    updates.append(
        Tick(
            instrument.exchange,
            instrument.symbol,
            price,
            time_ms,
            open=opened or None,
            high=high or None,
            low=low or None,
            close=close or None,
            last_trade_ms=last_ms,
        )
    )
    return ""


def _last(instrument: Instrument, ltpc: LTPC, time_ms: int, updates: list[Update]) -> str:
    tick = instrument.tick_size or _FINE
    per = PRICE_SCALE / tick
    price, close, last_quantity, last_ms = _last_price(ltpc, per, tick)
    if not price:
        return "no_price"
    indicative = round(ltpc.iep.value * per) * tick if ltpc.HasField("iep") else 0
    _check(indicative)
    updates.append(
        Tick(
            instrument.exchange,
            instrument.symbol,
            price,
            time_ms,
            close=close or None,
            last_quantity=last_quantity or None,
            last_trade_ms=last_ms,
            auction=Auction(price=indicative) if indicative else None,
        )
    )
    return ""


def _first_level(instrument: Instrument, feed: FirstLevelWithGreeks, time_ms: int, updates: list[Update]) -> str:
    tick = instrument.tick_size or _FINE
    per = PRICE_SCALE / tick
    price, close, last_quantity, last_ms = _last_price(feed.ltpc, per, tick)
    if not price:
        return "no_price"
    volume, interest = feed.vtt, int(feed.oi)
    _check(volume, interest)
    bids, asks = _levels((feed.firstDepth,), per, tick)
    bid, bid_quantity = bids[:2] or (None, None)
    ask, ask_quantity = asks[:2] or (None, None)
    updates.append(
        Tick(
            instrument.exchange,
            instrument.symbol,
            price,
            time_ms,
            close=close or None,
            volume=volume,
            bid=bid,
            ask=ask,
            bid_quantity=bid_quantity,
            ask_quantity=ask_quantity,
            last_quantity=last_quantity or None,
            open_interest=interest if instrument.kind in _WITH_INTEREST else None,
            last_trade_ms=last_ms,
            greeks=_greeks(feed.optionGreeks, feed.iv) if instrument.kind is Kind.OPTION else None,
        )
    )
    return ""


# -- parts of a feed -----------------------------------------------------------------------------------------------


def _check(*figures: int) -> None:
    """Raise ValueError where a price or a quantity is below zero or beyond all reason."""
    if min(figures) < 0 or max(figures) > _MOST:
        raise ValueError


def _last_price(ltpc: LTPC, per: float, tick: int) -> tuple[int, int, int, int | None]:
    """The last price and the previous close (0 where there is none), the last quantity, and the last trade's time."""
    price, close = round(ltpc.ltp * per) * tick, round(ltpc.cp * _FINE_PER) * _FINE
    quantity, time_ms = ltpc.ltq, ltpc.ltt
    _check(price, close, quantity)
    return price, close, quantity, time_ms if _EARLIEST_MS <= time_ms < _LATEST_MS else None


def _levels(quotes: Sequence[Quote], per: float, tick: int) -> tuple[Figures, Figures]:
    """Bids and offers, best first. Levels without a price or a quantity are left out."""
    bids: list[int] = []
    asks: list[int] = []
    for quote in quotes:
        if 0 < (price := quote.bidP) <= _MOST_RUPEES and 0 < (quantity := quote.bidQ) <= _MOST:
            bids += (round(price * per) * tick, quantity, 0)
        if 0 < (price := quote.askP) <= _MOST_RUPEES and 0 < (quantity := quote.askQ) <= _MOST:
            asks += (round(price * per) * tick, quantity, 0)
    if len(bids) + len(asks) < 2 * 3 * len(quotes):
        for quote in quotes:
            _check(round(quote.bidP * per), round(quote.askP * per), quote.bidQ, quote.askQ)
    return tuple(bids[: 3 * _MOST_LEVELS]), tuple(asks[: 3 * _MOST_LEVELS])


def _day(bars: Sequence[OHLC], per: float, tick: int) -> tuple[int, int, int]:
    """The day's open, high and low, 0 where there is none."""
    for bar in bars:
        if bar.interval == "1d":
            opened, high, low = round(bar.open * per) * tick, round(bar.high * per) * tick, round(bar.low * per) * tick
            _check(opened, high, low)
            return opened, high, low
    return 0, 0, 0


def _auction(feed: MarketFullFeed, per: float, tick: int) -> Auction | None:
    """The auction's figures. While none runs an eligible instrument has only that it is eligible."""
    imbalance, of_market, eligible = feed.iiqTotal, feed.iiqM, feed.casEligible
    price, reference, quantity = round(feed.iep * per) * tick, round(feed.rp * _FINE_PER) * _FINE, feed.ieq
    if not (price or reference or quantity or imbalance or of_market):
        return Auction(eligible=True) if eligible else None
    _check(price, reference, quantity, abs(imbalance), abs(of_market))
    return Auction(
        price=price or None,
        quantity=quantity,
        reference_price=reference or None,
        imbalance_quantity=imbalance,
        market_imbalance_quantity=of_market,
        eligible=eligible,
    )


def _greeks(greeks: OptionGreeks, volatility: float) -> Greeks | None:
    """The greeks, unless all are zero, which an option's never are."""
    delta, gamma, theta, vega, rho = greeks.delta, greeks.gamma, greeks.theta, greeks.vega, greeks.rho
    every = (delta, gamma, theta, vega, rho, volatility)
    if not any(every):
        return None
    if not isfinite(sum(every)) or max(every) > _MOST_GREEK or min(every) < -_MOST_GREEK:
        raise ValueError
    return Greeks(delta=delta, gamma=gamma, theta=theta, vega=vega, rho=rho, implied_volatility=volatility or None)
