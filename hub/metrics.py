"""`/metrics`: what the process counts anyway, read when somebody asks. Nothing is counted twice for its sake."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Reading = Callable[[], float]
_Family = type[CounterMetricFamily] | type[GaugeMetricFamily]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics(Collector):
    """Named readings of live objects."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._process = CollectorRegistry()
        """Apart, for it reads files: in a thread, while our own readings belong to the event loop."""
        ProcessCollector(registry=self._process)
        self._gauges: list[tuple[str, str, Reading]] = []
        self._counters: list[tuple[str, str, Reading]] = []
        self._labelled: list[tuple[_Family, str, str, str, Callable[[], Mapping[str, float]]]] = []
        self.registry.register(self)

    def gauge(self, name: str, text: str, read: Reading) -> None:
        """Something that goes up and down."""
        self._gauges.append((name, text, read))

    def counter(self, name: str, text: str, read: Reading) -> None:
        """Something that only grows while the process lives."""
        self._counters.append((name, text, read))

    def gauge_by(self, name: str, text: str, label: str, read: Callable[[], Mapping[str, float]]) -> None:
        """Several that go up and down, told apart by one label."""
        self._labelled.append((GaugeMetricFamily, f"tickhub_{name}", text, label, read))

    def counter_by(self, name: str, text: str, label: str, read: Callable[[], Mapping[str, float]]) -> None:
        """Several counters, told apart by one label."""
        self._labelled.append((CounterMetricFamily, f"tickhub_{name}", text, label, read))

    def described(self) -> Iterator[tuple[str, str, str]]:
        """Each name as it is read, with its label where it has one; what kind it is; what it says."""
        for name, text, _ in self._gauges:
            yield f"tickhub_{name}", "gauge", text
        for name, text, _ in self._counters:
            yield f"tickhub_{name}_total", "counter", text
        for kind, name, text, label, _ in self._labelled:
            if kind is CounterMetricFamily:
                yield f"{name}_total{{{label}}}", "counter", text
            else:
                yield f"{name}{{{label}}}", "gauge", text

    def collect(self) -> Iterator[Metric]:
        """Read everything now; called by prometheus_client."""
        for name, text, read in self._gauges:
            yield GaugeMetricFamily(f"tickhub_{name}", text, value=read())
        for name, text, read in self._counters:
            yield CounterMetricFamily(f"tickhub_{name}", text, value=read())
        for kind, name, text, label, read_all in self._labelled:
            family = kind(name, text, labels=[label])
            for key, value in read_all().items():
                family.add_metric([key], value)
            yield family

    async def answer(self, _: Request) -> Response:
        """`GET /metrics` in Prometheus' text format."""
        text = generate_latest(self.registry) + await asyncio.to_thread(generate_latest, self._process)
        return Response(text, headers={"Content-Type": CONTENT_TYPE})


class RequestCounter:
    """Middleware that counts answers by class of status, `2xx` and so on, into `counts`."""

    def __init__(self, app: ASGIApp, *, counts: Counter[str]) -> None:
        self._app = app
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything on, and catches nothing."""

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._counts[f"{message['status'] // 100}xx"] += 1
            await send(message)

        await self._app(scope, receive, counting)
