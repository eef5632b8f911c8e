"""Signals as they run: closed candles in, signals out to the database and to whoever listens, and then their end.

A thin shell around `feeds.signals.rules` and `feeds.signals.watch`. Candles and prices are handed in without waiting,
through bounded queues; the database is the truth, and what it does not know yet is tried again. A signal is stored
first and published then; one that was stored in a process that died before publishing is published by the next one, and
the key that goes along makes sure of once.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from channels.broker import Clock
from feeds.candles.bars import LENGTHS_MS, Bar
from feeds.signals.prediction import MAX_CONCURRENT, Question
from feeds.signals.reasons import reasons
from feeds.signals.rules import HISTORY, TREND_HISTORY, Gauges, Prediction, SignalType, Verdict, propose, settle
from feeds.signals.signal import Draft, Signal, Source, payload
from feeds.signals.store import SignalStore
from feeds.signals.watch import Closing, Watch
from schemas.durations import Seconds
from schemas.errors import CommandError, Unavailable
from schemas.market import PRICE_SCALE, ist_text

log = logging.getLogger("tickhub.feeds.signals.worker")

Publish = Callable[[str, bytes, str], Awaitable[object]]
"""Channel, payload and idempotency key. Raises Unavailable while the broker is away."""
History = Callable[[str, str, str, int], Awaitable[Sequence[Bar]]]
"""Exchange, symbol, timeframe and how many; the last stored candles, oldest first. Raises Unavailable."""
TickSizeOf = Callable[[str, str], int | None]
"""Exchange and symbol; the instrument's tick in 1/PRICE_SCALE, None for an unknown instrument."""
Predict = Callable[[Question], Awaitable[Prediction | None]]
"""What `PredictionService.predict` is."""

GENERATED = "signals:generated"
LIFETIME_S = 24 * 3600
COOLDOWN_S = 3600
QUEUE = 10_000
"""Candles that wait; the quarter of an hour of 3,000 instruments brings as many at once."""
CANDIDATES = 500
"""Candidates that wait for the prediction service; further ones are settled without it."""
MAX_INSTRUMENTS = 10_000
"""Instruments whose indicators are kept; the ones longest without a candle are forgotten, and begun again."""
RETELL_S = 6 * 3600
"""For how long a signal is worth publishing late."""

_Key = tuple[str, str]


class _Candidate(msgspec.Struct, frozen=True):
    verdict: Verdict
    bar: Bar
    indicators: dict[str, object]


