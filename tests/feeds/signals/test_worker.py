"""Signals come out of candles, are stored, published once, watched, and outlive every outage and restart."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from channels.broker_memory import MemoryBroker
from channels.channel import ChannelNames
from channels.namespace import Namespaces
from feeds.candles.bars import Bar
from feeds.signals.prediction import PredictionService, Question
from feeds.signals.rules import SignalType
from feeds.signals.signal import Draft, Outcome, Signal, Source, Status
from feeds.signals.store import SignalStore, Wanted
from feeds.signals.worker import COOLDOWN_S, LIFETIME_S, QUEUE, RETELL_S, SignalWorker
from hub.database import engine_for, migrate
from schemas.errors import Unavailable
from schemas.market import PRICE_SCALE
from schemas.publications import SIGNAL, SignalPayload
from tests.feeds.bars import MINUTE_MS, NINE_FIFTEEN_MS
from tests.feeds.prediction_server import PredictionServer
from tests.servers import PostgresServer

QUARTER_MS = 15 * MINUTE_MS
TICK = PRICE_SCALE // 20


def bar(number: int, close: float, *, volume: int = 1_000, symbol: str = "TCS", timeframe: str = "15m") -> Bar:
    """The candle number of a day that never ends, in rupees."""
    length_ms = QUARTER_MS if timeframe == "15m" else 4 * QUARTER_MS
    price = round(close * PRICE_SCALE)
    return Bar(
        exchange="NSE", symbol=symbol, timeframe=timeframe,
        start_ms=NINE_FIFTEEN_MS + number * length_ms, end_ms=NINE_FIFTEEN_MS + (number + 1) * length_ms,
        open=price, high=price + PRICE_SCALE, low=price - PRICE_SCALE, close=price, volume=volume,
    )  # fmt: skip


QUIET = [bar(number, 1000.0 - number % 3) for number in range(100)]
RALLY = bar(100, 1030.0, volume=9_000)
"""What the rules buy after a quiet day."""
END_S = RALLY.end_ms // 1000


class Market:
    """What a worker is handed: candles, a clock, a place to publish, and all of it can fail."""

    def __init__(self) -> None:
        self.now_s = float(END_S + 2)
        self.candles: dict[str, list[Bar]] = {"15m": list(QUIET), "1h": []}
        self.asked: list[tuple[str, str, str, int]] = []
        self.published: list[tuple[str, SignalPayload, str]] = []
        self.turned = asyncio.Event()
        self.broker = MemoryBroker()
        self.names = ChannelNames(Namespaces())
        self.broker_away = False
        self.history_away = False

    def clock(self) -> float:
        return self.now_s

    async def history(self, exchange: str, symbol: str, timeframe: str, count: int) -> Sequence[Bar]:
        self.asked.append((exchange, symbol, timeframe, count))
        if self.history_away:
            raise Unavailable("database", "away")
        found = [msgspec.structs.replace(one, symbol=symbol) for one in self.candles[timeframe]]
        return found[-count:]

    async def publish(self, channel: str, raw: bytes, key: str) -> None:
        if self.broker_away:
            raise Unavailable("broker", "away")
        receipt = await self.broker.publish(self.names.parse(channel), SIGNAL(raw), key=key)
        if not receipt.duplicate:
            self.published.append((channel, msgspec.json.decode(raw, type=SignalPayload), key))

    async def sleep(self, _: float) -> None:
        """The worker's pause between two turns, which the test hears of."""
        self.turned.set()
        self.turned = asyncio.Event()
        await asyncio.sleep(0.001)

    async def sees(self, wanted: Callable[[], bool]) -> None:
        """Returns at the end of the turn after which it is as wanted."""
        while not wanted():
            await self.turned.wait()

    async def until(self, store: SignalStore, wanted: Callable[[list[Signal]], bool]) -> list[Signal]:
        """The stored signals, oldest first, at the end of the turn after which they are as wanted."""
        while True:
            found, _ = await store.find(Wanted(), sort="id", descending=False)
            if wanted(found):
                return found
            await self.turned.wait()

    def tick_size_of(self, exchange: str, symbol: str) -> int | None:
        return None if symbol == "NOBODY" else TICK


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = engine_for("", tmp_path)
    await migrate(engine)
    yield engine
    await engine.dispose()


