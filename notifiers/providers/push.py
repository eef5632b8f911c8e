"""The way to screens: browsers by web push, apps through Firebase. A delivery's endpoint says which it is."""

import time
from collections.abc import Callable

from auth.push_subscriptions import FCM, PushSubscription, PushSubscriptions
from notifiers.errors import Blame, Refused
from notifiers.outbox.delivery import Delivery
from notifiers.outbox.provider import Job, Outcome
from notifiers.providers.fair_share import FairShare
from notifiers.providers.fcm import Fcm
from notifiers.providers.notification import Gone, Notification, notification_of
from notifiers.providers.outward import Outward
from notifiers.providers.web_push import WebPush
from notifiers.way import Way
from notifiers.wording.messages import Said
from schemas.durations import Seconds
from schemas.errors import Unavailable


class PushProvider:
    """See `Provider`. A delivery's endpoint is an id of `push_subscriptions`; dead ones are forgotten."""

    name = "push"
    way = Way.PUSH
    time_limit_s: Seconds = 35.0
    """Two requests, where Firebase wants a new token first."""
    resend_unknown = True

    def __init__(
        self,
        subscriptions: PushSubscriptions,
        outward: Outward,
        *,
        browsers: WebPush,
        apps: Fcm | None,
        say: Callable[[Job], Said],
        url_of: Callable[[Job], str | None],
        acknowledge_url_of: Callable[[Job], str | None],
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`url_of` is where a click leads, `acknowledge_url_of` what says that it was seen.

        `outward` is what `browsers` and `apps` go through, and is closed with the provider. Without `apps`, those who
        have one are refused.
        """
        self._subscriptions = subscriptions
        self._outward = outward
        self._browsers = browsers
        self._apps = apps
        self._say = say
        self._url_of = url_of
        self._acknowledge_url_of = acknowledge_url_of
        self._wall = wall
        self._share = FairShare()

    async def send(self, job: Job) -> Outcome:
        """See `Provider`."""
        user, endpoint = job.delivery.user, job.delivery.endpoint
        subscription = await self._subscriptions.get(user, int(endpoint)) if _is_id(endpoint) else None
        if subscription is None:
            raise Refused("push unsubscribed", permanent=True, blame=Blame.ADDRESS)
        said = self._say(job)
        notification = notification_of(
            job, said, url=self._url_of(job), acknowledge=self._acknowledge_url_of(job), now_s=self._wall()
        )
        try:
            with self._share.place(user):
                message_id = await self._push(subscription, notification)
        except Gone as exc:
            await self._subscriptions.remove(user, subscription.id)
            raise Refused(exc.reason, permanent=True, blame=Blame.ADDRESS) from exc
        return Outcome(status="sent", id=message_id, detail=said.detail)

    async def find(self, job: Job, since_ms: int) -> Outcome | None:
        """See `Provider`; nobody can be asked."""
        raise Unavailable("push", "nobody can be asked")

    async def look(self, delivery: Delivery) -> Outcome | None:
        """See `Provider`; there is nothing to be looked for."""

    async def close(self) -> None:
        """See `Provider`."""
        await self._outward.close()

    async def _push(self, subscription: PushSubscription, notification: Notification) -> str | None:
        if not subscription.endpoint.startswith(FCM):
            await self._browsers.push(subscription, notification)
            return None
        if self._apps is None:
            raise Refused("FCM not set up", permanent=True)
        return await self._apps.push(subscription.endpoint.removeprefix(FCM), notification)


def _is_id(text: str) -> bool:
    return text.isdecimal() and len(text) < 19
