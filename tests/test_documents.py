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
DOCUMENT = ROOT / "docs" / "several-instances.md"


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


def blocks(folder: Path) -> list[str]:
    """The document's shell blocks, with free ports and a folder of this test's own."""
    text = DOCUMENT.read_text(encoding="utf-8")
    for port in ("6390", "8091", "8092"):
        text = text.replace(port, str(free_port()))
    text = text.replace("/tmp/tickhub-", f"{folder}/").replace("$PWD/.venv/bin:", "")
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


async def test_several_instances_go_as_the_document_says(shell: Shell, tmp_path: Path) -> None:
    """Both clients hear what outsiders say, one goes on without a loss, and a lost log is told."""
    start, clients, outside, kill, restart, stop = blocks(tmp_path)
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
