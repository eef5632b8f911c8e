"""Workers, the database and the provider are killed at each step: nothing is lost, and nothing doubled unawares."""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hub.database import engine_for, migrate
from notifiers.outbox.deliveries import Deliveries
from notifiers.outbox.delivery import AttemptState, Status
from schemas.tables import deliveries
from tests.notifiers.outbox.conftest import Place
from tests.notifiers.outbox.people import history, new, time_passes
from tests.notifiers.outbox.worker_process import worker_of
from tests.servers import PostgresServer

ROOT = Path(__file__).parents[3]


class LoopbackServer:
    """The provider: takes what it is sent, and can stop in the middle of it or die."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        """The tokens of all calls."""
        self.taken: dict[str, str] = {}
        """What it has taken, by token, with what it calls it."""
        self.before: Callable[[str], str] = lambda _: "go"
        """What to do with a call before it is taken: go on, hold until released, or cut it off."""
        self.after: Callable[[str], str] = lambda _: "go"
        self.gate_open = asyncio.Event()
        self.gated = asyncio.Event()
        self.held = asyncio.Event()
        """A call is being held."""
        self.release = asyncio.Event()
        self.heard = asyncio.Semaphore(0)
        """Released for each call."""
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def doubled(self) -> list[int]:
        """The deliveries that it has more than once."""
        count = Counter(int(token.partition(".")[0]) for token in self.taken)
        return [id_ for id_, times in count.items() if times > 1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            what, _, token = (await reader.readline()).decode().strip().partition(" ")
            answer = await self._answer(what, token)
            writer.write(f"{answer}\n".encode() if answer else b"")
            await writer.drain()
        except (OSError, asyncio.CancelledError):
            pass  # only `listening` cancels, and the stream server would report a cancelled handler as an error
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _answer(self, what: str, token: str) -> str:
        match what:
            case "gate":
                self.gated.set()
                await self.gate_open.wait()
                return "go"
            case "find":
                return self.taken.get(token, "no")
            case "send":
                return await self._send(token)
            case _:  # the worker was killed before it said anything
                return ""

    async def _send(self, token: str) -> str:
        self.sent.append(token)
        self.heard.release()
        before = self.before(token)
        if not await self._may_go_on(before) or before == "hold":  # who was held has been killed by now
            return ""
        self.taken[token] = f"L{len(self.taken)}"
        return self.taken[token] if await self._may_go_on(self.after(token)) else ""

    async def _may_go_on(self, what: str) -> bool:
        if what == "hold":
            self.held.set()
            await self.release.wait()
        return what != "cut"


@asynccontextmanager
async def worker(place: Place, port: int, *, gate: bool = False) -> AsyncIterator[Callable[[], None]]:
    """A worker in a process of its own; what is yielded kills it."""
    settings = {"url": place.url, "folder": str(place.folder), "port": port, "gate": gate}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.notifiers.outbox.worker_process",
        json.dumps(settings),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            assert await process.stdout.readline() == b"started\n"
        yield lambda: os.kill(process.pid, signal.SIGKILL)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]


@asynccontextmanager
async def working(engine: AsyncEngine, port: int) -> AsyncIterator[None]:
    """A worker in this process, that nobody kills."""
    running = asyncio.create_task(worker_of(engine, port).run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until(engine: AsyncEngine, *statuses: Status, hurry_s: float = 0.0) -> None:
    """Returns once all deliveries are in one of these states; meanwhile time may be made to pass for them."""
    async with asyncio.timeout(30):
        while True:
            async with engine.connect() as connection:
                found = set((await connection.execute(select(deliveries.c.status))).scalars())
            if found <= set(statuses):
                return
            if hurry_s:
                await time_passes(engine, hurry_s)
            await asyncio.sleep(0.02)


@asynccontextmanager
async def locked(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Nobody else writes to the deliveries within the block; then what was written in it is undone."""
    async with engine.connect() as connection:
        await connection.execute(update(deliveries).values(reason="locked"))
        yield connection
        await connection.rollback()


async def waiters(engine: AsyncEngine) -> None:
    """Returns once somebody waits for the lock; on SQLite, where that can't be seen, soon."""
    if engine.dialect.name == "sqlite":
        await asyncio.sleep(0.3)
        return
    query = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND state = 'active'")
    async with asyncio.timeout(10):
        while True:
            async with engine.connect() as connection:
                if (await connection.execute(query)).scalar_one():
                    return
            await asyncio.sleep(0.01)


STEPS = ["claimed", "intending", "asked", "taken", "answered", "stored"]


