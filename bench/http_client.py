"""The HTTP load client: one process, keep-alive connections. Started by `bench.http_load`, steered by JSON lines.

Each line on stdin is a `Plan` and is answered by one `Counts`. Without a rate every connection asks again as soon as it
has its answer. With one, requests are due by the clock whether or not the server keeps up, wait for a connection that
is free, and their latency counts from when they were due: a server that is slow pays for those that it keeps waiting.
They are made once a millisecond, so latencies of a set rate are up to a millisecond longer for it.
"""

import asyncio
import sys
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable

import msgspec
import uvloop

_TURN_S = 0.001
_LATE_S = 10.0
"""How long answers to the last requests are waited for."""
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length: "


class Plan(msgspec.Struct, kw_only=True):
    """What to ask and how often. `requests` are sent in turn, as they stand; `rate` is requests a second."""

    port: int
    requests: list[str]
    connections: int
    seconds: float
    rate: float | None = None


class Counts(msgspec.Struct, kw_only=True):
    """What came of it: good answers (2xx), others by status, and how long the good ones took."""

    seconds: float
    answered: int
    refused: dict[str, int]
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    transport: asyncio.Transport

    def __init__(self, done: Callable[["Connection", int], None]) -> None:
        self._done = done
        self._heard = b""
        self.since = 0.0
        """From when its latency counts."""

    def ask(self, request: bytes, since: float) -> None:
        """Send a request."""
        self.since = since
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        heard = self._heard + data if self._heard else data
        end = heard.find(_HEAD_END)
        if end < 0 or len(heard) < end + len(_HEAD_END) + _length(heard[: end + 2]):
            self._heard = heard
            return
        self._heard = b""
        self._done(self, int(heard[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        self._done(self, 0)


def _length(head: bytes) -> int:
    _, _, rest = head.lower().partition(_LENGTH)
    return int(rest.partition(b"\r")[0] or 0)


class Measurement:
    """One plan on its way."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._requests = [text.encode() for text in plan.requests]
        self._loop = asyncio.get_running_loop()
        self._asked = 0
        self._idle: list[Connection] = []
        self._due: deque[float] = deque()
        self._took = array("d")
        self._refused: Counter[str] = Counter()
        self._running = False

    async def run(self) -> Counts:
        """Open the connections, ask for so many seconds, and count."""
        plan = self._plan
        for _ in range(plan.connections):
            self._idle.append(await self._connected())
        everyone, began = list(self._idle), time.monotonic()
        self._running = True
        if plan.rate is None:
            while self._idle:
                self._ask(self._idle.pop(), time.monotonic())
            await asyncio.sleep(plan.seconds)
        else:
            await self._pace(began, plan.rate)
        self._running = False
        counts = self._counts(time.monotonic() - began)
        for connection in everyone:
            connection.transport.abort()
        return counts

    async def _connected(self) -> Connection:
        transport, connection = await self._loop.create_connection(
            lambda: Connection(self._answered), "127.0.0.1", self._plan.port
        )
        connection.transport = transport
        return connection

    async def _pace(self, began: float, rate: float) -> None:
        """Ask by the clock, and wait for what is owed then."""
        total, made = round(rate * self._plan.seconds), 0
        while made < total:
            now = time.monotonic()
            while made < total and (due := began + made / rate) <= now:
                made += 1
                self._due.append(due)
            self._serve()
            await asyncio.sleep(_TURN_S)
        for _ in range(round(_LATE_S / _TURN_S)):
            if len(self._took) + self._refused.total() >= total:
                return
            await asyncio.sleep(_TURN_S)
        self._refused["none"] += total - len(self._took) - self._refused.total()

    def _serve(self) -> None:
        while self._due and self._idle:
            self._ask(self._idle.pop(), self._due.popleft())

    def _ask(self, connection: Connection, since: float) -> None:
        connection.ask(self._requests[self._asked % len(self._requests)], since)
        self._asked += 1

    def _answered(self, connection: Connection, status: int) -> None:
        if not self._running:
            return
        now = time.monotonic()
        if 200 <= status < 300:
            self._took.append(now - connection.since)
        else:
            self._refused[str(status)] += 1
        if status == 0:
            return
        if self._plan.rate is None:
            self._ask(connection, now)
        else:
            self._idle.append(connection)
            self._serve()

    def _counts(self, seconds: float) -> Counts:
        took = sorted(self._took)
        return Counts(
            seconds=seconds,
            answered=len(took),
            refused={status: count for status, count in self._refused.items() if count},
            p50_ms=_at(took, 0.50),
            p95_ms=_at(took, 0.95),
            p99_ms=_at(took, 0.99),
            max_ms=_at(took, 1.0),
        )


def _at(ordered: list[float], share: float) -> float | None:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000 if ordered else None


def main() -> None:
    """Measure as told until stdin ends."""
    decode = msgspec.json.Decoder(Plan).decode
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for line in sys.stdin:
            counts = runner.run(_measured(decode(line)))
            print(msgspec.json.encode(counts).decode(), flush=True)


async def _measured(plan: Plan) -> Counts:
    return await Measurement(plan).run()


if __name__ == "__main__":
    main()
