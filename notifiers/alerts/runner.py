"""All shards that this process has: taken, loaded, fed with samples, followed, given back.

Time for conditions that hold for a while is exchange time, of the newest sample that came to any shard, less a second
for those that come late. Where nothing comes, nothing is claimed to have held: a feed that is away looks the same as a
market that stands still. The wall clock is only noted down, never decided by, so that a replayed day fires as the
day itself did, and a clock that jumps fires nothing.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import NoReturn, Protocol

from sqlalchemy.ext.asyncio import AsyncEngine

from notifiers.alerts.alert import SHARDS
from notifiers.alerts.endings import Endings
from notifiers.alerts.following import Following
from notifiers.alerts.shard_run import Behind, ShardRun, Tally
from notifiers.alerts.shards import Lost, Shards, Tenure
from notifiers.alerts.triggers import Triggers
from notifiers.engine.samples import Bar, Source
from schemas.durations import Seconds
from schemas.errors import Unavailable
from schemas.market import Tick

log = logging.getLogger("tickhub.notifiers.alerts.runner")

TURN_S: Seconds = 2.0
FOLLOW_S: Seconds = 1.0
CHECKPOINT_S: Seconds = 2.0
ADVANCE_S: Seconds = 0.25
LISTEN_S: Seconds = 0.1
EXPIRE_S: Seconds = 60.0
RETIRE_S: Seconds = 3600.0
PRUNE_S: Seconds = 300.0
LEAVE_S: Seconds = 3.0
RETRY_S: Seconds = 0.5
LATENESS_MS = 1000
"""How much later than other samples one may come whose exchange time is the same."""

Sleep = Callable[[Seconds], Awaitable[None]]


class Samples(Protocol):
    """Where samples come from; it hands them to `Runner.take` and `Runner.take_bar`."""

    def follow(self, wanted: Mapping[Source, Collection[str]]) -> None:
        """From now on bring exactly these sources, candles with these indicators; neither waits nor raises."""

    def repeat(self, sources: Collection[Source]) -> None:
        """Bring the newest sample of these once more, where they are heard already; neither waits nor raises."""


class Runner:
    """The engines of this process. One task runs `run`; `wall` tells Unix seconds."""

    def __init__(
        self,
        engine: AsyncEngine,
        shards: Shards,
        triggers: Triggers,
        *,
        wall: Callable[[], float] = time.time,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.tally = Tally()
        self.samples: Samples | None = None
        self._engine = engine
        self._shards = shards
        self._triggers = triggers
        self._wall = wall
        self._sleep = sleep
        self._following = Following(engine)
        self._endings = Endings(engine)
        self._runs: dict[int, ShardRun] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._hearers: dict[Source, list[ShardRun]] = {}
        self._newest_ms = 0
        self._next_shard = 0
        self._bell = asyncio.Event()
        self._relisten = asyncio.Event()

    # -- what it does, for those who watch --------------------------------------------------------------------------

    @property
    def rules(self) -> int:
        """How many rules are watched here."""
        return sum(run.rules for run in self._runs.values())

    @property
    def shards(self) -> int:
        """How many shards are watched here, those that are still being loaded left out."""
        return sum(run.loaded for run in self._runs.values())

    @property
    def waiting(self) -> int:
        """How many firings wait to be committed."""
        return sum(run.waiting for run in self._runs.values())

    @property
    def sources(self) -> int:
        """How many sources are heard."""
        return len(self._hearers)

    # -- samples: neither wait nor raise ------------------------------------------------------------------------------

    def take(self, tick: Tick, number: int, received_ms: int) -> None:
        """Takes a tick, `number` being above those of all earlier ones of the instrument."""
        hearers = self._hearers.get(Source(tick.exchange, tick.symbol), ())
        for run in hearers:
            run.take(tick, number, received_ms)
        self.tally.samples += 1
        self._newest_ms = max(self._newest_ms, tick.time_ms)

    def take_bar(self, bar: Bar, number: int, received_ms: int) -> None:
        """Takes a candle as it forms, or closed."""
        for run in self._hearers.get(Source(bar.exchange, bar.symbol, bar.timeframe), ()):
            run.take_bar(bar, number, received_ms)
        self.tally.samples += 1

    def ring(self) -> None:
        """Something may have changed: look at once. May be called from anywhere in the loop, and be lost."""
        self._bell.set()

    # -- running ------------------------------------------------------------------------------------------------------

    async def run(self) -> NoReturn:
        """Takes shards and works for them until cancelled; then stores what it knows, and gives them back."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow(), name="alerts.follow")
                group.create_task(self._keep_listening(), name="alerts.listen")
                group.create_task(self._every(ADVANCE_S, self._advance), name="alerts.advance")
                group.create_task(self._every(CHECKPOINT_S / SHARDS, self._checkpoint), name="alerts.checkpoint")
                group.create_task(self._keep_house(), name="alerts.house")
                while True:
                    await self._turn(group)
                    await self._sleep(TURN_S)
        finally:
            await self._leave()
        raise AssertionError("the parts never end by themselves")

    async def _every(self, period_s: Seconds, act: Callable[[], None]) -> NoReturn:
        while True:
            await self._sleep(period_s)
            act()

    def _advance(self) -> None:
        if self._newest_ms:
            for run in self._loaded():
                run.advance(self._newest_ms - LATENESS_MS)

    def _checkpoint(self) -> None:
        """One shard after the other, so that what fires never waits for them all."""
        self._next_shard = (self._next_shard + 1) % SHARDS
        run = self._runs.get(self._next_shard)
        if run is not None and run.loaded:
            run.checkpoint()

    def _loaded(self) -> Iterable[ShardRun]:
        return [run for run in self._runs.values() if run.loaded]

    async def _turn(self, group: asyncio.TaskGroup) -> None:
        try:
            held, surplus = await self._shards.turn()
        except Unavailable as exc:
            log.warning("alerts.leases_unknown", extra={"why": exc.why})
            return
        for shard, task in list(self._tasks.items()):
            if task.done():
                del self._tasks[shard]
        for run in self._runs.values():
            if run.tenure not in held:
                run.lose()
        for tenure in held:
            if tenure.shard not in self._tasks:  # else it is begun in the next turn, once the old run has ended
                run_one = self._run_shard(tenure)
                self._tasks[tenure.shard] = group.create_task(run_one, name=f"alerts.shard.{tenure.shard}")
        for run in list(self._runs.values())[:surplus]:
            run.end()

    async def _run_shard(self, tenure: Tenure) -> None:
        """Works for a shard until it is another's, or to be given back."""
        while True:
            run = ShardRun(tenure, self._engine, self._triggers, self.tally, wall=self._wall)
            run.on_sources.append(self._relisten.set)
            self._runs[tenure.shard] = run
            goes_on = await self._work(run)
            del self._runs[tenure.shard]  # one that is cancelled stays: what it knows is stored at the end
            self._relisten.set()
            if not goes_on:
                return

    async def _work(self, run: ShardRun) -> bool:
        """Works until the run is of no use any more; says whether the shard is to be begun anew."""
        shard = run.tenure.shard
        try:
            await self._load(run)
            await run.work()
        except Behind:
            self.tally.restarts += 1
            log.warning("alerts.behind", extra={"shard": shard})
            return True
        except Lost:
            self.tally.lost += 1
            log.warning("alerts.shard_lost", extra={"shard": shard})
            return False
        except Unavailable as exc:
            log.warning("alerts.unloaded", extra={"shard": shard, "why": exc.why})
            await self._sleep(RETRY_S)
            return True
        await self._release(run.tenure)
        return False

    async def _load(self, run: ShardRun) -> None:
        began = self._wall()
        await self._following.begin()
        await run.load()
        self._listen()
        extra = {"shard": run.tenure.shard, "rules": run.rules, "seconds": round(self._wall() - began, 3)}
        log.log(logging.INFO if run.rules else logging.DEBUG, "alerts.shard_loaded", extra=extra)

    async def _release(self, tenure: Tenure) -> None:
        try:
            await self._shards.release(tenure)
        except Unavailable as exc:  # it lapses by itself
            log.warning("alerts.unreleased", extra={"shard": tenure.shard, "why": exc.why})

    async def _keep_listening(self) -> NoReturn:
        """Follows what the shards need, not for each of many changes at once."""
        while True:
            await self._relisten.wait()
            self._relisten.clear()
            self._listen()
            await self._sleep(LISTEN_S)

    def _listen(self) -> None:
        """Has those sources brought that the shards need now."""
        hearers: dict[Source, list[ShardRun]] = {}
        wanted: dict[Source, set[str]] = {}
        for run in self._loaded():
            for source, indicators in run.sources.items():
                hearers.setdefault(source, []).append(run)
                wanted.setdefault(source, set()).update(indicators)
        joined = [source for source, runs in hearers.items() if not set(runs) <= set(self._hearers.get(source, runs))]
        self._hearers = hearers
        if self.samples is not None:
            self.samples.follow(wanted)
            self.samples.repeat(joined)  # a shard that has just come is to know where its sources are

    # -- the rest -----------------------------------------------------------------------------------------------------

    async def _follow(self) -> NoReturn:
        """Has changed alerts read again, once the bell rings and each second."""
        while True:
            try:
                async with asyncio.timeout(FOLLOW_S):
                    await self._bell.wait()
            except TimeoutError:
                pass
            self._bell.clear()
            try:
                news = await self._following.news(self._runs.keys())
            except Unavailable as exc:
                log.warning("alerts.changes_unknown", extra={"why": exc.why})
                continue
            for shard, alert_ids in news.items():
                if (run := self._runs.get(shard)) is not None:
                    run.change(alert_ids)

    async def _keep_house(self) -> NoReturn:
        """Ends what is over, and forgets old changes, now and then."""
        due = {self._expire: EXPIRE_S, self._retire: RETIRE_S, self._following.prune: PRUNE_S}
        left = dict(due)
        while True:
            await self._sleep(EXPIRE_S)
            for chore, period_s in due.items():
                left[chore] -= EXPIRE_S
                if left[chore] <= 0:
                    left[chore] = period_s
                    await self._do(chore)

    async def _do(self, chore: Callable[[], Awaitable[None]]) -> None:
        try:
            await chore()
        except (Unavailable, Lost) as exc:  # another time; a shard that is lost is another's to care for
            log.warning("alerts.chore_undone", extra={"why": str(exc)})

    async def _expire(self) -> None:
        for run in self._loaded():
            while await self._endings.expire(run.tenure):
                self.ring()

    async def _retire(self) -> None:
        for run in self._loaded():
            while await self._endings.retire(run.tenure):
                self.ring()

    async def _leave(self) -> None:
        """Stores what the engines know, and lets another process have the shards at once."""
        try:
            async with asyncio.timeout(LEAVE_S):
                for run in self._loaded():
                    try:
                        await run.flush()
                    except Lost:
                        continue
                await self._shards.leave()
        except (Unavailable, TimeoutError) as exc:
            log.warning("alerts.left_unsaid", extra={"why": str(exc)})
        self._runs.clear()
        if self.samples is not None:
            self.samples.follow({})
