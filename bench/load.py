"""One measurement: a fresh server, a fresh client, a set rate, one window; answers with what came of it."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from bench.processes import Process, ProcessEndedError, Usage, started
from bench.systems import Running, System
from bench.workload import Workload


class LoadError(RuntimeError):
    """The sockets could not all be opened; the message says how many and why."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What one window of measuring says. Latency counts from when a message was due."""

    system: str
    offered: float
    """Deliveries a second that the rate asks for."""
    delivered: float
    """Deliveries a second that reached the sockets."""
    cores: float
    waiting: float
    """The share of time in which the server could have run and no core was free."""
    client_cores: float
    client_waiting: float
    rss_mb: float
    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    message_bytes: float
    """Bytes a message on the wire, with its frame and whatever the system's protocol adds."""
    missed: int
    """Messages that the probes were told they had been spared (conflation)."""
    closed: int
    """Sockets that the server closed within the window."""
    counted: int | None = None
    """Messages that sinks and probes counted one by one, where the client was told to."""
    granule: float = 0.0
    """Deliveries a second that one publication makes."""

    @property
    def us_per_delivery(self) -> float | None:
        """Microseconds of server CPU a delivery."""
        return self.cores / self.delivered * 1e6 if self.delivered else None

    def sustained(self) -> bool:
        """Whether the server kept up: 97 % delivered, p99 of a second at most, nobody thrown out.

        Whether one publication falls into the window or just outside is chance.
        """
        return (
            self.delivered >= 0.97 * self.offered - self.granule
            and self.p99_ms is not None
            and self.p99_ms <= 1000
            and not self.closed
        )

    def as_json(self) -> dict[str, Any]:
        """Plain data for the results file."""
        return asdict(self) | {"us_per_delivery": self.us_per_delivery}


class Load:
    """A running system with all sockets of a workload open."""

    def __init__(
        self, system: System, workload: Workload, running: Running, client: Process, opened: dict[str, Any]
    ) -> None:
        self.system = system
        self.workload = workload
        self.running = running
        self.client = client
        self.opened = opened

    def rate(self, deliveries_per_s: float) -> None:
        """From now on publish so much."""
        self.running.publisher.ask(rate=self.workload.publications(deliveries_per_s))

    def published(self) -> int:
        """How many publications there have been."""
        published: int = self.running.publisher.ask()["published"]
        return published

    def collect_garbage(self) -> Usage:
        """What the server uses once its garbage is gone."""
        if self.running.publisher is self.running.server:
            self.running.server.ask(gc=True)
        return self.running.server.usage()

    def sample(self, offered: float, window_s: float) -> Sample:
        """Measure one window at the present rate."""
        server = self.running.server
        before, client_before = server.usage(), self.client.usage()
        counts = self.client.ask(measure=window_s, within_s=window_s + 30)
        after, client_after = server.usage(), self.client.usage()
        granule = self.workload.fan_out / window_s
        message_bytes = counts["probe_bytes"] / max(counts["probe_messages"], 1)
        sink_messages = counts["sink_bytes"] / message_bytes if message_bytes else 0.0
        return Sample(
            system=self.system.name,
            offered=offered,
            delivered=(sink_messages + counts["probe_messages"]) / counts["seconds"],
            cores=after.cores_since(before),
            waiting=after.waiting_since(before),
            client_cores=client_after.cores_since(client_before),
            client_waiting=client_after.waiting_since(client_before),
            rss_mb=after.rss_bytes / 1e6,
            p50_ms=_ms(counts["p50_us"]),
            p99_ms=_ms(counts["p99_us"]),
            max_ms=_ms(counts["max_us"]),
            message_bytes=message_bytes,
            missed=counts["missed"],
            closed=counts["closed"],
            counted=counts["sink_messages"] + counts["probe_messages"] if counts["sink_messages"] else None,
            granule=granule,
        )


def _ms(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / 1000


@contextmanager
def open_load(
    system: System,
    workload: Workload,
    *,
    running: Running | None = None,
    concurrency: int = 64,
    count: bool = False,
) -> Iterator[Load]:
    """Start the system (unless one is handed in) and a client, and open all sockets of the workload.

    Raises LoadError where not all sockets open, ProcessEndedError where the server or the client dies.
    """
    if running is None:
        with system.running(workload) as fresh:
            with open_load(system, workload, running=fresh, concurrency=concurrency, count=count) as load:
                yield load
            return
    with started("client", [sys.executable, "-m", "bench.client"]) as client:
        opened = client.ask(
            host="127.0.0.1",
            port=running.port,
            dialect=system.dialect,
            token=running.token,
            workload=asdict(workload),
            concurrency=concurrency,
            count=count,
            within_s=90,
        )
        if opened["connected"] != workload.sockets:
            raise LoadError(f"{system.title}: {opened['connected']} of {workload.sockets} sockets: {opened['why']}")
        yield Load(system, workload, running, client, opened)


def measure(
    system: System,
    workload: Workload,
    offered: float,
    *,
    warm_up_s: float = 1.0,
    window_s: float = 4.0,
    count: bool = False,
) -> Sample:
    """One sample of a fresh server at `offered` deliveries a second."""
    with open_load(system, workload, count=count) as load:
        load.rate(offered)
        time.sleep(warm_up_s)
        return load.sample(offered, window_s)


_FLOOD = 4_000_000.0
_STEP = 1.25
_MAX_STEPS = 10


def most_sustained(system: System, workload: Workload, *, window_s: float = 2.0) -> Sample | None:
    """The sample at the highest rate that the system sustains, within 25 %; None where it sustains none.

    A flood tells roughly what the system can do; from there the rate goes up while it is sustained, or down until it
    is, a fresh server for each step.
    """
    offered, best, failed = _rung(0.8 * _flooded(system, workload)), None, False
    for _ in range(_MAX_STEPS):
        sample = _attempt(system, workload, offered, window_s)
        if sample is not None and sample.sustained():
            best = sample
            if failed:
                break
            offered *= _STEP
        elif best is not None:
            break
        else:
            failed = True
            offered = _rung(min(offered / _STEP, sample.delivered if sample else offered))
    return best


def _flooded(system: System, workload: Workload) -> float:
    sample = _attempt(system, workload, _FLOOD, 1.5)
    return max(sample.delivered if sample else 0.0, 2 * workload.fan_out)


def _attempt(system: System, workload: Workload, offered: float, window_s: float) -> Sample | None:
    try:
        return measure(system, workload, offered, window_s=window_s)
    except ProcessEndedError:  # an overload may kill a server; that rate was not sustained
        return None


def _rung(rate: float) -> float:
    """The rate, rounded to two figures, so that tables can be compared."""
    return float(f"{rate:.1e}")
