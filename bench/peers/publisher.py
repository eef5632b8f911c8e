"""The load feed inside each server: publishes at a set rate, told over stdin, and counts what it published.

Needs nothing but the standard library, since it runs in the peers' environment as well as in the hub's.

Control protocol, one JSON object a line, each answered by one: `{"rate": 2500}` sets publications a second (0 stops),
`{"gc": true}` collects garbage, `{}` only asks. The answer is `{"published": n}`.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable

MESSAGE_BYTES = 200
TOKEN = "bench-token-of-thirty-two-letters"

STAMP_OFFSET_US = 10**15
"""Added to each timestamp, so that it always has 16 digits and still is exact as a JavaScript number."""

_TICK_S = 0.002
_MAX_BEHIND_S = 0.25
"""A publisher that is later than this gives up what it owes, so that an overload doesn't outlive its cause."""

_TICKS_AT_ONCE = 5
"""A publisher that is late makes one batch of so many, as a feed would: more has come in while it was away."""

PublishBatch = Callable[[list[tuple[int, int]]], Awaitable[None]]
"""Takes messages to make: each the symbol's number, and the timestamp that goes into it."""


def symbol_name(number: int) -> str:
    """The symbol of that number; all have the same length, so that all messages have."""
    return f"S{number:04d}"


def message_fields(number: int, stamp_us: int) -> dict[str, object]:
    """One price as every peer sends it: the hub's own message, 200 bytes as compact JSON.

    The timestamp travels as a quantity, for the hub's schema lets no foreign fields through.
    """
    symbol = symbol_name(number)
    return {
        "type": "market:update",
        "channel": f"market:NSE:{symbol}",
        "exchange": "NSE",
        "symbol": symbol,
        "price": 12500.55,
        "change": 1112.45,
        "total_buy_quantity": stamp_us,
        "state": "continuous",
        "seq": 1795300000000,
    }


def message_text(number: int, stamp_us: int) -> str:
    """`message_fields` as compact JSON."""
    symbol = symbol_name(number)
    return _TEXT % (symbol, symbol, stamp_us)


_TEXT = json.dumps(message_fields(9999, 8888), separators=(",", ":")).replace("S9999", "%s").replace("8888", "%d")


def stamp_us(seconds: float) -> int:
    """A moment of CLOCK_MONOTONIC, which all processes of a machine share, as it travels in a message."""
    return STAMP_OFFSET_US + int(seconds * 1e6)


class Publisher:
    """Publishes round the symbols at the rate that stdin says, in batches of 2 ms.

    A message's timestamp is the moment at which it was due, not the one at which the server got round to it: a
    server that is too busy to take a price on time pays for that in its latency.
    """

    def __init__(self, publish: PublishBatch, *, symbols: int) -> None:
        self._publish = publish
        self._symbols = symbols
        self._rate = 0.0
        self._next = 0
        self._started = asyncio.Event()
        self.published = 0

    async def run(self) -> None:
        """Answer the control protocol and publish, until stdin ends; then ends the process."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pace(), name="pacing")
            async for line in reader:
                self._obey(json.loads(line))
            sys.exit()  # whoever started this process is gone

    def _obey(self, command: dict[str, float]) -> None:
        if "rate" in command:
            self._rate = command["rate"]
            if self._rate:
                self._started.set()
            else:
                self._started.clear()
        if "gc" in command:
            gc.collect()
        print(json.dumps({"published": self.published}), flush=True)

    async def _pace(self) -> None:
        due, owed = time.monotonic(), 0.0
        while True:
            if not self._started.is_set():
                await self._started.wait()
                due, owed = time.monotonic(), 0.0
            await asyncio.sleep(max(due + _TICK_S - time.monotonic(), 0))
            now = time.monotonic()
            if now - due > _MAX_BEHIND_S:
                due = now - _TICK_S
            batch: list[tuple[int, int]] = []
            for _ in range(_TICKS_AT_ONCE):
                due += _TICK_S
                owed += self._rate * _TICK_S
                batch += self._turn(int(owed), stamp_us(due))
                owed -= int(owed)
                if now - due < _TICK_S:
                    break
            if batch:
                await self._publish(batch)
                self.published += len(batch)

    def _turn(self, count: int, stamp: int) -> list[tuple[int, int]]:
        first, self._next = self._next, (self._next + count) % self._symbols
        return [((first + step) % self._symbols, stamp) for step in range(count)]
