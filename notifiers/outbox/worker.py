"""The worker: brings deliveries to their providers, as long as it takes, and never twice.

    ring, or a second goes by ──► due? ──► lane of each channel ──► claim, gates, intent, call, result
                                  sweeps: leases that ended, what is too late
                                  asking after: in doubt, or silent

Any number of workers share the work; any of them may be killed at any moment.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

from notifiers.outbox.asking_after import AskingAfter
from notifiers.outbox.breaker import AFTER, Breaker
from notifiers.outbox.calling import MARGIN_S, Calling, Route
from notifiers.outbox.deliveries import Deliveries
from notifiers.outbox.gates import AddresseesOf, EndpointsOf, Gate
from notifiers.outbox.lane import Lane, People
from notifiers.outbox.pace import Pace
from notifiers.outbox.provider import Provider
from notifiers.outbox.transitions import UNAVAILABLE
from notifiers.way import Way
from schemas.durations import Seconds
from schemas.errors import Unavailable

log = logging.getLogger("tickhub.notifiers.outbox.worker")

POLL_S: Seconds = 1.0
SWEEP_S: Seconds = 2.0
PRUNE_S: Seconds = 3600.0
CONCURRENCY = 64

_MANY_SERVERS = frozenset({Way.PUSH, Way.WEBHOOK})
"""Channels behind which stand many servers: one that is away says nothing of the others."""


class Worker:
    """One process's. `providers` of a channel are asked in their order; a channel without any is left to others."""

    def __init__(
        self,
        deliveries: Deliveries,
        providers: Mapping[Way, Sequence[Provider]],
        *,
        addressees_of: AddresseesOf,
        endpoints_of: EndpointsOf,
        token_of: Callable[[int, int], str],
        gates: Sequence[Gate] = (),
        paces: Mapping[str, Pace] | None = None,
        concurrency: Mapping[Way, int] | None = None,
        poll_s: Seconds = POLL_S,
        sweep_s: Seconds = SWEEP_S,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`paces` by the providers' names, `concurrency` in calls at a time.

        Raises ValueError for a provider whose calls may last as long as the lease.
        """
        self._deliveries = deliveries
        self._providers = {one.name: one for one in itertools.chain.from_iterable(providers.values())}
        for one in self._providers.values():
            if one.time_limit_s + MARGIN_S > deliveries.lease_s:
                raise ValueError(f"a call of {one.name} may last as long as the lease")
        self._poll_s = poll_s
        self._sweep_s = sweep_s
        self._calling = Calling(deliveries.attempts, lease_s=deliveries.lease_s, token_of=token_of, clock=clock)
        self.calls = self._calling.calls
        """How many answers there were, by provider and kind: a status, or the error's name."""
        people = People(addressees_of, endpoints_of, gates)
        self._lanes = {
            way: Lane(
                way,
                [_route(way, one, (paces or {}).get(one.name), clock) for one in several],
                claims=deliveries.claims,
                calling=self._calling,
                people=people,
                concurrency=(concurrency or {}).get(way, CONCURRENCY),
                wall=wall,
            )
            for way, several in providers.items()
            if several
        }
        self._asking_after = AskingAfter(
            deliveries.awaiting, self._providers, addressees_of=addressees_of, token_of=token_of
        )
        self._bell = asyncio.Event()
        self._stopping = False
        self._still = asyncio.Event()

    @property
    def closed(self) -> list[Way]:
        """The channels of which every provider is left alone for now."""
        return [way for way, lane in self._lanes.items() if lane.closed]

    def ring(self) -> None:
        """There is work. What nobody rings for is found within a second."""
        self._bell.set()

    async def run(self) -> None:
        """Works until cancelled, surviving every outage of the database and of the providers.

        `drain` first lets the calls in flight come to an end; without it their outcome is left open, for the reaper.
        Closes the providers.
        """
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._calling.run_intents(), name="outbox-intents")
                group.create_task(self._calling.run_results(), name="outbox-results")
                group.create_task(self._repeated(self._sweep, self._sweep_s), name="outbox-sweeps")
                group.create_task(self._repeated(self._ask_after, self._poll_s), name="outbox-asking-after")
                group.create_task(self._repeated(self._deliveries.sweeps.prune_reports, PRUNE_S), name="outbox-prune")
                group.create_task(self._poll(), name="outbox-poll")
                group.create_task(self._run_lanes(), name="outbox-lanes")
        finally:
            for provider in self._providers.values():
                await provider.close()

    async def drain(self, within_s: Seconds) -> None:
        """Claims no more; returns once every call in flight has ended and is stored, or after so long.

        `run` must be running, and must then be cancelled. Cancelling is safe.
        """
        self._stopping = True
        for lane in self._lanes.values():
            lane.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._still.wait()

    async def _run_lanes(self) -> None:
        async with asyncio.TaskGroup() as group:
            for way, lane in self._lanes.items():
                group.create_task(lane.run(), name=f"outbox-{way}")
        self._still.set()

    async def _poll(self) -> None:
        """Rings for what is due."""
        away = False
        while self._lanes:
            self._bell.clear()
            try:
                for way in await self._deliveries.claims.due(self._lanes):
                    self._lanes[way].ring()
            except Unavailable as exc:
                if not away:
                    log.warning("outbox.database_away", extra={"what": "poll", "why": exc.why})
                away = True
            else:
                away = False
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll_s):
                    await self._bell.wait()

    async def _repeated(self, task: Callable[[], Awaitable[object]], pause_s: Seconds) -> None:
        while True:
            if not self._stopping:
                with suppress(Unavailable):  # the database; `_poll` has said so
                    await task()
            await asyncio.sleep(pause_s)

    async def _sweep(self) -> None:
        await self._deliveries.sweeps.reap()
        await self._deliveries.sweeps.expire()
        if self.closed:
            await self._deliveries.sweeps.explain(self.closed, UNAVAILABLE)

    async def _ask_after(self) -> None:
        while await self._asking_after.turn():
            pass


def _route(way: Way, provider: Provider, pace: Pace | None, clock: Callable[[], float]) -> Route:
    after = None if way in _MANY_SERVERS else AFTER
    return Route(provider, Breaker(provider.name, after=after, clock=clock), pace)
