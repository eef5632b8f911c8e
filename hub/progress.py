"""Long work, shown on stderr while it lasts: a bar on a terminal, a line every few seconds elsewhere.

Nothing is shown of work that is done in a moment, nor where LOG_LEVEL or LOG_FORMAT say that nobody reads along. The
event loop's timers do all of it, so the work itself must leave the loop free.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from hub import logs
from hub.terminal import complain, printable
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
def shown(name: str) -> Iterator[Work]:
    """Show what goes on in the block, if it lasts. Needs a running loop. May be entered while others are shown."""
    work, bars = Work(name), _bars()
    if not logs.for_people():
        yield work
        return
    with bars.shown(work) if bars.there else _as_lines(work):
        yield work


@contextmanager
def watch(name: str) -> Iterator[Callable[[int, int, str], None]]:
    """As `shown`, for those who know nothing of `Work`; yields its `tell`."""
    with shown(name) as work:
        yield work.tell


@contextmanager
def _as_lines(work: Work) -> Iterator[None]:
    with _Repeated(lambda: complain(work.line), LINE_AFTER_S, LINE_EVERY_S) as repeated:
        yield
    if repeated.count:
        complain(f"{work.name}: done, {time.monotonic() - work.began_s:.0f} s")


class _Bars:
    """The bars of the terminal, of which several may stand below one another."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._progress: Progress | None = None
        self._lasting: dict[Work, TaskID] = {}

    @property
    def there(self) -> bool:
        """Whether stderr is a terminal that can move its cursor."""
        return self._console.is_terminal and not self._console.is_dumb_terminal

    @contextmanager
    def shown(self, work: Work) -> Iterator[None]:
        """A bar, after a moment."""
        try:
            with _Repeated(lambda: self._show(work), BAR_AFTER_S, BAR_EVERY_S):
                yield
        finally:
            self._end(work)

    def _show(self, work: Work) -> None:
        if self._progress is None:
            self._progress = _progress(self._console)
            self._progress.start()
        if work not in self._lasting:
            self._lasting[work] = self._progress.add_task(work.name, count="", note="")
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


@cache
def _bars() -> _Bars:
    return _Bars()


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


class _Repeated:
    """Acts again and again inside the block, first after a while."""

    def __init__(self, act: Callable[[], None], after_s: Seconds, every_s: Seconds) -> None:
        self.count = 0
        self._act = act
        self._after_s = after_s
        self._every_s = every_s

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(self._after_s, self._turn)
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _turn(self) -> None:
        self.count += 1
        self._timer = self._loop.call_later(self._every_s, self._turn)
        self._act()
