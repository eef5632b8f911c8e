"""One line by itself; what it does within an account is in test_runner."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from feeds.accounts.batches import Batches
from feeds.accounts.line import Account, Line
from feeds.accounts.retry import Admission
from feeds.brokers.source import Event
from feeds.feed import Health
from tests.feeds.brokers.plain import PlainServer, PlainSource
from tests.feeds.clockwork import START_S, FakeTime, Market, listing, until

ONE = {"1": listing("S1", "1")}


class Rig:
    """A line and what it shares with others."""

    def __init__(self, server: PlainServer, *, number: int = 0, login: bool = False) -> None:
        self.time = FakeTime()
        self.market = Market()
        self.credentials = {"token": "good", "url": server.url}
        self.events: list[Event] = []
        clock, sleep = self.time.clock, self.time.sleep
        self.account = Account(
            source=PlainSource(login=login),
            admission=Admission(lambda: dict(self.credentials), clock=clock, sleep=sleep, chance=lambda: 0.5),
            batches=Batches(),
            session_of=self.market,
            mode="full",
            on_event=self.events.append,
            tls=ssl.create_default_context,
            clock=clock,
            wall=self.time.wall,
            sleep=sleep,
            chance=lambda: 0.5,
        )
        self.line = Line(self.account, number)

    @property
    def health(self) -> Health:
        return self.line.status.health

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.line.run())
        try:
            yield
        finally:
            task.cancel()
            async with asyncio.timeout(3):
                await asyncio.wait([task])


@pytest.fixture
async def server() -> AsyncIterator[PlainServer]:
    async with PlainServer() as server:
        yield server


async def test_a_further_line_is_open_only_while_it_has_instruments(server: PlainServer) -> None:
    rig = Rig(server, number=1)
    assert not rig.line.used
    async with rig.running():
        rig.line.assign(ONE)
        await server.until_subscribed(["1"])
        assert (rig.line.used, rig.line.subscribed) == (True, 1)
        rig.line.assign({})
        await server.until(lambda: not server.connections)
        await until(lambda: rig.line.status.reason == "not needed")
        rig.line.assign(ONE)
        await server.until_subscribed(["1"])
    assert rig.line.connects == 2


async def test_a_state_keeps_its_beginning_while_its_reason_changes(server: PlainServer) -> None:
    rig = Rig(server)
    rig.credentials["token"] = "bad"
    async with rig.running():
        await until(lambda: rig.health is Health.TOKEN_EXPIRED)
        await rig.time.until_asleep()
        await rig.time.advance(500)
        assert rig.line.status.since_ms == int(START_S * 1000)
        assert server.handshakes > 1


async def test_a_vendor_that_lets_everybody_in_and_refuses_then_is_never_called_live(server: PlainServer) -> None:
    rig = Rig(server)
    server.greets = False
    said: list[Health] = []
    say = rig.line._say

    def note(health: Health, reason: str = "") -> None:
        said.append(health)
        say(health, reason)

    rig.line._say = note  # type: ignore[method-assign]
    async with rig.running():
        await server.until(lambda: bool(server.connections))
        await server.send('{"expired": "log in again"}')
        await until(lambda: rig.health is Health.TOKEN_EXPIRED)
    assert Health.LIVE not in said


async def test_a_line_without_a_word_from_the_vendor_is_live_after_a_second(server: PlainServer) -> None:
    rig = Rig(server)
    server.greets = False
    async with rig.running():
        await server.until(lambda: bool(server.connections))
        await rig.time.until_asleep()
        await rig.time.advance(1)
        assert rig.health is Health.LIVE


async def test_what_was_heard_while_logging_in_is_not_lost(server: PlainServer) -> None:
    rig = Rig(server, login=True)
    rig.line.assign(ONE)
    async with rig.running():
        await server.until_subscribed(["1"])
        await until(lambda: len(rig.events) >= 2)
    assert [type(event).__name__ for event in rig.events[:2]] == ["Alive", "Ready"]


async def test_cancelling_in_each_phase_leaves_no_socket(server: PlainServer) -> None:
    for login, silent in ((False, False), (True, True), (True, False)):
        rig = Rig(server, login=login)
        server.silent = silent
        before = server.handshakes
        async with rig.running():
            await server.until(lambda before=before: server.handshakes > before)
        await server.until(lambda: not server.connections)


async def test_a_cancellation_that_comes_while_a_connection_fails_is_not_lost(server: PlainServer) -> None:
    for turns in range(40):
        rig = Rig(server)
        async with rig.running():
            await until(lambda rig=rig: rig.health is Health.LIVE)
            server.abort()
            for _ in range(turns):
                await asyncio.sleep(0)
