"""The part of the HTTP API that is about alerts and deliveries, put together."""

import time
from collections.abc import Callable

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.audit import Audit
from auth.limits import RateLimits, Rule
from auth.permissions import Permissions
from auth.preferences import Edit, Preference, Preferences
from channels.broker import Broker
from channels.channel import ChannelNames
from feeds.instruments import Instruments
from feeds.market_hours.sessions import Sessions
from feeds.simulated_market import MarketHours
from hub import languages
from hub.api.admin_deliveries import AdminDeliveriesApi
from hub.api.alert_backtests import AlertBacktests
from hub.api.alert_channels import AlertChannels
from hub.api.alert_conditions import ConditionReader
from hub.api.alert_market import AlertMarket
from hub.api.alert_words import AlertWords
from hub.api.alerts import AlertsApi
from hub.api.candles import Candles
from hub.api.corporate_actions import CorporateActionsApi
from hub.api.push import PushApi
from hub.api.twilio import TwilioApi
from hub.api.unsubscribe import LinksApi
from hub.api.webhook_endpoints import WebhookEndpointsApi
from hub.delivering.correspondence import Correspondence
from hub.delivering.providers import outward_of
from hub.feeding.hours import FeedHours
from hub.http.endpoint import Endpoint
from notifiers.alerts.corporate_actions import CorporateActions
from notifiers.alerts.history import History
from notifiers.alerts.store import Alerts
from notifiers.people.links import Acknowledging
from notifiers.providers.webhook import WebhookCaller
from schemas.settings import Settings

TESTS = 20
"""How many tests a user may have sent within a window of failures."""


class AlertGround(msgspec.Struct, frozen=True, kw_only=True):
    """What alerts need of the web process."""

    settings: Settings
    correspondence: Correspondence
    engine: AsyncEngine
    alerts: Alerts
    broker: Broker
    candles: Candles
    names: ChannelNames
    instruments: Callable[[], Instruments]
    permissions: Permissions
    preferences: Preferences
    limits: RateLimits
    audit: Audit


class AlertsHttp:
    """Everything about alerts behind `/api/v1`."""

    def __init__(self, ground: AlertGround) -> None:
        """Reads files: blocks for some milliseconds."""
        correspondence, engine = ground.correspondence, ground.engine
        self._ground = ground
        self._history = History(engine, wall=time.time, on_deliveries=correspondence.delivery_bell.ring)
        self._market = AlertMarket(
            broker=ground.broker,
            names=ground.names,
            instruments=ground.instruments,
            permissions=ground.permissions,
        )
        self._outward = outward_of(correspondence)
        self._links = self._links_api()
        self._twilio = self._twilio_api()

    @property
    def endpoints(self) -> list[Endpoint]:
        """Under `/api/v1`."""
        ground, correspondence = self._ground, self._ground.correspondence
        record = ground.audit.record
        return [
            *self._alerts_api().endpoints,
            *self._backtests().endpoints,
            *self._links.endpoints,
            *self._twilio.endpoints,
            *PushApi(correspondence.vapid.public_key).endpoints,
            *WebhookEndpointsApi(
                webhooks=correspondence.webhooks,
                caller=WebhookCaller(self._outward),
                audit=ground.audit,
                limit_tests=self._limit_tests,
            ).endpoints,
            *AdminDeliveriesApi(
                deliveries=correspondence.deliveries, record=record, ring=correspondence.delivery_bell.ring
            ).endpoints,
            *CorporateActionsApi(
                actions=CorporateActions(ground.engine, wall=time.time), market=self._market, record=record
            ).endpoints,
        ]

    async def close(self) -> None:
        """Lets go of the connections to users' servers."""
        await self._outward.close()

    async def _limit_tests(self, user: str) -> None:
        await self._ground.limits.take(Rule.FAILURES, f"test {user}", quota=TESTS)

    def _alerts_api(self) -> AlertsApi:
        ground, correspondence = self._ground, self._ground.correspondence
        return AlertsApi(
            alerts=ground.alerts,
            history=self._history,
            deliveries=correspondence.deliveries,
            market=self._market,
            conditions=ConditionReader(correspondence.indicators),
            channels=AlertChannels(correspondence.addressees, correspondence.suppressions, ground.permissions),
            words=AlertWords(correspondence.messages, correspondence.sms_texts),
            permissions=ground.permissions,
            limit_tests=self._limit_tests,
            note=ground.audit.note,
        )

    def _backtests(self) -> AlertBacktests:
        ground = self._ground
        return AlertBacktests(
            conditions=ConditionReader(ground.correspondence.indicators),
            market=self._market,
            candles=ground.candles,
            names=ground.names,
            permissions=ground.permissions,
            hours_of=self._hours,
        )

    def _hours(self) -> FeedHours:
        """By the holidays that are known beforehand; a session announced later changes where its hours begin alone."""
        settings = self._ground.settings
        always = settings.feed == ("simulator",) and settings.simulator_hours == MarketHours.ALWAYS
        return FeedHours(Sessions(), self._ground.instruments().get, time.time, around_the_clock=always)

    def _links_api(self) -> LinksApi:
        ground = self._ground

        async def acknowledge(link: Acknowledging) -> None:
            await ground.correspondence.deliveries.acknowledge(link.trigger, link.channel.value, user=link.user)

        async def edit(user: str, change: Edit) -> Preference:
            changed = await ground.preferences.edit(user, change)
            ground.correspondence.addressees.forget(user)
            return changed

        return LinksApi(
            links=ground.correspondence.links,
            preference_of=ground.preferences.get,
            edit=edit,
            acknowledge=acknowledge,
            note=ground.audit.note,
            tell=languages.tell,
        )

    def _twilio_api(self) -> TwilioApi:
        settings, correspondence = self._ground.settings, self._ground.correspondence
        return TwilioApi(
            public_url=settings.public_url,
            auth_token=settings.twilio_auth_token,
            tokens=correspondence.tokens,
            scripts=correspondence.scripts,
            report=correspondence.deliveries.report,
            acknowledge=correspondence.deliveries.acknowledge,
            ask=correspondence.deliveries.add,
            suppress=correspondence.suppressions.add,
            allow=correspondence.suppressions.remove,
        )
