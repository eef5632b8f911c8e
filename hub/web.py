"""The role `web`: sockets and HTTP over one broker. Everything that it needs is constructed here and nowhere else."""

import asyncio
import logging
import resource
import time
from collections.abc import Sequence
from datetime import date
from itertools import islice
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from auth.identity import Identity, Plan
from auth.jwks import RemoteKeys, read_public_key
from auth.plans import Plans
from auth.revocations import NotDurable, Revocation, Revocations, decode_revocation, encode_revocation
from auth.tickets import Tickets
from auth.tokens import Reason, TokenIssuer, TokenRefused, TokenVerifier
from channels.broker import Broker
from channels.broker_redis import RedisBroker
from channels.channel import Channel, ChannelNames
from channels.demand import Demand
from channels.fanout import Fanout
from channels.namespace import CONTROL, Policy
from channels.registry import Registry
from channels.shape import Update
from feeds.candles.history import CandleHistory
from feeds.configuration import Configuration
from feeds.indicators.indicator import parse
from feeds.instruments import SIMULATED, Instruments
from feeds.interest import places_of
from feeds.listings.directory import directory_of
from feeds.listings.instrument_store import InstrumentStore
from feeds.listings.masters import VENDORS
from hub import database
from hub.admin_api import AdminApi
from hub.connections import Connections, Limits, Origins
from hub.envelope import EXCEPTION_HANDLERS
from hub.feed_board import REFUSALS, FeedBoard
from hub.http import Api, Health, Page
from hub.market_api import MarketApi
from hub.metrics import Metrics
from hub.parts import Part
from hub.secret import public_key_pem
from hub.session import Services
from hub.signals_api import SignalsApi
from schemas.errors import CloseCode, CommandError, ErrorCode, SettingsError, Unavailable
from schemas.settings import Settings

log = logging.getLogger("tickhub.hub.web")

REVOCATIONS = Channel(name="control:revocations", namespace=CONTROL)

POLL_S = 1.0
"""How often the database is asked for revocations of which no message has come."""

INSTRUMENTS_POLL_S = 15.0
"""How often the database is asked whether a broker's list is new."""

MAX_SHOWN = 100

_ALL_SIGNALS = "signals:generated"

