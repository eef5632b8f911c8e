"""What the documents tell readers to type does what they say it does."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.servers import free_port, redis_binary, redis_cli

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"```(?:sh)?\n(.*?)```", re.DOTALL)


class Shell:
    """A shell that a reader types into, and all that it has printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.printed = ""

    def type(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode() + b"\n")

    async def until(self, *patterns: str) -> None:
        """Returns once each pattern stands in what was printed, in whatever order."""
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(25):
                while not all(re.search(pattern, self.printed, re.MULTILINE) for pattern in patterns):
                    chunk = await self._process.stdout.read(4096)
                    assert chunk, self.printed
                    self.printed += chunk.decode()
        except TimeoutError:
            pytest.fail(f"{patterns} never came; there was:\n{self.printed}")

    def forget(self) -> None:
        self.printed = ""


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "redis-server").symlink_to(redis_binary())
    redis_cli(programs)
    environ = {
        "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
    }
    process = await asyncio.create_subprocess_exec(
        "bash",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=tmp_path,
        env=environ,
        start_new_session=True,
    )
    yield Shell(process)
    for pid_file in tmp_path.glob("*.pid"):  # noqa: ASYNC240 - nothing else is going on
        with contextlib.suppress(ProcessLookupError, ValueError):
            os.kill(int(pid_file.read_text()), signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def blocks(name: str, folder: Path, *ports: str) -> list[str]:
    """A document's shell blocks and what it says that they print, with free ports and a folder of this test's own."""
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    for port in ports:
        text = text.replace(port, str(free_port()))
    text = text.replace("/tmp/tickhub-", f"{folder}/").replace("$PWD/.venv/bin:", "")
    return BLOCK.findall(text)


def lines(printed: str) -> list[str]:
    """A document's printed lines as patterns; … stands for anything."""
    return [f"^{re.escape(line).replace('…', '.*')}$" for line in printed.splitlines()]


async def test_several_instances_go_as_the_document_says(shell: Shell, tmp_path: Path) -> None:
    """Both clients hear what outsiders say, one goes on without a loss, and a lost log is told."""
    start, clients, outside, kill, restart, stop = blocks("several-instances.md", tmp_path, "6390", "8091", "8092")
    shell.type(start)
    await shell.until("roles +web(.|\n)*roles +web")
    shell.type(clients)
    await shell.until(r"\d+ at 0(.|\n)*\d+ at 0", "price RELIANCE(.|\n)*price RELIANCE")
    shell.type(outside)
    await shell.until("price OURS 2500.5(.|\n)*price OURS 2500.5", "signal 2 INFY(.|\n)*signal 2 INFY")
    shell.forget()
    shell.type(kill)
    await shell.until("gone", r"at \d recovered: True", "signal 5 ITC5(.|\n)*signal 5 ITC5")
    for number in (3, 4, 5):
        assert len(re.findall(f"signal {number} ITC{number}", shell.printed)) == 2, shell.printed
    shell.forget()
    shell.type(restart)
    await shell.until("a gap was told(.|\n)*a gap was told", "signal 1 SBIN(.|\n)*signal 1 SBIN")
    shell.forget()
    shell.type(stop + "\nwait; echo all ended")
    await shell.until("all ended")


async def test_an_account_goes_from_registration_to_logout_as_the_document_says(shell: Shell, tmp_path: Path) -> None:
    """One socket is refused depth, hears it once the administrator has changed the plan, and closes at logout."""
    blocks_ = blocks("api.md", tmp_path, "8094")
    start, register, verify, login, refresh, second, second_login = blocks_[:7]
    open_socket, refused, upgrade, upgraded, logout, closed, trail, end = blocks_[7:]
    shell.type(start)
    await shell.until('"status":"ok"')
    shell.type(register)
    await shell.until('"access_token":"[^"]+"', '"email_verified":false')
    shell.forget()
    shell.type(verify)
    await shell.until('"status":"success"')
    shell.forget()
    shell.type(login)
    await shell.until('"email":"asha@example.com","email_verified":true', '"plan":"free"')
    shell.type(f'before="$TOKEN"; {refresh}\n[ "$TOKEN" != "$before" ] && echo "new token ${{#TOKEN}}"')
    await shell.until(r"^new token [1-9]\d\d")
    shell.type(second)
    await shell.until(r'"enabled":true,"recovery_codes":\[("[^"]+",?){10}\]')
    shell.type(second_login)
    await shell.until('"enabled":true,"recovery_codes_left":10')
    shell.type(open_socket)
    await shell.until(*lines(refused))
    shell.forget()
    shell.type(upgrade)
    await shell.until('"plan":"pro"', *lines(upgraded))
    shell.forget()
    shell.type(logout)
    await shell.until(*lines(closed))
    shell.forget()
    async with asyncio.timeout(25):
        while '"action":"logout"' not in shell.printed:  # which is written soon, and nobody waits for it
            shell.forget()
            shell.type(f"{trail}\necho all told")
            await shell.until("^all told")
    assert '"action":"user.changed"' in shell.printed
    assert '"data":{"intact":true' in shell.printed
    shell.type(f"{end}\nwait; echo all ended")
    await shell.until("all ended")
