"""What candles cost: ticks into minutes, and the end of an hour when every timeframe closes at once."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from statistics import median

from bench.questions.asking import Options, say
from bench.report import Answer
from channels.broker_memory import MemoryBroker
from channels.channel import ChannelNames
from channels.namespace import Namespaces
from feeds.candles.engine import CandleEngine, Key
from feeds.candles.worker import CandleWorker, Name
from schemas.market import PRICE_SCALE, MarketState, Tick

_INSTRUMENTS = 3_000
_TICKS_PER_S = 20_000
_MARKET_S = 60
_WANTED = 300
_BATCH_S = 0.01
_OPENS_MS = 1_795_405_500_000
_HOURS_MS = 6 * 3_600_000
_BEGINS_MS = _OPENS_MS + 3_570_000
"""Half a minute before the first hour ends, so that the costliest moment lies in the minute that is measured."""
_MOST_CORES = 0.3


@dataclass
class _Cost:
    """CPU seconds of one run."""

    take_s: float = 0.0
    tell_s: float = 0.0
    longest_tell_s: float = 0.0
    published: int = 0


def candles(options: Options) -> Answer:
    """Candles of 3,000 instruments at 20,000 ticks a second."""
    answer = Answer(
        "candles",
        f"candles of {_INSTRUMENTS:,} instruments at {_TICKS_PER_S:,} ticks a second",
        ("part", "µs/tick", "cores", "longest ms", "candles"),
    )
    costs = []
    for _ in range(options.runs):
        say(f"{_MARKET_S} seconds of market")
        costs.append(asyncio.run(_run()))
    ticks = _TICKS_PER_S * _MARKET_S
    take_s, tell_s = median(cost.take_s for cost in costs), median(cost.tell_s for cost in costs)
    longest_ms = 1000 * median(cost.longest_tell_s for cost in costs)
    published = round(median(cost.published for cost in costs))
    answer.rows.append(("ticks into minutes", take_s / ticks * 1e6, f"{take_s / _MARKET_S:.3f}", None, None))
    answer.rows.append(
        ("closing and publishing", tell_s / ticks * 1e6, f"{tell_s / _MARKET_S:.3f}", longest_ms, published)
    )
    cores = (take_s + tell_s) / _MARKET_S
    answer.rows.append(("together", cores / _TICKS_PER_S * 1e6, f"{cores:.3f}", None, None))
    answer.samples += [vars(cost) for cost in costs]
    answer.target(f"< {_MOST_CORES} core: {cores:.3f}", reached=cores < _MOST_CORES)
    answer.notes += [
        "CPU time over market time; every tick is a trade; payloads and the memory broker are included",
        "the minute holds an hour's end; longest: closing six candles of each instrument, with pauses for others",
        f"{_WANTED} forming candles are published each second; nothing is stored",
    ]
    return answer


async def _run() -> _Cost:
    market, names, broker, cost = _Market(), ChannelNames(Namespaces()), MemoryBroker(), _Cost()

    async def publish(batch: Sequence[tuple[Name, bytes]]) -> None:
        await broker.publish_latest([(names.parse(":".join(name)), payload) for name, payload in batch])

    worker = CandleWorker(
        CandleEngine(opens_ms=lambda *_: _OPENS_MS, closes_ms=lambda *_: _OPENS_MS + _HOURS_MS),
        publish=publish,
        wanted=market.wanted,
        clock=lambda: market.now_ms / 1000,
    )
    worker.take(market.first())
    for place, batch in enumerate(market.batches()):
        before_s = time.process_time()
        worker.take(batch)
        taken_s = time.process_time()
        cost.take_s += taken_s - before_s
        if place * _BATCH_S % CandleWorker.POLL_S < _BATCH_S / 2:
            await worker.tell()
            tell_s = time.process_time() - taken_s
            cost.tell_s += tell_s
            cost.longest_tell_s = max(cost.longest_tell_s, tell_s)
    cost.published = worker.published
    return cost


class _Market:
    """Instruments that trade at random; making their ticks is not part of what is measured."""

    def __init__(self) -> None:
        self.now_ms = _BEGINS_MS
        self._random = Random(1)
        self._symbols = [f"STOCK{place}" for place in range(_INSTRUMENTS)]
        self._volumes = [1_000] * _INSTRUMENTS

    def wanted(self) -> list[Key]:
        """The forming candles that somebody hears."""
        return [("NSE", symbol, "1m") for symbol in self._symbols[:_WANTED]]

    def first(self) -> list[Tick]:
        """Each instrument once."""
        return [self._tick(place) for place in range(_INSTRUMENTS)]

    def batches(self) -> Iterator[list[Tick]]:
        """The minute, a hundredth of a second at a time."""
        size = round(_TICKS_PER_S * _BATCH_S)
        for place in range(round(_MARKET_S / _BATCH_S)):
            self.now_ms = _BEGINS_MS + round(place * _BATCH_S * 1000)
            yield [self._tick(self._random.randrange(_INSTRUMENTS)) for _ in range(size)]

    def _tick(self, place: int) -> Tick:
        self._volumes[place] += 25
        return Tick(
            exchange="NSE",
            symbol=self._symbols[place],
            price=(1_000 + self._random.randrange(100)) * PRICE_SCALE,
            time_ms=self.now_ms,
            state=MarketState.CONTINUOUS,
            open=1_050 * PRICE_SCALE,
            high=1_100 * PRICE_SCALE,
            low=1_000 * PRICE_SCALE,
            volume=self._volumes[place],
            last_quantity=25,
        )
