"""The engine on both databases, and migrating with others at the door."""

import asyncio
import logging
import sqlite3
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from hub import database
from hub.database import check, downgrade, engine_for, migrate
from schemas.errors import SettingsError, Unavailable
from schemas.storage import database_errors
from schemas.tables import revocations
from tests.hub.live import until
from tests.servers import FaultProxy, free_port

SECRET_WORD = "hunter2secret"


@pytest.fixture
async def engine(database_url: str, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = engine_for(database_url, tmp_path / "data")
    yield engine
    await engine.dispose()


def place(url: str, **parts: object) -> str:
    """The URL with another user, password, host or port."""
    old = urlsplit(url)
    values = {
        "user": old.username or "postgres",
        "password": old.password or "",
        "host": old.hostname,
        "port": old.port,
    } | parts
    return urlunsplit(old._replace(netloc="{user}:{password}@{host}:{port}".format(**values)))


async def test_a_fresh_database_answers(engine: AsyncEngine) -> None:
    await check(engine)


async def test_sqlite_keeps_what_was_committed_and_waits_for_other_writers(tmp_path: Path) -> None:
    engine = engine_for("", tmp_path / "new" / "data")
    async with engine.connect() as connection:
        pragmas = {
            name: await connection.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
        }
    await engine.dispose()
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "busy_timeout": 5000, "foreign_keys": 1}
    assert (tmp_path / "new" / "data" / "tickhub.db").exists()


async def test_what_sqlite_keeps_is_for_its_owner_alone(tmp_path: Path) -> None:
    data = tmp_path / "new" / "data"
    engine = engine_for("", data)
    await migrate(engine)
    async with engine.begin() as connection:  # and so the files beside it are there
        await connection.execute(insert(revocations).values(token_id="t", expires_at=1, created_at=1))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in data.iterdir()}
    await engine.dispose()
    assert modes == dict.fromkeys(("tickhub.db", "tickhub.db-wal", "tickhub.db-shm"), 0o600)
    assert stat.S_IMODE(data.stat().st_mode) == 0o700


async def test_a_directory_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    await asyncio.to_thread(tmp_path.chmod, 0o750)
    engine = engine_for("", tmp_path)
    await check(engine)
    await engine.dispose()
    modes = [(await asyncio.to_thread(one.stat)).st_mode for one in (tmp_path, tmp_path / "tickhub.db")]
    assert [stat.S_IMODE(mode) for mode in modes] == [0o750, 0o600]


async def test_commits_are_durable_on_a_server_that_prefers_speed(postgres_url: str, tmp_path: Path) -> None:
    for setting, expected in (("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")):
        engine = engine_for(postgres_url, tmp_path)
        async with engine.begin() as connection:
            name = await connection.scalar(text("SELECT current_database()"))
            await connection.execute(text(f"ALTER DATABASE {name} SET synchronous_commit = {setting}"))
        await engine.dispose()
        async with engine.connect() as connection:
            assert await connection.scalar(text("SHOW synchronous_commit")) == expected
        await engine.dispose()


async def test_transactions_that_read_and_then_write_never_collide(engine: AsyncEngine) -> None:
    await migrate(engine)

    async def count_up() -> None:
        async with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                await connection.execute(text("LOCK TABLE revocations IN EXCLUSIVE MODE"))
            count = await connection.scalar(select(func.count()).select_from(revocations))
            row = {"token_id": f"t{count}", "expires_at": 1, "created_at": 1}
            await connection.execute(insert(revocations).values(row))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(20):
            tasks.create_task(count_up())
    async with engine.connect() as connection:
        ids = (await connection.execute(select(revocations.c.token_id).distinct())).all()
    assert len(ids) == 20


async def test_two_who_migrate_at_once_both_succeed(database_url: str, tmp_path: Path) -> None:
    engines = [engine_for(database_url, tmp_path) for _ in range(4)]
    async with asyncio.TaskGroup() as tasks:
        for engine in engines:
            tasks.create_task(migrate(engine))
    for engine in engines:
        async with engine.connect() as connection:
            assert await connection.scalar(select(func.count()).select_from(revocations)) == 0
        await engine.dispose()


