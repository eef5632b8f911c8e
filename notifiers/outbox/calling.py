"""The way of one claimed delivery to its providers: intent, call, result; and the next provider after a refusal."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from notifiers.errors import Blame, OutcomeUnknown, Refused
from notifiers.outbox.attempts import Attempts, Intent, Result
from notifiers.outbox.breaker import Breaker
from notifiers.outbox.delivery import UNREADABLE, Delivery
from notifiers.outbox.group_commit import GroupCommit
from notifiers.outbox.ledger import Claimed
from notifiers.outbox.pace import Pace
from notifiers.outbox.provider import Addressee, Job, Outcome, Provider
from notifiers.outbox.retries import Failure
from schemas.durations import Seconds
from schemas.errors import Unavailable

log = logging.getLogger("tickhub.notifiers.outbox.calling")

MARGIN_S: Seconds = 5.0
"""How much longer than a call its lease lasts at least, for storing what came of it."""


class Route:
    """A provider, with what decides whether it may be asked now."""

    def __init__(self, provider: Provider, breaker: Breaker, pace: Pace | None) -> None:
        self.provider = provider
        self.breaker = breaker
        self.pace = pace

    async def take(self, most: int) -> int:
        """How many calls may begin now, of so many that are wanted; they count as made."""
        room = self.breaker.room(most)
        return await self.pace.take(room) if room and self.pace is not None else room

    async def give_back(self, count: int) -> None:
        """So many were not made after all."""
        if self.pace is not None:
            await self.pace.give_back(count)

    @property
    def wait_s(self) -> Seconds | None:
        """In how many seconds somebody may ask again; None: once it is known what has come of the call in flight."""
        wait_s = self.breaker.wait_s
        return wait_s if wait_s is None or self.pace is None else max(wait_s, self.pace.wait_s)

    def heard(self, said: Outcome | Failure) -> None:
        """What an answer says about the provider itself."""
        match said:
            case Refused(blame=Blame.PROVIDER, reason=reason):
                self.breaker.broken(reason)
            case Unavailable(why=why) | OutcomeUnknown(why=why):
                self.breaker.failed(why)
            case _:
                self.breaker.succeeded()


class Calling:
    """Makes the calls of all channels of one worker; `run_intents` and `run_results` must be running."""

    def __init__(
        self,
        attempts: Attempts,
        *,
        lease_s: Seconds,
        token_of: Callable[[int, int], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()
        """How many answers there were, by provider and kind: a status, or the error's name."""
        self._intents: GroupCommit[Intent, Delivery | None] = GroupCommit("intents", attempts.begin)
        self._results: GroupCommit[Result, Delivery | None] = GroupCommit("results", attempts.end)
        self.run_intents = self._intents.run
        self.run_results = self._results.run
        self._lease_s = lease_s
        self._token_of = token_of
        self._clock = clock

    async def deliver(self, claimed: Claimed, addressee: Addressee, route: Route, others: Sequence[Route]) -> None:
        """Brings it to the provider, and to the others as long as each refuses and another try makes sense.

        Returns once what came of it is stored. `Breaker.begun` has been called for the first. Cancelling in the middle
        of a call leaves the outcome open, for the reaper.
        """
        left = list(others)
        while True:
            said = await self._attempt(claimed, addressee, route)
            if said is None:
                return
            following = await _first_free(left) if _may_go_elsewhere(said) else None
            kept = await self._results.submit(
                Result(
                    claimed=claimed,
                    number=claimed.delivery.attempts + 1,
                    said=said,
                    harmless=route.provider.resend_unknown,
                    elsewhere=following is not None,
                )
            )
            if following is None:
                return
            if kept is None:
                following.breaker.abandoned()
                await following.give_back(1)
                return
            claimed, route = Claimed(delivery=kept, token=claimed.token), following
            left = left[left.index(following) + 1 :]

    async def _attempt(self, claimed: Claimed, addressee: Addressee, route: Route) -> Outcome | Failure | None:
        """The answer; None where the attempt must not be made."""
        number = claimed.delivery.attempts + 1
        began_s = self._clock()
        delivery = await self._written_down(Intent(claimed=claimed, provider=route.provider.name, number=number))
        if delivery is None:
            route.breaker.abandoned()
            await route.give_back(1)
            return None
        job = Job(
            delivery=delivery,
            attempt=number,
            addressee=addressee,
            language=language_of(delivery, addressee),
            token=self._token_of(delivery.id, number),
        )
        if self._clock() - began_s + route.provider.time_limit_s > self._lease_s:
            route.breaker.abandoned()
            return Unavailable("the worker", "held up")  # by now the lease could end in the middle of the call
        said = await ask(route.provider, job)
        route.heard(said)
        self.calls[route.provider.name, said.status if isinstance(said, Outcome) else type(said).__name__] += 1
        return said

    async def _written_down(self, intent: Intent) -> Delivery | None:
        """None also where the database is away for so long that the claim has ended."""
        try:
            async with asyncio.timeout(self._lease_s):
                return await self._intents.submit(intent)
        except TimeoutError:
            return None


def _may_go_elsewhere(said: Outcome | Failure) -> bool:
    """Nothing was taken, and another provider may take it: never after a doubt."""
    match said:
        case Unavailable() | Refused(blame=Blame.PROVIDER):
            return True
        case Refused(permanent=False, blame=blame):
            return blame is not Blame.HANDSET
        case _:
            return False


async def _first_free(routes: Sequence[Route]) -> Route | None:
    """The first that may be asked now; one call of it is taken."""
    for route in routes:
        if await route.take(1):
            route.breaker.begun()
            return route
    return None


async def ask(provider: Provider, job: Job) -> Outcome | Failure:
    """One call, within the provider's time limit."""
    try:
        async with asyncio.timeout(provider.time_limit_s):
            return await provider.send(job)
    except (Refused, Unavailable, OutcomeUnknown) as exc:
        return exc
    except TimeoutError:
        return OutcomeUnknown(provider.name, "no answer in time")
    except msgspec.ValidationError:  # its facts, which are read before anybody is asked
        log.exception("delivery.unreadable", extra={"delivery": job.delivery.id, "provider": provider.name})
        return Refused(UNREADABLE, permanent=True)
    except Exception:  # the top of a delivery: a bug in one must not hold up the others
        log.exception("delivery.bug", extra={"delivery": job.delivery.id, "provider": provider.name})
        return OutcomeUnknown(provider.name, "a bug")


def language_of(delivery: Delivery, addressee: Addressee) -> str:
    """The alert's own language where it has one, else its owner's."""
    language = delivery.content.get("language")
    return language if isinstance(language, str) else addressee.language
