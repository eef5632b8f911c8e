"""The role `notifiers`: deliveries to the people who asked for them. Constructed here and nowhere else.

bell, or a second ──► worker ──► gates: what its owner wants ──► provider
                         └──► progress, on `alerts:<user>`
"""

import logging
import time
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from auth.push_subscriptions import PushSubscriptions
from channels.broker import Broker
from hub.delivering.correspondence import Correspondence
from hub.delivering.providers import providers_of
from hub.metrics import Metrics
from hub.parts import Part
from notifiers.alerts.asking import asked
from notifiers.alerts.facts import Facts, encode
from notifiers.outbox.delivery import Kind
from notifiers.outbox.pace import Pace
from notifiers.outbox.worker import Worker
from notifiers.people.digests import Digests
from notifiers.people.gates import PersonalGates
from notifiers.people.sms_budget import SmsBudget
from notifiers.people.webhook_endpoints import WebhookEndpoint
from notifiers.providers.promotional_hours import PromotionalHours
from notifiers.way import Way
from schemas.durations import Seconds
from schemas.settings import Settings

log = logging.getLogger("tickhub.hub.delivering.role")


class NotifierRole:
    """One instance of the role."""

    def __init__(
        self, settings: Settings, *, engine: AsyncEngine, broker: Broker, correspondence: Correspondence
    ) -> None:
        """Reads files: blocks for some milliseconds. Raises SettingsError."""
        self._subscriptions = PushSubscriptions(engine, wall=time.time)
        self._correspondence = correspondence
        providers = providers_of(
            settings,
            correspondence,
            subscriptions=self._subscriptions,
            on_webhook_disabled=self._tell_disabled,
        )
        gates = PersonalGates(
            correspondence.addressees,
            suppressions=correspondence.suppressions,
            budget=SmsBudget(engine),
            digests=Digests(engine),
            hours=None if correspondence.dlt is None else PromotionalHours(correspondence.dlt, wall=time.time),
        )
        calls = [one.name for one in providers[Way.VOICE]]
        self.worker = Worker(
            correspondence.deliveries,
            providers,
            gates=gates.gates,
            addressees_of=correspondence.addressees,
            endpoints_of=self._endpoints_of,
            token_of=correspondence.tokens.sign,
            paces={name: Pace(name, settings.voice_calls_per_second, shared=broker.count) for name in calls},
        )

    @property
    def parts(self) -> list[Part]:
        """What runs in every process of the role."""
        return [("notifiers.worker", self.worker.run)]

    def ring(self) -> None:
        """There is something to deliver."""
        self.worker.ring()

    async def drain(self, within_s: Seconds) -> None:
        """Let the calls in flight come to their end."""
        await self.worker.drain(within_s)

    def measure(self, metrics: Metrics) -> None:
        """Add what can be counted here to `/metrics`."""
        worker = self.worker
        metrics.counter_by(
            "deliveries_calls",
            "Answers of providers to deliveries, by provider and answer: what became of it, or the failure's name.",
            "answer",
            lambda: {f"{provider}:{answer}": float(count) for (provider, answer), count in worker.calls.items()},
        )
        metrics.gauge(
            "deliveries_channels_closed",
            "Channels whose providers are left alone for now.",
            lambda: float(len(worker.closed)),
        )

    async def _endpoints_of(self, way: Way, user: str) -> Sequence[str]:
        """Those of a channel that may have several for one user."""
        match way:
            case Way.PUSH:
                return await self._subscriptions.endpoints_of(user)
            case Way.WEBHOOK:
                return await self._correspondence.webhooks.endpoints_of(user)
            case _:
                return [""]

    async def _tell_disabled(self, endpoint: WebhookEndpoint) -> None:
        """Its owner hears of it by the other ways."""
        log.warning("webhook.disabled", extra={"webhook": endpoint.id, "reason": endpoint.status_reason})
        facts = Facts(
            kind=Kind.NOTICE,
            alert_id=0,
            exchange="",
            symbol="",
            condition="",
            at_ms=int(time.time() * 1000),
            reason="webhook_disabled",
        )
        await self._correspondence.deliveries.add(
            [
                asked(
                    *("webhook_disabled", endpoint.id, endpoint.failing_since_ms, way),
                    trigger_id=None,
                    alert_id=0,
                    user=endpoint.user,
                    kind=Kind.NOTICE,
                    way=way,
                    content=encode(facts),
                )
                for way in (Way.WEBSOCKET, Way.EMAIL)
            ]
        )