async def killed_when(step: str, place: Place, engine: AsyncEngine, server: LoopbackServer, port: int) -> None:
    """A worker with one delivery, that is killed at this step."""
    async with worker(place, port, gate=True) as kill, asyncio.timeout(30):
        await server.gated.wait()
        if step == "claimed":
            return kill()
        if step == "intending":
            async with locked(engine):
                server.gate_open.set()
                await waiters(engine)
                return kill()
        server.gate_open.set()
        if step == "stored":
            await until(engine, Status.ACCEPTED)
            return kill()
        await server.held.wait()
        if step != "answered":
            return kill()
        async with locked(engine):
            server.release.set()
            await waiters(engine)
            return kill()


@pytest.mark.parametrize("step", STEPS)
async def test_a_worker_that_is_killed_loses_and_doubles_nothing(
    step: str, migrated: Place, engine: AsyncEngine, store: Deliveries
) -> None:
    server = LoopbackServer()
    if step == "asked":
        server.before = lambda _: "hold"
    if step in ("taken", "answered"):
        server.after = lambda _: "hold"
    await store.add([new("a")])
    async with server.listening() as port:
        await killed_when(step, migrated, engine, server, port)
        server.before = server.after = lambda _: "go"
        attempted = step not in ("claimed", "intending")
        assert len(server.sent) == attempted
        await time_passes(engine, 61)
        async with working(engine, port):
            await until(engine, Status.ACCEPTED, hurry_s=0.5)
    assert len(server.taken) == 1
    found = await history(store, int(server.sent[0].partition(".")[0]))
    states = [one.state for one in found.attempts]
    assert states == ([AttemptState.UNTAKEN] if step == "asked" else []) + [AttemptState.TAKEN]
    assert found.delivery.provider_id == next(iter(server.taken.values()))


async def test_a_doubt_after_a_kill_is_told(migrated: Place, engine: AsyncEngine, store: Deliveries) -> None:
    """The provider can't be asked: one attempt is in doubt, and everybody can see which and why."""
    server = LoopbackServer()
    server.after = lambda _: "hold"
    await store.add([new("a")])
    async with server.listening() as port:
        await killed_when("taken", migrated, engine, server, port)
    await time_passes(engine, 61)
    await store.sweeps.reap()
    found = await history(store, int(server.sent[0].partition(".")[0]))
    assert (found.delivery.status, found.delivery.reason) == (Status.UNKNOWN, "unknown")
    assert [(one.state, one.reason) for one in found.attempts] == [(AttemptState.UNKNOWN, "worker lost")]


@pytest.mark.parametrize("dies", ["before", "after"])
async def test_a_provider_that_dies_around_its_acceptance_gets_it_once(
    dies: str, engine: AsyncEngine, store: Deliveries
) -> None:
    server = LoopbackServer()
    cut = iter(["cut"] * 4)
    setattr(server, dies, lambda _: next(cut, "go"))
    await store.add([new() for _ in range(4)])
    async with server.listening() as port, working(engine, port):
        await until(engine, Status.ACCEPTED, hurry_s=0.5)
    assert server.doubled() == []
    assert len(server.taken) == 4
    assert len(server.sent) == (8 if dies == "before" else 4)


async def test_workers_that_are_killed_again_and_again_lose_and_double_nothing(
    migrated: Place, engine: AsyncEngine, store: Deliveries
) -> None:
    server, random = LoopbackServer(), Random(5)

    def sometimes(_: str) -> str:
        return random.choices(["go", "cut", "hold"], [6, 1, 1])[0]

    await store.add([new() for _ in range(60)])
    async with server.listening() as port:
        for _ in range(3):
            server.before = server.after = sometimes
            async with worker(migrated, port) as kill, asyncio.timeout(20):
                for _ in range(8):
                    await server.heard.acquire()
                kill()
            await time_passes(engine, 61)
        server.release.set()
        server.before = server.after = lambda _: "go"
        async with working(engine, port):
            await until(engine, Status.ACCEPTED, hurry_s=0.5)
    assert server.doubled() == []
    assert len(server.taken) == 60


async def test_a_database_that_is_killed_loses_and_doubles_nothing(
    own_postgres: PostgresServer, tmp_path: Path
) -> None:
    place = Place(own_postgres.url, tmp_path)
    engine = engine_for(*place)
    store, server = Deliveries(engine), LoopbackServer()
    await migrate(engine)
    await store.add([new() for _ in range(40)])
    held = iter(["hold"] * 3)
    server.after = lambda _: next(held, "go")
    async with server.listening() as port, working(engine, port), asyncio.timeout(50):
        await server.held.wait()
        await asyncio.to_thread(own_postgres.kill)
        server.release.set()
        await asyncio.to_thread(own_postgres.start)
        await until(engine, Status.ACCEPTED)
    assert server.doubled() == []
    assert len(server.taken) == len(server.sent) == 40
    await engine.dispose()
