"""The HTTP API of one web process: everything behind `/api/v1`, and the documents that describe it."""

import secrets
import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request
from starlette.routing import BaseRoute, Mount

from auth.account import Account
from auth.accounts import Accounts
from auth.api_keys import ApiKeys
from auth.audit import Audit
from auth.challenges import Challenges
from auth.entitlements import Entitlement
from auth.failures import Failures
from auth.identity import Identity, Role
from auth.limits import Limit, RateLimits, limits_of
from auth.permissions import Action, Permissions
from auth.plans import REALTIME, Plans
from auth.preferences import Preferences
from auth.push_subscriptions import PushSubscriptions
from auth.refresh_tokens import RefreshTokens
from auth.revocations import Revocation
from auth.sessions import Sessions
from auth.tickets import Tickets
from auth.tokens import TokenIssuer
from auth.two_factor import TwoFactor
from channels.broker import Broker
from channels.channel import Channel, ChannelNames
from channels.counters import Counters
from channels.fanout import Fanout
from channels.registry import Registry
from feeds.candles.history import CandleHistory
from feeds.configuration import Configuration
from feeds.instruments import Instruments
from hub import languages
from hub.address import page_of
from hub.api.account_views import LoggedIn, SecondFactorWanted
from hub.api.admin_config import AdminConfigApi
from hub.api.admin_live import AdminLiveApi
from hub.api.admin_stats import AdminStatsApi
from hub.api.admin_users import AdminUsersApi
from hub.api.audit import AuditApi
from hub.api.auth import AuthApi, ResetPasswordBody, VerifyEmailBody
from hub.api.candles import Candles
from hub.api.errands import Errands
from hub.api.keys import KeysApi
from hub.api.logins import Logins
from hub.api.mail_pages import MailPages
from hub.api.market import MarketApi
from hub.api.oidc import OidcApi, issuer_of
from hub.api.people import People
from hub.api.plans import PlansApi
from hub.api.publish import PublishApi
from hub.api.signals import SignalsApi
from hub.api.trail import event
from hub.api.two_factor import TwoFactorApi
from hub.api.usage import UsageApi
from hub.api.users import UsersApi
from hub.delivering.correspondence import Correspondence
from hub.housekeeping import Housekeeping
from hub.http.client_address import Network, client_address
from hub.http.dispatch import Areas, Dispatcher
from hub.http.docs_page import Docs
from hub.http.endpoint import Call, Endpoint, Reply
from hub.http.health import Check
from hub.http.limits import HttpLimits
from hub.http.openapi import openapi
from hub.http.refresh_cookie import RefreshCookie
from hub.http_alerts import AlertGround, AlertsHttp
from hub.instances.fleet import Fleet
from hub.instances.sections import LimitsSection
from hub.instances.stats import InstanceStats
from hub.parts import Part
from hub.post import post_of
from hub.sockets.asyncapi import asyncapi
from hub.sockets.connections import Connections
from hub.sockets.live import ConnectionsAsked, ConnectionsHere, Ended, Ending, LiveConnections
from hub.standing import Standing
from notifiers.alerts.store import Alerts
from notifiers.people.sms_budget import SmsBudget
from schemas.durations import Seconds
from schemas.settings import Settings

LOGINS_SHARE = 5
"""An address has a fifth as many failed logins as it has requests, unless it is set apart."""
KEYS_SHOWN_S = 30 * 86_400
"""For how long keys that have ended are still listed."""