async def test_two_processes_that_migrate_at_once_both_succeed(database_url: str, tmp_path: Path) -> None:
    program = (
        "import asyncio, sys, pathlib\n"
        "from hub.database import engine_for, migrate\n"
        "async def main():\n"
        "    engine = engine_for(sys.argv[1], pathlib.Path(sys.argv[2]))\n"
        "    await migrate(engine)\n"
        "    await engine.dispose()\n"
        "asyncio.run(main())\n"
    )
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-W", "error", "-c", program, database_url, str(tmp_path), stderr=asyncio.subprocess.PIPE
        )
        for _ in range(2)
    ]
    outcomes = await asyncio.gather(*(process.communicate() for process in processes))
    assert [(process.returncode, errors) for process, (_, errors) in zip(processes, outcomes, strict=True)] == [
        (0, b""),
        (0, b""),
    ]


async def test_a_database_of_a_newer_release_is_told_as_such(engine: AsyncEngine) -> None:
    await migrate(engine)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SettingsError, match=r"newer release .* \(revision 9999\)"):
        await migrate(engine)


async def test_a_migration_that_never_ends_is_not_waited_for_forever(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "MIGRATION_WAIT_S", 0.3)
    engine = engine_for(postgres_url, tmp_path)
    async with engine.begin() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": database.MIGRATION_LOCK})
        with pytest.raises(Unavailable, match="no answer in time"):
            await migrate(engine)
    await migrate(engine)
    await engine.dispose()