class SignalWorker:
    """The signals of one process. `clock` (Unix seconds) is that of the candles: a replay hands in its own.

    `create` works without `run`; the hooks `on_closed_bar` and `on_price` are of use only beside it.
    """

    POLL_S: Seconds = 1.0
    """How soon a closing is stored, an end of time is noticed, and a failed step is tried again."""
    RELOAD_S: Seconds = 5.0
    """How soon signals that other processes gave or changed are watched."""

    def __init__(
        self,
        store: SignalStore,
        publish: Publish,
        *,
        history: History,
        tick_size_of: TickSizeOf,
        predict: Predict | None = None,
        timeframe: str = "15m",
        larger: str = "1h",
        clock: Clock = time.time,
        sleep: Callable[[Seconds], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._publish = publish
        self._history = history
        self._tick_size_of = tick_size_of
        self._predict = predict
        self._timeframe = timeframe
        self._larger = larger
        self._clock = clock
        self._sleep = sleep
        self._bars: asyncio.Queue[Bar] = asyncio.Queue(QUEUE)
        self._candidates: asyncio.Queue[_Candidate] = asyncio.Queue(CANDIDATES)
        self._gauges: dict[_Key, Gauges] = {}
        self._holes: dict[_Key, int] = {}
        self._ready = asyncio.Event()
        self._watch = Watch()
        self._ended: dict[tuple[str, str, SignalType], int] = {}
        self._closings: dict[int, Closing] = {}
        self._announcing = asyncio.Lock()
        self._away = False
        self.given = 0
        """Signals of the rules that were stored."""
        self.dropped = 0
        """Candles that found the queue full."""
        self.unread = 0
        """Candles that were passed over because their history could not be read."""

    def on_closed_bar(self, bar: Bar) -> None:
        """Takes a closed candle of any timeframe. Never waits and never raises."""
        if bar.timeframe not in (self._timeframe, self._larger):
            return
        try:
            self._bars.put_nowait(bar)
        except asyncio.QueueFull:
            self.dropped += 1
            self._holes[bar.exchange, bar.symbol] = bar.start_ms

    def on_price(self, exchange: str, symbol: str, price: int, time_ms: int) -> None:
        """Takes a trade's price, never an auction's indicative one. Never waits and never raises; costs a look-up."""
        for closing in self._watch.on_price(exchange, symbol, price, time_ms):
            self._closings[closing.signal_id] = closing

    async def caught_up(self) -> None:
        """Returns once all candles that were taken have been dealt with; while the database is away, not at all."""
        await self._bars.join()
        await self._candidates.join()

    async def create(self, draft: Draft) -> Signal:
        """Stores a signal given by hand and publishes it. Raises what `SignalStore.create` raises.

        While the broker is away it is stored all the same, and published later by whoever runs.
        """
        signal = await self._store.create(draft, now_s=self._now_s())
        try:
            await self._announce()
        except Unavailable as exc:
            log.warning("signals.not_published", extra={"signal": signal.id, "what": exc.what, "why": exc.why})
        return signal

    async def run(self) -> None:
        """Gives, watches and ends signals until cancelled, surviving every outage of database and broker."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep(), name="signals.keep")
            group.create_task(self._read_bars(), name="signals.bars")
            for number in range(MAX_CONCURRENT):
                group.create_task(self._settle_candidates(), name=f"signals.candidates.{number}")

    # -- from candles to candidates -----------------------------------------------------------------------------------

    async def _read_bars(self) -> None:
        await self._ready.wait()
        while True:
            bar = await self._bars.get()
            try:
                await self._take(bar)
            except Unavailable as exc:
                self.unread += 1
                self._tell_away(exc)
            self._bars.task_done()
            await asyncio.sleep(0)

    async def _take(self, bar: Bar) -> None:
        key = (bar.exchange, bar.symbol)
        if bar.timeframe == self._larger:
            if key in self._gauges:
                self._gauges[key].larger_closed(bar)
            return
        if bar.start_ms > self._holes.get(key, bar.start_ms):
            del self._holes[key]
            self._gauges.pop(key, None)  # they lack a candle, which the history has
        gauges = self._gauges.pop(key, None) or await self._begun(bar)
        self._gauges[key] = gauges  # at the end, as the one with the newest candle
        if len(self._gauges) > MAX_INSTRUMENTS:
            self._gauges.pop(next(iter(self._gauges)))
        readings = gauges.closed(bar)
        tick_size = self._tick_size_of(*key)
        if readings is None or tick_size is None or self._is_old(bar):
            return
        verdict = propose(readings, close=bar.close, tick_size=tick_size)
        if verdict.signal_type is not SignalType.HOLD and not self._is_held_back(bar, verdict.signal_type):
            await self._put(_Candidate(verdict, bar, dict(gauges.values)))

    async def _begun(self, bar: Bar) -> Gauges:
        """Gauges that have seen the history up to this candle, which they have not."""
        candles = await self._history(bar.exchange, bar.symbol, self._timeframe, HISTORY)
        larger = await self._history(bar.exchange, bar.symbol, self._larger, TREND_HISTORY)
        return Gauges(
            [one for one in candles if one.start_ms < bar.start_ms],
            [one for one in larger if one.end_ms <= bar.end_ms],
        )

    def _is_old(self, bar: Bar) -> bool:
        """Whether it is too late to act on a candle: it came with an outage's end, or out of a queue that was full."""
        return self._clock() * 1000 - bar.end_ms > LENGTHS_MS.get(bar.timeframe, LIFETIME_S * 1000)

    def _is_held_back(self, bar: Bar, signal_type: SignalType) -> bool:
        """Whether the same signal is active, or ended a short while ago."""
        ended_s = self._ended.get((bar.exchange, bar.symbol, signal_type))
        if ended_s is not None and self._now_s() - ended_s < COOLDOWN_S:
            return True
        return any(
            one.signal_type is signal_type and one.timeframe == bar.timeframe and one.source is not Source.API
            for one in self._watch.standing(bar.exchange, bar.symbol)
        )

    async def _put(self, candidate: _Candidate) -> None:
        if self._predict is None:
            await self._issue(candidate, None)
            return
        try:
            self._candidates.put_nowait(candidate)
        except asyncio.QueueFull:
            await self._issue(candidate, None)

    # -- from candidates to signals -----------------------------------------------------------------------------------

    async def _settle_candidates(self) -> None:
        while True:
            candidate = await self._candidates.get()
            prediction = None if self._predict is None else await self._predict(_question(candidate))
            await self._issue(candidate, prediction)
            self._candidates.task_done()

    async def _issue(self, candidate: _Candidate, prediction: Prediction | None) -> None:
        """Stores and publishes what is left of a candidate; tries again until it is too old to act on."""
        verdict = settle(candidate.verdict, prediction)
        if verdict.signal_type is SignalType.HOLD:
            return
        draft = _draft(verdict, candidate.bar, self._now_s())
        while not self._is_old(candidate.bar):
            try:
                signal = await self._store.issue(draft, now_s=self._now_s())
                break
            except Unavailable as exc:
                self._tell_away(exc)
                await self._sleep(self.POLL_S)
        else:
            return
        if signal is not None:
            await self._given(signal)

    async def _given(self, signal: Signal) -> None:
        for one in self._watch.standing(signal.exchange, signal.symbol):
            if one.timeframe == signal.timeframe and one.source is not Source.API:
                self._watch.drop(one)  # its opposite has taken its place
        self._watch.add(signal)
        self.given += 1
        log.info("signals.given", extra={"signal": signal.id, "symbol": signal.symbol, "type": signal.signal_type})
        try:
            await self._announce()
        except Unavailable as exc:
            self._tell_away(exc)

    async def _announce(self) -> None:
        """Publishes the stored signals that nobody was told of, in their order. Raises Unavailable."""
        async with self._announcing:
            while found := await self._store.unannounced(self._now_s() - RETELL_S):
                for signal in found:
                    await self._tell(signal)
                await self._store.announced([signal.id for signal in found], now_s=self._now_s())

    async def _tell(self, signal: Signal) -> None:
        raw = payload(signal)
        for channel in (GENERATED, f"signals:{signal.exchange}:{signal.symbol}"):
            try:
                await self._publish(channel, raw, f"signal:{signal.id}")
            except CommandError as exc:  # its symbol makes no channel, and never will
                log.warning("signals.refused", extra={"signal": signal.id, "code": exc.code})

    # -- until their end ----------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        reload_s = 0.0
        while True:
            try:
                ended = await self._end()
                if ended or self._clock() >= reload_s:
                    await self._reload()
                    reload_s = self._clock() + self.RELOAD_S
                await self._announce()
            except Unavailable as exc:
                self._tell_away(exc)
            else:
                self._away = False
            await self._sleep(self.POLL_S)

    async def _end(self) -> bool:
        """Stores the closings, and ends what has outlived its time; whether anything did.

        Raises Unavailable; nothing is forgotten then.
        """
        closings = list(self._closings.values())
        for closing in closings:
            await self._store.close(closing.signal_id, outcome=closing.outcome, price=closing.price, now_s=closing.at_s)
            self._closings.pop(closing.signal_id, None)
        return bool(await self._store.expire(self._now_s())) or bool(closings)

    async def _reload(self) -> None:
        """Watches what the database says, whichever process gave, changed or ended it."""
        known = {signal.id for signal in self._watch}
        active = await self._store.active()
        ended = await self._store.ended_since(self._now_s() - COOLDOWN_S)
        given_meanwhile = [signal for signal in self._watch if signal.id not in known]
        self._watch = Watch(one for one in (*active, *given_meanwhile) if one.id not in self._closings)
        self._ended = {(one.exchange, one.symbol, one.signal_type): one.closed_at or 0 for one in ended}
        self._ready.set()

    def _tell_away(self, exc: Unavailable) -> None:
        if not self._away:
            self._away = True
            log.warning("signals.away", extra={"what": exc.what, "why": exc.why})

    def _now_s(self) -> int:
        return int(self._clock())


def _draft(verdict: Verdict, bar: Bar, now_s: int) -> Draft:
    prediction = verdict.prediction
    return Draft(
        exchange=bar.exchange,
        symbol=bar.symbol,
        timeframe=bar.timeframe,
        signal_type=verdict.signal_type,
        confidence=verdict.confidence,
        entry_price=verdict.entry,
        target_price=verdict.target,
        stop_loss=verdict.stop,
        ml_score=None if prediction is None else prediction.score,
        reason=reasons(verdict),
        source=Source.RULES if prediction is None else Source.ML,
        expires_at=now_s + LIFETIME_S,
    )


def _question(candidate: _Candidate) -> Question:
    bar = candidate.bar
    return Question(
        symbol=bar.symbol,
        market_data={
            "exchange": bar.exchange,
            "timeframe": bar.timeframe,
            "time": ist_text(bar.end_ms),
            "open": bar.open / PRICE_SCALE,
            "high": bar.high / PRICE_SCALE,
            "low": bar.low / PRICE_SCALE,
            "close": bar.close / PRICE_SCALE,
            "volume": bar.volume,
        },
        indicators=candidate.indicators,
    )
