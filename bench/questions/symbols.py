"""How quickly a symbol is found among a hundred thousand, and a broker's list of as many taken over."""

import asyncio
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median

from bench.instruments import TODAY, kite_file, share
from bench.questions.asking import Options, say
from bench.report import Answer
from feeds.instruments import Listing
from feeds.listings.directory import Directory
from feeds.listings.instrument_store import InstrumentStore
from feeds.listings.masters import VENDORS, read_master
from hub.database import engine_for, migrate

_COUNT = 100_000
_EACH = 2_000
_LIMIT_MS = 20.0
_BEAT_S = 0.002


def search(options: Options) -> Answer:
    """Symbol search over 100,000 instruments."""
    answer = Answer(
        "search",
        f"what a search takes over {_COUNT:,} instruments, in ms",
        ("asked", "example", "p50", "p99", "max"),
        notes=[f"{_EACH:,} texts of each kind, 20 results each; one process, nothing else in it"],
    )
    say(f"a directory of {_COUNT:,}")
    directory = Directory(read_master(VENDORS["kite"], {"instruments": kite_file(_COUNT)}, today=TODAY).listings)
    everything: list[float] = []
    for kind, texts in _texts(directory).items():
        took = sorted(_timed(directory, text) for text in texts)
        everything += took
        answer.rows.append((kind, repr(texts[0]), median(took), took[int(len(took) * 0.99)], took[-1]))
    everything.sort()
    p99 = everything[int(len(everything) * 0.99)]
    answer.target(f"p99 < {_LIMIT_MS:g} ms over {_COUNT:,}: {p99:.2f} ms", reached=p99 < _LIMIT_MS)
    return answer


def _texts(directory: Directory) -> dict[str, Sequence[str]]:
    """What people type, by kind; the same each time."""
    dice = random.Random(20261123)
    symbols = [one.symbol for one in directory]
    names = [share(number)[1].lower() for number in range(1_000)]
    contracts = [one for one in directory if one.strike is not None]

    def contract() -> str:
        one = dice.choice(contracts)
        return f"{one.underlying} {(one.strike or 0) // 10_000_000} {one.option_type}"

    kinds: dict[str, Callable[[], str]] = {
        "a whole symbol": lambda: dice.choice(symbols),
        "its beginning": lambda: (symbol := dice.choice(symbols))[: dice.randint(1, len(symbol))],
        "words of a name": lambda: " ".join(word[:4] for word in dice.choice(names).split()),
        "one letter": lambda: chr(ord("a") + dice.randrange(26)),
        "underlying, strike, type": contract,
        "the same and a month": lambda: f"{contract()} {dice.choice(('dec', 'jan', 'feb'))}",
        "a letter and a strike": lambda: f"{chr(ord('a') + dice.randrange(26))} {dice.randrange(100, 40_000)}",
        "junk": lambda: "".join(chr(dice.randrange(32, 0x900)) for _ in range(dice.randrange(60))),
    }
    return {kind: [make() for _ in range(_EACH)] for kind, make in kinds.items()}


def _timed(directory: Directory, text: str) -> float:
    began = time.perf_counter()
    directory.search(text)
    return (time.perf_counter() - began) * 1000


def masters(options: Options) -> Answer:
    """Taking over a broker's list of 100,000 instruments beside a running loop."""
    answer = Answer(
        "masters",
        f"what a list of {_COUNT:,} instruments takes, on SQLite",
        ("step", "seconds", "longest wait of the loop, ms"),
        notes=["the loop beats every 2 ms beside it; waits hold the garbage collector's rounds over the whole process"],
    )
    say(f"a list of {_COUNT:,}")
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(_take_over(answer, Path(directory)))
    return answer


async def _take_over(answer: Answer, where: Path) -> None:
    files = {"instruments": kite_file(_COUNT)}
    engine = engine_for("", where)
    await migrate(engine)
    store = InstrumentStore(engine)
    listings: list[Listing] = []

    async def read() -> None:
        master = await asyncio.to_thread(read_master, VENDORS["kite"], files, today=TODAY)
        listings.extend(master.listings)

    async def index() -> None:
        await asyncio.to_thread(Directory, listings)

    async def keep() -> None:
        await store.update("kite", listings, TODAY)

    async def restore() -> None:
        await store.by_vendor("kite")

    for title, step in (
        ("read the file", read),
        ("make the directory and its index", index),
        ("store all of it", keep),
        ("store the same again", keep),
        ("restore it at the next start", restore),
    ):
        answer.rows.append((title, *await _beside_a_loop(step)))
    await engine.dispose()


async def _beside_a_loop(step: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    """How long a step takes, and how late the loop was at worst meanwhile."""
    late = 0.0

    async def beat() -> None:
        nonlocal late
        while True:
            began = time.perf_counter()
            await asyncio.sleep(_BEAT_S)
            late = max(late, time.perf_counter() - began - _BEAT_S)

    beating = asyncio.create_task(beat(), name="beat")
    began = time.perf_counter()
    await step()
    took = time.perf_counter() - began
    beating.cancel()
    with suppress(asyncio.CancelledError):
        await beating
    return took, late * 1000
