import asyncio
import re

import pytest

from hub.exit_codes import EXIT_OK, EXIT_SETTINGS
from tests.hub.live import HubProcess, request
from tests.servers import free_port, wait_until

TELLS = {
    "feeds": "tickhub_feed_updates_total",
    "alerts": "tickhub_alerts_shards",
    "notifiers": "tickhub_deliveries_calls_total",
}


def answers(url: str) -> bool:
    try:
        return request(f"{url}/health").status == 200
    except OSError:
        return False


@pytest.mark.parametrize("role", list(TELLS))
async def test_a_process_without_web_tells_its_health_and_figures_and_drains(role: str, redis_url: str) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    hub = HubProcess(role, REDIS_URL=redis_url, METRICS_PORT=str(port), DRAIN_TIMEOUT="1s")
    try:
        await asyncio.to_thread(hub.start)
        await asyncio.to_thread(wait_until, lambda: answers(url), timeout_s=20, what="starting")
        families = re.findall(
            r"^# TYPE (tickhub_\w+)", (await asyncio.to_thread(request, f"{url}/metrics")).body.decode(), re.MULTILINE
        )
        assert TELLS[role] in families
        assert "tickhub_broker_connected" in families
        assert "tickhub_connections" not in families
        report = (await asyncio.to_thread(request, f"{url}/health/detailed")).data
        assert report["parts"].keys() == {"broker", "database"}
        assert (await asyncio.to_thread(request, f"{url}/api/v1/plans")).status == 404
        assert hub._process is not None
        hub._process.terminate()
        assert await asyncio.to_thread(hub.wait) == EXIT_OK
    finally:
        await asyncio.to_thread(hub.close)


async def test_a_port_that_is_taken_is_told_by_its_name(redis_url: str) -> None:
    first, second = (HubProcess("notifiers", REDIS_URL=redis_url) for _ in range(2))
    first.environ["METRICS_PORT"] = second.environ["METRICS_PORT"] = str(free_port())
    try:
        await asyncio.to_thread(first.start)
        await asyncio.to_thread(
            wait_until,
            lambda: answers(f"http://127.0.0.1:{first.environ['METRICS_PORT']}"),
            timeout_s=20,
            what="starting",
        )
        code, printed = await asyncio.to_thread(second.run)
        assert code == EXIT_SETTINGS
        assert "METRICS_PORT: " in printed
    finally:
        for hub in (first, second):
            await asyncio.to_thread(hub.close)
