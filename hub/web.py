"""The role `web`: sockets and HTTP over one broker. Everything that it needs is constructed here and nowhere else."""

import asyncio
import logging
import resource
import time
from collections import Counter
from collections.abc import Sequence
from datetime import date
from itertools import islice
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from auth.account import Status
from auth.accounts import Accounts
from auth.api_keys import ApiKeys, Owner
from auth.identity import Plan, Role, is_account_id
from auth.jwks import RemoteKeys, read_public_key
from auth.passwords import Passwords
from auth.permissions import Permissions
from auth.plans import Plans
from auth.tickets import Tickets
from auth.tokens import TokenIssuer, TokenVerifier
from channels.broker import Broker
from channels.broker_redis import RedisBroker
from channels.channel import Channel, ChannelNames
from channels.demand import Demand
from channels.fanout import Fanout
from channels.registry import Registry
from channels.shape import Update
from feeds.indicators.indicator import parse
from feeds.instruments import SIMULATED, Instruments
from feeds.interest import places_of
from feeds.listings.directory import directory_of
from feeds.listings.instrument_store import InstrumentStore
from feeds.listings.masters import VENDORS
from hub import database
from hub.dashboard.pages import Dashboard
from hub.delivering.correspondence import Correspondence
from hub.feeding.board import REFUSALS, FeedBoard
from hub.http.client_address import client_address, networks
from hub.http.edge import middleware
from hub.http.envelope import EXCEPTION_HANDLERS
from hub.http.health import Check, Health
from hub.http_api import Ground, HttpApi
from hub.instances.runtime import Runtime
from hub.instances.sections import LimitsSection
from hub.metrics import RequestCounter
from hub.parts import Part
from hub.post import OUTBOX
from hub.secret import public_key_pem
from hub.sockets.connections import Connections, Limits, Origins
from hub.sockets.services import Services
from hub.standing import Standing
from hub.web_metrics import metrics_of
from schemas.errors import SettingsError, Unavailable
from schemas.settings import Settings

log = logging.getLogger("tickhub.hub.web")

INSTRUMENTS_POLL_S = 15.0
"""How often the database is asked whether a broker's list is new."""

MAX_SHOWN = 100

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_DEMO_TOKEN_S = 12 * 3600.0


