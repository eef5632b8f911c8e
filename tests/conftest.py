"""What every test has at hand: servers, a fresh database, and the house rules that no test may break."""

import asyncio
import inspect
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import redis
from blockbuster import BlockBuster
from hypothesis import settings
from sqlalchemy.ext.asyncio import AsyncEngine

from hub.database import engine_for, migrate
from tests.servers import PostgresServer, RedisServer, ServerError, close_reaper

PACKAGES = ["hub", "channels", "auth", "feeds", "notifiers", "schemas"]

# The same examples on every run, so that a red test is red for everyone; `--hypothesis-profile=search` looks further.
settings.register_profile("same", derandomize=True, deadline=None, max_examples=60, database=None)
settings.register_profile("search", deadline=None, max_examples=1000)
settings.load_profile("same")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest, whole hubs in `tests/test_*.py`, goes first, so that no worker is left alone with it."""
    items.sort(key=lambda item: item.path.parent != Path(__file__).parent)


@pytest.fixture(scope="session", autouse=True)
def _no_orphans() -> Iterator[None]:
    """Whatever server a failed test left running ends with the session."""
    yield
    close_reaper()


@pytest.fixture(scope="session", autouse=True)
def _blocking_calls_fail() -> Iterator[None]:
    """A blocking call that our code makes in the event loop raises BlockingError there."""
    guard = BlockBuster(PACKAGES)
    for function in guard.functions.values():
        function.can_block_in("<frozen importlib._bootstrap>", {"_find_and_load"})  # the first import of a module
        function.can_block_in("linecache.py", {"updatecache"})  # a traceback that is being logged quotes the source
        function.can_block_in("alembic/command.py", {"upgrade", "downgrade", "check"})  # reads its steps, serves nobody
        function.can_block_in("logging/__init__.py", {"handle"})  # pytest's own handlers hold locks
        function.can_block_in("asyncpg/connect_utils.py", {"_parse_connect_arguments"})  # looks for ~/.pgpass
    guard.activate()
    yield
    guard.deactivate()


@pytest.fixture(autouse=True)
def _no_tasks_left(request: pytest.FixtureRequest) -> None:
    """After an async test and its fixtures, no task that they started is still there."""
    property_test = getattr(request.function, "hypothesis", None)
    if inspect.iscoroutinefunction(property_test.inner_test if property_test else request.function):
        request.getfixturevalue("_task_census")


@pytest.fixture
async def _task_census() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    if left:  # what was cancelled a moment ago may need a few turns to end, and a driver's thread some time
        _, left = await asyncio.wait(left, timeout=3)
    names = sorted(f"{task.get_name()} ({task.get_coro()})" for task in left)
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=1)
        pytest.fail("tasks were left running: " + "; ".join(names), pytrace=False)


def _empty(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.flushdb()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The address of the Redis that tests share: `REDIS_URL` where it is set, else one of our own.

    A database that holds keys already is refused: every test empties it.
    """
    if url := os.environ.get("REDIS_URL"):
        try:
            with redis.Redis.from_url(url) as client:
                keys = client.dbsize()
        except redis.RedisError as exc:
            pytest.fail(f"REDIS_URL is set, but no server answers there: {exc}", pytrace=False)
        if keys:
            pytest.fail(f"REDIS_URL names a database with {keys} keys, which the tests would delete", pytrace=False)
        yield url
        return
    try:
        server = RedisServer()
        server.start()
    except ServerError as exc:
        pytest.fail(f"no Redis for the tests: {exc}", pytrace=False)
    yield server.url
    server.close()


@pytest.fixture
def redis_url(redis_server: str) -> Iterator[str]:
    """The address of an empty Redis."""
    _empty(redis_server)
    yield redis_server
    _empty(redis_server)


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis for this test alone, to stop, kill, pause and start again."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of the PostgreSQL that tests share: `DATABASE_URL` where it is set, else one of our own."""
    if url := os.environ.get("DATABASE_URL"):
        yield url
        return
    try:
        server = PostgresServer()
        server.start()
    except ServerError as exc:
        pytest.fail(f"no PostgreSQL for the tests: {exc}", pytrace=False)
    yield server.url
    server.close()


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL for this test alone, to stop, kill, pause and start again."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The address of an empty database, `postgresql://…`; dropped after the test, whoever still uses it."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    _administer(postgres_server, f"CREATE DATABASE {name}")
    yield urlunsplit(urlsplit(postgres_server)._replace(path=f"/{name}"))
    _administer(postgres_server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A DATABASE_URL of each kind in turn; empty for SQLite."""
    return "" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
async def engine(database_url: str, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """A migrated database of each kind in turn."""
    engine = engine_for(database_url, tmp_path)
    await migrate(engine)
    yield engine
    await engine.dispose()


def _administer(url: str, statement: str) -> None:
    """Run one statement from a thread with a loop of its own, as fixtures are also asked for inside a running one."""

    async def run() -> None:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as thread:
        try:
            thread.submit(asyncio.run, run()).result()
        except (OSError, asyncpg.PostgresError) as exc:
            pytest.fail(f"no PostgreSQL for the tests: {exc}", pytrace=False)