@pytest.fixture
def store(engine: AsyncEngine) -> SignalStore:
    return SignalStore(engine)


@pytest.fixture
def market() -> Market:
    return Market()


def worker_of(store: SignalStore, market: Market, **fields: Any) -> SignalWorker:
    worker = SignalWorker(
        store,
        market.publish,
        history=market.history,
        tick_size_of=market.tick_size_of,
        clock=market.clock,
        sleep=market.sleep,
        **fields,
    )
    worker.RELOAD_S = 0.0
    return worker


@asynccontextmanager
async def running(worker: SignalWorker) -> AsyncIterator[None]:
    task = asyncio.create_task(worker.run())
    try:
        async with asyncio.timeout(10):
            yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


def told(signals: list[Signal]) -> bool:
    return bool(signals) and all(one.announced_at is not None for one in signals)


def by_hand(**fields: Any) -> Draft:
    values: dict[str, Any] = {
        "exchange": "NSE", "symbol": "TCS", "signal_type": SignalType.BUY, "confidence": 80.0, "created_by": "7",
        "entry_price": 100 * PRICE_SCALE, "target_price": 110 * PRICE_SCALE, "expires_at": END_S + 3600,
    }  # fmt: skip
    return Draft(**values | fields)


async def test_a_candle_becomes_a_signal_that_is_stored_and_published(store: SignalStore, market: Market) -> None:
    worker = worker_of(store, market)
    async with running(worker):
        worker.on_closed_bar(RALLY)
        [signal] = await market.until(store, told)
    assert (signal.signal_type, signal.source, signal.status) == (SignalType.BUY, Source.RULES, Status.ACTIVE)
    assert (signal.entry_price, signal.timeframe) == (RALLY.close, "15m")
    assert (signal.created_at, signal.expires_at) == (END_S + 2, END_S + 2 + LIFETIME_S)
    assert signal.ml_score is None
    assert isinstance(signal.reason, dict)
    assert set(signal.reason) == {"en", "hi", "mr", "gu", "kn"}
    assert [(channel, key) for channel, _, key in market.published] == [
        ("signals:generated", f"signal:{signal.id}"), ("signals:NSE:TCS", f"signal:{signal.id}"),
    ]  # fmt: skip
    payload = market.published[0][1]
    assert (payload.symbol, payload.exchange, payload.signal_type, payload.id, payload.status, payload.timeframe) == (
        "TCS", "NSE", "BUY", signal.id, "ACTIVE", "15m",
    )  # fmt: skip
    assert signal.target_price is not None
    assert (payload.entry_price, payload.target_price) == (1030.0, signal.target_price / PRICE_SCALE)
    assert payload.reason == signal.reason
    assert payload.time == "2026-11-24T10:30:02.000+05:30"


async def test_the_same_signal_is_not_given_twice(store: SignalStore, market: Market) -> None:
    worker, other = worker_of(store, market), worker_of(store, market)
    async with running(worker), running(other):
        worker.on_closed_bar(RALLY)
        await market.until(store, told)
        other.on_closed_bar(RALLY)
        worker.on_closed_bar(RALLY)
        worker.on_closed_bar(bar(100, 1030.0, volume=9_000, symbol="INFY"))
        signals = await market.until(store, lambda found: told(found) and found[-1].symbol == "INFY")
    assert [one.symbol for one in signals] == ["TCS", "INFY"]
    assert len(market.published) == 4


