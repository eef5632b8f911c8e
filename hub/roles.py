"""What runs in one process: its roles, and what they have in common. The only wiring of one with another.

feeds ──► broker ──► registry ──► web: sockets
└──────► alerts ──► database ──► notifiers ──► providers
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.types import ASGIApp

from auth.plans import Plans
from channels.broker import Broker
from channels.broker_memory import MemoryBroker
from channels.broker_redis import RedisBroker
from channels.channel import ChannelNames
from channels.fanout import Fanout
from channels.ingest import Ingest
from channels.registry import Registry
from feeds.configuration import Configuration
from feeds.instruments import SIMULATED, Instruments, synthetic
from feeds.listings.directory import directory_of
from hub import database
from hub.alerting.role import AlertRole
from hub.delivering.correspondence import Correspondence
from hub.delivering.role import NotifierRole
from hub.feeding.role import Feeds
from hub.inside import inside_app
from hub.instances.doorbell import Doorbell
from hub.instances.runtime import Runtime
from hub.metrics import Metrics
from hub.parts import Part
from hub.web import Web
from hub.web_metrics import measure_broker
from schemas.durations import Seconds
from schemas.errors import Unavailable
from schemas.settings import Settings

log = logging.getLogger("tickhub.hub.roles")

MIGRATE_RETRY_S: Seconds = 2.0

ROLES = ("web", "feeds", "alerts", "notifiers")


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """What every role of a process may need, and somebody else closes."""

    settings: Settings
    secret: str
    broker: Broker
    names: ChannelNames
    engine: AsyncEngine
    plans: Plans
    environ: Callable[[], Mapping[str, str]]
    """Brokers' credentials as they are now."""


def broker_of(settings: Settings, names: ChannelNames) -> Broker:
    """The broker of the settings; it connects when it is used."""
    if settings.redis_url is None:
        return MemoryBroker()
    return RedisBroker(settings.redis_url.reveal(), names=names, prefix=settings.redis_prefix)


def instruments_of_settings(settings: Settings) -> Instruments:
    """What is known without a database: the simulated list, where it is simulated."""
    if "simulator" not in settings.feed:
        return directory_of([])
    return directory_of(row.instrument for row in SIMULATED + synthetic(settings.simulator_symbols))


