"""What whoever waits is handed, so that tests can turn the clock and load the dice."""

from collections.abc import Awaitable, Callable

from schemas.durations import Seconds

Sleep = Callable[[Seconds], Awaitable[None]]
"""Waits; safe to cancel."""

Chance = Callable[[], float]
"""A random number in [0, 1)."""