async def test_no_signal_is_given_soon_after_the_same_one_ended(store: SignalStore, market: Market) -> None:
    first = worker_of(store, market)
    async with running(first):
        first.on_closed_bar(RALLY)
        [signal] = await market.until(store, told)
        first.on_price("NSE", "TCS", PRICE_SCALE, (END_S + 2) * 1000)
        await market.until(store, lambda found: found[0].status is Status.CLOSED)
    for wait_s, expected in ((COOLDOWN_S - 3, 1), (COOLDOWN_S, 2)):
        market.now_s = END_S + 2 + wait_s
        again = worker_of(store, market)
        later = msgspec.structs.replace(RALLY, end_ms=int(market.now_s * 1000))
        marker = msgspec.structs.replace(later, symbol=f"M{expected}")
        async with running(again):
            again.on_closed_bar(later)
            again.on_closed_bar(marker)
            found = await market.until(store, lambda found, name=marker.symbol: found[-1].symbol == name)  # type: ignore[misc]
        assert len([one for one in found if one.symbol == "TCS"]) == expected
    assert signal.symbol == "TCS"


async def test_the_opposite_signal_takes_the_place_of_the_one_before(store: SignalStore, market: Market) -> None:
    worker = worker_of(store, market)
    fall = bar(101, 940.0, volume=90_000)
    async with running(worker):
        worker.on_closed_bar(RALLY)
        await market.until(store, told)
        market.now_s = fall.end_ms / 1000
        worker.on_closed_bar(fall)
        bought, sold = await market.until(store, lambda found: len(found) == 2 and told(found))
    assert (bought.outcome, bought.close_price) == (Outcome.REVERSAL, fall.close)
    assert (sold.signal_type, sold.status) == (SignalType.SELL, Status.ACTIVE)


async def test_prices_and_time_end_signals(store: SignalStore, market: Market) -> None:
    worker = worker_of(store, market)
    async with running(worker):
        won = await worker.create(by_hand())
        lost = await worker.create(by_hand(symbol="INFY", stop_loss=90 * PRICE_SCALE))
        late = await worker.create(by_hand(symbol="SBIN", expires_at=END_S + 60))
        await market.sees(lambda: len(list(worker._watch)) == 3)
        worker.on_price("NSE", "TCS", 109 * PRICE_SCALE, (END_S + 5) * 1000)
        worker.on_price("NSE", "TCS", 115 * PRICE_SCALE, (END_S + 6) * 1000)
        worker.on_price("NSE", "INFY", 50 * PRICE_SCALE, (END_S + 7) * 1000)
        market.now_s = END_S + 60
        ended = await market.until(store, lambda found: all(one.status is not Status.ACTIVE for one in found))
    assert worker._closings == {}
    assert [one.id for one in ended] == [won.id, lost.id, late.id]
    assert [(one.status, one.outcome, one.close_price, one.closed_at) for one in ended] == [
        (Status.CLOSED, Outcome.TARGET, 115 * PRICE_SCALE, END_S + 6),
        (Status.CLOSED, Outcome.STOP, 50 * PRICE_SCALE, END_S + 7),
        (Status.EXPIRED, None, None, END_S + 60),
    ]


async def test_signals_of_before_a_restart_are_watched(store: SignalStore, market: Market) -> None:
    signal = await worker_of(store, market).create(by_hand())
    worker = worker_of(store, market)
    async with running(worker):
        await market.sees(lambda: len(list(worker._watch)) == 1)
        worker.on_price("NSE", "TCS", 110 * PRICE_SCALE, (END_S + 9) * 1000)
        [closed] = await market.until(store, lambda found: found[0].status is Status.CLOSED)
    assert (closed.id, closed.outcome) == (signal.id, Outcome.TARGET)


async def test_a_signal_given_by_hand_is_published_at_once_and_without_running(
    store: SignalStore, market: Market
) -> None:
    signal = await worker_of(store, market).create(by_hand())
    assert [channel for channel, _, _ in market.published] == ["signals:generated", "signals:NSE:TCS"]
    assert (await store.get(signal.id)).announced_at == END_S + 2


