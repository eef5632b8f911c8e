"""The audit trail: who did what, from where; appended in batches to one hash chain for each level.

Entries wait in memory for the one task that writes (`run`). `record` waits until its entry is committed; `note` doesn't
wait, for what happens thousands of times a second. Both survive a database that is away for a while.
"""

import asyncio
import contextlib
import itertools
import json
import logging
import random
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from enum import StrEnum

import msgspec
from sqlalchemy import String
from sqlalchemy.ext.asyncio import AsyncEngine

from auth import audit_chain
from auth.audit_chain import Entry
from auth.audit_store import AuditStore, Batch, Wanted
from schemas.durations import Seconds
from schemas.errors import Unavailable
from schemas.tables import audit as table

log = logging.getLogger("tickhub.auth.audit")

MAX_BATCH = 500
"""Entries of one transaction; with 200 a flood is written half as fast, as each commit takes its time."""
MAX_NOTES = 20_000
"""How many entries may wait before notes are dropped."""
RESERVED = 2000
"""How many more may wait that somebody waits for: a flood of notes must not keep logins from being recorded."""
RECORD_TIMEOUT_S: Seconds = 5.0
DRAIN_S: Seconds = 1.0
PRUNE_EVERY_S: Seconds = 86_400.0
PRUNE_AGAIN_S: Seconds = 60.0
"""After how long pruning is tried again where the database was away."""
MAX_DETAILS = 16
MAX_DETAIL_LENGTH = 500

_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 2.0
_DAY_MS = 86_400_000
_ACTION = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_WORDS = re.compile(r"[a-z0-9]+")
_CONFIDENTIAL = re.compile(
    r"apikey|authorization|bearer|codes?|cookies?|credentials?|jwt|t?otp|pass(phrase|wd|words?)|pin|pwd|secrets?|tokens?"
)
_KEYS = (["api", "key"], ["private", "key"], ["secret", "key"], ["signing", "key"])
_lengths = {column.name: column.type.length or 0 for column in table.c if isinstance(column.type, String)}


class Level(StrEnum):
    """How much an entry matters, and so how long it is kept."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


RETENTION_DAYS: Mapping[Level, int] = {Level.DEBUG: 7, Level.INFO: 90, Level.WARNING: 180, Level.CRITICAL: 365}

Detail = str | int | float | bool | None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened. `action` is a dotted word (`login.failed`), `actor` a user's id, or a key's.

    A failed login has as actor the account that was tried, where it exists: `auth.failures` counts by it. `risk` is 0
    to 100. `details` are few and short, and never a secret: a name that sounds like one is refused, but for ids
    (`token_id`). Raises ValueError for what can't be an event.
    """

    level: Level
    action: str
    actor: str | None = None
    target: str | None = None
    address: str | None = None
    user_agent: str | None = None
    request_id: str | None = None
    risk: int | None = None
    details: Mapping[str, Detail] = {}

    def __post_init__(self) -> None:
        if not _ACTION.fullmatch(self.action) or len(self.action) > _lengths["action"]:
            raise ValueError("an action is a dotted word in lower case, at most 48 characters")
        if self.risk is not None and not 0 <= self.risk <= 100:
            raise ValueError("a risk is 0 to 100")
        if len(self.details) > MAX_DETAILS:
            raise ValueError(f"an event has at most {MAX_DETAILS} details")
        for name in self.details:
            if is_confidential(name):
                raise ValueError(f"{name} sounds like a secret, which has no place in the audit trail")


def is_confidential(name: str) -> bool:
    """Whether something of that name may be a secret."""
    words = _WORDS.findall(name.lower())
    if words[-1:] == ["id"]:
        return False
    return words[-2:] in _KEYS or any(_CONFIDENTIAL.fullmatch(word) for word in words)


class ChainState(msgspec.Struct, frozen=True, kw_only=True):
    """What became of checking one chain. `broken_id` is the first entry that is wrong, None where all is well.

    `last_id` and `last_hash` are of the last entry that is right; kept elsewhere, they also show later whether entries
    were taken off the chain's end.
    """

    count: int
    broken_id: int | None
    last_id: int
    last_hash: str


class _Waiting(msgspec.Struct, frozen=True):
    draft: Entry
    written: asyncio.Future[None] | None