class Roles:
    """The roles of one process, constructed and ready to run: `open`, then `parts`.

    Blocks for some milliseconds. Raises SettingsError where a role can't work.
    """

    def __init__(self, shared: Shared, roles: Sequence[str]) -> None:
        self._shared = shared
        self.web: Web | None = None
        self.feeds: Feeds | None = None
        self.alerts: AlertRole | None = None
        self.notifiers: NotifierRole | None = None
        broker = shared.broker
        self.metrics = Metrics()
        """What this process counts; the web role's own where there is one."""
        self.fanout = Fanout(shared.settings.flush_interval_s)
        registry = self.registry = Registry(broker, self.fanout)
        self.alert_bell = Doorbell("alerts", broker, registry)
        self.delivery_bell = Doorbell("deliveries", broker, registry)
        self._runtime = Runtime(Configuration(shared.engine, wall=time.time))
        self.parts: list[Part] = [
            ("listen", lambda: broker.listen(registry)),
            ("registry", registry.run),
            ("configuration", self._runtime.run),
            ("bell.alerts", self.alert_bell.run),
            ("bell.deliveries", self.delivery_bell.run),
        ]
        if {"alerts", "notifiers"}.intersection(roles):
            self.parts.append(("migrate", self._migrate))
        if {"web", "notifiers"}.intersection(roles):
            self._add_correspondence(roles)
        if self.web is None:
            measure_broker(self.metrics, broker)
        if "feeds" in roles:
            self._add_feeds()
        if "alerts" in roles:
            self._add_alerts()
        self._follow_configuration()
        if {"web", "feeds"}.intersection(roles):
            self._add_ingest()

    @property
    def app(self) -> ASGIApp:
        """What answers HTTP: the web role's, or the little that every process can tell."""
        if self.web is not None:
            return self.web.app
        return inside_app(self.metrics, broker=self._shared.broker, engine=self._shared.engine)

    async def open(self) -> None:
        """Look at what is to be replayed. Raises SettingsError where it can't be."""
        if self.feeds is None:
            return
        await self.feeds.open()
        if self.web is not None and self.feeds.replayed:
            self.web.instruments = directory_of([*self.web.instruments, *self.feeds.replayed])

    async def _migrate(self) -> NoReturn:
        """Bring the tables up to date once there is a database."""
        while True:
            try:
                await database.migrate(self._shared.engine)
            except Unavailable as exc:
                log.warning("roles.without_database", extra={"why": exc.why})
                await asyncio.sleep(MIGRATE_RETRY_S)
            else:
                await asyncio.Event().wait()

    # -- making -------------------------------------------------------------------------------------------------------

    def _add_correspondence(self, roles: Sequence[str]) -> None:
        """Who answers people, and who writes to them."""
        shared = self._shared
        correspondence = Correspondence(
            shared.settings,
            secret=shared.secret,
            engine=shared.engine,
            broker=shared.broker,
            names=shared.names,
            plans=shared.plans,
            alert_bell=self.alert_bell,
            delivery_bell=self.delivery_bell,
        )
        self.parts.append(("deliveries.progress", correspondence.progress.run))
        if "web" in roles:
            self._add_web(correspondence)
        if "notifiers" in roles:
            self._add_notifiers(correspondence)
        correspondence.progress.measure(self.metrics)

    def _add_web(self, correspondence: Correspondence) -> None:
        shared = self._shared
        self.web = Web(
            shared.settings,
            secret=shared.secret,
            broker=shared.broker,
            names=shared.names,
            engine=shared.engine,
            registry=self.registry,
            fanout=self.fanout,
            instruments=instruments_of_settings(shared.settings),
            plans=shared.plans,
            runtime=self._runtime,
            correspondence=correspondence,
        )
        self.metrics = self.web.metrics
        self.parts += self.web.parts

    def _add_notifiers(self, correspondence: Correspondence) -> None:
        shared = self._shared
        self.notifiers = NotifierRole(
            shared.settings, engine=shared.engine, broker=shared.broker, correspondence=correspondence
        )
        self.delivery_bell.on_ring(self.notifiers.ring)
        self.parts += self.notifiers.parts
        self.notifiers.measure(self.metrics)

    def _add_feeds(self) -> None:
        shared = self._shared
        self.feeds = Feeds(
            shared.settings,
            broker=shared.broker,
            names=shared.names,
            engine=shared.engine,
            registry=self.registry,
            plans=shared.plans,
            environ=shared.environ,
        )
        self.parts += self.feeds.parts
        self.feeds.measure(self.metrics)

    def _add_alerts(self) -> None:
        shared = self._shared
        self.alerts = AlertRole(
            engine=shared.engine,
            registry=self.registry,
            broker=shared.broker,
            names=shared.names,
            on_deliveries=self.delivery_bell.ring,
        )
        self.alert_bell.on_ring(self.alerts.ring)
        self.parts += self.alerts.parts
        self.alerts.measure(self.metrics)

    def _follow_configuration(self) -> None:
        """Let what administrators set at run time count in every role that goes by it."""
        if self.web is None:
            self._runtime.follow_namespaces(self._shared.names, self.registry)
            self._runtime.follow_plans(self._shared.plans)
        if self.feeds is not None:
            self._runtime.on_applied.append(self.feeds.follow_plans)

    def _add_ingest(self) -> None:
        settings = self._shared.settings
        if settings.redis_url is None:
            return
        ingest = Ingest(
            settings.redis_url.reveal(), names=self._shared.names, clock=time.monotonic, prefix=settings.redis_prefix
        )
        self.parts.append(("ingest", ingest.run))
        metrics = self.metrics
        metrics.gauge("ingest_leading", "1 where this process takes the entries.", lambda: float(ingest.leading))
        metrics.counter("ingest_published", "Entries of hub:ingest published here.", lambda: ingest.published)
        metrics.counter("ingest_duplicates", "Entries published before, by key.", lambda: ingest.duplicates)
        metrics.counter("ingest_dead", "Entries that could not be published.", lambda: ingest.dead)