async def test_a_signal_is_published_once_the_broker_is_back(store: SignalStore, market: Market) -> None:
    market.broker_away = True
    signal = await worker_of(store, market).create(by_hand())
    assert signal.announced_at is None
    worker = worker_of(store, market)
    async with running(worker):
        worker.on_closed_bar(msgspec.structs.replace(RALLY, symbol="INFY"))
        await market.until(store, lambda found: len(found) == 2)
        assert market.published == []
        market.broker_away = False
        await market.until(store, told)
    assert [payload.symbol for channel, payload, _ in market.published if channel == "signals:generated"] == [
        "TCS", "INFY",
    ]  # fmt: skip


async def test_a_signal_that_is_long_past_is_not_published_any_more(store: SignalStore, market: Market) -> None:
    market.broker_away = True
    await worker_of(store, market).create(by_hand())
    market.broker_away = False
    market.now_s += RETELL_S + 1
    await worker_of(store, market).create(by_hand(symbol="INFY", expires_at=END_S + 2 * RETELL_S))
    assert {payload.symbol for _, payload, _ in market.published} == {"INFY"}


async def test_a_symbol_that_makes_no_channel_does_not_hold_up_the_others(store: SignalStore, market: Market) -> None:
    worker = worker_of(store, market)
    odd = await worker.create(by_hand(symbol="दाल"))
    await worker.create(by_hand())
    assert (await store.get(odd.id)).announced_at is not None
    assert [channel for channel, _, _ in market.published] == [
        "signals:generated", "signals:generated", "signals:NSE:TCS",
    ]  # fmt: skip


async def test_a_prediction_is_asked_for_and_weighed(store: SignalStore, market: Market) -> None:
    async with PredictionServer() as server, PredictionService(server.url, timeout_s=5) as service:
        server.predicts("BUY", 1.0, 0.61)
        worker = worker_of(store, market, predict=service.predict)
        async with running(worker):
            worker.on_closed_bar(RALLY)
            [signal] = await market.until(store, told)
        assert (signal.source, signal.ml_score) == (Source.ML, 0.61)
        assert signal.confidence == 82.5
        [question] = server.questions
        assert (question["symbol"], question["language"]) == ("TCS", "en")
        assert question["market_data"]["close"] == 1030.0
        assert question["indicators"]["ema(9)"] > 1000


async def test_a_prediction_against_it_stops_a_candidate(store: SignalStore, market: Market) -> None:
    async with PredictionServer() as server, PredictionService(server.url, timeout_s=5) as service:
        server.predicts("SELL", 0.9)
        worker = worker_of(store, market, predict=service.predict)
        async with running(worker):
            worker.on_closed_bar(RALLY)
            await server.asked.wait()
            server.predicts("HOLD", 0.0)
            worker.on_closed_bar(msgspec.structs.replace(RALLY, symbol="INFY"))
            signals = await market.until(store, told)
    assert [one.symbol for one in signals] == ["INFY"]


@pytest.mark.parametrize("fault", ["lies", "hangs_up", "down"])
async def test_without_a_prediction_the_plain_rules_stand(store: SignalStore, market: Market, fault: str) -> None:
    async with PredictionServer() as server, PredictionService(server.url, timeout_s=5) as service:
        match fault:
            case "lies":
                server.predicts("MAYBE", 7)
            case "hangs_up":
                server.hangs_up()
            case _:
                await server.close()
        worker = worker_of(store, market, predict=service.predict)
        async with running(worker):
            worker.on_closed_bar(RALLY)
            [signal] = await market.until(store, told)
    assert (signal.source, signal.ml_score) == (Source.RULES, None)


@pytest.mark.parametrize(("hour", "says"), [(500.0, "points the other way."), (3000.0, "agrees.")])
async def test_the_larger_trend_is_heeded(store: SignalStore, market: Market, hour: float, says: str) -> None:
    market.candles["1h"] = [bar(number, 2000.0, timeframe="1h") for number in range(-260, 24)]
    worker = worker_of(store, market)
    async with running(worker):
        worker.on_closed_bar(QUIET[-1])
        worker.on_closed_bar(bar(24, hour, timeframe="1h"))
        worker.on_closed_bar(RALLY)
        [signal] = await market.until(store, told)
    assert isinstance(signal.reason, dict)
    assert signal.reason["en"].endswith(f"The larger trend {says}")
    assert sorted(one[2] for one in market.asked) == ["15m", "1h"]


