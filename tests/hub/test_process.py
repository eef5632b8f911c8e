"""How a process ends: each test starts real ones, so there are few of them, and each looks at much."""

import asyncio
import os
import re
import signal
from pathlib import Path

import pytest

from hub.exit_codes import EXIT_BUG, EXIT_OK, EXIT_SETTINGS
from tests.hub.live import SECRET, HubProcess, one_command, request, token

BROKEN = """
import asyncio, os, sys
from pathlib import Path
from hub import logs
from hub.process import Process
from hub.roles import Roles
from schemas.settings import load

class Broken(Roles):
    def _add_feeds(self):
        async def part():
            while not Path("now").exists():
                await asyncio.sleep(0.01)
            ending = {ending!r}
            if ending == "raises":
                raise ZeroDivisionError("a bug in a part")
        self.parts.append(("broken.part", part))

async def main():
    settings = load(os.environ)
    logs.configure(settings.log_level, settings.log_format)
    return await Process(settings, ("web", "feeds"), make=Broken).run()

sys.exit(asyncio.run(main()))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_and_ends_with_0(number: signal.Signals) -> None:
    process = HubProcess(LOG_FORMAT="json", HEARTBEAT_INTERVAL="1s")
    try:
        await asyncio.to_thread(process.start)
        bearer = token("7")
        async with (
            process.client(query=f"?token={bearer}") as client,
            process.client(query=f"?token={bearer}") as other,
        ):
            await client.subscribe("market:RELIANCE", "status:market")
            assert (await client.hear("market:update"))["price"] > 0
            assert (await client.hear("heartbeat"))["feeds"]
            os.kill(process.pid, number)
            for one in (client, other):
                assert (await one.hear("shutdown"))["reconnect_after"] > 0
                assert await one.close_code() == 3001
        assert await asyncio.to_thread(process.wait) == EXIT_OK
        output = process.log()
        assert "process.stopped" in output
        assert "Traceback" not in output
        assert bearer not in output
        assert SECRET not in output
    finally:
        process.close()


async def test_a_client_that_never_reads_delays_the_end_no_longer_than_the_budget() -> None:
    process = HubProcess("web", DRAIN_TIMEOUT="1s")
    try:
        await asyncio.to_thread(process.start)
        reader, writer = await asyncio.open_connection(process.host, process.port)
        writer.write(
            f"GET /ws?token={token()} HTTP/1.1\r\nHost: {process.place}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        await reader.readuntil(b"welcome")
        os.kill(process.pid, signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 8) == EXIT_OK
        writer.close()
    finally:
        process.close()


@pytest.mark.parametrize("ending", ["raises", "ends"])
async def test_a_bug_in_a_task_ends_the_process_with_70(ending: str) -> None:
    process = HubProcess(program=BROKEN.format(ending=ending))
    try:
        await asyncio.to_thread(process.start)
        async with process.client() as client:
            await client.ask("ping")
            (process.folder / "now").touch()
            assert await asyncio.to_thread(process.wait, 8) == EXIT_BUG
        output = process.log()
        assert "process.bug" in output
        assert ("a bug in a part" if ending == "raises" else "broken.part ended by itself") in output
    finally:
        process.close()


def test_wrong_settings_are_all_listed_and_end_with_78() -> None:
    password = "hush-hush-password"
    environ = {
        "PORT": "eighty",
        "LOG_LEVEL": "LOUD",
        "REDIS_URL": f"http://user:{password}@host",
        "JWT_SECRET": "too-short-and-secret",
        "JWT_EXPIRY": "1h",
        "FLUSH_INTERVAL": "often",
    }
    with one_command(**{name: value for name, value in environ.items() if name != "PORT"}) as command:
        command.environ |= environ
        code, output = command.run()
    assert code == EXIT_SETTINGS
    for name in environ:
        assert re.search(rf"^\s*{name}: ", output, re.MULTILINE), output
    assert password not in output
    assert "too-short-and-secret" not in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"NAMESPACES_FILE": "/nowhere/at/all.toml"}, "NAMESPACES_FILE"),
        ({"FEED": "kite"}, "FEED"),
        ({"HOST": "203.0.113.7"}, "PORT"),
        (
            {"JWT_SECRET": "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZI\n-----END PUBLIC KEY-----"},
            "JWT_SECRET",
        ),
        ({"JWT_PUBLIC_KEY": "-----BEGIN PUBLIC KEY-----\nbm8ga2V5\n-----END PUBLIC KEY-----"}, "JWT_PUBLIC_KEY"),
        ({"JWT_PUBLIC_KEY": "/nowhere/key.pem"}, "JWT_PUBLIC_KEY"),
        ({"JWT_SECRET": "", "DATA_DIR": "/dev/null/data"}, "DATA_DIR"),
    ],
    ids=["namespaces", "feed", "address", "secret is a key", "key is none", "no key file", "no directory"],
)
def test_what_only_shows_at_the_start_ends_with_78_too(environ: dict[str, str], named: str) -> None:
    with one_command(**environ) as command:
        code, output = command.run()
    assert (code, "Traceback" in output) == (EXIT_SETTINGS, False), output
    assert f"{named}: " in output


async def test_a_taken_port_ends_with_78_and_is_named(tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with one_command("web") as command:
        command.environ["PORT"] = str(port)
        code, output = await asyncio.to_thread(command.run)
    server.close()
    assert code == EXIT_SETTINGS
    assert "PORT: " in output
    assert str(port) in output


@pytest.mark.parametrize("role", ["feeds", "alerts"])
async def test_a_role_without_sockets_runs_alone_and_ends_with_0(role: str) -> None:
    process = HubProcess(role, LOG_FORMAT="json")
    try:
        await asyncio.to_thread(process.start)
        async with asyncio.timeout(10):
            while not process.log():  # noqa: ASYNC110 - the first line of another process
                await asyncio.sleep(0.02)
        os.kill(process.pid, signal.SIGTERM)
        assert await asyncio.to_thread(process.wait) == EXIT_OK
        with pytest.raises(OSError, match="refused"):
            await asyncio.to_thread(request, f"{process.url}/health")
    finally:
        process.close()
