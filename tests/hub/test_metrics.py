import asyncio
from collections import Counter
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub.metrics import Metrics, RequestCounter
from tests.hub.live import Hub, request, running, serving, until


async def read(hub: Hub) -> dict[str, float]:
    answer = await hub.get("/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        sample.name + "".join(sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


async def test_everything_that_is_counted_moves(tmp_path: Path) -> None:
    async with running(tmp_path) as hub:
        before = await read(hub)
        async with hub.client() as client, hub.client() as other:
            await client.subscribe("market:TCS", "market:INFY")
            await other.subscribe("market:TCS", max_frequency=1)
            for price in range(1, 11):
                await hub.publish("market:TCS", price=price)
            await client.settled()
            during = await read(hub)
            async with hub.client(query="?token=bad", welcomed=False) as refused:
                await refused.close_code()
        await until(lambda: not len(hub.web.connections))
        after = await read(hub)
    moved = {
        "connections": 2, "subscriptions": 3, "opened_total": 2, "publications_total": 10,
    }  # fmt: skip
    assert {name: during[f"tickhub_{name}"] - before[f"tickhub_{name}"] for name in moved} == moved
    assert during["tickhub_deliveries_total"] >= 10
    assert during["tickhub_sent_bytes_total"] > 500
    assert after["tickhub_connections"] == after["tickhub_subscriptions"] == 0
    assert after["tickhub_closes_total3500"] == 1
    assert after["tickhub_closes_total1000"] == 2


async def test_every_name_that_is_promised_is_there(tmp_path: Path, redis_url: str) -> None:
    promised = {
        "connections", "subscriptions", "channels", "publications_total", "deliveries_total", "sent_bytes_total",
        "conflated_total", "slow_closes_total", "broker_lag_seconds", "broker_connected", "loop_lag_seconds",
        "gaps_filled_total", "gaps_told_total",
    }  # fmt: skip
    for url in ("", redis_url):
        async with running(tmp_path, REDIS_URL=url) as hub:
            if url:
                await until(lambda: hub.broker.connected)  # type: ignore[attr-defined]
            values = await read(hub)
            assert {f"tickhub_{name}" for name in promised} <= values.keys()
            assert values["tickhub_broker_connected"] == 1
            assert "process_resident_memory_bytes" in values


def test_a_reading_is_taken_when_somebody_asks() -> None:
    metrics, value = Metrics(), [1.0]
    metrics.gauge("level", "A level.", lambda: value[0])
    metrics.counter_by("ends", "Ends.", "code", lambda: {"3001": value[0]})
    for value[0] in (1.0, 7.0):
        assert metrics.registry.get_sample_value("tickhub_level") == value[0]
        assert metrics.registry.get_sample_value("tickhub_ends_total", {"code": "3001"}) == value[0]


async def test_answers_are_counted_by_class_of_status() -> None:
    counts: Counter[str] = Counter()
    app = RequestCounter(Starlette(routes=[Route("/", _fine), Route("/bad", _bad), Route("/bug", _bug)]), counts=counts)
    async with serving(app) as place:
        for path in ("", "", "bad", "nowhere", "bug"):
            await asyncio.to_thread(request, f"http://{place}/{path}")
    assert counts == {"2xx": 2, "4xx": 2, "5xx": 1}


async def _fine(_: Request) -> Response:
    return Response("fine")


async def _bad(_: Request) -> Response:
    return Response("bad", 400)


async def _bug(_: Request) -> Response:
    return Response("bug", 500)
