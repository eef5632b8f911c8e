"""One process: which roles run in it, and how it ends.

The event loop is ours. Every part of every role is a named task in one group. What the world does to us (network,
Redis, a database) the parts survive by themselves; if one of them ends or raises, that is a bug, and the process
ends with 70 rather than live on half dead. SIGTERM and SIGINT drain: nobody is let in, everybody is told when to come
back, what is left is written, and the process ends with 0.
"""

import asyncio
import errno
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from auth.plans import Plans
from channels.channel import ChannelNames
from channels.namespace import Namespaces
from feeds.accounts.credentials import read_credentials
from feeds.errors import CredentialsMissing, CredentialsUnreadable
from hub import database, logs
from hub.exit_codes import EXIT_BUG, EXIT_OK
from hub.feeding.sources import SOURCES
from hub.post import dlt_of
from hub.progress import shown
from hub.roles import Roles, Shared, broker_of
from hub.secret import secret_of
from hub.server import Server, listen, server_for
from hub.web import Web
from schemas.dotenv import parse_dotenv
from schemas.durations import Seconds
from schemas.errors import SettingsError, Unavailable
from schemas.private_folders import make_private
from schemas.settings import Settings

log = logging.getLogger("tickhub.hub.process")

GC_THRESHOLD = 50_000
"""New objects between two searches for cycles. With Python's 700, handshakes spend a third of their time being
searched, and tens of thousands of quiet connections are looked through again and again."""


def names_of(settings: Settings) -> ChannelNames:
    """The channel names that the settings allow. Raises SettingsError for a namespaces file that is wrong."""
    path = settings.namespaces_file
    if path is None:
        return ChannelNames(Namespaces())
    try:
        return ChannelNames(Namespaces.load(path))
    except OSError as exc:
        raise SettingsError([f"NAMESPACES_FILE: can't read {path}: {exc.strerror}"]) from exc
    except ValueError as exc:
        raise SettingsError([f"NAMESPACES_FILE: {line}" for line in str(exc).splitlines()]) from exc


def plans_of(settings: Settings) -> Plans:
    """The entitlements that the settings name. Raises SettingsError for a file that is wrong."""
    path = settings.plans_file
    if path is None:
        return Plans()
    try:
        return Plans.load(path)
    except OSError as exc:
        raise SettingsError([f"PLANS_FILE: can't read {path}: {exc.strerror}"]) from exc
    except ValueError as exc:
        raise SettingsError([f"PLANS_FILE: {line}" for line in str(exc).splitlines()]) from exc


def environment() -> Mapping[str, str]:
    """The environment as it is now, with what `.env` says where it says nothing; brokers' credentials are read so."""
    try:
        given, _ = parse_dotenv(Path(".env").read_text(encoding="utf-8-sig"), source=".env")
    except (OSError, UnicodeDecodeError):
        given = {}
    return given | dict(os.environ)


def missing_credentials(settings: Settings) -> list[str]:
    """What brokers' credentials are not set at all. A file that is not there yet may come: it is read each time."""
    faults: list[str] = []
    for name in (one for one in settings.feed if one in SOURCES):
        source = SOURCES[name](settings.feed_mode)
        try:
            read_credentials(name, source.credential_names, environment)
        except CredentialsUnreadable as exc:
            log.warning("feed.credentials_unreadable", extra={"feed": name, "why": str(exc)})
        except CredentialsMissing as exc:
            faults.append(
                f"FEED: {name} needs {', '.join(exc.names)}; each may also come from a file, as {exc.names[0]}_FILE"
            )
    return faults


