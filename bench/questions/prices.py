"""Prices through Redis, and how many bytes a price takes."""

import asyncio
import json
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from statistics import median

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from bench.load import Sample, open_load
from bench.processes import started
from bench.questions.asking import LOAD_COLUMNS, LOAD_NOTE, Options, load_row, say
from bench.report import Answer
from bench.systems import HUB, Running, redis_binary, start_hub, start_redis
from bench.workload import Workload
from feeds.instruments import SIMULATED, instruments_of

_TICKS_PER_S = 50_000
_EACH_ONCE = Workload(sockets=20, symbols=1000, per_socket=50, probes=20)
"""Each price goes to one socket, so that the cost is Redis's way in and not the way out; all sockets are probes."""

_WINDOWS = 5
_WINDOW_S = 5.0


def through_redis(options: Options) -> Answer:
    """50,000 ticks a second through Redis into one instance."""
    answer = Answer("redis", f"{_TICKS_PER_S:,} ticks a second through Redis into one `web`", LOAD_COLUMNS)
    answer.notes += [LOAD_NOTE, "1,000 symbols, each heard by one of 20 sockets; a row is a window of 5 seconds"]
    if redis_binary() is None:
        answer.notes.append("SKIPPED: there is no redis-server on PATH")
        return answer
    with ExitStack() as stack:
        say(f"tickhub behind Redis at {_TICKS_PER_S:,} ticks/s")
        redis_url = f"redis://127.0.0.1:{start_redis(stack)}/0"
        hub = start_hub(stack, ["--redis", redis_url])
        command = [sys.executable, "-m", "bench.redis_feed", redis_url, str(_EACH_ONCE.symbols)]
        feed = stack.enter_context(started("redis_feed", command))
        running = Running(hub.server, feed, hub.port, hub.token)
        with open_load(HUB, _EACH_ONCE, running=running) as load:
            load.rate(_TICKS_PER_S)
            windows = [load.sample(_TICKS_PER_S, _WINDOW_S) for _ in range(_WINDOWS + 1)][1:]
    for number, sample in enumerate(windows):
        answer.rows.append(load_row(f"second {number * _WINDOW_S:.0f} to {(number + 1) * _WINDOW_S:.0f}", sample))
        answer.samples.append(sample.as_json())
    _judge(answer, windows)
    return answer


def _judge(answer: Answer, windows: list[Sample]) -> None:
    cores, delivered = (median(values) for values in zip(*[(one.cores, one.delivered) for one in windows], strict=True))
    answer.target(
        f"{_TICKS_PER_S:,} ticks a second in < 0.5 core: {delivered:,.0f} in {cores:.2f}",
        reached=delivered >= 0.97 * _TICKS_PER_S and cores < 0.5,
    )
    first, last = windows[0].p50_ms or 0.0, windows[-1].p50_ms or 0.0
    answer.target(
        f"no growing lag: p50 {first:.1f} ms at first, {last:.1f} ms at last", reached=last <= max(1.5 * first, 20)
    )


@dataclass(frozen=True)
class Variant:
    """One way to ask for prices."""

    title: str
    options: dict[str, object]
    subprotocol: str | None = None


_VARIANTS = (
    Variant("JSON, full", {}),
    Variant("JSON, quote", {"mode": "quote"}),
    Variant("JSON, ltp", {"mode": "ltp"}),
    Variant("JSON, full, delta", {"delta": True}),
    Variant("JSON, ltp, delta", {"mode": "ltp", "delta": True}),
    Variant("MessagePack, full", {}, "msgpack"),
    Variant("MessagePack, full, delta", {"delta": True}, "msgpack"),
)
_LISTEN_S = 30.0


def bytes_per_update(options: Options) -> Answer:
    """Bytes an update in each form, over simulated traffic."""
    answer = Answer(
        "bytes",
        "bytes an update on the wire, over the simulator's traffic on all its symbols",
        ("form", "updates", "bytes an update", "share of full JSON"),
        notes=["frame headers included, snapshots left out"],
    )
    with ExitStack() as stack:
        say("tickhub with the simulator")
        hub = start_hub(stack, ["--simulator"])
        heard = asyncio.run(_listen(f"ws://127.0.0.1:{hub.port}/ws?token={hub.token}"))
    full = sum(heard[0]) / len(heard[0])
    for variant, sizes in zip(_VARIANTS, heard, strict=True):
        average = sum(sizes) / len(sizes)
        answer.rows.append((variant.title, len(sizes), average, f"{average / full * 100:.0f} %"))
    share = sum(heard[3]) / len(heard[3]) / full * 100
    answer.target(f"delta at most 40 % of full: {share:.0f} %", reached=share <= 40)
    return answer


async def _listen(url: str) -> list[list[int]]:
    return await asyncio.gather(*[_sizes(url, variant) for variant in _VARIANTS])


async def _sizes(url: str, variant: Variant) -> list[int]:
    """The sizes of all updates that one variant's socket hears."""
    packed = variant.subprotocol is not None
    subprotocols = [Subprotocol(variant.subprotocol)] if variant.subprotocol else None
    command = {
        "action": "subscribe",
        "channels": [f"market:{row.exchange}:{row.symbol}" for row in instruments_of(SIMULATED)],
    }
    sizes: list[int] = []
    async with connect(url, subprotocols=subprotocols, compression=None) as socket:
        await socket.send(_packed(command | variant.options) if packed else json.dumps(command | variant.options))
        with suppress(TimeoutError):
            async with asyncio.timeout(_LISTEN_S):
                await _collect(socket, sizes, packed=packed)
    return sizes


async def _collect(socket: ClientConnection, sizes: list[int], *, packed: bool) -> None:
    decode = msgspec.msgpack.decode if packed else msgspec.json.decode
    async for message in socket:
        content = message if isinstance(message, bytes) else message.encode()
        fields = decode(content)
        if fields["type"] == "market:update" and not fields.get("snapshot"):
            size = len(content)
            sizes.append(size + (2 if size < 126 else 4))


def _packed(command: dict[str, object]) -> bytes:
    return msgspec.msgpack.encode(command)
