"""What of a web process stands in `/metrics`."""

from collections.abc import Mapping
from typing import Any

from channels.broker import Broker
from channels.broker_redis import RedisBroker
from channels.fanout import Fanout
from channels.registry import Registry
from feeds.feed import Health
from hub.metrics import Metrics
from hub.sockets.connections import Connections

_WELL = (Health.LIVE, Health.CLOSED)


def metrics_of(connections: Connections, registry: Registry, fanout: Fanout, broker: Broker) -> Metrics:
    """What a web process counts."""
    metrics = Metrics()
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
    metrics.gauge_by(
        "feed_live",
        "1 while a source's prices come, or its market is closed; 0 while they should come and don't.",
        "source",
        lambda: live_sources(connections.feeds),
    )
    measure_broker(metrics, broker)
    return metrics


def live_sources(status: Mapping[str, Any]) -> dict[str, float]:
    """1 or 0 for each source of `status:feeds`."""
    sources = status.get("sources")
    if not isinstance(sources, dict):
        return {}
    return {name: float(one.get("state") in _WELL) for name, one in sources.items() if isinstance(one, dict)}


def measure_broker(metrics: Metrics, broker: Broker) -> None:
    """Add what every process counts of its broker."""
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
