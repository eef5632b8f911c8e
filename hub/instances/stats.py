"""What this instance has done so far and does now, told to whichever instance an administrator asks."""

import time
from collections.abc import Callable, Iterable, Mapping

import msgspec

from channels.broker import Clock
from channels.fanout import Fanout
from channels.registry import Registry
from hub.instances.fleet import Fleet
from hub.sockets.connections import Connections
from schemas.durations import Seconds
from schemas.errors import CloseCode


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start of a process, but for `sockets`, `subscriptions` and `channels`, which are of now."""

    sockets: int
    subscriptions: int
    """Channels heard, summed over sockets."""
    channels: int
    """Channels heard by anyone; over several instances one counts once for each."""
    opened: int
    publications: int
    deliveries: int
    sent_bytes: int
    conflated: int
    slow_closes: int
    http_requests: dict[str, int]
    """By class of status: `2xx`, `4xx`, …"""
    loop_lag_ms: float
    """How late the event loop last was; over several instances the worst."""
    broker_lag_ms: float
    """A message's way through the broker and back; over several instances the worst."""


class InstanceFigures(Figures, frozen=True, kw_only=True):
    """Those of one instance."""

    instance: str
    uptime_s: float
    draining: bool


class StatsAsked(msgspec.Struct, frozen=True):
    """What an instance has to say of itself."""


class InstanceStats:
    """Answers for one instance. `requests` are counts by class of status; `clock` is monotonic seconds."""

    def __init__(
        self,
        *,
        connections: Connections,
        registry: Registry,
        fanout: Fanout,
        requests: Mapping[str, int],
        broker_lag_s: Callable[[], Seconds],
        fleet: Fleet,
        clock: Clock = time.monotonic,
    ) -> None:
        self._connections = connections
        self._registry = registry
        self._fanout = fanout
        self._requests = requests
        self._broker_lag_s = broker_lag_s
        self._instance = fleet.instance
        self._clock = clock
        self._started = clock()
        fleet.on("stats", StatsAsked, lambda _: self.read())

    def read(self) -> InstanceFigures:
        """Everything as it is now."""
        connections, fanout = self._connections, self._fanout
        return InstanceFigures(
            instance=self._instance,
            uptime_s=round(self._clock() - self._started, 1),
            draining=connections.draining,
            sockets=len(connections),
            subscriptions=connections.subscription_count(),
            channels=self._registry.channel_count,
            opened=connections.opened,
            publications=self._registry.publications,
            deliveries=fanout.deliveries,
            sent_bytes=fanout.bytes,
            conflated=fanout.conflated,
            slow_closes=connections.closed[CloseCode.SLOW],
            http_requests=dict(self._requests),
            loop_lag_ms=_milliseconds(connections.loop_lag_s),
            broker_lag_ms=_milliseconds(self._broker_lag_s()),
        )


def summed(figures: Iterable[InstanceFigures]) -> Figures:
    """Those of several instances as one: sums, and of lags the worst."""
    every = list(figures)
    classes = sorted({name for one in every for name in one.http_requests})
    return Figures(
        sockets=sum(one.sockets for one in every),
        subscriptions=sum(one.subscriptions for one in every),
        channels=sum(one.channels for one in every),
        opened=sum(one.opened for one in every),
        publications=sum(one.publications for one in every),
        deliveries=sum(one.deliveries for one in every),
        sent_bytes=sum(one.sent_bytes for one in every),
        conflated=sum(one.conflated for one in every),
        slow_closes=sum(one.slow_closes for one in every),
        http_requests={name: sum(one.http_requests.get(name, 0) for one in every) for name in classes},
        loop_lag_ms=max((one.loop_lag_ms for one in every), default=0.0),
        broker_lag_ms=max((one.broker_lag_ms for one in every), default=0.0),
    )


def _milliseconds(seconds: Seconds) -> float:
    return round(seconds * 1000, 2)