PURGE_EVERY = 600
"""Polls between two clearings of what has ended anyway."""

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
        instruments: Instruments,
        plans: Plans | None = None,
    ) -> None:
        self._settings = settings
        self._plans = plans or Plans()
        self._secret = secret
        self._broker = broker
        self._engine = engine
        self.instruments = instruments
        """May be replaced at any time by a newer list."""
        self.fanout = Fanout(settings.flush_interval_s)
        self.registry = Registry(broker, self.fanout)
        self._demand = Demand(self.registry, broker)
        self._board = FeedBoard(self.registry, broker, listed=self._listed, always=places_of(settings.feed_symbols))
        self.revocations = Revocations(engine)
        self._revocations_tried = asyncio.Event()
        self._remote_keys = RemoteKeys(settings.jwt_jwks_url) if settings.jwt_jwks_url else None
        self._verifier = TokenVerifier(
            secret=secret,
            public_key=_public_key(settings.jwt_public_key) if settings.jwt_public_key else None,
            remote_keys=self._remote_keys,
            audience=settings.jwt_audience,
            issuer=settings.jwt_issuer,
        )
        self._tickets = Tickets(secret, broker.claim)
        self._services = Services(
            registry=self.registry,
            broker=broker,
            names=names,
            verify=self.verify,
            known_symbol=self._may_exist,
            heartbeat_s=settings.heartbeat_interval_s,
            delay_of=self._delay_of,
            refusal=self._board.refusal,
            indicator_names=_indicator_names,
        )
        self.connections = Connections(
            self._services,
            redeem=self._redeem,
            origins=Origins(settings.cors_origin),
            limits=Limits(
                connections=settings.max_connections or _descriptor_limit(),
                connections_per_user=settings.max_connections_per_user,
                write_timeout_s=settings.write_timeout_s,
            ),
        )
        self._feeds_status = names.parse("status:feeds")
        self.metrics = self._metrics()
        self.app = self._app(names)

    @property
    def parts(self) -> list[Part]:
        """What runs beside the server."""
        parts: list[Part] = [
            ("web.listen", lambda: self._broker.listen(self.registry)),
            ("web.registry", self.registry.run),
            ("web.connections", self.connections.run),
            ("web.revocations", self._follow_revocations),
            ("web.status", self._follow_status),
            ("web.demand", self._demand.run),
            ("web.feed_board", self._board.run),
        ]
        if any(name in VENDORS for name in self._settings.feed):
            parts.append(("web.instruments", self._follow_instruments))
        if self._remote_keys is not None:
            parts.append(("web.keys", self._remote_keys.run))
        return parts

    # -- tokens ---------------------------------------------------------------------------------------------------

    async def verify(self, token: str) -> Identity:
        """The bearer of a token that is good and has not been revoked."""
        return await self._unrevoked(await self._verifier.verify(token))

    async def _redeem(self, ticket: str) -> Identity:
        return await self._unrevoked(await self._tickets.redeem(ticket))

    async def _unrevoked(self, identity: Identity) -> Identity:
        """The identity, judged once the list has been read, or the database turned out to be away."""
        if not self._revocations_tried.is_set():
            await self._revocations_tried.wait()
        if self.revocations.is_revoked(identity):
            raise TokenRefused(Reason.REVOKED)
        return identity

    async def revoke(self, identity: Identity) -> Revocation:
        """Revoke a token: in the database, here, and by a message to every other instance.

        The message only rings the bell: an instance that misses it finds the row within POLL_S. Raises Unavailable
        where it could not be kept; it holds all the same, on every instance that lives.
        """
        try:
            revocation = await self.revocations.revoke_token(identity)
        except NotDurable as exc:
            await self._announce(exc.revocation)
            raise
        await self._announce(revocation)
        return revocation

    async def _announce(self, revocation: Revocation) -> None:
        try:
            await self._broker.publish(REVOCATIONS, encode_revocation(revocation))
        except Unavailable as exc:
            log.warning("revocation.unannounced", extra={"what": exc.what})

    def _revoked(self, revocation: Revocation) -> None:
        self.connections.disconnect_where(revocation.ends, CloseCode.INVALID_TOKEN)

    async def _follow_revocations(self) -> None:
        self.revocations.on_revoked.append(self._revoked)
        await self.registry.watch(REVOCATIONS, self._hear_revocation)
        migrated = False
        polls = 0
        while True:
            try:
                if not migrated:
                    await database.migrate(self._engine)
                    await self.revocations.load()
                    migrated = True
                elif polls % PURGE_EVERY == 0:
                    await self.revocations.purge()
                else:
                    await self.revocations.poll()
            except Unavailable as exc:
                log.warning("revocations.unread", extra={"what": exc.what, "why": exc.why})
            self._revocations_tried.set()
            polls += 1
            await asyncio.sleep(POLL_S)

    def _hear_revocation(self, update: Update) -> None:
        try:
            self.revocations.apply(decode_revocation(update.payload))
        except ValueError:
            log.warning("revocation.unreadable")

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

    def _hear_feeds(self, update: Update) -> None:
        self.connections.feeds = update.fields
        self._board.hear_status(update)

    # -- the application ------------------------------------------------------------------------------------------

    def _app(self, names: ChannelNames) -> Starlette:
        api = Api(
            broker=self._broker,
            names=names,
            verify=self.verify,
            tickets=self._tickets,
            revoke=self.revoke,
        )
        market = MarketApi(
            broker=self._broker,
            names=names,
            verify=self.verify,
            instruments=lambda: self.instruments,
            history=CandleHistory(self._engine),
            delay_of=self._delay_of,
        )
        signals = SignalsApi(
            broker=self._broker,
            names=names,
            engine=self._engine,
            verify=self.verify,
            instruments=lambda: self.instruments,
            delay_s=self._plans.delay_s,
        )
        admin = AdminApi(configuration=Configuration(self._engine, wall=time.time), verify=self.verify)
        health = Health(
            checks={"broker": self._broker.check, "database": lambda: database.check(self._engine)},
            facts=self._facts,
        )
        page = Page(symbols=self._shown, demo_token=self._demo_token)
        return _App(
            self.connections,
            routes=[
                Mount("/api/v1/market", routes=market.routes),
                Mount("/api/v1/admin", routes=admin.routes),
                Mount("/api/v1", routes=[*api.routes, *signals.routes]),
                Route("/health", health.health),
                Route("/health/detailed", health.detailed),
                Route("/metrics", self.metrics.answer),
                Route("/", page.index),
                Route("/page/{name}", page.file),
            ],
            exception_handlers=EXCEPTION_HANDLERS,
            middleware=[
                Middleware(
                    CORSMiddleware,
                    allow_origins=self._settings.cors_origin,
                    allow_methods=["GET", "POST", "PUT", "DELETE"],
                    allow_headers=["Authorization", "Content-Type"],
                    max_age=600,
                )
            ],
        )

    def _shown(self) -> list[tuple[str, str]]:
        """What the first page shows: what is always carried, else all, or of a broker's long list the best known."""
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
        host = request.headers.get("host", "").rsplit(":", 1)[0]
        if shared or host not in _LOOPBACK or request.client is None or request.client.host not in ("127.0.0.1", "::1"):
            return None
        return TokenIssuer(self._secret, _DEMO_TOKEN_S).issue("demo", Plan.PRO)

    def _may_exist(self, channel: Channel) -> bool:
        return not self._settings.strict_symbols or channel.symbol is None or self._listed(channel)

    def _listed(self, channel: Channel) -> bool:
        return self.instruments.get(channel.exchange or "", channel.symbol or "") is not None

    def _delay_of(self, identity: Identity, channel: Channel) -> int:
        if channel.exchange is None:
            if channel.name == _ALL_SIGNALS and self._plans.withholds(identity):
                raise CommandError(
                    ErrorCode.PERMISSION_DENIED,
                    f"{_ALL_SIGNALS} holds signals of exchanges that the plan {identity.plan} does not have",
                )
            return 0
        delay_s = self._plans.delay_s(identity, channel.exchange)
        return delay_s if channel.namespace.policy is Policy.LATEST else 0

    def _facts(self) -> dict[str, Any]:
        return {
            "connections": len(self.connections),
            "channels": self.registry.channel_count,
            "loop_lag_ms": round(self.connections.loop_lag_s * 1000, 2),
            "feeds": self.connections.feeds,
        }

    def _metrics(self) -> Metrics:
        metrics, connections, registry, fanout = Metrics(), self.connections, self.registry, self.fanout
        metrics.gauge("connections", "Authenticated sockets now.", lambda: len(connections))
        metrics.gauge("subscriptions", "Channels heard, summed over sockets.", connections.subscription_count)
        metrics.gauge("channels", "Channels that somebody hears here.", lambda: registry.channel_count)
        metrics.counter("opened", "Sockets that were let in.", lambda: connections.opened)
        metrics.counter("publications", "Publications that came from the broker.", lambda: registry.publications)
        metrics.counter("deliveries", "Publications written, summed over sockets.", lambda: fanout.deliveries)
        metrics.counter("sent_bytes", "Bytes of publications written.", lambda: fanout.bytes)
        metrics.counter("conflated", "Updates that slow or rate-limited sockets were spared.", lambda: fanout.conflated)
        metrics.counter("slow_closes", "Sockets closed for reading too slowly.", lambda: connections.closed[3008])
        metrics.counter_by(
            "closes",
            "Sockets that ended, by close code.",
            "code",
            lambda: {str(code): float(count) for code, count in connections.closed.items()},
        )
        metrics.counter("gaps_filled", "Gaps in log channels filled from history.", lambda: registry.gaps_filled)
        metrics.counter("gaps_told", "Gaps in log channels told to subscribers.", lambda: registry.gaps_told)
        metrics.gauge("loop_lag_seconds", "How late the event loop last was.", lambda: connections.loop_lag_s)
        broker = self._broker
        if isinstance(broker, RedisBroker):
            metrics.gauge("broker_connected", "1 while Redis is heard.", lambda: float(broker.connected))
            metrics.gauge("broker_lag_seconds", "Round trip of the last probe through Redis.", lambda: broker.lag_s)
            metrics.counter("broker_messages", "Messages that came from Redis.", lambda: broker.received)
            metrics.counter_by(
                "outsiders_rejected",
                "Raw publications in Redis that were dropped, by reason.",
                "reason",
                lambda: {reason: float(count) for reason, count in broker.raw_rejected.items()},
            )
        else:
            metrics.gauge("broker_connected", "1: the broker is in this process.", lambda: 1.0)
            metrics.gauge("broker_lag_seconds", "0: the broker is in this process.", lambda: 0.0)
        return metrics


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
