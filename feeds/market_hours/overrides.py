"""What exchanges announce at short notice, from a file and from an administrator: holidays, other hours, halts.

Both say it in the same words, in TOML the one, in JSON the other::

    [[holidays]]
    date = 2026-11-23
    markets = ["equity", "currency"]        # segments, or classes such as "cash"; see feeds.market_hours.hours
    reason = "State funeral"

    [[special]]
    date = 2026-11-08
    markets = ["equity"]
    provisional = false
    sessions = [                            # none at all: the usual hours, on a day that would have none
        { state = "pre_open", start = 18:00:00, end = 18:15:00, phase = "entry" },
        { state = "continuous", start = 18:15:00, end = 19:15:00 },
    ]

    [[halts]]
    markets = ["NSE", "NFO"]                # here exchanges too
    from = 2026-11-23T10:05:00+05:30        # without an offset: Indian time
    until = 2026-11-23T11:00:00             # left out: until further notice
    reopens = 2026-11-23T11:15:00           # with a pre-open in between, where there is one
    reason = "Connectivity"

Of a day the administrator's word counts more than the file's. Halts of both hold.
"""

import asyncio
import logging
from collections.abc import Iterable
from datetime import date, datetime, time
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from feeds.errors import BadFile
from feeds.market_hours.holidays import Calendar
from feeds.market_hours.hours import MAIN_CLASS, NO_HOURS, Hours, Session, SessionClass
from schemas.market import IST, MarketState

log = logging.getLogger("tickhub.feeds.market_hours.overrides")

CONFIGURATION_KEY = "sessions"
"""Under which an administrator's overrides are kept."""

Markets = Annotated[tuple[str, ...], Meta(min_length=1, max_length=32)]
Reason = Annotated[str, Meta(max_length=200)]

_SEGMENTS = frozenset(one.segment.value for one in SessionClass)
_CLASSES = frozenset(one.value for one in SessionClass)
_MAX_BYTES = 1_000_000