async def test_old_candles_of_an_outage_and_unknown_instruments_give_no_signal(
    store: SignalStore, market: Market
) -> None:
    asked = []

    async def predict(question: Question) -> None:
        asked.append(question.symbol)

    worker = worker_of(store, market, predict=predict)
    async with running(worker):
        worker.on_closed_bar(msgspec.structs.replace(RALLY, symbol="NOBODY"))
        worker.on_closed_bar(msgspec.structs.replace(RALLY, symbol="OLD", end_ms=RALLY.end_ms - 2 * QUARTER_MS))
        worker.on_closed_bar(msgspec.structs.replace(RALLY, timeframe="5m"))
        worker.on_closed_bar(RALLY)
        signals = await market.until(store, told)
    assert [one.symbol for one in signals] == ["TCS"]
    assert asked == ["TCS"]


async def test_a_candle_that_the_history_has_already_is_counted_once(store: SignalStore, market: Market) -> None:
    market.candles["15m"].append(RALLY)
    worker = worker_of(store, market)
    async with running(worker):
        worker.on_closed_bar(RALLY)
        [signal] = await market.until(store, told)
    assert signal.entry_price == RALLY.close


async def test_a_history_that_cannot_be_read_is_read_with_the_next_candle(store: SignalStore, market: Market) -> None:
    market.history_away = True
    worker = worker_of(store, market)
    async with running(worker):
        worker.on_closed_bar(RALLY)
        await market.sees(lambda: worker.unread == 1)
        market.history_away = False
        market.candles["15m"].append(bar(100, 1000.0))
        market.now_s = bar(101, 0).end_ms / 1000
        worker.on_closed_bar(bar(101, 1031.0, volume=9_000))
        [signal] = await market.until(store, told)
    assert signal.entry_price == 1031 * PRICE_SCALE


async def test_a_full_queue_drops_candles_and_the_instrument_begins_anew(store: SignalStore, market: Market) -> None:
    worker = worker_of(store, market)
    for _ in range(QUEUE):
        worker.on_closed_bar(QUIET[-1])
    worker.on_closed_bar(RALLY)
    assert worker.dropped == 1
    market.candles["15m"].append(RALLY)
    market.now_s = bar(101, 0).end_ms / 1000
    async with running(worker):
        await market.sees(worker._bars.empty)
        worker.on_closed_bar(bar(101, 1090.0, volume=99_000))
        await market.until(store, told)
    assert [one[2] for one in market.asked] == ["15m", "1h"] * 2


async def test_what_happens_while_the_database_is_away_is_stored_when_it_is_back(
    own_postgres: PostgresServer, market: Market, tmp_path: Path
) -> None:
    engine = engine_for(own_postgres.url, tmp_path)
    await migrate(engine)
    store = SignalStore(engine)
    worker = worker_of(store, market)
    won = await worker.create(by_hand(symbol="INFY"))
    async with running(worker):
        worker.on_closed_bar(QUIET[-1])
        await market.sees(lambda: len(list(worker._watch)) == 1)
        await asyncio.to_thread(own_postgres.kill)
        worker.on_closed_bar(RALLY)
        worker.on_price("NSE", "INFY", 120 * PRICE_SCALE, (END_S + 3) * 1000)
        await market.sees(lambda: worker._away)
        await asyncio.to_thread(own_postgres.start)
        closed, given = await market.until(store, lambda found: len(found) == 2 and told(found))
    assert (closed.id, closed.outcome, closed.closed_at) == (won.id, Outcome.TARGET, END_S + 3)
    assert (given.symbol, given.status) == ("TCS", Status.ACTIVE)
    await engine.dispose()
