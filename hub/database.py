"""The database: how the engine is made for SQLite and PostgreSQL, and how its tables are brought up to date.

Both engines behave alike above this: connecting or asking never takes longer than a set time, a transaction that began
can write, and an error or a repr never holds the password, since the engine's own URL has none.
"""

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import aiosqlite
import asyncpg  # type: ignore[import-untyped]
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, event, text
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from schemas import migrations
from schemas.errors import SettingsError, Unavailable
from schemas.private_folders import make_private
from schemas.storage import database_errors
from schemas.tables import metadata

SQLITE_FILE = "tickhub.db"
CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 10.0
BUSY_TIMEOUT_MS = 5000
POOL_SIZE = 15
POOL_OVERFLOW = 0
"""Connections are opened by need and kept. Those beyond the pool's size would be closed after each use, and a burst
would spend its time on opening them."""
PING_AFTER_S = 1.0
"""How long a connection may have lain idle before its server is asked whether it still stands."""
MIGRATION_LOCK = 0x7469636B687562
"""The key of PostgreSQL's advisory lock: the bytes of the project's name."""
MIGRATION_WAIT_S = 60.0

_migrating: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
"""Alembic keeps what it migrates in globals, so one process migrates one database at a time."""

_making = threading.Lock()

_PRAGMAS = (
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
)

_USED_AT = "used_at"

_SESSION = """
    SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') IN ('off', 'local');
    SELECT set_config(name, value, false)
    FROM (VALUES ('idle_in_transaction_session_timeout', '10s'), ('transaction_timeout', '30s')) AS limits(name, value)
    WHERE current_setting(name, true) = '0'
"""
"""What was committed survives the server's crash, even on a server that was told to be quick rather than safe.

A process that freezes in the middle of a transaction keeps others waiting for its locks no longer than this. The first
limit doesn't count between two messages about one statement, where the second does, from PostgreSQL 17 on; none of our
transactions may last longer.
"""
_NO_LIMIT = (
    "SELECT set_config('transaction_timeout', '0', true) WHERE current_setting('transaction_timeout', true) <> '0'"
)
"""For migrations, as long as they take."""


def engine_for(database_url: str, data_dir: Path) -> AsyncEngine:
    """The engine of a DATABASE_URL: PostgreSQL, or SQLite in `data_dir` where it is empty. Connects to nothing yet.

    Whoever asks for an engine disposes of it. Raises ValueError, without repeating the URL, for one that is none.
    """
    return _postgres(database_url) if database_url else _sqlite(data_dir / SQLITE_FILE)


def _sqlite(path: Path) -> AsyncEngine:
    async def connect(*_: Any, **__: Any) -> aiosqlite.Connection:
        await asyncio.to_thread(_make_file, path)
        opening = aiosqlite.connect(path, isolation_level=None)
        # Each connection has a thread. One that is cancelled while it opens is nobody's any more, and its thread would
        # keep the process from ending.
        opening._thread.daemon = True  # noqa: SLF001 - as SQLAlchemy does for the connections that it opens itself
        connection = await opening
        try:
            for pragma in _PRAGMAS:
                await _say(connection, pragma)
        except BaseException:
            await connection.close()
            raise
        return connection

    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=f"file:{SQLITE_FILE}", query={"uri": "true"}),
        async_creator=connect,
        hide_parameters=True,
        pool_size=POOL_SIZE,
        max_overflow=POOL_OVERFLOW,
        pool_use_lifo=True,
        pool_timeout=CONNECT_TIMEOUT_S,
    )
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _make_file(path: Path) -> None:
    """Make the database's file where there is none, for its owner alone, as SQLite then makes those beside it.

    One at a time, and a file that is there is not opened: to close it would undo the locks that SQLite has on it
    (https://www.sqlite.org/howtocorrupt.html, 2.2).
    """
    with _making:
        make_private(path.parent)
        if not path.exists():
            with contextlib.suppress(FileExistsError):  # another process was first
                path.touch(mode=0o600, exist_ok=False)


async def _say(connection: aiosqlite.Connection, pragma: str) -> None:
    """Say it until it is heard: SQLite answers at once, whatever its busy_timeout, while another process enters WAL."""
    async with asyncio.timeout(BUSY_TIMEOUT_MS / 1000):
        while True:
            try:
                await connection.execute_fetchall(pragma)
            except sqlite3.OperationalError as exc:
                if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:  # the upper bits tell which kind of busy
                    raise
                await asyncio.sleep(0.02)
            else:
                return


def _begin(connection: Connection) -> None:
    """Take SQLite's write lock at once, so that reading and then writing can't fail half way with SQLITE_BUSY.

    Who only reads says `engine.execution_options(sqlite_begin="DEFERRED")` and shares.
    """
    how = connection.get_execution_options().get("sqlite_begin", "IMMEDIATE")
    connection.exec_driver_sql(f"BEGIN {how}")


def _postgres(database_url: str) -> AsyncEngine:
    dsn = _checked(database_url)

    async def connect(*_: Any, **__: Any) -> asyncpg.Connection:
        try:
            connection = await asyncpg.connect(
                dsn,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=COMMAND_TIMEOUT_S,
                server_settings={"application_name": "tickhub"},
            )
        except (ValueError, asyncpg.ClientConfigurationError):
            raise Unavailable("database", "DATABASE_URL has a part that the driver cannot read") from None
        try:
            await connection.execute(_SESSION)
        except BaseException:
            connection.terminate()
            raise
        return connection

    engine = create_async_engine(
        URL.create("postgresql+asyncpg"),
        async_creator=connect,
        hide_parameters=True,
        pool_size=POOL_SIZE,
        max_overflow=POOL_OVERFLOW,
        pool_use_lifo=True,
        pool_timeout=CONNECT_TIMEOUT_S,
        pool_recycle=1800,
    )
    event.listen(engine.sync_engine, "checkin", _note_use)
    event.listen(engine.sync_engine, "checkout", _check_connection)
    return engine