class Audit:
    """The trail of one database. Any number of processes may write to it at once.

    Everything that reads raises Unavailable where the database fails, and is safe to cancel.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        wall: Callable[[], float],
        retention_days: Mapping[Level, int] = RETENTION_DAYS,
        max_notes: int = MAX_NOTES,
    ) -> None:
        self._store = AuditStore(engine)
        self._wall = wall
        self._retention_days = retention_days
        self._max_notes = max_notes
        self._waiting: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._writing = 0
        self._closing = asyncio.Event()
        self._dropped = 0

    @property
    def waiting(self) -> int:
        """How many entries are not committed yet."""
        return len(self._waiting) + self._writing

    # -- what happens ---------------------------------------------------------------------------------------------

    async def record(self, event: Event) -> None:
        """Returns once the event is committed.

        Raises Unavailable where that takes longer than RECORD_TIMEOUT_S; the event is then written as soon as the
        database is back, as after a cancellation. Only where too many wait already it is not taken at all, and counted
        as dropped.
        """
        written = asyncio.get_running_loop().create_future()
        if not self._put(event, self._max_notes + RESERVED, written):
            raise Unavailable("audit trail", "too much waits to be written")
        await asyncio.wait({written}, timeout=RECORD_TIMEOUT_S)
        if not written.done():
            raise Unavailable("audit trail", "it could not be written in time")

    def note(self, event: Event) -> None:
        """Have the event written soon. Where too many wait it is dropped, and an `audit.dropped` says how many were."""
        self._put(event, self._max_notes, None)

    def _put(self, event: Event, most: int, written: asyncio.Future[None] | None) -> bool:
        if len(self._waiting) >= most:
            self._dropped += 1
            return False
        self._waiting.append(_Waiting(self._draft(event), written))
        self._wake.set()
        return True

    def _draft(self, event: Event) -> Entry:
        return Entry(
            at_ms=int(self._wall() * 1000),
            level=event.level,
            action=event.action,
            actor=_kept("actor", event.actor),
            target=_kept("target", event.target),
            address=_kept("address", event.address),
            user_agent=_kept("user_agent", event.user_agent),
            request_id=_kept("request_id", event.request_id),
            risk=event.risk,
            details=_details_text(event.details),
        )

    # -- the tasks ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Write what waits, and prune once a day, until cancelled; then what still waits is given DRAIN_S."""
        self._closing.clear()
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(self._write(), name="audit.write")
            pruning = tasks.create_task(self._prune_daily(), name="audit.prune")
            try:
                await asyncio.Event().wait()
            finally:
                await self._drain(writing, pruning)

    async def _drain(self, writing: asyncio.Task[None], pruning: asyncio.Task[None]) -> None:
        """Let both end by themselves: a transaction that is cut may be committed or not."""
        self._closing.set()
        self._wake.set()
        _, late = await asyncio.wait({writing, pruning}, timeout=DRAIN_S)
        if writing in late:
            log.error("audit.lost", extra={"entries": self.waiting})
        for task in late:
            task.cancel()

    async def _write(self) -> None:
        while True:
            if batch := self._take():
                await self._append(batch)
            elif self._closing.is_set():
                return
            else:
                self._wake.clear()
                await self._wake.wait()

    def _take(self) -> list[_Waiting]:
        """What is written next, with a word about what was dropped before it."""
        taken: list[_Waiting] = []
        if self._dropped:
            dropped = Event(level=Level.WARNING, action="audit.dropped", details={"count": self._dropped})
            taken.append(_Waiting(self._draft(dropped), None))
            self._dropped = 0
        while self._waiting and len(taken) < MAX_BATCH:
            taken.append(self._waiting.popleft())
        return taken

    async def _append(self, taken: list[_Waiting]) -> None:
        """Try until the database takes them."""
        self._writing = len(taken)
        batch = Batch([one.draft for one in taken])
        delay_s = _FIRST_DELAY_S
        while True:
            try:
                await self._store.append(batch)
                break
            except Unavailable as exc:
                log.warning("audit.unwritten", extra={"what": exc.what, "why": exc.why, "waiting": self.waiting})
            await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads attempts, hides nothing
            delay_s = min(delay_s * 2, _LONGEST_DELAY_S)
        self._writing = 0
        for one in taken:
            if one.written is not None:
                one.written.set_result(None)

    async def _prune_daily(self) -> None:
        while not self._closing.is_set():
            again_s = PRUNE_EVERY_S
            try:
                await self.prune()
            except Unavailable as exc:
                log.info("audit.unpruned", extra={"what": exc.what, "why": exc.why})
                again_s = PRUNE_AGAIN_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(again_s):
                    await self._closing.wait()

    # -- looking at it --------------------------------------------------------------------------------------------

    async def find(self, wanted: Wanted) -> tuple[list[Entry], int]:
        """The entries of a page, and how many there are in all, counted up to `audit_store.MAX_TOTAL`."""
        return await self._store.find(wanted)

    def stream(self, wanted: Wanted) -> AsyncIterator[list[Entry]]:
        """All entries that match, in pages, whatever `limit` and `offset` say; what is written meanwhile is not."""
        return self._store.stream(wanted)

    async def verify(self) -> dict[str, ChainState]:
        """Check every chain from end to end. Takes some 30 ms for each thousand entries."""
        levels = dict.fromkeys([*Level, *await self._store.levels()])
        return {str(level): await self._verify(level) for level in levels}

    async def _verify(self, level: str) -> ChainState:
        anchor, entries = await self._store.chain(level)
        count, last_id, last_hash = 0, anchor.last_id, anchor.hash
        while entries:
            broken_id = audit_chain.verify(entries, last_hash)
            if broken_id is not None:
                return _broken(count, entries, broken_id, last_id, last_hash)
            count, last_id, last_hash = count + len(entries), entries[-1].id, entries[-1].hash
            now, entries = await self._store.chain(level, last_id)
            if now != anchor:  # pruned meanwhile, perhaps beyond this place
                return await self._verify(level)
        return ChainState(count=count, broken_id=None, last_id=last_id, last_hash=last_hash)

    # -- pruning --------------------------------------------------------------------------------------------------

    async def prune(self) -> dict[Level, int]:
        """Delete what is past its level's retention, from each chain's beginning; says how many of each level.

        An older entry behind a newer one, as clocks that differ leave it, waits for the newer. What no longer verifies
        is pruned too, but not in silence: an `audit.broken` of level critical is recorded first.
        """
        return {level: await self._prune(level) for level in Level}

    async def _prune(self, level: Level) -> int:
        until_ms = int(self._wall() * 1000) - self._retention_days[level] * _DAY_MS
        deleted = 0
        while True:
            anchor, entries = await self._store.chain(level)
            old = _beginning(entries, until_ms)
            if not old:
                return deleted
            broken_id = audit_chain.verify(old, anchor.hash)
            if broken_id is not None:
                log.error("audit.broken", extra={"level": level, "entry": broken_id})
                self.note(_broken_event(level, broken_id))
            deleted += await self._store.begin_after(level, old[-1], at=int(self._wall()))
            if len(old) < len(entries):
                return deleted


