"""The role `feeds`: prices in, and everything that is computed from them. Constructed here and nowhere else.

    feeds ──► take ──► gate ──► candles, indicators, signals ──► publisher ──► broker
                                                                     └──────► delay line

Of all processes with the same FEED one works, which a lease sees to; the others stand by, with their lists of
instruments loaded, and take over within seconds. What a process that lost the lease unawares still says is refused by
the broker (`channels.lease`).
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any, NoReturn

from sqlalchemy.ext.asyncio import AsyncEngine

from auth.plans import Plans
from channels.broker import Broker, Clock
from channels.channel import ChannelNames
from channels.lease import Fence
from channels.registry import Registry
from channels.shape import Update as Heard
from feeds import simulated_past
from feeds.accounts.credentials import read_credentials
from feeds.accounts.runner import BrokerFeed
from feeds.candles.engine import CandleEngine
from feeds.candles.history import CandleHistory
from feeds.candles.worker import CandleWorker, Name
from feeds.configuration import Configuration
from feeds.delay import DelayLine
from feeds.errors import BadFile
from feeds.feed import Feed, FeedStatus, Publish, Update
from feeds.indicators.live import LiveIndicators
from feeds.instruments import Instrument, Listing
from feeds.interest import CandlePlace, places_of
from feeds.listings.directory import Directory
from feeds.listings.instrument_store import InstrumentStore
from feeds.listings.master_loader import MasterLoader
from feeds.listings.masters import VENDORS
from feeds.market_hours.halts import INDICES, MarketHalts
from feeds.market_hours.hours import SessionClass
from feeds.market_hours.overrides import OverridesFile
from feeds.market_hours.sessions import Sessions
from feeds.market_hours.watch import SessionWatch
from feeds.outside import OutsidePrices
from feeds.publisher import Publisher
from feeds.replay.player import ReplayFeed
from feeds.replay.recording import RecordedSource, Recorder
from feeds.sanity import Gate
from feeds.signals.prediction import PredictionService
from feeds.signals.store import SignalStore
from feeds.signals.worker import SignalWorker
from feeds.simulated_market import MarketHours
from feeds.simulator import Simulator
from hub import database
from hub.feeding.division import Division
from hub.feeding.fetch import fetch
from hub.feeding.hours import FeedHours
from hub.feeding.metrics import measure
from hub.feeding.orders import FeedOrders
from hub.feeding.sources import SOURCES
from hub.metrics import Metrics
from hub.parts import Part
from hub.progress import shown, watch
from schemas.errors import SettingsError, Unavailable
from schemas.market import MarketState, Tick
from schemas.settings import Settings

log = logging.getLogger("tickhub.hub.feeding.role")

MIGRATE_RETRY_S = 2.0
PURGE_S = 86_400.0
PREPARE_S = 15.0
"""How long prices wait for what an earlier process has stored."""
FLUSH_TIMEOUT_S = 5.0
KEEP_PACE_S = 5.0
"""How long a replay waits for its signals, which need the database."""
_DAY_MS = 86_400_000
_MINUTE_MS = 60_000
_TRADED = frozenset({MarketState.CONTINUOUS, MarketState.POST_CLOSE, None})


class Feeds:
    """One instance of the role. `environ` reads the environment anew: credentials change while we run."""

    def __init__(
        self,
        settings: Settings,
        *,
        broker: Broker,
        names: ChannelNames,
        engine: AsyncEngine,
        registry: Registry,
        plans: Plans,
        environ: Callable[[], Mapping[str, str]],
    ) -> None:
        self._settings = settings
        self._broker = broker
        self._names = names
        self._engine = engine
        self._environ = environ
        self.sessions = Sessions()
        self._orders = FeedOrders(broker, names, environ)
        self._recorder = Recorder(settings.record_file) if settings.record_file is not None else None
        self._replay = self._replay_feed() if "replay" in settings.feed else None
        self._wall: Clock = self._replay.now_s if self._replay is not None else time.time
        self._simulated_only = settings.feed == ("simulator",)
        self.hours = FeedHours(
            self.sessions,
            self.find,
            self._wall,
            around_the_clock=self._simulated_only and settings.simulator_hours == MarketHours.ALWAYS,
        )
        self._loaders: dict[str, MasterLoader] = {}
        self.feeds: list[Feed] = [self._feed(name) for name in settings.feed]
        self._lease = broker.lease(f"feeds:{','.join(sorted(settings.feed))}")
        self._migration_tried = asyncio.Event()
        self._sessions_read = asyncio.Event()
        self.gate = Gate(self.sessions, self.find)
        self._halts = MarketHalts(self.sessions)
        self.publisher = Publisher(broker, names, wall=self._wall)
        self.delay = DelayLine(settings.data_dir / "delay", plans.delays_s, names, self.publisher.publish_payloads)
        self.publisher.on_published.append(self.delay.write)
        self._plans = plans
        self.history = CandleHistory(engine)
        self._indicators = LiveIndicators(
            self.history, lambda: self.division.wanted_candles, sleep=asyncio.sleep, wall=self._wall
        )
        self.candles = CandleWorker(
            CandleEngine(opens_ms=self.hours.opens_ms, closes_ms=self.hours.closes_ms),
            publish=self._publish_candles,
            wanted=self._wanted_candles,
            history=self.history,
            annotate=self._indicators.annotate,
            clock=self._wall,
        )
        self._prediction = _prediction_service(settings)
        self.signals = self._signal_worker()
        self._minute = 0
        self._outside = OutsidePrices(registry, names, self._take_outside, self._now_ms)
        self.division = Division(
            self.feeds,
            broker,
            always=places_of(settings.feed_symbols),
            follow=self._outside.follow,
            candles=self.candles,
        )
        self.division.unready.update(feed.name for feed in self.feeds if isinstance(feed, BrokerFeed))

    @property
    def parts(self) -> list[Part]:
        """What runs in every process of the role; the work itself only where the lease is held."""
        parts: list[Part] = [
            ("feeds.migrate", self._migrate),
            ("feeds.work", self._run),
            ("feeds.sessions", self._watch_sessions),
        ]
        parts += [(f"feeds.master.{name}", self._loading(loader)) for name, loader in self._loaders.items()]
        if self._recorder is not None:
            parts.append(("feeds.recorder", self._recorder.run))
        return parts

    @property
    def working(self) -> bool:
        """Whether this process is the one that works."""
        return self._lease.held

    async def open(self) -> None:
        """Look at what is to be replayed. Raises SettingsError where it can't be."""
        if self._replay is None:
            return
        if len(self.feeds) > 1:
            raise SettingsError(["FEED: replay goes by the time of its file, so it can't run beside other feeds"])
        try:
            await self._replay.open()
        except BadFile as exc:
            raise SettingsError([f"REPLAY_FILE: {exc}"]) from exc
        except OSError as exc:
            raise SettingsError([f"REPLAY_FILE: can't read {self._settings.replay_file}: {exc.strerror}"]) from exc

    @property
    def replayed(self) -> Sequence[Instrument]:
        """The instruments of the file that is replayed."""
        return self._replay.instruments if self._replay is not None else ()

    def find(self, exchange: str, symbol: str) -> Instrument | None:
        """An instrument that some feed lists."""
        return next((found for feed in self.feeds if (found := feed.find(exchange, symbol)) is not None), None)

    def follow_plans(self) -> None:
        """The table of plans has been replaced: delay by what it says now."""
        self.delay.replace(self._plans.delays_s)

    def measure(self, metrics: Metrics) -> None:
        """Add what can be counted here to `/metrics`."""
        metrics.gauge("feeds_working", "1 where this process has the feeds.", lambda: float(self.working))
        measure(
            metrics,
            feeds=self.feeds,
            publisher=self.publisher,
            gate=self.gate,
            candles=self.candles,
            history=self.history,
        )

    # -- making -----------------------------------------------------------------------------------------------------

    def _feed(self, name: str) -> Feed:
        settings = self._settings
        match name:
            case "simulator":
                return Simulator(
                    seed=settings.simulator_seed,
                    ticks_per_second=settings.simulator_rate,
                    market_hours=MarketHours(settings.simulator_hours),
                    symbols=settings.simulator_symbols,
                    sessions=self.sessions,
                )
            case "replay" if self._replay is not None:
                return self._replay
            case _:
                return self._broker_feed(name)

    def _replay_feed(self) -> ReplayFeed:
        path, speed = self._settings.replay_file or Path(), self._settings.replay_speed
        return ReplayFeed(path, source_of=lambda name: SOURCES[name]("full"), speed=speed)

    def _broker_feed(self, name: str) -> BrokerFeed:
        source = SOURCES[name](self._settings.feed_mode)
        feed = BrokerFeed(
            RecordedSource(source, self._recorder) if self._recorder is not None else source,
            directory=Directory(),
            credentials=lambda: read_credentials(name, source.credential_names, self._environ),
            session_of=self.hours.session_of,
            on_order=lambda data: self._orders.hear(name, data),
            mode=self._settings.feed_mode,
        )

        async def put_in_force(listings: Sequence[Listing]) -> None:
            feed.directory = await asyncio.to_thread(Directory, listings)
            self.division.listed_anew(name)

        local = self._environ().get(f"{name.upper()}_INSTRUMENTS", "")
        self._loaders[name] = MasterLoader(
            VENDORS[name],
            InstrumentStore(self._engine),
            fetch=fetch,
            on_listings=put_in_force,
            is_trading_day=self._is_trading_day,
            watch=watch,
            path=Path(local) if local else None,
        )
        return feed

    def _loading(self, loader: MasterLoader) -> Callable[[], Coroutine[Any, Any, None]]:
        async def run() -> None:
            await self._sessions_read.wait()
            await loader.run()

        return run

    def _is_trading_day(self, day: date) -> bool:
        return self.sessions.trades_on(SessionClass.CASH, day)

    def _signal_worker(self) -> SignalWorker | None:
        timeframe = self._settings.signals_timeframe
        if timeframe == "off":
            return None
        worker = SignalWorker(
            SignalStore(self._engine),
            self._publish_signal,
            history=self._last_bars,
            tick_size_of=self._tick_size,
            predict=self._prediction.predict if self._prediction is not None else None,
            timeframe=timeframe,
            larger="1d" if timeframe in ("1h", "1d") else "1h",
            clock=self._wall,
        )
        self.candles.on_closed.append(worker.on_closed_bar)
        return worker

    def _tick_size(self, exchange: str, symbol: str) -> int | None:
        found = self.find(exchange, symbol)
        return None if found is None else found.tick_size

    # -- working ----------------------------------------------------------------------------------------------------

    async def _run(self) -> NoReturn:
        await self._lease.hold(self._work)

    async def _work(self, fence: Fence) -> NoReturn:
        self.publisher.fence = fence
        await self._prepare()
        for exchange in self.division.exchanges:
            self.candles.resumed(exchange)
        try:
            async with asyncio.TaskGroup() as group:
                for feed in self.feeds:
                    group.create_task(feed.run(self._publish_of(feed)), name=f"feeds.{feed.name}")
                for name, part in self._working_parts():
                    group.create_task(part(), name=name)
        finally:
            await self._cease()
        raise AssertionError("the parts never end by themselves")

    async def _prepare(self) -> None:
        """Goes on from what is stored, if the database gives it soon."""
        try:
            async with asyncio.timeout(PREPARE_S):
                await self._migration_tried.wait()
                await self._sessions_read.wait()
                await self._give_a_past()
                if self._replay is None:  # what is stored of its days may be from the last time it was played
                    await self.candles.restore()
        except TimeoutError:
            log.warning("feeds.unprepared", extra={"hint": "the database doesn't answer; today's candles have gaps"})

    async def _give_a_past(self) -> None:
        """A market that never closes and is alone here goes on where it stopped; one with a seed repeats itself."""
        simulator = self.feeds[0]
        if self.hours.around_the_clock and isinstance(simulator, Simulator) and self._settings.simulator_seed is None:
            with shown("Making up the past of the simulated prices"):
                await simulated_past.begin(simulator, self.history, int(self._wall() * 1000))

    async def _cease(self) -> None:
        """Keeps what is only in memory, unless another process is the one to say it by now."""
        if self.working:
            self.candles.stop()
        self.division.stop()
        await self._outside.follow(())
        for exchange in self.division.exchanges:
            self.candles.interrupted(exchange)
        await self._flush()

    def _working_parts(self) -> list[Part]:
        publisher, exchanges = self.publisher, self.division.exchanges
        parts: list[Part] = [
            ("feeds.division", self.division.run),
            ("feeds.market", lambda: publisher.status_market(exchanges, self.hours.session_of)),
            ("feeds.status", lambda: publisher.status_feeds(self.division.fed, self.hours.session_of, self._statuses)),
            ("feeds.candles", self._tell_candles),
            ("feeds.history", self.history.run),
            ("feeds.purge", self._purge),
            ("feeds.orders", self._orders.run),
            ("feeds.indicators", self._indicators.run),
            ("feeds.delay", self.delay.run),
        ]
        if self.signals is not None:
            parts.append(("feeds.signals", self.signals.run))
        if self._prediction is not None:
            parts.append(("feeds.prediction", self._keep_prediction))
        return parts

    async def _migrate(self) -> NoReturn:
        """Bring the tables up to date; without a database, prices flow all the same."""
        while True:
            try:
                await database.migrate(self._engine)
            except Unavailable as exc:
                log.warning("feeds.without_database", extra={"why": exc.why})
                self._migration_tried.set()
                await asyncio.sleep(MIGRATE_RETRY_S)
            else:
                self._migration_tried.set()
                await asyncio.Event().wait()

    async def _watch_sessions(self) -> None:
        file = self._settings.sessions_file
        watch = SessionWatch(
            self.sessions,
            file=OverridesFile(file) if file is not None else None,
            configuration=Configuration(self._engine, wall=time.time),
        )
        await self._migration_tried.wait()
        await watch.poll()
        self._sessions_read.set()
        await watch.run()

    async def _purge(self) -> NoReturn:
        """Lets go of old candles once a day."""
        while True:
            await asyncio.sleep(PURGE_S)
            try:
                await self.history.purge()
            except Unavailable as exc:
                log.warning("feeds.unpurged", extra={"why": exc.why})

    async def _flush(self) -> None:
        try:
            async with asyncio.timeout(FLUSH_TIMEOUT_S):
                await self.history.flush()
        except (Unavailable, TimeoutError) as exc:
            log.warning("feeds.unwritten", extra={"why": str(exc)})

    async def _keep_prediction(self) -> None:
        if self._prediction is not None:
            async with self._prediction:
                await asyncio.Event().wait()

    def _statuses(self) -> dict[str, FeedStatus]:
        return {feed.name: feed.status for feed in self.feeds}

    # -- the way of a tick ------------------------------------------------------------------------------------------

    def _publish_of(self, feed: Feed) -> Publish:
        async def publish(updates: Sequence[Update]) -> None:
            await self._take(feed, updates)

        return publish

    async def _take(self, feed: Feed, updates: Sequence[Update]) -> None:
        if not self.working:  # somebody else is, and its prices are newer
            return
        if len(self.feeds) > 1:
            owner = self.division.owner
            updates = [one for one in updates if owner(one.exchange, one.symbol) == feed.name]
        if self._replay is not None:
            await self._keep_pace()
        passed = self.gate.sift(updates, self._now_ms())
        self.candles.take(passed)
        if self.signals is not None:
            self._watch_signals(passed)
        if not self._simulated_only:
            self._watch_halts(passed)
        await self.publisher.publish(passed)

    async def _tell_candles(self) -> NoReturn:
        """As `CandleWorker.run`, but a process that wakes up late closes no bars of which it has missed a part."""
        while True:
            if self.working:
                await self.candles.tell()
            await asyncio.sleep(self.candles.POLL_S)

    async def _keep_pace(self) -> None:
        """Lets candles and signals follow a replay minute by minute, however fast it goes."""
        minute = self._now_ms() // _MINUTE_MS
        if minute == self._minute:
            return
        self._minute = minute
        await self.candles.tell()
        if self.signals is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(KEEP_PACE_S):
                    await self.signals.caught_up()

    def _watch_halts(self, updates: Sequence[Update]) -> None:
        for one in updates:
            if (one.exchange, one.symbol) in INDICES and isinstance(one, Tick) and (halt := self._halts.offer(one)):
                self.sessions.halt(halt)

    def _watch_signals(self, updates: Sequence[Update]) -> None:
        if self.signals is None:
            return
        on_price = self.signals.on_price
        for one in updates:
            if isinstance(one, Tick) and one.state in _TRADED:
                on_price(one.exchange, one.symbol, one.price, one.time_ms)

    def _take_outside(self, ticks: Sequence[Tick], heard: Heard) -> None:
        self.candles.take(ticks)
        self._watch_signals(ticks)
        self.delay.write([(self._names.parse(heard.publication.channel), heard.payload)])

    async def _publish_candles(self, batch: Sequence[tuple[Name, bytes]]) -> None:
        await self.publisher.publish_payloads([(self._names.parse(":".join(name)), payload) for name, payload in batch])

    async def _publish_signal(self, name: str, payload: bytes, key: str) -> object:
        return await self._broker.publish(self._names.parse(name), payload, key=key)

    async def _last_bars(self, exchange: str, symbol: str, timeframe: str, count: int) -> Sequence[Any]:
        return await self.history.between(exchange, symbol, timeframe, 0, int(self._wall()) + 1, limit=count)

    def _wanted_candles(self) -> Collection[CandlePlace]:
        return self.division.wanted_candles.keys()

    def _now_ms(self) -> int:
        return int(self._wall() * 1000)


def _prediction_service(settings: Settings) -> PredictionService | None:
    if settings.ml_service_url is None:
        return None
    return PredictionService(settings.ml_service_url, timeout_s=settings.ml_service_timeout_s)
