"""The bars of one instrument while they form: the minute, the one before it within its grace, and the wider ones."""

from collections.abc import Callable, Iterable

from feeds.candles.bars import DAY, LENGTHS_MS, MINUTE_MS, Away, Bar, Forming
from schemas.market import MarketState, Tick

HIGHER = tuple((timeframe, length_ms) for timeframe, length_ms in LENGTHS_MS.items() if length_ms > MINUTE_MS)
NEVER_MS = 2**62
NOTHING = Forming(0, 0)
"""Stands for the minute while none forms."""
NO_TICK = Tick(exchange="", symbol="", price=0, time_ms=0)
"""Stands for the last trade before the day's first."""

_UNSURE = frozenset({MarketState.PRE_OPEN, MarketState.CLOSED})
_TRADED = frozenset({MarketState.CONTINUOUS, MarketState.POST_CLOSE, MarketState.HALTED, None})
_AUCTIONS = frozenset({MarketState.PRE_OPEN, MarketState.CLOSING_AUCTION})


class Series:
    """One instrument's forming bars. `emit` takes what is closed, in order of time, the minute before the wider ones.

    Nothing here knows the time; the engine says until when bars are over.
    """

    __slots__ = (
        "_away", "_emit", "_lower", "broken", "closed_ms", "closes_ms", "counts", "day", "day_done", "exchange",
        "higher", "minute", "opens_ms", "previous", "since_ms", "symbol", "tick", "total",
    )  # fmt: skip

    def __init__(self, exchange: str, symbol: str, *, since_ms: int, away: Away, emit: Callable[[Bar], object]) -> None:
        self.exchange = exchange
        self.symbol = symbol
        self.since_ms = since_ms
        """From when on it has been heard."""
        self.opens_ms = self.closes_ms = 0
        self.minute = NOTHING
        self.previous: Forming | None = None
        """An earlier minute that late ticks may still reach."""
        self.higher: list[Forming | None] = [None] * len(HIGHER)
        """What the closed minutes make of each wider timeframe."""
        self.day: Forming | None = None
        self.day_done = False
        self.closed_ms = 0
        """Minutes that end by then are closed."""
        self.tick = NO_TICK
        """The day's last trade, with the day's own figures."""
        self.total = 0
        """The day's volume as last told."""
        self.counts = False
        """Whether it has volumes."""
        self.broken = True
        """The next tick is to be looked at closely: it is the first, or the first after an outage or a lower volume."""
        self._lower: int | None = None
        self._away = away
        self._emit = emit

    # -- what a tick means ------------------------------------------------------------------------------------------

    def begin_day(self, opens_ms: int, closes_ms: int, tick: Tick) -> None:
        """Closes what is left of the day before, and finds out from where on volumes count.

        A first tick that tells no time of its trade, before the market trades, may still tell yesterday's volume.
        """
        self.close_until(NEVER_MS, NEVER_MS)
        first, self.opens_ms, self.closes_ms = not self.opens_ms, opens_ms, closes_ms
        self.tick, self.day, self.day_done, self._lower = NO_TICK, None, False, None
        if tick.volume is None:
            return
        self.counts = True
        unsure = tick.last_trade_ms is None and tick.state in _UNSURE
        known = tick.volume == tick.last_quantity if first else True
        self.total = 0 if known and not unsure else tick.volume

    def growth(self, tick: Tick) -> int:
        """How much was traded since the last tick; 0 for a quote, and while a lower volume awaits confirmation.

        One lower volume may be a slip of the wire. A second one is a correction by the exchange, from which it counts
        on; before the day's first trade it is the reset of yesterday's volume.
        """
        volume = tick.volume
        if volume is None:
            return 0
        self.counts = True
        lower, self._lower = self._lower, None
        if volume >= self.total:
            grown = volume - self.total
        elif self.tick is NO_TICK:
            grown = volume
        elif lower is None or volume < lower:
            self._lower = volume
            self.broken = True
            return 0
        else:
            grown = volume - lower
        self.total = volume
        return grown

    def mend(self, tick: Tick, at_ms: int) -> None:
        """The first tick after the source was away: decides whether what was traded meanwhile belongs to its minute.

        It does where the outage lay within that minute, or was shorter than one. Otherwise nobody knows when it was
        traded, and it is left out of all minutes; the day's own figures hold it.
        """
        self.broken = False
        start_ms, _ = self.window(MINUTE_MS, max(at_ms, self.opens_ms))
        since_ms = max(self.tick.time_ms, self.opens_ms)
        if tick.volume is None or tick.volume <= self.total:
            return
        if self._away.during(self.exchange, self.symbol, since_ms, start_ms, at_least_ms=MINUTE_MS):
            self.total = tick.volume
            if tick.state not in _AUCTIONS:
                self.tick = tick

    def note(self, tick: Tick) -> None:
        """The first tick of all, in mid-session: no trade that could be placed, but the day's figures."""
        known = self.tick is not NO_TICK or self.day is not None or self.minute is not NOTHING
        if not known and tick.state in _TRADED and tick.volume and tick.time_ms >= self.opens_ms:
            self.tick = tick

    def add(self, forming: Forming, tick: Tick, grown: int) -> None:
        """A trade of that bar."""
        forming.stretch(tick.price)
        forming.volume += grown
        last_ms = forming.last_ms if forming is self.previous else self.tick.time_ms
        if tick.volume is not None or tick.time_ms >= last_ms:
            forming.close = tick.price
            forming.last_ms = tick.time_ms
            forming.open_interest, forming.day_volume = tick.open_interest, tick.volume
        if tick.volume is not None or tick.time_ms >= self.tick.time_ms:
            self.tick = tick

    # -- which bar a moment belongs to --------------------------------------------------------------------------------

    def window(self, length_ms: int, at_ms: int) -> tuple[int, int]:
        """The span of the bar, counted from the session's open; the last one ends with the session."""
        start_ms = self.opens_ms + (at_ms - self.opens_ms) // length_ms * length_ms
        end_ms = start_ms + length_ms
        return start_ms, self.closes_ms if start_ms < self.closes_ms < end_ms else end_ms

    def minute_at(self, at_ms: int, price: int, until_ms: int) -> Forming | None:
        """The minute of a trade, made where it is new; None where it is over."""
        start_ms, end_ms = self.window(MINUTE_MS, at_ms)
        if end_ms <= max(until_ms, self.closed_ms):
            return None
        if start_ms == self.minute.start_ms:
            return self.minute
        if self.previous is not None:
            if start_ms <= self.previous.start_ms:
                return self.previous if start_ms == self.previous.start_ms else None
            self._close_minute(self.previous)
        forming = Forming(start_ms, end_ms, price)
        if start_ms < self.minute.start_ms:
            self.previous = forming
            return forming
        self.previous = None
        if self.minute is not NOTHING:
            self.minute.last_ms = self.tick.time_ms
            self.previous = self.minute
        self.minute = forming
        return forming

    # -- closing ------------------------------------------------------------------------------------------------------

    def close_until(self, until_ms: int, day_until_ms: int) -> None:
        """Closes what ended by `until_ms`, and the day where the session closed by `day_until_ms`."""
        if self.previous is not None and self.previous.end_ms <= until_ms:
            self._close_minute(self.previous)
            self.previous = None
        if self.minute is not NOTHING and self.minute.end_ms <= until_ms:
            self._close_minute(self.minute)
            self.minute = NOTHING
        for place, wider in enumerate(self.higher):
            if wider is not None and wider.end_ms <= until_ms:
                self._close_wider(place, wider)
        if not self.day_done and self.closes_ms <= day_until_ms and (bar := self.day_bar(closed=True)) is not None:
            self.day_done = True
            self._emit(bar)

    def due_ms(self, grace_ms: int, settling_ms: int) -> int:
        """When the next bar is to be closed; NEVER_MS where none forms."""
        ends = [forming.end_ms for forming in (self.previous, self.minute, *self.higher) if forming and forming.end_ms]
        due_ms = min(ends, default=NEVER_MS - grace_ms) + grace_ms
        traded = self.day is not None or self.tick is not NO_TICK
        return min(due_ms, self.closes_ms + settling_ms) if traded and not self.day_done else due_ms

    def _close_minute(self, minute: Forming) -> None:
        self.closed_ms = minute.end_ms
        bar = self._bar("1m", minute)
        minute.gap = bar.gap
        self._emit(bar)
        for place, (_, length_ms) in enumerate(HIGHER):
            wider = self.higher[place]
            if wider is not None and minute.start_ms >= wider.end_ms:
                self._close_wider(place, wider)
                wider = None
            if wider is None:
                self.higher[place] = minute.copy(*self.window(length_ms, minute.start_ms))
            else:
                wider.fold(minute)
        self._fold_into_day(minute)

    def _close_wider(self, place: int, wider: Forming) -> None:
        self.higher[place] = None
        self._emit(self._bar(HIGHER[place][0], wider))

    def _fold_into_day(self, minute: Forming) -> None:
        if self.day is None:
            self.day = minute.copy(self.opens_ms, self.closes_ms)
        else:
            self.day.fold(minute)

    # -- bars as they are told ----------------------------------------------------------------------------------------

    def forming(self, timeframe: str) -> Bar | None:
        """The bar as it stands; None where none forms."""
        if timeframe == DAY:
            return None if self.day_done else self.day_bar(closed=False)
        pieces = [piece for piece in (self.previous, self.minute) if piece is not None and piece is not NOTHING]
        if timeframe == "1m":
            return self._bar("1m", pieces[-1], closed=False) if pieces else None
        place = next(place for place, (name, _) in enumerate(HIGHER) if name == timeframe)
        wider = self.higher[place]
        if pieces:
            start_ms, end_ms = self.window(HIGHER[place][1], pieces[-1].start_ms)
            if wider is not None:
                pieces.insert(0, wider)
            wider = joined([piece for piece in pieces if piece.start_ms >= start_ms], start_ms, end_ms)
        return None if wider is None else self._bar(timeframe, wider, closed=False)

    def day_bar(self, *, closed: bool) -> Bar | None:
        """The day as its minutes and its own figures tell; those know what was traded while nobody listened."""
        pieces = [piece for piece in (self.day, self.previous, self.minute) if piece and piece is not NOTHING]
        tick = self.tick
        if not pieces and tick is NO_TICK:
            return None
        begin = pieces or [Forming(self.opens_ms, self.closes_ms, tick.price)]
        day = joined(begin, self.opens_ms, self.closes_ms)
        known = bool(tick.open and tick.high and tick.low)
        if tick is not NO_TICK:
            day.open = tick.open or day.open
            day.close = tick.price
            for price in (day.open, tick.high, tick.low, tick.price):
                day.stretch(price or day.close)
            day.volume = day.volume if tick.volume is None else tick.volume
            day.open_interest, day.day_volume = tick.open_interest, tick.volume
        if known:
            gap = self._away.during(self.exchange, self.symbol, tick.time_ms, self.closes_ms)
        else:
            gap = day.gap or self._unwatched(day)
        return self._told(DAY, day, closed=closed, gap=gap)

    def partial(self) -> list[Bar]:
        """The minutes that still form, as they are kept when the process stops: with a gap, as they may lack trades."""
        pieces = [piece for piece in (self.previous, self.minute) if piece is not None and piece is not NOTHING]
        return [self._told("1m", piece, closed=False, gap=True) for piece in pieces]

    def _bar(self, timeframe: str, forming: Forming, *, closed: bool = True) -> Bar:
        return self._told(timeframe, forming, closed=closed, gap=forming.gap or self._unwatched(forming))

    def _unwatched(self, forming: Forming) -> bool:
        if self.since_ms > forming.start_ms:
            return True
        return self._away.during(self.exchange, self.symbol, forming.start_ms, forming.end_ms)

    def _told(self, timeframe: str, forming: Forming, *, closed: bool, gap: bool) -> Bar:
        return Bar(
            exchange=self.exchange,
            symbol=self.symbol,
            timeframe=timeframe,
            start_ms=forming.start_ms,
            end_ms=forming.end_ms,
            open=forming.open,
            high=forming.high,
            low=forming.low,
            close=forming.close,
            volume=forming.volume if self.counts else None,
            open_interest=forming.open_interest,
            day_volume=forming.day_volume,
            gap=gap,
            closed=closed,
        )

    # -- after a restart ----------------------------------------------------------------------------------------------

    def restore(self, bars: Iterable[Bar], opens_ms: int, closes_ms: int, now_ms: int) -> None:
        """Goes on from the day's stored bars of all timeframes; whatever of them is closed is not told again."""
        self.opens_ms, self.closes_ms, self.since_ms = opens_ms, closes_ms, 0
        told: set[tuple[str, int]] = set()
        covered_ms = [0] * (len(HIGHER) + 1)
        in_order = sorted(bars, key=lambda one: (one.start_ms, -one.end_ms))
        newest_ms = max((bar.start_ms for bar in in_order if bar.timeframe == "1m"), default=0)
        for bar in in_order:
            self.counts |= bar.volume is not None
            self.total = max(self.total, bar.day_volume or 0)
            if bar.timeframe == "1m" and bar.start_ms == newest_ms and (bar.gap or bar.end_ms > now_ms):
                self.minute = Forming.of(bar)  # the process stopped within it
                continue
            told.add((bar.timeframe, bar.start_ms))
            if bar.timeframe == DAY:
                self.day_done = True
                continue
            self.closed_ms = max(self.closed_ms, bar.end_ms)
            self._restore_wider(bar, covered_ms)
        for place, wider in enumerate(self.higher):
            if wider is not None and (HIGHER[place][0], wider.start_ms) in told:
                self.higher[place] = None

    def _restore_wider(self, bar: Bar, covered_ms: list[int]) -> None:
        """Puts the bar into each timeframe that is made of such bars, where it doesn't hold that time already."""
        piece = Forming.of(bar)
        for place, (_, length_ms) in enumerate(HIGHER):
            if length_ms % LENGTHS_MS[bar.timeframe] or bar.start_ms < covered_ms[place]:
                continue
            covered_ms[place] = bar.end_ms
            wider = self.higher[place]
            if wider is None or bar.start_ms >= wider.end_ms:
                self.higher[place] = piece.copy(*self.window(length_ms, bar.start_ms))
            else:
                wider.fold(piece)
        if bar.start_ms >= covered_ms[-1]:
            covered_ms[-1] = bar.end_ms
            self._fold_into_day(piece)


def joined(pieces: Iterable[Forming], start_ms: int, end_ms: int) -> Forming:
    """One bar of bars in order of time, of which there is at least one."""
    first, *others = pieces
    whole = first.copy(start_ms, end_ms)
    for piece in others:
        whole.fold(piece)
    return whole
