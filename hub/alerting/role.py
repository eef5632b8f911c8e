"""The role `alerts`: prices and candles in, triggers and deliveries out. Constructed here and nowhere else.

    registry ──► sources ──► runner: the engines of this process's shards ──► triggers: one transaction

Several processes share the shards by leases in the database; one that dies is replaced within seconds.
"""

import logging
import time
import uuid
from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncEngine

from channels.broker import Broker
from channels.channel import ChannelNames
from channels.registry import Registry
from hub.alerting.sources import Sources, SteadyClock
from hub.metrics import Metrics
from hub.parts import Part
from notifiers.alerts.runner import Runner
from notifiers.alerts.shards import Shards
from notifiers.alerts.triggers import Triggers

log = logging.getLogger("tickhub.hub.alerting.role")


class AlertRole:
    """One instance of the role. The registry must be run and heard by somebody.

    `on_deliveries` rings for the outbox's workers. Who changes alerts has `ring` rung; what nobody rings for is found
    within a second.
    """

    def __init__(
        self,
        *,
        engine: AsyncEngine,
        registry: Registry,
        broker: Broker,
        names: ChannelNames,
        on_deliveries: Callable[[], None] = lambda: None,
    ) -> None:
        clock = SteadyClock()
        shards = Shards(engine, owner=uuid.uuid4().hex)
        triggers = Triggers(engine, wall=time.time, on_deliveries=on_deliveries)
        self.runner = Runner(engine, shards, triggers)
        self.sources = Sources(registry, broker, names, self.runner, now_ms=clock.now_ms)
        self.runner.samples = self.sources

    @property
    def parts(self) -> list[Part]:
        """What runs in every process of the role."""
        return [
            ("alerts.run", self.runner.run),
            ("alerts.sources", self.sources.run),
            ("alerts.demand", self.sources.tell),
        ]

    def ring(self) -> None:
        """An alert has changed."""
        self.runner.ring()

    def measure(self, metrics: Metrics) -> None:
        """Add what can be counted here to `/metrics`."""
        runner, tally = self.runner, self.runner.tally
        metrics.gauge("alerts_rules", "Alerts that are watched here.", lambda: runner.rules)
        metrics.gauge("alerts_shards", "Shards of the instruments that this process has.", lambda: runner.shards)
        metrics.gauge("alerts_sources", "Instruments and candles that alerts look at.", lambda: self.sources.heard)
        metrics.gauge("alerts_waiting", "Firings that wait to be committed.", lambda: runner.waiting)
        metrics.gauge("alerts_lag_ms", "From a price's arrival to the commit of what it fired.", lambda: tally.lag_ms)
        metrics.counter("alerts_samples", "Prices and candles that were looked at.", lambda: tally.samples)
        metrics.counter(
            "alerts_unreadable", "Publications that alerts could not read.", lambda: self.sources.unreadable
        )
        metrics.counter("alerts_fired", "Triggers that were committed.", lambda: tally.fired)
        metrics.counter("alerts_suppressed", "Triggers that were suppressed.", lambda: tally.suppressed)
        metrics.counter("alerts_dropped", "Firings of alerts that had changed meanwhile.", lambda: tally.dropped)
        metrics.counter("alerts_commits", "Transactions of the engines.", lambda: tally.commits)
        metrics.counter("alerts_commit_seconds", "Time spent on them.", lambda: tally.commit_seconds)
        metrics.counter("alerts_shards_lost", "Shards that another engine took.", lambda: tally.lost)
        metrics.counter("alerts_restarts", "Shards begun anew since too much waited.", lambda: tally.restarts)