class Holiday(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A day on which markets rest that would trade."""

    date: date
    markets: Markets
    reason: Reason = ""

    def __post_init__(self) -> None:
        _check_markets(self.markets, _SEGMENTS | _CLASSES)


class SpecialSession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One session of a day with hours of its own, in Indian time."""

    state: MarketState
    start: time
    end: time
    phase: Annotated[str, Meta(max_length=32)] = ""

    def __post_init__(self) -> None:
        if self.start.tzinfo is not None or self.end.tzinfo is not None:
            raise ValueError("times of sessions are Indian, and take no offset")
        if not self.start < self.end:
            raise ValueError(f"a session from {self.start} to {self.end} has no length")


class SpecialDay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A day with hours of its own."""

    date: date
    markets: Markets
    sessions: Annotated[tuple[SpecialSession, ...], Meta(max_length=32)] = ()
    """None: the usual hours."""
    provisional: bool = False
    reason: Reason = ""

    def __post_init__(self) -> None:
        _check_markets(self.markets, _SEGMENTS | _CLASSES)
        for earlier, later in pairwise(self.sessions):
            if earlier.end > later.start:
                raise ValueError(f"the session at {later.start} begins before the one until {earlier.end} has ended")

    @property
    def hours(self) -> Hours | None:
        """As the calendar takes them."""
        sessions = tuple(Session(one.state, one.start, one.end, one.phase) for one in self.sessions)
        return Hours(sessions, provisional=self.provisional) if sessions else None


class Halt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Markets stand still, and may reopen with a pre-open."""

    markets: Markets
    since: datetime = msgspec.field(name="from")
    until: datetime | None = None
    """None: until further notice."""
    reopens: datetime | None = None
    """The end of the pre-open that begins at `until`."""
    reason: Reason = ""

    def __post_init__(self) -> None:
        _check_markets(self.markets, _SEGMENTS | _CLASSES | MAIN_CLASS.keys())
        if self.until is None:
            if self.reopens is not None:
                raise ValueError("a halt that reopens needs an `until`")
        elif not _ms(self.since) < _ms(self.until) <= _ms(self.reopens or self.until):
            raise ValueError("a halt's `from`, `until` and `reopens` must follow one another")

    @property
    def since_ms(self) -> int:
        """When it begins (Unix milliseconds)."""
        return _ms(self.since)

    @property
    def until_ms(self) -> int | None:
        """When it ends."""
        return None if self.until is None else _ms(self.until)

    @property
    def reopens_ms(self) -> int | None:
        """When trading goes on, where a pre-open comes before that."""
        return None if self.reopens is None else _ms(self.reopens)

    def holds_for(self, session_class: SessionClass, exchange: str) -> bool:
        """Whether it stops a class at an exchange."""
        return not {session_class.value, session_class.segment.value, exchange}.isdisjoint(self.markets)


class Overrides(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one source says."""

    holidays: Annotated[tuple[Holiday, ...], Meta(max_length=1000)] = ()
    special: Annotated[tuple[SpecialDay, ...], Meta(max_length=1000)] = ()
    halts: Annotated[tuple[Halt, ...], Meta(max_length=1000)] = ()


NO_OVERRIDES = Overrides()


def applied(calendar: Calendar, *sources: Overrides) -> Calendar:
    """The calendar with the holidays and special days of all sources; of a day the last word counts.

    A day that one source gives both ways is special.
    """
    special: dict[tuple[SessionClass, date], Hours | None] = dict(calendar.special)
    for source in sources:
        for holiday in source.holidays:
            special.update(((one, holiday.date), NO_HOURS) for one in _classes(holiday.markets))
        for day in source.special:
            special.update(((one, day.date), day.hours) for one in _classes(day.markets))
    return msgspec.structs.replace(calendar, special=special)


def read_toml(text: bytes) -> Overrides:
    """The overrides of a file. Raises BadFile with the place of the fault."""
    try:
        return msgspec.toml.decode(text, type=Overrides)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise BadFile(str(exc)) from exc


def read_json(text: bytes | str) -> Overrides:
    """An administrator's overrides. Raises BadFile with the place of the fault."""
    try:
        return msgspec.json.decode(text, type=Overrides)
    except (msgspec.MsgspecError, RecursionError) as exc:
        raise BadFile(str(exc)) from exc


class OverridesFile:
    """A TOML file of overrides that may change while we run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: Stamp | None = None
        self.overrides = NO_OVERRIDES
        """What it said when it was last good."""

    async def poll(self) -> bool:
        """Reads the file if it has changed; True where `overrides` are new.

        A file that is gone or makes no sense is logged once, as an error, and what it said before stays: to take
        everything back, empty it. Cancelling is safe.
        """
        stamp = await asyncio.to_thread(_stamp, self._path)
        if stamp == self._seen:
            return False
        self._seen = stamp
        try:
            overrides = await asyncio.to_thread(self._read)
        except BadFile as exc:
            log.error("sessions.bad_file", extra={"file": str(self._path), "why": str(exc)})  # noqa: TRY400
            return False
        changed = overrides != self.overrides
        self.overrides = overrides
        if changed:
            log.info("sessions.file_read", extra={"file": str(self._path), "halts": len(overrides.halts)})
        return changed

    def _read(self) -> Overrides:
        try:
            with self._path.open("rb") as file:
                text = file.read(_MAX_BYTES + 1)
        except OSError as exc:
            raise BadFile(exc.strerror or type(exc).__name__) from exc
        if len(text) > _MAX_BYTES:
            raise BadFile(f"larger than {_MAX_BYTES} bytes")
        return read_toml(text)


Stamp = tuple[int, int, int]
"""What tells one state of a file from another."""


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_mtime_ns, found.st_size, found.st_ino


def _check_markets(markets: Iterable[str], known: Iterable[str]) -> None:
    known = frozenset(known)
    for market in markets:
        if market not in known:
            raise ValueError(f"no market {market!r}; there are {', '.join(sorted(known))}")


def _classes(markets: Iterable[str]) -> list[SessionClass]:
    wanted = frozenset(markets)
    return [one for one in SessionClass if one.value in wanted or one.segment.value in wanted]


def _ms(moment: datetime) -> int:
    moment = moment.replace(tzinfo=IST) if moment.tzinfo is None else moment
    return round(moment.timestamp() * 1000)
