"""One channel's deliveries in one worker: as many at a time as its providers take, the most urgent first."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import msgspec

from notifiers.outbox.calling import Calling, Route
from notifiers.outbox.claims import Claims
from notifiers.outbox.gates import AddresseesOf, EndpointsOf, Gate, Hold, Skip, Verdict
from notifiers.outbox.ledger import Claimed
from notifiers.outbox.provider import Addressee
from notifiers.way import Way
from schemas.durations import Seconds
from schemas.errors import Unavailable

log = logging.getLogger("tickhub.notifiers.outbox.lane")

AT_ONCE = 200
"""Deliveries of one claim."""
DIVIDED = frozenset({Way.PUSH, Way.WEBHOOK})
"""The channels of which a person may have several."""
NO_ADDRESSEE = "no such user"
INTERNAL_ERROR = "internal error"
AFTER_ERROR_MS = 60_000
RETRY_S: Seconds = 1.0


class People:
    """Who and what stands between a delivery and its providers."""

    def __init__(self, addressees_of: AddresseesOf, endpoints_of: EndpointsOf, gates: Sequence[Gate]) -> None:
        self.addressees_of = addressees_of
        self.endpoints_of = endpoints_of
        self.gates = gates


class Lane:
    """Claims and sends until `stop`, then returns once nothing is on its way. `ring` says that there may be work."""

    def __init__(
        self,
        way: Way,
        routes: Sequence[Route],
        *,
        claims: Claims,
        calling: Calling,
        people: People,
        concurrency: int,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.way = way
        self._routes = routes
        self._claims = claims
        self._calling = calling
        self._people = people
        self._concurrency = concurrency
        self._wall = wall
        self._busy = 0
        self._stopping = False
        self._bell = asyncio.Event()

    @property
    def closed(self) -> bool:
        """Whether every provider is left alone for now."""
        return all(route.breaker.is_open for route in self._routes)

    def ring(self) -> None:
        """There may be work."""
        self._bell.set()

    def stop(self) -> None:
        """No more claims."""
        self._stopping = True
        self._bell.set()

    async def run(self) -> None:
        """Works until `stop`. Cancelling it in the middle of calls leaves their outcome open, for the reaper."""
        async with asyncio.TaskGroup() as group:
            while not self._stopping:
                self._bell.clear()
                wait_s = await self._turn(group)
                if wait_s != 0 and not self._stopping:
                    await self._wait(wait_s)

    async def _wait(self, wait_s: Seconds | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._bell.wait()

    async def _turn(self, group: asyncio.TaskGroup) -> Seconds | None:
        """Begins what can be begun; in how many seconds to do so again, None: when the bell rings."""
        free = min(AT_ONCE, self._concurrency - self._busy)
        if free <= 0:
            return None
        route, room = await self._route(free)
        if route is None:
            return _shortest(self._routes)
        going: list[tuple[Claimed, Addressee]] = []
        try:
            claimed = await self._claims.claim(self.way, room)
            going = await self._passed(claimed) if claimed else []
        except Unavailable as exc:
            log.info("lane.delayed", extra={"way": self.way, "why": exc.why})
            await route.give_back(room)
            return RETRY_S
        await route.give_back(room - len(going))
        for one, addressee in going:
            self._begin(group, one, addressee, route)
        return 0 if len(claimed) == room else None

    async def _route(self, most: int) -> tuple[Route | None, int]:
        for route in self._routes:
            if route.breaker.room(most):
                room = await route.take(most)
                return (route, room) if room else (None, 0)
        return None, 0

    def _begin(self, group: asyncio.TaskGroup, claimed: Claimed, addressee: Addressee, route: Route) -> None:
        self._busy += 1
        route.breaker.begun()
        others = self._routes[self._routes.index(route) + 1 :]
        task = group.create_task(
            self._calling.deliver(claimed, addressee, route, others), name=f"delivery-{claimed.delivery.id}"
        )
        task.add_done_callback(self._ended)

    def _ended(self, _: asyncio.Task[None]) -> None:
        self._busy -= 1
        self._bell.set()

    # -- what stands in between ---------------------------------------------------------------------------------------

    async def _passed(self, claimed: Sequence[Claimed]) -> list[tuple[Claimed, Addressee]]:
        """Those that may go now. The others are held, skipped or divided, or given back where nobody can tell."""
        try:
            whole = await self._divided(claimed)
            addressees = await self._people.addressees_of({one.delivery.user for one in whole})
            verdicts = await self._verdicts(whole, addressees)
            if verdicts:
                await self._claims.judge(
                    [(one, verdicts[id_]) for one in whole if (id_ := one.delivery.id) in verdicts]
                )
        except Unavailable:
            await self._claims.release(claimed)
            raise
        going = [(one, addressees[one.delivery.user]) for one in whole if one.delivery.id not in verdicts]
        if self._stopping:
            await self._claims.release([one for one, _ in going])
            return []
        return going

    async def _divided(self, claimed: Sequence[Claimed]) -> list[Claimed]:
        if self.way not in DIVIDED:
            return list(claimed)
        whole = []
        for one in claimed:
            if one.delivery.endpoint:
                whole.append(one)
                continue
            endpoints = await self._people.endpoints_of(self.way, one.delivery.user)
            first = await self._claims.divide(one, endpoints)
            if first is not None:
                whole.append(first)
        return whole

    async def _verdicts(self, claimed: Sequence[Claimed], people: Mapping[str, Addressee]) -> dict[int, Verdict]:
        verdicts: dict[int, Verdict] = {
            one.delivery.id: Skip(NO_ADDRESSEE) for one in claimed if one.delivery.user not in people
        }
        try:
            for gate in self._people.gates:
                asked = [one.delivery for one in claimed if one.delivery.id not in verdicts]
                if asked:
                    verdicts.update(await gate(asked, people))
        except Unavailable:
            raise
        except Exception as exc:  # the top of a delivery: a bug in one must not hold up the others
            if len(claimed) > 1:
                parts = [await self._verdicts([one], people) for one in claimed]
                return {id_: verdict for part in parts for id_, verdict in part.items()}
            if isinstance(exc, msgspec.ValidationError):  # its facts: the provider can't read them either, and ends it
                return verdicts
            log.exception("delivery.bug", extra={"delivery": claimed[0].delivery.id})
            until_ms = round(self._wall() * 1000) + AFTER_ERROR_MS
            return {claimed[0].delivery.id: Hold(until_ms, INTERNAL_ERROR)}
        return verdicts


def _shortest(routes: Sequence[Route]) -> Seconds | None:
    """In how many seconds one of them may be asked; None: once a call in flight has ended."""
    waits_s = [wait_s for route in routes if (wait_s := route.wait_s) is not None]
    return max(min(waits_s), 0.001) if waits_s else None
