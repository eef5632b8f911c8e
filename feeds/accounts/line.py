"""One of an account's sockets, kept open while it has instruments: connect, subscribe, read, watch, and again."""

import asyncio
import logging
import ssl
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec

from channels.broker import Clock
from feeds.accounts.batches import Batches
from feeds.accounts.connection import Connection, Pace, open_socket
from feeds.accounts.http import HttpClient
from feeds.accounts.retry import Admission, Failure, Pauses
from feeds.accounts.watch import Finding, Watch
from feeds.brokers.source import Alive, Credentials, Event, Heard, Mode, Ping, Source
from feeds.errors import ConnectionLost, CredentialsMissing, VendorRefused
from feeds.feed import Health
from feeds.instruments import Instrument, Listing
from feeds.publisher import SessionOf
from feeds.waiting import Chance, Sleep
from schemas.durations import Seconds

log = logging.getLogger("tickhub.feeds.accounts.line")

WATCH_S: Seconds = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """What all sockets of an account share."""

    source: Source
    admission: Admission
    batches: Batches
    session_of: SessionOf
    mode: Mode
    on_event: Callable[[Event], None]
    tls: Callable[[], ssl.SSLContext]
    clock: Clock
    wall: Clock
    sleep: Sleep
    chance: Chance


_MUTE = "the socket is open, but no prices come, though the market is open"


class LineStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What can be said of one socket."""

    health: Health
    since_ms: int
    reason: str = ""


class _Unused(Exception):
    """The last instrument has gone."""


class Line:
    """One socket's place in an account. The first is open even without instruments, so that credentials are tried."""

    def __init__(self, account: Account, number: int) -> None:
        self._account = account
        self._number = number
        self._assigned: dict[str, Listing] = {}
        self._sent: dict[str, Listing] = {}
        self._instruments: dict[str, Instrument] = {}  # what this connection's tokens mean, the dropped ones' too
        self._changed = asyncio.Event()
        self._outdated = False
        self._unjudged = True
        self._entered_s: Seconds | None = None
        self._watch = Watch(account.source.silence_s)
        self._pace = Pace(account.source.limits.frames_per_second, clock=account.clock, sleep=account.sleep)
        self.status = LineStatus(health=Health.CONNECTING, since_ms=int(account.wall() * 1000), reason="not started")
        self.frames = 0
        """Frames that came in."""
        self.connects = 0
        """How often the vendor has let us in."""

    @property
    def used(self) -> bool:
        """Whether the socket should be open."""
        return self._number == 0 or bool(self._assigned)

    @property
    def subscribed(self) -> int:
        """How many instruments have been asked for on the open socket."""
        return len(self._sent)

    def assign(self, listings: Mapping[str, Listing]) -> None:
        """From now on carry exactly these, by token. Where a token now means another instrument, connects anew.

        What the vendor has sent for the old one and we have not read yet would become the new one's price.
        """
        before, self._assigned = self._assigned, dict(listings)
        if self._assigned == before:
            return
        for token, listing in self._assigned.items():
            known = self._instruments.get(token)
            if known is None or _key(known) == _key(listing.instrument):
                self._instruments[token] = listing.instrument
            else:
                del self._instruments[token]
                self._outdated = True
        self._changed.set()

    async def run(self) -> None:
        """Keeps the socket open until cancelled; never ends otherwise but by a fault in the program."""
        pauses = Pauses(self._account.chance)
        self._say(Health.CONNECTING)
        while True:
            if not self.used:
                await self._until_used()
                self._say(Health.CONNECTING)
            failure = await self._attempt()
            if failure is None:
                self._say(Health.CLOSED, "not needed")
                continue
            pause_s = pauses.after(failure, self._lived_s())
            self._tell(failure, pause_s)
            await self._account.sleep(pause_s)

    def stop(self) -> None:
        """Nothing runs any more."""
        self._sent.clear()
        self._say(Health.CONNECTING, "not running")

    async def _until_used(self) -> None:
        while not self.used:
            self._changed.clear()
            await self._changed.wait()

    async def _attempt(self) -> Failure | None:
        """Connects and serves; returns why it ended, or None where it wasn't needed any more."""
        self._entered_s = None
        try:
            async with self._account.admission.turn() as credentials:
                connection, early = await self._open(credentials)
            with self._account.admission.judged(credentials):
                await self._serve(connection, early)
        except _Unused:
            return None
        except (VendorRefused, ConnectionLost, CredentialsMissing) as exc:
            return exc
        finally:
            self._sent.clear()
        return None

    async def _open(self, credentials: Credentials) -> tuple[Connection, Heard]:
        account = self._account
        if self.status.health is Health.STALE:
            self._say(Health.CONNECTING, self.status.reason)
        self._outdated = False
        self._instruments = {token: listing.instrument for token, listing in self._assigned.items()}
        tls = await asyncio.to_thread(account.tls)
        request = await account.source.request(credentials, HttpClient(tls))
        conversation = account.source.converse(credentials, self._instruments)
        web_socket = await open_socket(request, tls)
        connection = Connection(web_socket, conversation, account.source.limits, self._pace)
        try:
            early = await connection.enter(account.wall)
        except BaseException:  # cancelled, too: who opens, closes
            await connection.close()
            raise
        return connection, early

    async def _serve(self, connection: Connection, early: Heard) -> None:
        try:
            self._enter(early)
            jobs = {"read": self._read(connection), "tend": self._tend(connection), "guard": self._guard()}
            if (ping := self._account.source.ping) is not None:
                jobs["ping"] = self._ping(connection, ping)
            await _until_one_fails(f"feed.{self._account.source.name}.{self._number}", jobs)
        finally:
            await connection.close()

    def _enter(self, early: Heard) -> None:
        now_s = self._account.clock()
        self._entered_s = now_s
        self._unjudged = True  # some vendors let everybody in, and refuse in the first frame
        self._watch.connected(now_s)
        self.connects += 1
        log.info("feed.connected", extra=self._extra())
        if early.updates or early.events:
            self._take(early)

    async def _read(self, connection: Connection) -> NoReturn:
        batches, wall = self._account.batches, self._account.wall
        while True:
            heard = await connection.receive(wall)
            self.frames += 1
            self._take(heard)
            if batches.full:
                await batches.room()

    def _take(self, heard: Heard) -> None:
        beat = any(isinstance(event, Alive) for event in heard.events)
        self._watch.heard(self._account.clock(), data=bool(heard.updates), beat=beat)
        if self._unjudged:
            self._judge()
        if heard.updates:
            self._account.batches.put(heard.updates)
        for event in heard.events:
            self._account.on_event(event)

    async def _tend(self, connection: Connection) -> NoReturn:
        """Keeps what is subscribed equal to what is assigned, a frame's worth at a time."""
        size = self._account.source.limits.instruments_per_frame
        while True:
            self._changed.clear()
            if self._outdated:
                raise ConnectionLost("the instrument list has given a token to another instrument")
            if not self.used:
                raise _Unused
            old = [listing for token, listing in self._sent.items() if token not in self._assigned][:size]
            new = [listing for token, listing in self._assigned.items() if token not in self._sent][:size]
            if old:
                for listing in old:
                    del self._sent[listing.token]
                await connection.unsubscribe(old)
            elif new:
                first = not self._sent
                self._sent.update({listing.token: listing for listing in new})
                await connection.subscribe(new, self._account.mode)
                self._watch.subscribed(self._account.clock(), first=first)
            else:
                await self._changed.wait()

    async def _guard(self) -> NoReturn:
        """Says how the line is, and ends a connection whose silence isn't right."""
        while True:
            await self._account.sleep(WATCH_S)
            self._judge()

    def _judge(self) -> None:
        account = self._account
        now_s = account.clock()
        self._unjudged = False
        if account.batches.full:
            self._watch.heard(now_s, data=True)  # it is we who don't listen
        exchanges = {listing.instrument.exchange for listing in self._assigned.values()}
        finding = self._watch.judge(now_s, [account.session_of(exchange).state for exchange in exchanges])
        match finding:
            case Finding.DEAD:
                self._drop(f"nothing at all was heard for {self._watch.silence_s:g} s in an open market")
            case Finding.MUTE:
                self._drop(_MUTE)
            case Finding.NO_DATA:
                self._say(Health.STALE, _MUTE)
                log.warning("feed.no_data", extra=self._extra())
                self._sent = {token: one for token, one in self._sent.items() if token not in self._assigned}
                self._changed.set()
            case Finding.WAITING:
                pass
            case Finding.AT_REST if exchanges:
                self._say(Health.CLOSED)
            case Finding.AT_REST | Finding.WELL:
                self._say(Health.LIVE)

    def _drop(self, reason: str) -> NoReturn:
        self._say(Health.STALE, reason)
        raise ConnectionLost(reason)

    async def _ping(self, connection: Connection, ping: Ping) -> NoReturn:
        while True:
            await self._account.sleep(ping.interval_s)
            await connection.send([ping.frame])

    def _lived_s(self) -> Seconds:
        return 0.0 if self._entered_s is None else self._account.clock() - self._entered_s

    def _tell(self, failure: Failure, pause_s: Seconds) -> None:
        before = self.status
        match failure:
            case VendorRefused(expired=True) | CredentialsMissing():
                self._say(Health.TOKEN_EXPIRED, str(failure))
            case VendorRefused(status=status) if status < 500:
                self._say(Health.REFUSED, str(failure))
            case _ if self.status.health is not Health.STALE:
                self._say(Health.CONNECTING, str(failure))
            case _:
                pass  # it was said when the connection was dropped
        if self.status != before or not isinstance(failure, CredentialsMissing):  # those are read every second
            log.warning("feed.lost", extra=self._extra() | {"reason": str(failure), "again_in_s": round(pause_s, 1)})

    def _say(self, health: Health, reason: str = "") -> None:
        if (health, reason) == (self.status.health, self.status.reason):
            return
        same = health is self.status.health
        since_ms = self.status.since_ms if same else int(self._account.wall() * 1000)
        self.status = LineStatus(health=health, since_ms=since_ms, reason=reason)

    def _extra(self) -> dict[str, object]:
        return {"feed": self._account.source.name, "line": self._number}


def _key(instrument: Instrument) -> tuple[str, str, object]:
    return instrument.exchange, instrument.symbol, instrument.expiry


async def _until_one_fails(name: str, jobs: Mapping[str, Coroutine[Any, Any, NoReturn]]) -> NoReturn:
    """Runs jobs until one of them fails, then ends them all and raises what tells most. Cancelling is safe.

    No TaskGroup: while a failed child aborts it, it swallows a cancellation from outside (Python 3.11, 3.12), and a
    line, which outlives failures, would run on.
    """
    tasks = [asyncio.create_task(job, name=f"{name}.{what}") for what, job in jobs.items()]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        ends = [exc for task in tasks if not task.cancelled() and (exc := task.exception()) is not None]
    raise min(ends, key=_telling, default=ConnectionLost("the connection was given up"))


def _telling(exc: BaseException) -> int:
    """The order in which failures of the same moment tell what happened: a fault of our own, a refusal, the rest."""
    order = (VendorRefused, _Unused, ConnectionLost)
    return order.index(type(exc)) if type(exc) in order else -1