def _broken(count: int, entries: list[Entry], broken_id: int, last_id: int, last_hash: str) -> ChainState:
    """The state of a chain that holds up to somewhere in these entries."""
    for entry in entries:
        if entry.id == broken_id:
            break
        count, last_id, last_hash = count + 1, entry.id, entry.hash
    return ChainState(count=count, broken_id=broken_id, last_id=last_id, last_hash=last_hash)


def _beginning(entries: list[Entry], until_ms: int) -> list[Entry]:
    """Of a chain's entries those that stand before the first from `until_ms` on."""
    return list(itertools.takewhile(lambda entry: entry.at_ms < until_ms, entries))


def _broken_event(level: Level, broken_id: int) -> Event:
    return Event(level=Level.CRITICAL, action="audit.broken", target=level, details={"entry_id": broken_id})


def _kept(name: str, text: str | None) -> str | None:
    """The text as the column of that name can keep it: what no database stores must not hold up all other entries."""
    return None if text is None else _storable(text)[: _lengths[name]]


def _storable(text: str) -> str:
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _details_text(details: Mapping[str, Detail]) -> str:
    kept = {name: value[:MAX_DETAIL_LENGTH] if isinstance(value, str) else value for name, value in details.items()}
    return json.dumps(kept, separators=(",", ":"), default=str)
