"""The servers and faults that other tests rely on do what they say, and the house rules have teeth."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import psutil
import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

import hub
from tests.servers import FaultProxy, PostgresServer, RedisCluster, RedisServer, alive, wait_until

ROOT = Path(__file__).resolve().parent.parent


def client(port: int) -> Redis:
    """A client that tries each command once."""
    return Redis(port=port, retry=Retry(NoBackoff(), 0), socket_timeout=5)


@pytest.fixture
async def proxy(own_redis: RedisServer) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(own_redis.host, own_redis.port) as proxy:
        yield proxy


@pytest.mark.parametrize("turn", [1, 2])
async def test_each_test_has_an_empty_redis(redis_url: str, turn: int) -> None:
    async with Redis.from_url(redis_url) as redis:
        assert await redis.set("turn", turn, nx=True)


@pytest.mark.parametrize("turn", [1, 2])
async def test_each_test_has_an_empty_database(postgres_url: str, turn: int) -> None:
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute("CREATE TABLE turns (turn integer)")
        assert await connection.execute("INSERT INTO turns VALUES ($1)", turn) == "INSERT 0 1"
    finally:
        await connection.close()


async def test_a_paused_server_keeps_its_connections_and_answers_later(own_redis: RedisServer) -> None:
    async with client(own_redis.port) as redis:
        await redis.ping()
        own_redis.pause()
        answer = asyncio.create_task(redis.ping(), name="ping")
        done, _ = await asyncio.wait({answer}, timeout=0.1)
        assert not done
        own_redis.resume()
        assert await answer


@pytest.mark.parametrize("persistent", [True, False])
def test_a_killed_redis_comes_back_on_its_port_with_what_it_kept(persistent: bool) -> None:
    with RedisServer(persistent=persistent) as server:
        port = server.port
        assert server.command("SET", "a", "1") == b"+OK\r\n"
        server.kill()
        assert not server.running
        server.start()
        assert server.port == port
        assert server.command("GET", "a") == (b"1\r\n" if persistent else b"$-1\r\n")


async def test_a_killed_postgres_comes_back_with_what_was_committed(own_postgres: PostgresServer) -> None:
    connection = await asyncpg.connect(own_postgres.url)
    await connection.execute("CREATE TABLE kept (x integer)")
    own_postgres.kill()
    with pytest.raises((asyncpg.PostgresConnectionError, ConnectionError)):
        await connection.fetch("SELECT * FROM kept")
    await asyncio.to_thread(own_postgres.start)
    again = await asyncpg.connect(own_postgres.url)
    try:
        assert await again.fetch("SELECT * FROM kept") == []
    finally:
        await again.close()


def test_a_cluster_serves_all_slots() -> None:
    with RedisCluster() as cluster:
        answers = {node.command("SET", "a", "1")[:6] for node in cluster.nodes}
        assert answers == {b"+OK\r\n", b"-MOVED"}


def test_a_server_is_gone_after_its_block() -> None:
    with RedisServer() as server:
        pid, folder = server.pid, server.folder
    assert not psutil.pid_exists(pid)
    assert not folder.exists()


async def test_a_swallowed_reply_leaves_the_command_done(own_redis: RedisServer, proxy: FaultProxy) -> None:
    async with client(proxy.port) as redis, client(own_redis.port) as direct:
        await redis.ping()
        proxy.swallow_next_reply(after=b"XADD")
        with pytest.raises(RedisConnectionError):
            await redis.xadd("stream", {"a": "1"})
        assert proxy.swallowed.is_set()
        assert await direct.xlen("stream") == 1
        assert await redis.ping()


async def test_a_stalled_connection_goes_on_where_it_stopped(proxy: FaultProxy) -> None:
    async with client(proxy.port) as redis:
        await redis.ping()
        proxy.stall()
        answer = asyncio.create_task(redis.ping(), name="ping")
        done, _ = await asyncio.wait({answer}, timeout=0.1)
        assert not done
        proxy.flow()
        assert await answer
        assert proxy.connections == 1


async def test_a_cut_connection_is_reset_and_a_new_one_taken(proxy: FaultProxy) -> None:
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    writer.write(b"PING\r\n")
    assert await reader.readline() == b"+PONG\r\n"
    proxy.cut()
    with pytest.raises(ConnectionResetError):
        await reader.read(1)
    writer.close()
    async with client(proxy.port) as redis:
        assert await redis.ping()


async def test_a_refusing_proxy_takes_nobody_until_it_accepts_again(proxy: FaultProxy) -> None:
    proxy.refuse()
    with pytest.raises(ConnectionError):
        await asyncio.open_connection(proxy.host, proxy.port)
    await proxy.accept()
    async with client(proxy.port) as redis:
        assert await redis.ping()


async def test_a_delay_holds_each_way_back(proxy: FaultProxy) -> None:
    async with client(proxy.port) as redis:
        await redis.ping()
        proxy.delay_s = 0.05
        started = asyncio.get_running_loop().time()
        await redis.ping()
        assert asyncio.get_running_loop().time() - started >= 0.1


def test_a_killed_test_run_leaves_no_server_behind() -> None:
    """Not even one that is paused."""
    script = (
        "import os; from tests.servers import RedisServer; server = RedisServer(); server.start(); server.pause();"
        "print(server.pid, server.folder, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    pid, folder = done.stdout.split()
    wait_until(lambda: not _runs(int(pid)), timeout_s=10, what="reaping")
    wait_until(lambda: not Path(folder).exists(), timeout_s=10, what="tidying up")


def _runs(pid: int) -> bool:
    try:
        return alive(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False


TEETH = f"""
import asyncio

BLOCKS = compile("def block():\\n    import time\\n    time.sleep(0.001)\\n", {hub.__file__!r}, "exec")


async def test_blocking_call_in_the_loop():
    space = {{}}
    exec(BLOCKS, space)
    space["block"]()


async def test_task_left_running():
    asyncio.create_task(asyncio.sleep(60), name="left behind")


def test_warning():
    import warnings
    warnings.warn("old ways", stacklevel=1)
"""


def test_blocking_calls_left_tasks_and_warnings_fail(tmp_path: Path) -> None:
    (tmp_path / "test_teeth.py").write_text(TEETH)
    options = ["-p", "tests.conftest", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"), "-q"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert "BlockingError: Blocking call to time.sleep" in done.stdout
    assert "tasks were left running: left behind" in done.stdout
    assert "UserWarning: old ways" in done.stdout
    assert "2 failed, 1 passed, 1 error" in done.stdout