def check_files(settings: Settings) -> None:
    """Raises SettingsError for a DATA_DIR that can't hold the database, or a REPLAY_FILE that isn't there. Blocks."""
    faults: list[str] = []
    if settings.database_url is None:
        try:
            make_private(settings.data_dir)
            if not os.access(settings.data_dir, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as exc:
            why = f"{settings.data_dir} can't be written ({exc.strerror})"
            faults.append(f"DATA_DIR: {why}; set it to a folder that may be written")
    if "replay" in settings.feed and settings.replay_file is not None and not settings.replay_file.is_file():
        faults.append(f"REPLAY_FILE: there is no file {settings.replay_file}")
    if faults:
        raise SettingsError(faults)


def check_credentials(settings: Settings) -> None:
    """Raises SettingsError for a feed whose broker would not let us in."""
    if faults := missing_credentials(settings):
        raise SettingsError(faults)


def faults_of(settings: Settings, roles: Sequence[str]) -> list[str]:
    """All that is wrong with what the settings name, at once: files, secrets, the address to listen on. Blocks."""
    checks: list[Callable[[Settings], object]] = [check_files, names_of, plans_of, dlt_of]
    if settings.jwt_secret is not None:
        checks.append(secret_of)
    if "feeds" in roles:
        checks.append(check_credentials)
    checks.append(lambda _: _try_listening(settings, roles))
    faults: list[str] = []
    for check in checks:
        try:
            check(settings)
        except SettingsError as exc:
            faults += exc.faults
    return faults


MEET_BROKER_S: Seconds = 2.0
"""How long the start waits to learn whether the broker is there."""


class Process:
    """The roles of one process, constructed from the settings. Raises SettingsError where they can't work."""

    def __init__(
        self, settings: Settings, roles: Sequence[str], *, make: Callable[[Shared, Sequence[str]], Roles] = Roles
    ) -> None:
        self._settings = settings
        self._make = make
        self._roles = roles
        self._names = names_of(settings)
        self._plans = plans_of(settings)
        self._secret = secret_of(settings)
        self._broker = broker_of(settings, self._names)
        self._server: Server | None = None
        self._socket = next(_listening(settings, roles), None)
        self.stopping = asyncio.Event()
        self.away: dict[str, str] = {}
        """What did not answer at the start, and why: `database`, `broker`. It is tried again all the time."""

    def _warn_of_solitude(self) -> None:
        if len(self._roles) == 1 and self._settings.redis_url is None and self._roles[0] != "notifiers":
            log.warning("process.alone", extra={"role": self._roles[0], "hint": "without REDIS_URL nobody else hears"})

    async def run(self, ready: Callable[[], None] = lambda: None) -> int:
        """Run until told to stop; returns the exit code. `ready` is called once everything has been started."""
        gc.set_threshold(GC_THRESHOLD, 20, 100)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        self._warn_of_solitude()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._broker.close)
            engine = database.engine_for(self._database_url(), self._settings.data_dir)
            stack.push_async_callback(engine.dispose)
            await self._meet(engine)
            roles = self._made(engine)
            await roles.open()
            try:
                return await self._run_parts(roles, ready)
            except ExceptionGroup as bugs:  # whatever the world does to us is handled where it happens
                if self._server is not None:
                    self._server.stop_accepting()
                    self._abort_connections()
                for bug in bugs.exceptions:
                    log.critical("process.bug", exc_info=bug)
                return EXIT_BUG

    async def _meet(self, engine: AsyncEngine) -> None:
        """Migrate before anything asks the database. One that is away is migrated once it is back (`Standing`)."""
        try:
            async with asyncio.timeout(MEET_BROKER_S):
                await self._broker.check()
        except (Unavailable, TimeoutError) as exc:
            self.away["broker"] = exc.why if isinstance(exc, Unavailable) else f"no answer in {MEET_BROKER_S:g} s"
        try:
            with shown("Migrating the database") as work:
                await database.migrate(engine, tell=work.tell)
        except Unavailable as exc:
            self.away["database"] = exc.why
        for what, why in {} if logs.for_people() else self.away.items():  # people are greeted with it
            log.warning("process.without", extra={"what": what, "why": why})

    async def _run_parts(self, roles: Roles, ready: Callable[[], None]) -> int:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_for_ever(name, part), name=name) for name, part in roles.parts]
            serving = self._serve(group, roles)
            ready()
            await self.stopping.wait()
            log.info("process.stopping")
            await self._drain(roles)
            if serving is not None:
                await asyncio.wait([serving], timeout=self._settings.drain_timeout_s)
                tasks.append(serving)
                self._abort_connections()
            for task in tasks:
                task.cancel()
        log.info("process.stopped")
        return EXIT_OK

    def _made(self, engine: AsyncEngine) -> Roles:
        """What runs here, constructed."""
        shared = Shared(
            settings=self._settings,
            secret=self._secret,
            broker=self._broker,
            names=self._names,
            engine=engine,
            plans=self._plans,
            environ=environment,
        )
        return self._make(shared, self._roles)

    def _serve(self, group: asyncio.TaskGroup, roles: Roles) -> asyncio.Task[None] | None:
        if self._socket is None:
            return None
        self._server = server_for(roles.app, grace_s=self._settings.drain_timeout_s)
        return group.create_task(self._served(self._server, self._socket), name="web.server")

    async def _served(self, server: Server, sock: socket.socket) -> None:
        await server.serve(sockets=[sock])
        if not self.stopping.is_set():
            raise RuntimeError("the server ended by itself")

    async def _drain(self, roles: Roles) -> None:
        """Let everybody go, and let what is under way come to its end."""
        within_s = self._settings.drain_timeout_s
        async with asyncio.TaskGroup() as group:
            if self._server is not None and roles.web is not None:
                group.create_task(self._drain_web(self._server, roles.web), name="drain.web")
            if roles.notifiers is not None:
                group.create_task(roles.notifiers.drain(within_s), name="drain.notifiers")
        if self._server is not None:
            self._server.should_exit = True

    async def _drain_web(self, server: Server, web: Web) -> None:
        server.stop_accepting()
        await web.connections.drain(self._settings.drain_timeout_s)
        await web.api.drain(self._settings.drain_timeout_s)

    def _abort_connections(self) -> None:
        """What has not closed within the budget is cut: an open transport would outlive the loop."""
        if self._server is not None:
            for connection in tuple(self._server.server_state.connections):
                connection.transport.abort()

    def _database_url(self) -> str:
        url = self._settings.database_url
        return url.reveal() if url is not None else ""


def _listening(settings: Settings, roles: Sequence[str]) -> Iterator[socket.socket]:
    """The listening socket of a process, if it is to have one. Raises SettingsError where it can't be had."""
    if "web" in roles:
        yield listen(settings.host, settings.port)
    elif settings.metrics_port is not None:
        yield listen(settings.host, settings.metrics_port, "METRICS_PORT")


def _try_listening(settings: Settings, roles: Sequence[str]) -> None:
    for one in _listening(settings, roles):
        one.close()


async def _for_ever(name: str, part: Callable[[], Coroutine[Any, Any, None]]) -> None:
    await part()
    raise RuntimeError(f"{name} ended by itself")
