"""Asks providers after deliveries that are in doubt, or of which nothing was heard for a while."""

import asyncio
import logging
from collections.abc import Callable, Mapping

from notifiers.errors import Refused
from notifiers.outbox.awaited import Awaited, Awaiting, Found, Nothing
from notifiers.outbox.calling import language_of
from notifiers.outbox.delivery import Status
from notifiers.outbox.gates import AddresseesOf
from notifiers.outbox.provider import Addressee, Job, Outcome, Provider
from schemas.errors import Unavailable

log = logging.getLogger("tickhub.notifiers.outbox.asking_after")

AT_ONCE = 50
MARGIN_MS = 60_000
"""How much earlier than by our clock an attempt may have been made by a provider's."""


class AskingAfter:
    """One worker's. Providers are known by their names."""

    def __init__(
        self,
        awaiting: Awaiting,
        providers: Mapping[str, Provider],
        *,
        addressees_of: AddresseesOf,
        token_of: Callable[[int, int], str],
    ) -> None:
        self._awaiting = awaiting
        self._providers = providers
        self._addressees_of = addressees_of
        self._token_of = token_of

    async def turn(self) -> bool:
        """Asks after what is due; whether there may be more. Raises Unavailable for the database."""
        awaited = await self._awaiting.claim(AT_ONCE)
        if not awaited:
            return False
        people = await self._addressees_of({one.claimed.delivery.user for one in awaited})
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._asked(one, people), name=f"ask-after-{one.claimed.delivery.id}")
                for one in awaited
            ]
        await self._awaiting.settle([task.result() for task in tasks])
        return len(awaited) == AT_ONCE

    async def _asked(self, awaited: Awaited, people: Mapping[str, Addressee]) -> Found:
        provider = self._providers.get(awaited.attempt.provider)
        said: Outcome | Refused | Nothing = Nothing.NEWS
        if provider is not None:
            said = await _within_limit(provider, awaited, self._job(awaited, people))
        return Found(awaited=awaited, said=said)

    def _job(self, awaited: Awaited, people: Mapping[str, Addressee]) -> Job | None:
        delivery = awaited.claimed.delivery
        addressee = people.get(delivery.user)
        if addressee is None:
            return None
        return Job(
            delivery=delivery,
            attempt=awaited.attempt.number,
            addressee=addressee,
            language=language_of(delivery, addressee),
            token=self._token_of(delivery.id, awaited.attempt.number),
        )


async def _within_limit(provider: Provider, awaited: Awaited, job: Job | None) -> Outcome | Refused | Nothing:
    try:
        async with asyncio.timeout(provider.time_limit_s):
            return await _asked(provider, awaited, job)
    except Refused as exc:
        return exc
    except (Unavailable, TimeoutError):
        return Nothing.NEWS
    except Exception:  # the top of a delivery: a bug in one must not hold up the others
        log.exception("delivery.bug", extra={"delivery": awaited.claimed.delivery.id, "provider": provider.name})
        return Nothing.NEWS


async def _asked(provider: Provider, awaited: Awaited, job: Job | None) -> Outcome | Nothing:
    delivery = awaited.claimed.delivery
    if delivery.status is not Status.UNKNOWN:
        return await provider.look(delivery) or Nothing.NEWS
    if provider.resend_unknown:
        return Nothing.HARMED
    if job is None:
        return Nothing.NEWS
    return await provider.find(job, awaited.attempt.started_at_ms - MARGIN_MS) or Nothing.TAKEN
