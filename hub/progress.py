"""Long work, shown on stderr while it lasts: a bar on a terminal, a line every few seconds elsewhere.

Nothing is shown of work that is done in a moment, nor where LOG_LEVEL or LOG_FORMAT say that nobody reads along. The
event loop's timers do all of it, so the work itself must leave the loop free.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from hub import logs
from hub.terminal import printable
from schemas.durations import Seconds

BAR_AFTER_S: Seconds = 0.5
BAR_EVERY_S: Seconds = 0.1
LINE_AFTER_S: Seconds = 2.0
LINE_EVERY_S: Seconds = 5.0


class Work:
    """One piece of long work. `total` is 0 where nobody knows how much there is."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.done = 0
        self.total = 0
        self.note = ""
        self.began_s = time.monotonic()

    def tell(self, done: int = 0, total: int = 0, note: str = "") -> None:
        """How far it has come; costs next to nothing."""
        self.done, self.total, self.note = done, total, printable(note)

    @property
    def line(self) -> str:
        """`Migrating the database: 0003 → 0007, 2 of 4, 12 s`."""
        count = f"{self.done:,} of {self.total:,}" if self.total else f"{self.done:,}" if self.done else ""
        told = [self.note, count, f"{time.monotonic() - self.began_s:.0f} s"]
        return f"{self.name}: {', '.join(filter(None, told))}"


@contextmanager
def shown(name: str, stream: TextIO | None = None) -> Iterator[Work]:
    """Show what goes on in the block, if it lasts. Needs a running loop. May be entered while others are shown."""
    work = Work(name)
    if not logs.for_people():
        yield work
        return
    bars = _bars_of(stream or sys.stderr)
    with _as_lines(work, stream) if bars is None else bars.shown(work):
        yield work


@contextmanager
def _as_lines(work: Work, stream: TextIO | None) -> Iterator[None]:
    def write() -> None:
        print(work.line, file=stream or sys.stderr, flush=True)

    with _repeated(write, LINE_AFTER_S, LINE_EVERY_S) as told:
        yield
    if told():
        print(f"{work.name}: done, {time.monotonic() - work.began_s:.0f} s", file=stream or sys.stderr, flush=True)


class _Bars:
    """The bars of one terminal, of which several may stand below one another."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._lasting: dict[Work, TaskID] = {}

    @contextmanager
    def shown(self, work: Work) -> Iterator[None]:
        """A bar, after a moment."""
        try:
            with _repeated(lambda: self._show(work), BAR_AFTER_S, BAR_EVERY_S):
                yield
        finally:
            self._end(work)

    def _show(self, work: Work) -> None:
        if self._progress is None:
            self._progress = _progress(self._console)
            self._progress.start()
        if work not in self._lasting:
            self._lasting[work] = self._progress.add_task(work.name, start=True)
        count = f"{work.done:,}" if work.done and not work.total else ""
        self._progress.update(
            self._lasting[work], completed=work.done, total=work.total or None, note=work.note, count=count
        )
        self._progress.refresh()

    def _end(self, work: Work) -> None:
        task = self._lasting.pop(work, None)
        if self._progress is not None and task is not None:
            self._progress.remove_task(task)
            if not self._lasting:
                self._progress.stop()
                self._progress = None


_at: dict[TextIO, _Bars] = {}


def _bars_of(stream: TextIO) -> _Bars | None:
    """The bars of that terminal; None where it is none, or can't move its cursor."""
    if stream not in _at:
        console = Console(file=stream)
        if not console.is_terminal or console.is_dumb_terminal:
            return None
        _at[stream] = _Bars(console)
    return _at[stream]


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[count]} {task.fields[note]}", markup=False),
        TimeElapsedColumn(),
        console=console,
        auto_refresh=False,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
    )


@contextmanager
def _repeated(act: Callable[[], None], after_s: Seconds, every_s: Seconds) -> Iterator[Callable[[], int]]:
    """Act again and again inside the block, first after a while; yields how often that has been."""
    loop, count = asyncio.get_running_loop(), 0

    def turn() -> None:
        nonlocal count, timer
        count += 1
        timer = loop.call_later(every_s, turn)
        act()

    timer = loop.call_later(after_s, turn)
    try:
        yield lambda: count
    finally:
        timer.cancel()
