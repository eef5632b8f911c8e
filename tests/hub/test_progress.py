import asyncio
import contextlib
import os
import pty
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub import logs, progress
from tests.hub.live import until
from tests.hub.test_logs import _logging_as_before  # noqa: F401 - what `configure` sets is undone

ERASED = b"\x1b[2K\x1b[?25h\r"
"""The line of the bar is empty, and the cursor is back at its beginning."""


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("BAR_AFTER_S", "LINE_AFTER_S", "LINE_EVERY_S"):
        monkeypatch.setattr(progress, name, 0.01)
    progress._bars.cache_clear()
    yield
    progress._bars.cache_clear()


async def test_work_that_lasts_is_told_line_by_line_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("INFO", "text")
    printed: list[str] = []

    def told() -> bool:
        printed.append(capsys.readouterr().err)
        return "0003 → 0007, 2 of 4, 0 s" in "".join(printed)

    with progress.shown("Migrating the database") as work:
        work.tell(2, 4, "0003 → 0007")
        await until(told)
    assert capsys.readouterr().err.endswith("Migrating the database: done, 0 s\n")


async def test_work_of_a_moment_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", "text")
    with progress.shown("Migrating the database"):
        pass
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("level", "style"), [("WARNING", "text"), ("INFO", "json")])
async def test_nothing_is_told_to_those_who_do_not_read_along(
    level: str, style: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(level, style)
    turn = asyncio.Event()
    with progress.shown("Migrating the database"):
        asyncio.get_running_loop().call_later(0.05, turn.set)
        await turn.wait()
    assert capsys.readouterr().err == ""


async def test_a_terminal_has_a_bar_that_leaves_no_trace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TERM", "xterm")
    leader, follower = pty.openpty()
    os.set_blocking(leader, False)
    with os.fdopen(follower, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        logs.configure("INFO", "text")
        shown = b""

        def drawn() -> bool:
            nonlocal shown
            with contextlib.suppress(BlockingIOError):
                shown += os.read(leader, 65536)
            return b"Loading" in shown and b"reading" in shown

        with progress.shown("Loading") as work:
            work.tell(1, 2, "reading")
            await until(drawn)
        await until(lambda: drawn() and shown.endswith(ERASED))
    os.close(leader)
