"""What is counted of the feeds, for `/metrics`."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from feeds.accounts.runner import BrokerFeed
from feeds.candles.history import CandleHistory
from feeds.candles.worker import CandleWorker
from feeds.feed import Feed
from feeds.publisher import Publisher
from feeds.replay.player import ReplayFeed
from feeds.sanity import Gate
from hub.metrics import Metrics


def measure(
    metrics: Metrics,
    *,
    feeds: Sequence[Feed],
    publisher: Publisher,
    gate: Gate,
    candles: CandleWorker,
    history: CandleHistory,
) -> None:
    """Adds the feeds' counters and gauges."""
    metrics.counter("feed_updates", "Updates that the broker took from feeds.", lambda: publisher.published)
    metrics.counter("feed_dropped", "Updates lost while the broker was away.", lambda: publisher.dropped)
    metrics.counter("feed_refused", "Updates that make no channel.", lambda: publisher.refused)
    metrics.counter_by("ticks_refused", "Ticks that can't be true, by reason.", "reason", lambda: _counts(gate.refused))
    metrics.counter_by("ticks_odd", "Ticks that passed all the same, by reason.", "reason", lambda: _counts(gate.odd))
    metrics.counter("candles", "Candles published.", lambda: candles.published)
    metrics.counter("candles_unwritten", "Candles lost while the database was away.", lambda: history.dropped)
    metrics.gauge("feed_instruments", "Instruments subscribed at vendors.", lambda: _subscribed(feeds))
    metrics.counter("feed_reconnects", "How often brokers' sockets were opened again.", lambda: _reconnects(feeds))
    metrics.counter_by(
        "feed_bad", "Frames and parts of them that make no sense, by feed and reason.", "reason", lambda: _bad(feeds)
    )


def _subscribed(feeds: Sequence[Feed]) -> float:
    return float(sum(feed.status.instruments for feed in feeds))


def _reconnects(feeds: Sequence[Feed]) -> float:
    return float(sum(feed.reconnects for feed in feeds if isinstance(feed, BrokerFeed)))


def _bad(feeds: Sequence[Feed]) -> dict[str, float]:
    found: Counter[str] = Counter()
    for feed in feeds:
        if isinstance(feed, BrokerFeed | ReplayFeed):
            found.update({f"{feed.name}:{reason}": count for reason, count in feed.bad.items()})
    return _counts(found)


def _counts(counter: Counter[Any]) -> dict[str, float]:
    return {str(name): float(count) for name, count in counter.items()}
