"""`python -m hub tail`, as a user types it, of a real hub."""

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hub.live import ROOT, SECRET, Client, Hub, HubProcess, running, token, until

LIMIT_S = 25.0


def environ_of(settings: dict[str, str], **more: str) -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT), "TERM": "xterm"} | settings | more


def environ(hub: Hub, **more: str) -> dict[str, str]:
    return environ_of({"PORT": str(hub.settings.port), "JWT_SECRET": SECRET}, **more)


async def somebody_hears(client: Client) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not (await client.ask("presence", channel="chat:a"))["clients"]:  # noqa: ASYNC110 - nobody is told of it
            await asyncio.sleep(0.05)


async def tail(hub: Hub, *words: str, **more: str) -> tuple[int, str, str]:
    """Run to the end: exit code, stdout, stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hub", "tail", *words,
        env=environ(hub, **more), cwd=hub.settings.data_dir,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(LIMIT_S):
            out, err = await process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return process.returncode or 0, out.decode(), err.decode()


@pytest.fixture
async def hub(tmp_path: Path) -> Any:
    async with running(tmp_path) as hub:
        hub.settings.data_dir.mkdir(exist_ok=True)
        await hub.publish("market:TCS", price=3139.65, change=-8.2)
        yield hub


async def test_without_a_terminal_each_update_is_a_line(hub: Hub) -> None:
    code, out, err = await tail(hub, "market:TCS", "--count", "1")
    assert (code, err) == (0, "")
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}\tmarket:NSE:TCS\t3139\.65\t-8\.2\t-\t-\t-\t-\n", out)


async def test_as_json_a_line_is_the_message_as_it_came(hub: Hub) -> None:
    code, out, _ = await tail(hub, "market:TCS", "--json", "--count", "1")
    message = json.loads(out)
    assert (code, message["type"], message["price"], message["snapshot"]) == (0, "market:update", 3139.65, True)


async def test_a_channel_that_is_refused_is_said_and_the_others_go_on(hub: Hub) -> None:
    code, out, err = await tail(hub, "nope:x", "market:TCS", "--count", "1")
    assert (code, len(out.splitlines())) == (0, 1)
    assert err.startswith("nope:x: UNKNOWN_CHANNEL: ")


async def test_it_fails_where_no_channel_is_left(hub: Hub) -> None:
    code, out, err = await tail(hub, "nope:x", "alerts:somebody")
    assert (code, out) == (1, "")
    assert "UNKNOWN_CHANNEL" in err
    assert "PERMISSION_DENIED" in err


@pytest.mark.parametrize(
    ("words", "more", "said"),
    [
        (["--url", "ws://localhost:1/ws"], {}, "No hub answers at ws://localhost:1/ws"),
        (["--token", "bad"], {}, "does not take this token"),
        ([], {"TICKHUB_TOKEN": "bad"}, "does not take this token"),
        (["--url", "ws://example.com"], {}, "give a token"),
    ],
)
async def test_what_keeps_it_from_connecting_is_said_in_a_line(
    hub: Hub, words: list[str], more: dict[str, str], said: str
) -> None:
    code, out, err = await tail(hub, "market:TCS", *words, **more)
    assert (code, out, len(err.splitlines())) == (1, "", 1), err
    assert said in err


async def test_somebody_who_reads_no_more_ends_it_silently(hub: Hub) -> None:
    shell = await asyncio.create_subprocess_exec(
        "bash", "-c", f"set -o pipefail; {sys.executable} -m hub tail market:TCS | head -1",
        env=environ(hub), cwd=hub.settings.data_dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip

    async def go_on() -> None:
        while True:
            await hub.publish("market:TCS", price=time.time())
            await asyncio.sleep(0.05)

    going = asyncio.create_task(go_on())
    try:
        async with asyncio.timeout(LIMIT_S):
            out, err = await shell.communicate()
    finally:
        going.cancel()
        await asyncio.wait([going])
    assert (shell.returncode, err, len(out.splitlines())) == (0, b"", 1)


class Terminal:
    """A terminal with somebody at it, who has typed a command."""

    def __init__(self, *words: str, environ: dict[str, str], folder: Path) -> None:
        self.leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 110, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hub", *words],
            stdin=follower, stdout=follower, stderr=follower, env=environ, cwd=folder, start_new_session=True,
        )  # fmt: skip
        os.close(follower)
        self.shown = ""

    def look(self) -> str:
        """All that was ever drawn, without the terminal's commands."""
        while select.select([self.leader], [], [], 0)[0]:
            try:
                data = os.read(self.leader, 65536)
            except OSError:
                break
            if not data:
                break
            self.shown += data.decode(errors="replace")
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.shown)


@contextlib.contextmanager
def typed(*words: str, environ: dict[str, str], folder: Path) -> Iterator[Terminal]:
    terminal = Terminal(*words, environ=environ, folder=folder)
    try:
        yield terminal
    finally:
        with contextlib.suppress(ProcessLookupError):
            terminal.process.kill()
        terminal.process.wait()
        os.close(terminal.leader)


async def test_on_a_terminal_prices_are_a_live_table_and_signals_lines_below_it(hub: Hub) -> None:
    words = ["tail", "market:TCS", "signals:generated"]
    with typed(*words, environ=environ(hub), folder=hub.settings.data_dir) as terminal:
        await until(lambda: "3,139.65" in terminal.look(), LIMIT_S)
        await hub.publish("market:TCS", price=3140.5, change=-7.35)
        await hub.publish("signals:generated", symbol="INFY", signal_type="BUY", confidence=71.5)
        await until(lambda: "3,140.50" in terminal.look() and "BUY INFY" in terminal.look(), LIMIT_S)
        assert "connected" in terminal.look()
        assert "\x1b[1;7;32m" in terminal.shown  # it flashes green
        terminal.process.send_signal(signal.SIGINT)
        await until(lambda: terminal.look() and terminal.process.poll() is not None, LIMIT_S)
        assert terminal.process.returncode == 0
        assert "Traceback" not in terminal.look()
        assert terminal.shown.endswith("\x1b[?25h")  # the cursor is back


async def test_after_a_restart_nothing_of_a_log_is_missing(redis_url: str) -> None:
    """The hub is told to stop and comes back; what was said meanwhile stands in the output, once."""
    with HubProcess(REDIS_URL=redis_url) as process:
        following = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hub", "tail", "chat:a", "--json", "--count", "3",
            env=environ_of(process.environ, TICKHUB_TOKEN=token()),
            cwd=process.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            async with process.client() as client:
                await somebody_hears(client)
                await client.ask("publish", channel="chat:a", data={"n": 1})
            os.kill(process.pid, signal.SIGTERM)
            await asyncio.to_thread(process.wait)
            with HubProcess("web", REDIS_URL=redis_url) as other:
                async with other.client() as client:
                    await client.ask("publish", channel="chat:a", data={"n": 2})
            await asyncio.to_thread(process.start)
            async with process.client() as client:
                await somebody_hears(client)
                await client.ask("publish", channel="chat:a", data={"n": 3})
            async with asyncio.timeout(LIMIT_S):
                out, err = await following.communicate()
        finally:
            with contextlib.suppress(ProcessLookupError):
                following.kill()
            await following.wait()
    assert [json.loads(line)["data"]["n"] for line in out.splitlines()] == [1, 2, 3]
    assert b"reconnecting in" in err
