"""An event loop whose clock jumps: it never waits for a timer, it moves to it."""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Stuck(Exception):
    """Nothing is ready, no timer is set, and no file descriptor has news: the test would wait for ever."""


class _JumpingSelector(selectors.DefaultSelector):
    jump: Callable[[float], None]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events:
            if timeout is None:
                raise Stuck
            self.jump(timeout)
        return events


class JumpingLoop(asyncio.SelectorEventLoop):
    """Starts at 1000 s, and spends no time on anything but timers."""

    def __init__(self) -> None:
        self.now = 1000.0
        selector = _JumpingSelector()
        selector.jump = self._jump
        super().__init__(selector)

    def time(self) -> float:
        return self.now

    def _jump(self, seconds: float) -> None:
        self.now += max(0.0, seconds)


def jumping_runner() -> asyncio.Runner:
    """A runner of coroutines on one jumping loop; close it."""
    return asyncio.Runner(loop_factory=JumpingLoop)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs it to its end on a jumping loop of its own."""
    with jumping_runner() as runner:
        return runner.run(coroutine)


async def turns(count: int = 20) -> None:
    """Lets everything that is ready run, so many times; time stands still meanwhile."""
    for _ in range(count):
        await asyncio.sleep(0)


def jumping(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Makes a test of an async one: it runs on a jumping loop."""

    @functools.wraps(test)
    def on_jumping_loop(*args: Any, **kwargs: Any) -> None:
        run(test(*args, **kwargs))

    return on_jumping_loop
