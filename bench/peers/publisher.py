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

PublishBatch = Callable[[list[int], int], Awaitable[None]]
"""Takes the symbols' numbers, one a message, and the timestamp that goes into each."""


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
        "change": 112.45,
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
        pacing = asyncio.create_task(self._pace(), name="pacing")
        try:
            async for line in reader:
                self._obey(json.loads(line))
        finally:
            pacing.cancel()
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
            due += _TICK_S
            wait = due - time.monotonic()
            if wait < -_MAX_BEHIND_S:
                due = time.monotonic()
            await asyncio.sleep(max(wait, 0))
            owed += self._rate * _TICK_S
            count = int(owed)
            owed -= count
            if count:
                await self._publish(self._turn(count), stamp_us(due))
                self.published += count

    def _turn(self, count: int) -> list[int]:
        numbers = [(self._next + step) % self._symbols for step in range(count)]
        self._next = (self._next + count) % self._symbols
        return numbers
