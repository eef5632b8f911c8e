"""When a user is not to be disturbed: windows by the clock on their wall. Pure.

A window follows the wall clock: where it is put forward, an hour that is left out is left out of the window too, and
where it is put back, the hour that comes twice counts twice.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo

from notifiers.people.preferences import DAYS, QuietWindow

FARTHEST_MS = 8 * 86_400_000
"""Whoever has no end of quiet hours is looked after again then."""

_MINUTE_MS = 60_000


def inside(now_ms: int, windows: Iterable[QuietWindow], zone: tzinfo) -> QuietWindow | None:
    """The first window that it is in."""
    local = datetime.fromtimestamp(now_ms / 1000, zone)
    return next((window for window in windows if _left(window, local)), None)


def until(now_ms: int, windows: Sequence[QuietWindow], zone: tzinfo) -> int | None:
    """When the windows end that it is in, one after the other; None where it is in none."""
    at_ms = now_ms
    while at_ms < now_ms + FARTHEST_MS:
        local = datetime.fromtimestamp(at_ms / 1000, zone)
        left = max((_left(window, local) for window in windows), default=0)
        if not left:
            break
        at_ms = _later(at_ms, local, left, zone)
    return None if at_ms == now_ms else at_ms


def _left(window: QuietWindow, local: datetime) -> int:
    """For how many more minutes on the clock the window lasts; 0 outside of it."""
    minute = local.hour * 60 + local.minute
    left = 0
    for days_ago in (0, 1):
        day = DAYS[(local.weekday() - days_ago) % 7]
        gone = minute - window.start_minute + days_ago * 24 * 60
        if (not window.days or day in window.days) and 0 <= gone < window.minutes:
            left = max(left, window.minutes - gone)
    return left


def _later(at_ms: int, local: datetime, minutes: int, zone: tzinfo) -> int:
    """So many minutes later, from the full minute; only one where the clock is put forward or back in between."""
    full_ms = at_ms - (local.second * 1000 + local.microsecond // 1000)
    end_ms = full_ms + minutes * _MINUTE_MS
    changed = datetime.fromtimestamp(end_ms / 1000, zone).utcoffset() != local.utcoffset()
    return full_ms + _MINUTE_MS if changed else end_ms
