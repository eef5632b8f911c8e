"""Candles: ticks become bars of 1m 3m 5m 15m 30m 1h 1d, counted from the session's open. Pure: time is told.

What counts as a trade
    A source tells the day's volume with each tick. Where it has grown something was traded, at the tick's price, and
    the growth is the bar's; where it has not the tick is a quote and moves nothing. An instrument without volume (an
    index) counts each tick, but only in continuous trading. The indicative prices of an auction are never trades; what
    the opening auction matched belongs to the first bar, what the closing auction matched to the minute of its match,
    and what is traded after the close to the day's bar alone.

When
    The time is the trade's where the source tells it, else the tick's. A bar closes by the clock, `grace_ms` after its
    end, whether or not ticks come; until then late ticks reach it, later ones are counted in `late` and left out. A
    minute without a trade has no bar. The day closes `settling_ms` after the session, once post-close trades are in;
    or with the next day's first tick.

Gaps
    A bar is marked `gap` where the source was away during a part of it, or before which the instrument was first
    heard. Volume that grew while nobody listened for a minute or more is left out of its bars, as nobody knows when it
    was traded. The day's bar has it nevertheless: it is filled from the day's own figures in the last tick.

A tick costs under 1 µs; only its minute is touched, wider bars are made of closed minutes.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable

from feeds.candles.bars import Away, Bar
from feeds.candles.series import NEVER_MS, Series
from feeds.market_hours.sessions import day_start_ms, ist_day, next_day_ms
from schemas.market import MarketState, Tick

GRACE_MS = 2_000
SETTLING_MS = 45 * 60_000
"""Covers the post-close session, which ends half an hour after the close."""
MAX_AHEAD_MS = 60_000
"""A trade that is told further ahead of its time is wrong."""
FORMING_INTERVAL_MS = 1_000
FORGOTTEN_MS = 2 * 86_400_000
"""An instrument without a trade for so long is forgotten."""

Hours = Callable[[str, str, int], int | None]
"""Exchange, symbol and a moment (Unix milliseconds) of a day in; a moment of that day's session out, if it has one."""
Key = tuple[str, str, str]
"""Exchange, symbol, timeframe."""

_CONTINUOUS = MarketState.CONTINUOUS