class Described(Protocol):
    """A part of the API."""

    @property
    def endpoints(self) -> list[Endpoint]:
        """Under `/api/v1`."""


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What a web process consists of below its API."""

    settings: Settings
    trusted: tuple[Network, ...]
    """The proxies that are believed."""
    secret: str
    engine: AsyncEngine
    broker: Broker
    names: ChannelNames
    permissions: Permissions
    registry: Registry
    fanout: Fanout
    correspondence: Correspondence
    connections: Connections
    standing: Standing
    tickets: Tickets
    accounts: Accounts
    keys: ApiKeys
    instruments: Callable[[], Instruments]
    checks: dict[str, Check]
    """Round trips to what the process depends on; each raises Unavailable."""
    broker_lag_s: Callable[[], Seconds]
    requests: Counter[str]
    """HTTP answers by class of status."""

    @property
    def plans(self) -> Plans:
        """The table of plans, which may change while it runs."""
        return self.permissions.plans


class HttpApi:
    """Everything behind `/api/v1`: its endpoints, and what runs for them."""

    def __init__(self, ground: Ground) -> None:
        """Reads files: blocks for some milliseconds. Raises SettingsError."""
        settings = ground.settings
        self._ground = ground
        self._audit = Audit(ground.engine, wall=time.time)
        self._post = post_of(settings)
        self._errands = Errands()
        self._limits = RateLimits(
            ground.broker.count,
            count_alone=Counters().count,
            secret=ground.secret,
            limits=self._limits_of(LimitsSection()),
        )
        self._http_limits = HttpLimits(self._limits, address_of=self._address, requests_of=self._requests_of)
        self._configuration = Configuration(ground.engine, wall=time.time)
        self.fleet = Fleet(ground.broker, ground.registry, secrets.token_hex(6))
        LiveConnections(ground.connections, self.fleet)
        InstanceStats(
            connections=ground.connections,
            registry=ground.registry,
            fanout=ground.fanout,
            requests=ground.requests,
            broker_lag_s=ground.broker_lag_s,
            fleet=self.fleet,
        )
        self._candles = Candles(
            broker=ground.broker,
            names=ground.names,
            instruments=ground.instruments,
            history=CandleHistory(ground.engine),
            delay_of=self._delay_of,
        )
        self._alerts = Alerts(ground.engine, wall=time.time)
        self._alerts.on_changed.append(lambda _: ground.correspondence.alert_bell.ring())
        self._people = self._make_people()
        self._housekeeping = Housekeeping(
            self._people.challenges.purge,
            self._people.sessions.purge,
            lambda: ground.keys.purge(int(time.time()) - KEYS_SHOWN_S),
        )
        self._logins = Logins(self._people)
        self._about_alerts = self._make_alerts()
        self.endpoints = self._make_endpoints()

    @property
    def routes(self) -> list[BaseRoute]:
        """The API, and the documents about it."""
        settings, names = self._ground.settings, self._ground.names
        dispatcher = Dispatcher(
            verify=self._ground.standing.verify,
            limit=self._http_limits,
            address_of=self._address,
            language_of=lambda request, identity: languages.language_of(
                request.headers.get("accept-language"), identity
            ),
        )
        docs = Docs(
            openapi=lambda: openapi(self.endpoints, public_url=settings.public_url),
            asyncapi=lambda: asyncapi(url=page_of(settings), namespaces=names.namespaces),
        )
        return [Mount("/api/v1", app=Areas(dispatcher.routes(self.endpoints))), *docs.routes]

    @property
    def parts(self) -> list[Part]:
        """What runs beside the server."""
        return [
            ("web.audit", self._audit.run),
            ("web.keys_used", self._ground.keys.run),
            ("web.post", self._post.run),
            ("web.errands", self._errands.run),
            ("web.fleet", self.fleet.run),
            ("web.housekeeping", self._housekeeping.run),
        ]

    async def drain(self, within_s: Seconds) -> None:
        """Send the mail that waits, and let go of what lies outside."""
        await self._post.drain(within_s)
        await self._about_alerts.close()

    def apply_limits(self, section: LimitsSection) -> None:
        """Take over limits that were set at run time."""
        self._limits.replace(self._limits_of(section))

    # -- what it is made of -------------------------------------------------------------------------------------------

    def _make_people(self) -> People:
        ground, settings, wall = self._ground, self._ground.settings, time.time
        preferences = Preferences(ground.engine, wall=wall)

        async def language_of_user(user: str) -> str | None:
            return (await preferences.get(user)).language

        sessions = Sessions(
            ground.engine,
            access=TokenIssuer(ground.secret, settings.jwt_access_expiry_s),
            refresh=RefreshTokens(ground.secret, settings.jwt_refresh_expiry_s),
            revocations=ground.standing.revocations,
            account_of=ground.accounts.get,
            language_of=language_of_user,
        )
        return People(
            accounts=ground.accounts,
            sessions=sessions,
            two_factor=TwoFactor(ground.engine, ground.correspondence.sealer),
            challenges=Challenges(ground.engine, wall=wall),
            preferences=preferences,
            push_subscriptions=PushSubscriptions(ground.engine, wall=wall),
            keys=ground.keys,
            audit=self._audit,
            failures=Failures(ground.engine, wall=wall),
            limits=self._limits,
            post=self._post,
            errands=self._errands,
            cookie=RefreshCookie(settings.cors_origin),
            announce=ground.standing.announce,
            revoke=ground.standing.revoke,
            revoke_user=self._revoke_user,
            delete_alerts=self._alerts.delete_all,
        )

    def _make_endpoints(self) -> list[Endpoint]:
        people, audit = self._people, self._audit
        auth = AuthApi(people, self._logins, self._ground.tickets)
        apis = [
            *self._market_apis(),
            auth,
            TwoFactorApi(people, self._logins),
            self._oidc(),
            MailPages(
                verify_email=lambda token, call: auth.verify_email(call, VerifyEmailBody(token=token)),
                reset_password=lambda token, password, call: auth.reset_password(
                    call, ResetPasswordBody(token=token, password=password)
                ),
                tell=languages.tell,
            ),
            UsersApi(people, self._ground.names),
            KeysApi(keys=self._ground.keys, audit=audit, revoke=self._ground.standing.announce),
            PlansApi(self._ground.plans),
            UsageApi(
                permissions=self._ground.permissions,
                allowance=self._http_limits.look,
                sockets=self._sockets_of,
                alerts=self._alerts.count_active,
                sms=SmsBudget(self._ground.engine).used,
            ),
            *self._admin_apis(),
            self._about_alerts,
        ]
        return [endpoint for api in apis for endpoint in api.endpoints]

    def _make_alerts(self) -> AlertsHttp:
        ground = self._ground
        return AlertsHttp(
            AlertGround(
                settings=ground.settings,
                correspondence=ground.correspondence,
                engine=ground.engine,
                alerts=self._alerts,
                broker=ground.broker,
                candles=self._candles,
                names=ground.names,
                instruments=ground.instruments,
                permissions=ground.permissions,
                preferences=self._people.preferences,
                limits=self._limits,
                audit=self._audit,
            )
        )

    def _market_apis(self) -> list[Described]:
        ground = self._ground
        return [
            MarketApi(
                broker=ground.broker,
                names=ground.names,
                instruments=ground.instruments,
                candles=self._candles,
                delay_of=self._delay_of,
            ),
            SignalsApi(
                broker=ground.broker,
                names=ground.names,
                engine=ground.engine,
                instruments=ground.instruments,
                permissions=ground.permissions,
                note=self._audit.note,
            ),
            PublishApi(broker=ground.broker, names=ground.names, permissions=ground.permissions, note=self._audit.note),
        ]

    def _admin_apis(self) -> list[Described]:
        ground, people, audit = self._ground, self._people, self._audit
        return [
            AdminUsersApi(
                accounts=ground.accounts,
                entitlements=ground.standing.entitlements,
                entitle=self._entitle,
                expel=self._expel,
                sessions_of=people.sessions.listed,
                keys_of=people.keys.listed,
                record=audit.record,
            ),
            AdminLiveApi(fleet=self.fleet, record=audit.record),
            AdminStatsApi(
                fleet=self.fleet,
                users=ground.accounts.statistics,
                checks=ground.checks,
                feeds=lambda: ground.connections.feeds,
            ),
            AdminConfigApi(
                configuration=self._configuration,
                record=audit.record,
                announce=ground.standing.announce_configuration,
            ),
            AuditApi(audit=audit),
        ]

    async def _entitle(self, entitlement: Entitlement) -> None:
        """Puts an entitlement in force; alerts look at prices as late as the plan has them from now on."""
        rules = self._ground.plans.of(entitlement.plan)
        delay_of = rules.delay_s if entitlement.role is Role.USER else lambda _: REALTIME
        await self._alerts.redelay(entitlement.user, delay_of)
        await self._ground.standing.entitle(entitlement)

    def _oidc(self) -> OidcApi:
        settings = self._ground.settings

        async def enter(call: Call, account: Account, cookie: bool) -> Reply[LoggedIn | SecondFactorWanted]:
            return await self._logins.enter(call, account, by="oidc", cookie=cookie)

        async def record(call: Call, action: str, account: Account) -> None:
            await self._audit.record(event(call, action, actor=account.id))

        return OidcApi(
            issuer_of(settings),
            name=settings.oidc_name,
            base_url=page_of(settings),
            accounts=self._ground.accounts,
            enter=enter,
            record=record,
            sealer=self._ground.correspondence.sealer,
            claim=self._ground.broker.claim,
        )

    # -- what it does for several -------------------------------------------------------------------------------------

    async def _expel(self, user: str) -> None:
        """End all that a user has open: logins, tokens, keys' sockets."""
        await self._people.announce(await self._people.sessions.end_all(user, "disabled"))
        await self._people.announce(await self._people.keys.revoke_all(user))
        await self._revoke_user(user)
        await self.fleet.ask("disconnect", Ending(user=user), Ended)

    async def _sockets_of(self, user: str) -> int:
        asked = ConnectionsAsked(limit=0, sort="opened_at", descending=True, user=user)
        told = await self.fleet.ask("connections", asked, ConnectionsHere)
        return sum(one.total for one in told.answers.values())

    async def _revoke_user(self, user: str) -> None:
        await self._ground.standing.revoke_all([Revocation(user=user, issued_before=int(time.time()))])

    def _limits_of(self, section: LimitsSection) -> dict[str, Limit]:
        settings = self._ground.settings
        requests = section.rate_limit_max or settings.rate_limit_max
        return limits_of(
            requests=requests,
            logins=section.login_rate_limit_max or settings.login_rate_limit_max or max(1, requests // LOGINS_SHARE),
            window_s=section.rate_limit_time_window_s or settings.rate_limit_time_window_s,
        )

    def _delay_of(self, identity: Identity, channel: Channel) -> int:
        return self._ground.permissions.allow(identity, Action.READ, channel)

    def _requests_of(self, identity: Identity) -> int | None:
        return self._ground.plans.of(identity.plan).requests

    def _address(self, request: Request) -> str:
        return client_address(request.scope, self._ground.trusted)
