"""One shard while this process has it: its engine, what that has said and is not yet stored, and what has changed.

Everything between two awaits of the engine and the lists beside it belongs together: samples come in between. A
transaction always holds all that fired so far, and what the engine remembers at that moment of all that hangs together
with it: who goes on from what is stored, with the samples that came after, does what this one would have done.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncEngine

from notifiers.alerts.endings import MISFIT, Endings
from notifiers.alerts.recent import Recent, Sample, replayed
from notifiers.alerts.rules import changed_rules, rules_of, tracks_of
from notifiers.alerts.shards import Lost, Tenure
from notifiers.alerts.triggers import Batch, Committed, Triggers
from notifiers.engine.compiling import Unsuitable
from notifiers.engine.engine import Engine
from notifiers.engine.samples import Bar, Firing, Rule, Source
from schemas.durations import Seconds
from schemas.errors import TickhubError, Unavailable
from schemas.market import Tick

log = logging.getLogger("tickhub.notifiers.alerts.shard_run")

MAX_WAITING = 100_000
"""Firings that wait for the database. With more, samples are let go, and the shard begins anew from what is stored."""
MOST_STATES = 500
"""Of rules, in one transaction of a checkpoint, some more or less."""
GROUP = 16
"""Sources that a checkpoint asks for at once."""
RETRY_S: Seconds = 0.1
MAX_RETRY_S: Seconds = 2.0

Clock = Callable[[], float]


class Behind(TickhubError):
    """More has fired than can wait for the database: the shard is to begin anew from what is stored."""


@dataclass(slots=True)
class Tally:
    """What the shards of this process have done, all told."""

    samples: int = 0
    fired: int = 0
    suppressed: int = 0
    dropped: int = 0
    """Firings of alerts that had been changed meanwhile."""
    commits: int = 0
    commit_seconds: float = 0.0
    """Spent on them, in sum."""
    lag_ms: float = 0.0
    """From a sample's arrival until what it fired was committed, of the newest batch; the longest in it."""
    lost: int = 0
    """Shards that another engine took."""
    restarts: int = 0
    """Shards that began anew since too much waited."""


@dataclass(slots=True)
class _Unsaved:
    firings: list[tuple[Firing, int]] = field(default_factory=list)
    tracks: dict[str, bytes] = field(default_factory=dict)
    states: dict[int, tuple[int, bytes]] = field(default_factory=dict)