class CandleEngine:
    """Makes the candles of all instruments.

    `opens_ms` is the day's first moment of continuous trading, also for a moment before it; from there bars are
    counted. `closes_ms` is the day's last moment with bars of their own, the closing auction's end where there is one.
    """

    def __init__(
        self,
        *,
        opens_ms: Hours,
        closes_ms: Hours,
        grace_ms: int = GRACE_MS,
        settling_ms: int = SETTLING_MS,
    ) -> None:
        self._opens_ms = opens_ms
        self._closes_ms = closes_ms
        self._grace_ms = grace_ms
        self._settling_ms = settling_ms
        self._away = Away()
        self._series: dict[tuple[str, str], Series] = {}
        self._closed: list[Bar] = []
        self._clock_ms = 0
        self._due: list[Series] = []
        self._due_ms = NEVER_MS
        self._told: dict[Key, tuple[int, Tick]] = {}
        self._restored_ms: dict[str, int] = {}
        self.late = 0
        """Trades that were told after their bar had closed."""
        self.ahead = 0
        """Trades from the future."""

    def __len__(self) -> int:
        return len(self._series)

    def take(self, tick: Tick) -> None:
        """One tick; those of an instrument in the order in which they came."""
        series = self._series.get((tick.exchange, tick.symbol))
        if series is None:
            series = self._add(tick.exchange, tick.symbol, tick.time_ms)
        volume = tick.volume
        at_ms = tick.last_trade_ms or tick.time_ms
        if volume is None:
            if tick.state is not _CONTINUOUS and tick.state is not None:
                return
            grown = 0
            plain = tick.time_ms >= series.tick.time_ms
        else:
            grown = volume - series.total
            if not grown and not series.broken:
                return
            plain = grown > 0  # a forming minute lies within the session, whatever the state is by now
        minute = series.minute
        if plain and minute.start_ms <= at_ms < minute.end_ms and not series.broken:
            price = tick.price
            if price > minute.high:
                minute.high = price
            elif price < minute.low:
                minute.low = price
            minute.close = price
            if volume is not None:
                minute.volume += grown
                minute.day_volume = series.total = volume
            minute.open_interest = tick.open_interest
            series.tick = tick
        else:
            self._consider(series, tick, at_ms)

    @property
    def closing(self) -> bool:
        """Whether `advance` left instruments for its next call."""
        return bool(self._due)

    def advance(self, now_ms: int, *, at_most: int | None = None) -> list[Bar]:
        """What has closed since the last call, each bar once, an instrument's bars in order. A clock never goes back.

        Calling it often costs nothing. A minute's end costs about 6 µs an instrument, so `at_most` so many instruments
        may be looked at in one call; `closing` says that there are more.
        """
        self._clock_ms = max(self._clock_ms, now_ms)
        if not self._due and self._clock_ms >= self._due_ms:
            self._due = list(self._series.values())
            self._due_ms = NEVER_MS
        self._close_due(len(self._due) if at_most is None else at_most)
        closed = self._closed.copy()
        self._closed.clear()
        return closed

    def forming(self, now_ms: int, wanted: Collection[Key]) -> list[Bar]:
        """The wanted bars that changed since they were last told, each at most once a second. Unknown ones are none."""
        told, self._told = self._told, {}
        bars: list[Bar] = []
        for key in wanted:
            series = self._series.get(key[:2])
            if series is None:
                continue
            before = told.get(key)
            if before is not None and (now_ms - before[0] < FORMING_INTERVAL_MS or before[1] is series.tick):
                self._told[key] = before
            elif (bar := series.forming(key[2])) is not None and bar.start_ms <= now_ms:
                self._told[key] = now_ms, series.tick
                bars.append(bar)
        return bars

    def interrupted(self, exchange: str, at_ms: int, symbol: str = "") -> None:
        """From now on an exchange's source is away, or one instrument isn't listened to. May be said again."""
        self._away.begin(exchange, symbol, at_ms)
        if symbol:
            if (found := self._series.get((exchange, symbol))) is not None:
                found.broken = True
            return
        for series in self._series.values():
            if series.exchange == exchange:
                series.broken = True

    def resumed(self, exchange: str, at_ms: int, symbol: str = "") -> None:
        """It is heard again."""
        self._away.end(exchange, symbol, at_ms)

    def partial(self) -> list[Bar]:
        """The minutes that form now, marked with a gap: to be kept when the process stops, for `restore`."""
        return [bar for series in self._series.values() for bar in series.partial()]

    def restore(self, bars: Iterable[Bar], now_ms: int) -> None:
        """Goes on from stored bars: wider ones have their earlier minutes, and what is closed is not told again.

        Bars of any timeframe help: minutes for the hour, hours for the day; those of earlier days are left aside. The
        time from an exchange's last bar until now counts as an outage. To be called before the first tick.
        """
        self.restore_some(bars, now_ms)
        self.end_restore(now_ms)

    def restore_some(self, bars: Iterable[Bar], now_ms: int) -> None:
        """A part of `restore`, all bars of some instruments; about 5 µs a bar. After the last one `end_restore`."""
        found: defaultdict[tuple[str, str], list[Bar]] = defaultdict(list)
        for bar in bars:
            found[bar.exchange, bar.symbol].append(bar)
        for (exchange, symbol), stored in found.items():
            own = self._of_today(exchange, symbol, stored, now_ms)
            if not own:
                continue
            last_ms = min(max(bar.end_ms for bar in own), now_ms)
            self._restored_ms[exchange] = max(self._restored_ms.get(exchange, 0), last_ms)
            hours = self._hours(exchange, symbol, now_ms)
            if hours is not None:
                self._add(exchange, symbol, now_ms).restore(own, *hours, now_ms)

    def end_restore(self, now_ms: int) -> None:
        """The time from each restored exchange's last bar until now counts as an outage."""
        for exchange, since_ms in self._restored_ms.items():
            self._away.begin(exchange, "", since_ms)
            self._away.end(exchange, "", now_ms)
        self._restored_ms.clear()
        self._due_ms = 0

    def _of_today(self, exchange: str, symbol: str, bars: Iterable[Bar], now_ms: int) -> list[Bar]:
        """Those of the present session's day. The hours of a day are looked up once: that costs more than a bar."""
        today = self._opens_ms(exchange, symbol, now_ms)
        is_today = {ist_day(now_ms): True}
        own: list[Bar] = []
        for bar in bars:
            day = ist_day(bar.start_ms)
            if day not in is_today:
                is_today[day] = self._opens_ms(exchange, symbol, bar.start_ms) == today
            if is_today[day]:
                own.append(bar)
        return own

    def _add(self, exchange: str, symbol: str, since_ms: int) -> Series:
        series = Series(exchange, symbol, since_ms=since_ms, away=self._away, emit=self._closed.append)
        self._series[exchange, symbol] = series
        return series

    def _consider(self, series: Series, tick: Tick, at_ms: int) -> None:
        """Whatever is not simply another trade of the forming minute."""
        if not self._enter_day(series, tick, at_ms):
            return
        if series.broken:
            series.mend(tick, at_ms)
        grown = series.growth(tick)
        if not grown and tick.volume is not None:
            series.note(tick)
        elif self._is_after_close(series, tick, at_ms):
            series.tick = tick
        else:
            self._place(series, tick, at_ms, grown)
        self._due_ms = min(self._due_ms, series.due_ms(self._grace_ms, self._settling_ms))

    def _enter_day(self, series: Series, tick: Tick, at_ms: int) -> bool:
        """Whether the trade is of the present day, or of the next one, which begins then."""
        if at_ms > tick.time_ms + MAX_AHEAD_MS:
            self.ahead += 1
            return False
        hours = self._hours(series.exchange, series.symbol, at_ms)
        if hours is None:
            if tick.state is MarketState.CLOSED:
                return False
            hours = day_start_ms(ist_day(at_ms)), next_day_ms(at_ms)  # a session that no calendar knows
        opens_ms, closes_ms = hours
        if opens_ms > series.opens_ms:
            series.begin_day(opens_ms, closes_ms, tick)
        elif opens_ms < series.opens_ms:
            self.late += 1
            return False
        series.closes_ms = closes_ms
        return True

    def _hours(self, exchange: str, symbol: str, at_ms: int) -> tuple[int, int] | None:
        opens_ms, closes_ms = self._opens_ms(exchange, symbol, at_ms), self._closes_ms(exchange, symbol, at_ms)
        return None if opens_ms is None or closes_ms is None else (opens_ms, closes_ms)

    def _is_after_close(self, series: Series, tick: Tick, at_ms: int) -> bool:
        if tick.state is MarketState.CLOSED:
            return at_ms >= series.closes_ms + self._grace_ms
        return tick.state is MarketState.POST_CLOSE

    def _place(self, series: Series, tick: Tick, at_ms: int, grown: int) -> None:
        """Puts a trade into its minute: before the open it is the first, just after the close the last."""
        at_ms = max(at_ms, series.opens_ms)
        if tick.state is MarketState.CLOSED:
            at_ms = min(at_ms, series.closes_ms - 1)
        until_ms = max(self._clock_ms, series.tick.time_ms) - self._grace_ms
        minute = series.minute_at(at_ms, tick.price, until_ms)
        if minute is None:
            self.late += 1
        else:
            series.add(minute, tick, grown)

    def _close_due(self, at_most: int) -> None:
        due, self._due = self._due[:at_most], self._due[at_most:]
        for series in due:
            series.close_until(self._clock_ms - self._grace_ms, self._clock_ms - self._settling_ms)
            due_ms = series.due_ms(self._grace_ms, self._settling_ms)
            self._due_ms = min(self._due_ms, due_ms)
            if due_ms == NEVER_MS and max(series.since_ms, series.tick.time_ms) < self._clock_ms - FORGOTTEN_MS:
                del self._series[series.exchange, series.symbol]