async def test_a_migration_that_fails_half_way_leaves_nothing_behind(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE ix_in_the_way (id INTEGER)"))
        await connection.execute(text("CREATE INDEX ix_revocations_user_id ON ix_in_the_way (id)"))
    with pytest.raises(Unavailable, match="already exists"):
        await migrate(engine)
    async with engine.begin() as connection:
        await connection.execute(text("DROP TABLE ix_in_the_way"))
    await migrate(engine)
    await downgrade(engine, "base")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (f"mysql://u:{SECRET_WORD}@h/db", "postgresql://"),
        (f"u:{SECRET_WORD}@h/db", "postgresql://"),
        (f"postgresql://u:x/{SECRET_WORD}@h/db", "%2F"),
        (f"postgresql://u@h:{SECRET_WORD}/db", "%2F"),
    ],
)
def test_a_url_that_is_none_is_refused_without_being_repeated(wrong: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        engine_for(wrong, tmp_path)
    assert SECRET_WORD not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("option", [f"sslmode={SECRET_WORD}", "target_session_attrs=whatever"])
async def test_an_option_that_the_driver_cannot_read_is_told_without_the_url(
    option: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = engine_for(f"postgresql://u:{SECRET_WORD}@127.0.0.1:1/db?{option}", tmp_path)
    with caplog.at_level(logging.DEBUG), pytest.raises(Unavailable, match="cannot read") as caught:
        await check(engine)
    await engine.dispose()
    assert SECRET_WORD not in f"{caught.value} {caught.value.__cause__} {engine!r} {engine.url!r} {caplog.text}"


async def test_nobody_at_the_port_is_told_as_such(tmp_path: Path) -> None:
    engine = engine_for(f"postgresql://u:{SECRET_WORD}@127.0.0.1:{free_port()}/db", tmp_path)
    with pytest.raises(Unavailable, match="connection refused") as caught:
        await check(engine)
    await engine.dispose()
    assert SECRET_WORD not in f"{caught.value} {caught.value.__cause__!r}"


async def test_an_unknown_database_is_told_as_such(postgres_url: str, tmp_path: Path) -> None:
    engine = engine_for(urlunsplit(urlsplit(postgres_url)._replace(path="/nosuchdb")), tmp_path)
    with pytest.raises(Unavailable, match="nosuchdb"):
        await check(engine)
    await engine.dispose()


async def test_a_wrong_password_is_told_without_it(postgres_url: str, tmp_path: Path) -> None:
    engine = engine_for(place(postgres_url, user="nobody_here", password=SECRET_WORD), tmp_path)
    with pytest.raises(Unavailable) as caught:
        await check(engine)
    await engine.dispose()
    assert "nobody_here" in str(caught.value)
    assert SECRET_WORD not in f"{caught.value} {caught.value.__cause__!r}"


async def test_other_spellings_of_the_scheme_connect_too(postgres_url: str, tmp_path: Path) -> None:
    for scheme in ("postgres", "postgresql+asyncpg"):
        engine = engine_for(urlunsplit(urlsplit(postgres_url)._replace(scheme=scheme)), tmp_path)
        await check(engine)
        await engine.dispose()


async def test_a_server_that_never_answers_is_given_up(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "CONNECT_TIMEOUT_S", 0.3)
    parts = urlsplit(postgres_url)
    async with FaultProxy(parts.hostname or "", parts.port or 5432) as proxy:
        proxy.stall()
        engine = engine_for(place(postgres_url, host=proxy.host, port=proxy.port), tmp_path)
        async with asyncio.timeout(5):
            with pytest.raises(Unavailable, match="no answer in time"):
                await check(engine)
        await engine.dispose()


async def test_a_connection_that_broke_while_it_lay_idle_is_replaced_on_the_next_use(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PING_AFTER_S", 0.0)
    parts = urlsplit(postgres_url)
    async with FaultProxy(parts.hostname or "", parts.port or 5432) as proxy:
        engine = engine_for(place(postgres_url, host=proxy.host, port=proxy.port), tmp_path)
        await check(engine)
        proxy.cut()
        await check(engine)
        proxy.refuse()
        proxy.cut()
        with pytest.raises(Unavailable):
            await check(engine)
        await proxy.accept()
        await check(engine)
        await engine.dispose()


async def test_a_connection_known_to_be_closed_is_replaced_however_soon(postgres_url: str, tmp_path: Path) -> None:
    parts = urlsplit(postgres_url)
    async with FaultProxy(parts.hostname or "", parts.port or 5432) as proxy:
        engine = engine_for(place(postgres_url, host=proxy.host, port=proxy.port), tmp_path)
        async with engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
        proxy.cut()
        await until(lambda: driver is not None and driver.is_closed())
        await check(engine)
        assert proxy.connections == 2
        await engine.dispose()


async def test_a_file_that_is_no_database_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "tickhub.db").write_bytes(b"this is a text, and not a short one either" * 100)
    engine = engine_for("", tmp_path)
    with pytest.raises(Unavailable, match="not a database"):
        await check(engine)
    await engine.dispose()


async def test_a_directory_that_cannot_be_made_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file in the way")
    engine = engine_for("", tmp_path / "data")
    with pytest.raises(Unavailable):
        await check(engine)
    await engine.dispose()


async def test_an_error_shows_neither_statement_nor_values(engine: AsyncEngine) -> None:
    await migrate(engine)
    with pytest.raises(Unavailable) as caught, database_errors():
        async with engine.begin() as connection:
            await connection.execute(insert(revocations).values(token_id=SECRET_WORD, created_at=1))
    assert "token_or_user" in caught.value.why
    assert SECRET_WORD not in f"{caught.value} {caught.value.__cause__}"


async def test_readers_share_sqlite_while_somebody_writes(tmp_path: Path) -> None:
    engine = engine_for("", tmp_path)
    await migrate(engine)
    async with engine.begin() as writing, asyncio.timeout(2):
        await writing.execute(insert(revocations).values(token_id="a", expires_at=1, created_at=1))
        await check(engine)
    with sqlite3.connect(tmp_path / "tickhub.db") as plain:
        assert plain.execute("SELECT count(*) FROM revocations").fetchone() == (1,)
    plain.close()
    await engine.dispose()


async def test_who_freezes_in_the_middle_of_a_transaction_loses_its_locks_before_long(postgres_url: str) -> None:
    engine = engine_for(postgres_url, Path())
    await migrate(engine)
    async with engine.connect() as connection:
        limits = "SELECT name, setting FROM pg_settings WHERE name IN ('transaction_timeout', :idle)"
        idle = "idle_in_transaction_session_timeout"
        found = {row.name: row.setting for row in await connection.execute(text(limits), {"idle": idle})}
    await engine.dispose()
    assert found.pop(idle) == "10000"
    assert set(found.values()) <= {"30000"}  # servers before 17 have none