def _note_use(_: Any, record: ConnectionPoolEntry) -> None:
    record.info[_USED_AT] = time.monotonic()


def _check_connection(connection: Any, record: ConnectionPoolEntry, _: Any) -> None:
    """Have the pool replace a connection that is broken.

    The driver knows of one that the server has closed. What else may have become of it only a round trip tells, or
    three, as `pool_pre_ping` makes them: before each use that would cost more than what is then asked.
    """
    if connection.driver_connection.is_closed():
        raise DisconnectionError
    if time.monotonic() - record.info.get(_USED_AT, time.monotonic()) > PING_AFTER_S:
        try:
            connection.ping()
        except (connection.dbapi.Error, asyncpg.InterfaceError, OSError) as exc:
            raise DisconnectionError from exc


def _checked(database_url: str) -> str:
    scheme, colon, rest = database_url.partition("://")
    if not colon or scheme not in ("postgresql", "postgres", "postgresql+asyncpg"):
        raise ValueError("a database URL begins with postgresql://, or is empty for SQLite")
    dsn = f"postgresql://{rest}"
    try:
        _ = urlsplit(dsn).port
    except ValueError:
        raise ValueError("a database URL's port is no number; in a password / is written %2F, @ %40, # %23") from None
    return dsn


async def check(engine: AsyncEngine) -> None:
    """Does a round trip to the database. Raises Unavailable."""
    with database_errors():
        async with engine.execution_options(sqlite_begin="DEFERRED").connect() as connection:
            await connection.execute(text("SELECT 1"))


Tell = Callable[[int, int, str], None]
"""Hears how many steps of how many are done, and from which version they lead to which: `0003 → 0007`."""


async def migrate(engine: AsyncEngine, *, tell: Tell = lambda *_: None) -> None:
    """Bring the tables up to date, all or nothing. Several processes may do so at once: one does, the others wait.

    Raises Unavailable where the database fails, or another migration takes longer than MIGRATION_WAIT_S, and
    SettingsError for a database that a newer release has been at.
    """
    await _run(engine, _upgrade, tell)


def _upgrade(script: ScriptDirectory, at: Sequence[str]) -> Iterable[Any]:
    unknown = set(at) - {one.revision for one in script.walk_revisions()}
    if unknown:
        fault = (
            f"DATABASE_URL: a newer release has been at this database (revision {', '.join(sorted(unknown))}), which "
            f"this one knows up to {script.get_current_head()}; start the newer one, or restore the backup from before"
        )
        raise SettingsError([fault])
    return script._upgrade_revs("head", at)  # type: ignore[arg-type]  # noqa: SLF001 - see _run


async def downgrade(engine: AsyncEngine, revision: str) -> None:
    """Take the tables back to an earlier revision, `base` for none at all. What the later ones held is lost."""
    await _run(engine, lambda script, at: script._downgrade_revs(revision, at))  # noqa: SLF001 - see _run


Steps = Callable[[ScriptDirectory, Any], Iterable[Any]]
"""The migration steps from the revisions that the database is at."""


async def _run(engine: AsyncEngine, steps: Steps, tell: Tell = lambda *_: None) -> None:
    """Take the steps in one transaction under a lock.

    This is what `alembic.command.upgrade` does, but for reading the files: they are read in a thread beforehand, so
    that the event loop never waits for a disk. The two private names are the ones that Alembic's documentation gives
    to who builds an environment of its own.
    """
    script = await asyncio.to_thread(_read_script)
    one_at_a_time = _migrating.setdefault(asyncio.get_running_loop(), asyncio.Lock())
    with database_errors():
        async with one_at_a_time, engine.begin() as connection:
            await _lock(connection)
            await connection.run_sync(_take_steps, script, steps, tell)


def _read_script() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", migrations.__path__[0].replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    list(script.walk_revisions())  # reads every module
    return script


def _take_steps(connection: Connection, script: ScriptDirectory, steps: Steps, tell: Tell) -> None:
    with EnvironmentContext(Config(), script) as environment:
        environment.configure(
            connection=connection,
            target_metadata=metadata,
            render_as_batch=True,
            fn=lambda revision, _: _told(list(steps(script, revision)), revision, tell),
        )
        environment.run_migrations()


def _told(todo: Sequence[Any], at: Sequence[str], tell: Tell) -> Iterator[Any]:
    """The steps one by one, and how far they have come."""
    way = f"{', '.join(at) or 'nothing'} → {', '.join(todo[-1].to_revisions) or 'nothing'}" if todo else ""
    for done, step in enumerate(todo):
        tell(done, len(todo), way)
        yield step
    if todo:
        tell(len(todo), len(todo), way)


async def _lock(connection: AsyncConnection) -> None:
    """Have the migration to ourselves until the transaction ends. SQLite's BEGIN IMMEDIATE has seen to it already."""
    if connection.dialect.name != "postgresql":
        return
    await connection.execute(text(_NO_LIMIT))
    async with asyncio.timeout(MIGRATION_WAIT_S):
        ask = text("SELECT pg_try_advisory_xact_lock(:key)")
        while not await connection.scalar(ask, {"key": MIGRATION_LOCK}):  # noqa: ASYNC110 - another process lets go
            await asyncio.sleep(0.1)