class _App(Starlette):
    """Starlette's routes, but for the one where tens of thousands wait.

    Each frame of middleware would be kept for each of them, 3 KB in all.
    """

    def __init__(self, sockets: Connections, **options: Any) -> None:
        super().__init__(**options)
        self._sockets = sockets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sockets to the sockets, everything else along the routes."""
        if scope["type"] == "websocket" and scope["path"] == "/ws":
            await self._sockets(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


class Web:
    """One instance of the role, ready to be served."""

    def __init__(
        self,
        settings: Settings,
        *,
        secret: str,
        broker: Broker,
        names: ChannelNames,
        engine: AsyncEngine,
        registry: Registry,
        fanout: Fanout,
        instruments: Instruments,
        plans: Plans,
        runtime: Runtime,
        correspondence: Correspondence,
    ) -> None:
        self._settings = settings
        self._secret = secret
        self._broker = broker
        self._engine = engine
        self.instruments = instruments
        """May be replaced at any time by a newer list."""
        self.fanout = fanout
        self.registry = registry
        self._correspondence = correspondence
        self._demand = Demand(self.registry, broker)
        self._board = FeedBoard(self.registry, broker, listed=self._listed, always=places_of(settings.feed_symbols))
        self._remote_keys = RemoteKeys(settings.jwt_jwks_url) if settings.jwt_jwks_url else None
        self._tickets = Tickets(secret, broker.claim)
        self.accounts = Accounts(engine, passwords=Passwords(), wall=time.time)
        self._keys = ApiKeys(engine, wall=time.time, account_of=self._owner)
        self.standing = Standing(
            engine=engine,
            broker=broker,
            registry=self.registry,
            verifier=self._verifier(),
            tickets=self._tickets,
            keys=self._keys.verify,
        )
        self.permissions = Permissions(plans)
        self._services = Services(
            registry=self.registry,
            broker=broker,
            names=names,
            verify=self.standing.verify,
            known_symbol=self._may_exist,
            heartbeat_s=settings.heartbeat_interval_s,
            permissions=self.permissions,
            refusal=self._board.refusal,
            indicator_names=_indicator_names,
        )
        self._trusted = networks(settings.trusted_proxies)
        self.connections = Connections(
            self._services,
            redeem=self.standing.redeem,
            origins=Origins(settings.cors_origin),
            limits=Limits(
                connections=settings.max_connections or _descriptor_limit(),
                connections_per_user=settings.max_connections_per_user,
                write_timeout_s=settings.write_timeout_s,
            ),
            address_of=lambda scope: client_address(scope, self._trusted),
        )
        self._feeds_status = names.parse("status:feeds")
        self.metrics = metrics_of(self.connections, self.registry, self.fanout, broker)
        self._feeds_heard_s = time.monotonic()
        self.metrics.gauge(
            "feeds_silent_seconds", "Since the feeds last told their state.", lambda: self._feeds_silent_s
        )
        self._checks: dict[str, Check] = {"broker": broker.check, "database": lambda: database.check(engine)}
        self._requests: Counter[str] = Counter()
        self.api = HttpApi(self._ground(secret, names))
        self._follow_configuration(runtime, names)
        self.app = self._app()

    @property
    def parts(self) -> list[Part]:
        """What runs beside the server."""
        parts: list[Part] = [
            ("web.connections", self.connections.run),
            ("web.standing", lambda: self.standing.run(self.connections)),
            ("web.status", self._follow_status),
            ("web.demand", self._demand.run),
            ("web.feed_board", self._board.run),
            *self.api.parts,
        ]
        if any(name in VENDORS for name in self._settings.feed):
            parts.append(("web.instruments", self._follow_instruments))
        if self._remote_keys is not None:
            parts.append(("web.keys", self._remote_keys.run))
        return parts

    def _verifier(self) -> TokenVerifier:
        settings = self._settings
        return TokenVerifier(
            secret=self._secret,
            public_key=_public_key(settings.jwt_public_key) if settings.jwt_public_key else None,
            remote_keys=self._remote_keys,
            audience=settings.jwt_audience,
            issuer=settings.jwt_issuer,
        )

    async def _owner(self, user: str) -> Owner | None:
        """Whose key it is, by what the account says now; one that is gone is not active."""
        account = await self.accounts.get(user)
        if account is not None:
            return Owner(plan=account.plan, role=account.role, active=account.status is Status.ACTIVE)
        return Owner(plan=Plan.FREE, role=Role.USER, active=False) if is_account_id(user) else None

    def _follow_configuration(self, runtime: Runtime, names: ChannelNames) -> None:
        """Let what administrators set at run time count here, and on open sockets."""

        def limits(section: LimitsSection) -> None:
            self.api.apply_limits(section)
            per_user = section.max_connections_per_user
            self.connections.limit_users(self._settings.max_connections_per_user if per_user is None else per_user)

        runtime.follow_namespaces(names, self.registry)
        runtime.follow_plans(self.permissions.plans)
        runtime.follow_limits(limits)
        runtime.on_applied.append(self.connections.reapply)
        self.standing.on_configuration.append(runtime.ring)

    def _ground(self, secret: str, names: ChannelNames) -> Ground:
        broker = self._broker
        return Ground(
            settings=self._settings,
            trusted=self._trusted,
            secret=secret,
            engine=self._engine,
            broker=broker,
            names=names,
            permissions=self.permissions,
            registry=self.registry,
            fanout=self.fanout,
            correspondence=self._correspondence,
            connections=self.connections,
            standing=self.standing,
            tickets=self._tickets,
            accounts=self.accounts,
            keys=self._keys,
            instruments=lambda: self.instruments,
            checks=self._checks,
            broker_lag_s=lambda: broker.lag_s if isinstance(broker, RedisBroker) else 0.0,
            requests=self._requests,
        )

    # -- status ---------------------------------------------------------------------------------------------------

    async def _follow_status(self) -> None:
        await self.registry.watch(self._feeds_status, self._hear_feeds)
        await self.registry.watch(REFUSALS, self._board.hear_refusals)
        await asyncio.Event().wait()

    async def _follow_instruments(self) -> None:
        """Take over what the feeds have read from brokers' lists, each time one is new."""
        known = list(self.instruments)
        store = InstrumentStore(self._engine)
        seen: dict[str, date | None] = {}
        vendors = [name for name in self._settings.feed if name in VENDORS]
        while True:
            try:
                days = {name: await store.loaded_for(name) for name in vendors}
                if days != seen and any(days.values()):
                    live = await store.live()
                    self.instruments = await asyncio.to_thread(directory_of, [*known, *live])
                    seen = days
            except Unavailable as exc:
                log.info("instruments.unread", extra={"what": exc.what, "why": exc.why})
            await asyncio.sleep(INSTRUMENTS_POLL_S)

    @property
    def _feeds_silent_s(self) -> float:
        return time.monotonic() - self._feeds_heard_s

    def _hear_feeds(self, update: Update) -> None:
        self._feeds_heard_s = time.monotonic()
        self.connections.feeds = update.fields
        self._board.hear_status(update)

    # -- the application ------------------------------------------------------------------------------------------

    def _app(self) -> Starlette:
        health = Health(checks=self._checks, facts=self._facts)
        dashboard = Dashboard(boot=self._boot)
        return _App(
            self.connections,
            routes=[
                *self.api.routes,
                Route("/health", health.health),
                Route("/health/detailed", health.detailed),
                Route("/metrics", self.metrics.answer),
                *dashboard.routes,
            ],
            exception_handlers=EXCEPTION_HANDLERS,
            middleware=[
                Middleware(RequestCounter, counts=self._requests),
                *middleware(origins=self._settings.cors_origin, trusted=self._trusted),
            ],
        )

    def _boot(self, request: Request) -> dict[str, Any]:
        """What a dashboard begins with."""
        settings, token = self._settings, self._demo_token(request)
        return {
            "now": int(time.time() * 1000),
            "token": token,
            "mail_folder": str(settings.data_dir / OUTBOX) if token and settings.smtp_host is None else None,
            "symbols": [f"{exchange}:{symbol}" for exchange, symbol in self._shown()],
            "sign_in_with": settings.oidc_name if settings.oidc_issuer else None,
            "simulated": settings.feed == ("simulator",),
        }

    def _shown(self) -> list[tuple[str, str]]:
        """What a watchlist begins with: what is always carried, else all, or of a broker's long list the best known."""
        always = places_of(self._settings.feed_symbols)
        every = [(one.exchange, one.symbol) for one in islice(self.instruments, MAX_SHOWN + 1)]
        if always or len(every) <= MAX_SHOWN:
            return always or every
        known = [(row.instrument.exchange, row.instrument.symbol) for row in SIMULATED]
        return [place for place in known if self.instruments.get(*place) is not None] or every[:MAX_SHOWN]

    def _demo_token(self, request: Request) -> str | None:
        """In the embedded mode, on this machine alone, whoever opens the page may look."""
        settings = self._settings
        shared = settings.redis_url is not None or settings.database_url is not None
        behind = bool(settings.public_url or settings.trusted_proxies or "x-forwarded-for" in request.headers)
        host = request.headers.get("host", "").rsplit(":", 1)[0]
        if (
            shared
            or behind
            or host not in _LOOPBACK
            or request.client is None
            or request.client.host not in ("127.0.0.1", "::1")
        ):
            return None
        return TokenIssuer(self._secret, _DEMO_TOKEN_S).issue("demo", Plan.PRO)

    def _may_exist(self, channel: Channel) -> bool:
        return not self._settings.strict_symbols or channel.symbol is None or self._listed(channel)

    def _listed(self, channel: Channel) -> bool:
        return self.instruments.get(channel.exchange or "", channel.symbol or "") is not None

    def _facts(self) -> dict[str, Any]:
        return {
            "connections": len(self.connections),
            "channels": self.registry.channel_count,
            "loop_lag_ms": round(self.connections.loop_lag_s * 1000, 2),
            "feeds": self.connections.feeds,
        }


def _indicator_names(asked: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(parse(one).text for one in asked))


def _public_key(setting: str) -> str:
    """The PEM that JWT_PUBLIC_KEY means. Raises SettingsError where it holds no key that verifies tokens."""
    pem = public_key_pem(setting)
    try:
        read_public_key(pem)
    except ValueError as exc:
        raise SettingsError([f"JWT_PUBLIC_KEY: {exc}"]) from None
    return pem


def _descriptor_limit() -> int:
    """As many sockets as this process may have, less what it needs itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(16, hard - 100) if hard != resource.RLIM_INFINITY else 0
