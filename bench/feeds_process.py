"""The way of a price through the role `feeds`, in a process of its own: what each part of it costs.

    python -m bench.feeds_process ws://127.0.0.1:PORT INSTRUMENTS

Runner, gate, candles and publisher are put together as `hub.feeding.role` does it, on the broker in memory. The clock
of the market is set a few seconds before an hour ends, so that every timeframe of every instrument closes meanwhile.

Says `{"ready": true}` once all instruments are subscribed. Control protocol, one JSON object a line, each answered by
one: `{}` asks for CPU seconds and counts so far.
"""

import asyncio
import gc
import json
import sys
import time
import types
from collections import defaultdict
from collections.abc import Coroutine, Generator, Mapping, Sequence
from typing import Any

import uvloop

from bench.packet_sender import tokens
from channels.broker_memory import MemoryBroker
from channels.channel import ChannelNames
from channels.namespace import Namespaces
from feeds.accounts.runner import BrokerFeed
from feeds.brokers.kite import Kite, KiteConversation
from feeds.brokers.source import Credentials, Frame, Heard
from feeds.candles.engine import CandleEngine, Key
from feeds.candles.worker import CandleWorker, Name
from feeds.feed import Update
from feeds.instruments import Instrument, Listing
from feeds.listings.directory import Directory
from feeds.market_hours.hours import session_class
from feeds.market_hours.sessions import Sessions, ist_day
from feeds.publisher import Publisher
from feeds.sanity import Gate
from hub.process import GC_THRESHOLD

BEGINS_MS = 1_795_409_096_000
"""Four seconds before 10:15 on Monday, 23 November 2026, when the first hour ends."""
_WANTED = 300


class Costs:
    """CPU seconds by part, and how late a batch was published after its first packet was read."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.packets = 0
        self.batches = 0
        self.longest_ms = 0

    @types.coroutine
    def of(self, part: str, work: Coroutine[Any, Any, object]) -> Generator[Any, Any, None]:
        """Runs the coroutine and counts what it uses of the CPU, but not what others use while it waits."""
        value = None
        while True:
            began_s = time.thread_time()
            try:
                waits_for = work.send(value)
            except StopIteration:
                return
            finally:
                self.seconds[part] += time.thread_time() - began_s
            value = yield waits_for

    def as_json(self) -> dict[str, Any]:
        """What has been counted so far."""
        whole = {"together": time.process_time()}
        return {**vars(self), "seconds": whole | dict(self.seconds)}


class TimedConversation(KiteConversation):
    """Kite's, counting what decoding costs."""

    costs: Costs

    def receive(self, frame: Frame, received_ms: int) -> Heard:
        """As Kite's."""
        began_s = time.thread_time()
        heard = super().receive(frame, received_ms)
        self.costs.seconds["decoding"] += time.thread_time() - began_s
        return heard


class TimedKite(Kite):
    """Kite with a conversation that counts."""

    def __init__(self, costs: Costs) -> None:
        self._costs = costs

    def converse(self, credentials: Credentials, listings: Mapping[str, Instrument]) -> KiteConversation:
        """As Kite's."""
        conversation = TimedConversation(listings, [], self.limits.instruments_per_frame)
        conversation.costs = self._costs
        return conversation


class Pipeline:
    """The parts of the role, in the order in which a price meets them."""

    def __init__(self, url: str, instruments: int) -> None:
        self.costs = Costs()
        self._listings = [
            Listing(
                instrument=Instrument(exchange="NSE", symbol=f"SHARE{number}", name="", tick_size=500_000),
                token=str(token),
            )
            for number, token in enumerate(tokens(instruments))
        ]
        self._offset_s = BEGINS_MS / 1000 - time.time()
        self._sessions = Sessions()
        self._names = ChannelNames(Namespaces())
        self.feed = BrokerFeed(
            TimedKite(self.costs),
            directory=Directory(self._listings),
            credentials=lambda: {"api_key": "key", "access_token": "token", "url": url},
            session_of=lambda exchange: self._sessions.session(exchange, self._now_ms()),
            mode="quote",
            wall=self._wall,
        )
        self.gate = Gate(self._sessions, self.feed.find)
        self.publisher = Publisher(MemoryBroker(), self._names, wall=self._wall)
        self.candles = CandleWorker(
            CandleEngine(opens_ms=self._opens_ms, closes_ms=self._closes_ms),
            publish=self._publish_candles,
            wanted=self._wanted_candles,
            clock=self._wall,
        )

    async def run(self) -> None:
        """Works until cancelled."""
        self.feed.want([(one.instrument.exchange, one.instrument.symbol) for one in self._listings])
        async with asyncio.TaskGroup() as group:
            group.create_task(self.feed.run(self._take), name="feed")
            group.create_task(self._tell_candles(), name="candles")

    async def _take(self, updates: Sequence[Update]) -> None:
        seconds = self.costs.seconds
        began_s = time.thread_time()
        passed = self.gate.sift(updates, self._now_ms())
        sifted_s = time.thread_time()
        self.candles.take(passed)
        seconds["gate"] += sifted_s - began_s
        seconds["candles"] += time.thread_time() - sifted_s
        await self.costs.of("publisher", self.publisher.publish(passed))
        self.costs.batches += 1
        self.costs.packets += len(updates)
        self.costs.longest_ms = max(self.costs.longest_ms, self._now_ms() - updates[0].time_ms)

    async def _tell_candles(self) -> None:
        while True:
            await self.costs.of("closing candles", self.candles.tell())
            await asyncio.sleep(CandleWorker.POLL_S)

    async def _publish_candles(self, batch: Sequence[tuple[Name, bytes]]) -> None:
        await self.publisher.publish_payloads([(self._names.parse(":".join(name)), payload) for name, payload in batch])

    def _wanted_candles(self) -> list[Key]:
        wanted = [one.instrument for one in self._listings[:_WANTED]]
        return [(instrument.exchange, instrument.symbol, "1m") for instrument in wanted]

    def _opens_ms(self, exchange: str, symbol: str, moment_ms: int) -> int | None:
        return self._sessions.opens_ms(session_class(self._instrument(exchange, symbol), ist_day(moment_ms)), moment_ms)

    def _closes_ms(self, exchange: str, symbol: str, moment_ms: int) -> int | None:
        kind = session_class(self._instrument(exchange, symbol), ist_day(moment_ms))
        return self._sessions.closes_ms(kind, moment_ms)

    def _instrument(self, exchange: str, symbol: str) -> Instrument:
        found = self.feed.find(exchange, symbol)
        assert found is not None
        return found

    def _wall(self) -> float:
        return time.time() + self._offset_s

    def _now_ms(self) -> int:
        return int(self._wall() * 1000)


async def _run(url: str, instruments: int) -> None:
    pipeline = Pipeline(url, instruments)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(pipeline.run(), name="pipeline")
        while pipeline.feed.status.instruments < instruments:  # noqa: ASYNC110 - the feed tells nobody
            await asyncio.sleep(0.01)
        print(json.dumps({"ready": True}), flush=True)
        async for _ in reader:
            counts = {"refused": sum(pipeline.gate.refused.values()), "candles": pipeline.candles.published}
            print(json.dumps(pipeline.costs.as_json() | counts), flush=True)
        sys.exit()  # whoever started this process is gone


if __name__ == "__main__":
    gc.set_threshold(GC_THRESHOLD, 20, 100)  # as the hub does
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(sys.argv[1], int(sys.argv[2])))