class ShardRun:
    """The engine of one shard from load to loss. `wall` tells Unix seconds."""

    def __init__(self, tenure: Tenure, engine: AsyncEngine, triggers: Triggers, tally: Tally, *, wall: Clock) -> None:
        self.tenure = tenure
        self.loaded = False
        self.on_sources: list[Callable[[], None]] = []
        """Called when the engine may need other sources than before; must neither wait nor raise."""
        self._database = engine
        self._triggers = triggers
        self._endings = Endings(engine)
        self._tally = tally
        self._wall = wall
        self._engine = Engine()
        self._recent = Recent()
        self._sources_told = -1
        self._sources: Mapping[Source, Collection[str]] = {}
        self._sources_known = -1
        self._misfits: list[int] = []
        self._versions: dict[int, int] = {}
        self._expiries: dict[int, int] = {}
        self._unsaved = _Unsaved()
        self._changed: set[int] = set()
        self._wake = asyncio.Event()
        self._database_turn = asyncio.Lock()
        """One at a time: what is read of rules must not be older than what of them has been written."""
        self._ending = False
        self._lost = False
        self._left: list[str] | None = None
        """Sources that the present checkpoint has still to do; None where there is no checkpoint."""
        self._behind = False

    @property
    def rules(self) -> int:
        """How many rules are watched."""
        return self._engine.rules

    @property
    def waiting(self) -> int:
        """How many firings wait to be committed."""
        return len(self._unsaved.firings)

    @property
    def sources(self) -> Mapping[Source, Collection[str]]:
        """What the engine has to hear, candles with the indicators that it looks at."""
        if self._sources_known != self._engine.sources_version:
            self._sources, self._sources_known = self._engine.sources, self._engine.sources_version
        return self._sources

    # -- samples: neither wait nor raise ------------------------------------------------------------------------------

    def take(self, tick: Tick, number: int, received_ms: int) -> None:
        """Takes a tick of one of `sources`."""
        if not self._behind:
            self._recent.note(tick, number, received_ms)
            self._fired(self._engine.take(tick, number, received_ms))

    def take_bar(self, bar: Bar, number: int, received_ms: int) -> None:
        """Takes a candle of one of `sources`."""
        if not self._behind:
            self._fired(self._engine.take_bar(bar, number, received_ms))

    def advance(self, now_ms: int) -> None:
        """Lets exchange time go by."""
        if not self._behind:
            self._fired(self._engine.advance(now_ms))

    def _fired(self, firings: Sequence[Firing]) -> None:
        if not firings:
            return
        now_ms = int(self._wall() * 1000)
        self._unsaved.firings += [(one, now_ms) for one in firings]
        self._behind = len(self._unsaved.firings) > MAX_WAITING
        self._wake.set()

    def checkpoint(self) -> None:
        """Has all that the engine remembers stored soon, not only what hangs together with what has fired."""
        if self._left is None:
            self._left = [source.text for source in self.sources]
        self._wake.set()

    def change(self, alert_ids: Collection[int]) -> None:
        """Has alerts read again soon: they were made, changed or ended."""
        self._changed |= set(alert_ids)
        self._wake.set()

    def lose(self) -> None:
        """Has `work` raise Lost: the shard is no longer held like this."""
        self._lost = True
        self._wake.set()

    def end(self) -> None:
        """Has `work` return once everything is stored; samples that come after that don't count."""
        self._ending = True
        self.checkpoint()

    # -- the database -------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Goes on from what is stored. Raises Unavailable: then it is of no further use."""
        for source, state in await tracks_of(self._database, self.tenure.shard):
            self._engine.restore_track(source, state)
        async for page in rules_of(self._database, self.tenure.shard):
            self._misfits += page.unreadable
            for rule in page.rules:
                self._put(rule)
            await asyncio.sleep(0)
        self.loaded = True

    async def work(self) -> None:
        """Stores what the engine says until `end`, through every outage of the database.

        Raises Lost where the shard is another's by now, and Behind; then nothing more of it may be said.
        """
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._lost:
                raise Lost(self.tenure)
            await self._commit()
            if self._behind:
                raise Behind(f"shard {self.tenure.shard}")
            if self._ending and self._left is None and not self._unsaved.firings:
                return
            await self._read_changes()
            await self._end_misfits()
            if self._left is not None:
                self._wake.set()

    async def flush(self) -> None:
        """Stores everything once. Raises Lost, Unavailable."""
        async with self._database_turn:
            self._keep()
            if (batch := self._collect()) is not None:
                await self._triggers.commit(batch, self.tenure)

    async def _commit(self) -> None:
        async with self._database_turn:
            batch = self._collect()
            if batch is None:
                return
            began = self._wall()
            try:
                committed = await self._commit_surely(batch)
            except asyncio.CancelledError:
                self._put_back(batch)
                raise
            self._count(batch, committed, began)
        for alert_id, version in committed.over.items():
            if self._versions.get(alert_id) == version:
                self._drop(alert_id)
        self._tell_sources()

    def _collect(self) -> Batch | None:
        """All that is not stored yet. What was taken out of the engine is not said by it again."""
        if self._unsaved.firings:
            self._keep({one.source for one, _ in self._unsaved.firings})
        self._keep_more()
        unsaved, self._unsaved = self._unsaved, _Unsaved()
        if not (unsaved.firings or unsaved.tracks or unsaved.states):
            return None
        return Batch(unsaved.firings, unsaved.tracks, unsaved.states)

    def _put_back(self, batch: Batch) -> None:
        newer = self._unsaved
        self._unsaved = _Unsaved(
            [*batch.firings, *newer.firings], {**batch.tracks, **newer.tracks}, {**batch.states, **newer.states}
        )

    def _keep_more(self) -> None:
        """Adds to what is stored from a checkpoint, but not so much that what fires meanwhile has to wait for long."""
        while self._left is not None and len(self._unsaved.states) < MOST_STATES:
            if not self._left:
                self._left = None
                self._keep()
            else:
                self._keep(self._left[-GROUP:])
                del self._left[-GROUP:]

    def _keep(self, sources: Collection[str] | None = None) -> None:
        kept = self._engine.kept(sources)
        self._misfits += kept.misfits
        self._unsaved.tracks |= kept.tracks
        versions = self._versions
        self._unsaved.states |= {one: (versions[one], state) for one, state in kept.rules.items() if one in versions}

    async def _commit_surely(self, batch: Batch) -> Committed:
        pause_s = RETRY_S
        while True:
            try:
                return await self._triggers.commit(batch, self.tenure)
            except Unavailable as exc:
                extra = {"shard": self.tenure.shard, "why": exc.why, "firings": len(batch.firings)}
                log.warning("alerts.uncommitted", extra=extra)
                await asyncio.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311 - jitter
                pause_s = min(MAX_RETRY_S, pause_s * 2)
                if self._behind:
                    raise Behind(f"shard {self.tenure.shard}") from exc

    def _count(self, batch: Batch, committed: Committed, began: float) -> None:
        now, tally = self._wall(), self._tally
        tally.commits += 1
        tally.commit_seconds += max(0.0, now - began)
        tally.fired += committed.fired
        tally.suppressed += committed.suppressed
        tally.dropped += committed.dropped
        if batch.firings:
            tally.lag_ms = max(0.0, now * 1000 - min(one.received_ms for one, _ in batch.firings))

    async def _read_changes(self) -> None:
        """Puts what has changed into the engine as it is now."""
        if not self._changed or not self.loaded:
            return
        ids, self._changed = self._changed, set()
        try:
            async with self._database_turn:
                found = await changed_rules(self._database, self.tenure.shard, ids)
        except Unavailable as exc:
            log.warning("alerts.unread", extra={"shard": self.tenure.shard, "why": exc.why})
            self._changed |= ids
            return
        self._misfits += found.unreadable
        rules = {rule.id: rule for rule in found.rules}
        for alert_id in ids:
            self._renew(alert_id, rules.get(alert_id))
        self._tell_sources()

    async def _end_misfits(self) -> None:
        if not self._misfits:
            return
        ending, self._misfits = self._misfits, []
        try:
            await self._endings.disable(self.tenure, ending, MISFIT)
        except Unavailable as exc:
            log.warning("alerts.misfits_left", extra={"shard": self.tenure.shard, "why": exc.why})
            self._misfits += ending

    def _tell_sources(self) -> None:
        if self._sources_told == self._engine.sources_version:
            return
        self._sources_told = self._engine.sources_version
        for listener in self.on_sources:
            listener()

    def _renew(self, alert_id: int, rule: Rule | None) -> None:
        if rule is None:
            self._drop(alert_id)
        elif self._versions.get(alert_id) != rule.version or alert_id not in self._engine:
            self._drop(alert_id)
            self._put(rule)
        elif self._expiries.get(alert_id) != rule.expires_at_ms:
            self._engine.extend(alert_id, rule.expires_at_ms)
            self._note_expiry(rule)

    def _put(self, rule: Rule) -> None:
        try:
            if samples := self._recent.since(rule):
                self._catch_up(rule, samples)
            else:
                self._engine.put(rule)
        except Unsuitable as exc:  # made by another release
            log.warning("alerts.misfit", extra={"alert": rule.id, "why": str(exc)})
            self._misfits.append(rule.id)
            return
        self._versions[rule.id] = rule.version
        self._note_expiry(rule)

    def _catch_up(self, rule: Rule, samples: list[Sample]) -> None:
        """A rule that is read late has what came after its baseline behind it when it joins the others."""
        now, firings, state = replayed(rule, samples)
        if state is not None:
            self._unsaved.states[rule.id] = (rule.version, state)
        self._fired(firings)
        if now is not None:
            self._engine.put(now)

    def _note_expiry(self, rule: Rule) -> None:
        if rule.expires_at_ms is None:
            self._expiries.pop(rule.id, None)
        else:
            self._expiries[rule.id] = rule.expires_at_ms

    def _drop(self, alert_id: int) -> None:
        if self._versions.pop(alert_id, None) is not None:
            self._engine.drop(alert_id)
        self._expiries.pop(alert_id, None)
        self._unsaved.states.pop(alert_id, None)
