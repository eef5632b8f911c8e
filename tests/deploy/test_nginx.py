"""The example for nginx, with nginx itself: TLS, sockets, several processes, and what must not come out."""

import asyncio
import contextlib
import http.client
import json
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import connect as open_socket

from tests.deploy.nginx_server import NginxServer
from tests.deploy.places import program
from tests.hub.live import Client, HubProcess, bearer, position, request, token, until
from tests.servers import RedisServer

pytestmark = pytest.mark.skipif(program("nginx") is None, reason="nginx is not installed here")


class Site(msgspec.Struct):
    """What users reach, and what is behind it."""

    nginx: NginxServer
    hubs: list[HubProcess]

    @contextlib.asynccontextmanager
    async def client(self, **headers: str) -> AsyncIterator[Client]:
        """A socket as a browser opens it: the token in the address, over TLS."""
        url = f"wss://{self.nginx.place}/ws?token={token()}"
        async with open_socket(url, ssl=self.nginx.trust, additional_headers=headers, close_timeout=2) as socket:
            client = Client(socket)
            await client.hear("welcome")
            yield client

    def ask(
        self, path: str, method: str = "GET", body: Any = None, **headers: str
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """One request over TLS: the status, all headers as they came, and the body. Blocks."""
        connection = http.client.HTTPSConnection("localhost", self.nginx.port, timeout=8, context=self.nginx.trust)
        with contextlib.closing(connection):
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            return answer.status, [(name.lower(), value) for name, value in answer.getheaders()], answer.read()

    def sockets(self, hub: HubProcess) -> int:
        """How many sockets a process has, by its own account."""
        text = request(f"{hub.url}/metrics").body.decode()
        return int(float(text.partition("\ntickhub_connections ")[2].split()[0]))


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Two web processes over one Redis, behind nginx."""
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(2) as threads:
        redis = stack.enter_context(RedisServer())
        hubs = [HubProcess("web", REDIS_URL=redis.url, TRUSTED_PROXIES="127.0.0.1") for _ in range(2)]
        for hub in hubs:
            stack.callback(hub.close)
        list(threads.map(lambda hub: hub.start(), hubs))
        yield Site(nginx=stack.enter_context(NginxServer([hub.place for hub in hubs])), hubs=hubs)


async def test_sockets_go_to_the_process_that_has_fewest(site: Site) -> None:
    page = f"https://{site.nginx.place}"
    async with site.client(Origin=page) as one, site.client() as other:
        for client in (one, other):
            await client.subscribe("market:TCS")
        assert await asyncio.to_thread(lambda: [site.sockets(hub) for hub in site.hubs]) == [1, 1]
        publisher = {"Content-Type": "application/json"} | bearer("feed", role="publisher")
        said = {"channel": "market:TCS", "data": {"price": 4100.5}}
        status, _, _ = await asyncio.to_thread(lambda: site.ask("/api/v1/publish", "POST", said, **publisher))
        assert status in (200, 201)
        for client in (one, other):
            assert (await client.hear("market:update", symbol="TCS"))["price"] == 4100.5


async def test_a_client_whose_process_dies_goes_on_at_the_other_without_a_loss(site: Site) -> None:
    publisher = {"Content-Type": "application/json"} | bearer("feed", role="publisher")

    def signal(symbol: str) -> None:
        said = {"symbol": symbol, "signal_type": "BUY", "confidence": 80}
        status, _, body = site.ask(
            "/api/v1/publish", "POST", {"channel": "signals:generated", "data": said}, **publisher
        )
        assert status in (200, 201), body

    async with site.client() as client:
        place = position(await client.subscribe("signals:generated"))
        (busy,) = await asyncio.to_thread(lambda: [hub for hub in site.hubs if site.sockets(hub) == 1])
        await asyncio.to_thread(signal, "TCS")
        heard = await client.hear("signals:new")
        await asyncio.to_thread(busy.kill)
        assert await client.close_code() == 1006
    try:
        await asyncio.to_thread(signal, "INFY")
        async with site.client() as client:
            reply = await client.subscribe("signals:generated", recover=place | {"offset": heard["offset"]})
            assert reply["subscribed"][0]["recovered"] is True
            assert (await client.hear("signals:new"))["data"]["symbol"] == "INFY"
    finally:
        await asyncio.to_thread(busy.start)
    logged = site.nginx.logged()
    assert " /ws 101 " in logged
    assert token()[:20] not in logged


async def test_what_opens_doors_is_not_written_down(site: Site) -> None:
    for path in (
        "/api/v1/unsubscribe/a-letters-secret",
        "/api/v1/auth/profile?token=an-addresss-secret",
        "/ws?ticket=a-tickets-secret",
    ):
        await asyncio.to_thread(lambda path=path: site.ask(path, Referer="https://x/?a-pages-secret"))
    await until(lambda: site.nginx.logged().count(" GET ") >= 3)
    assert " GET /api/v1/unsubscribe/- " in site.nginx.logged()
    assert "secret" not in site.nginx.logged()


@pytest.mark.parametrize(
    "path",
    ["/metrics", "/metrics?x=1", "//metrics", "/%6Detrics", "/./metrics", "/docs/../metrics", "/health/detailed"],
)
async def test_figures_of_the_inside_stay_inside(site: Site, path: str) -> None:
    status, _, body = await asyncio.to_thread(site.ask, path)
    assert status == 404
    assert b"tickhub_" not in body
    assert b"uptime" not in body


async def test_a_trailing_slash_leads_to_no_figures_either(site: Site) -> None:
    for path in ("/metrics/", "/health/detailed/"):
        status, _, body = await asyncio.to_thread(site.ask, path)
        assert status in (307, 404)
        assert b"tickhub_" not in body


async def test_each_security_header_comes_once_and_the_hub_knows_of_tls(site: Site) -> None:
    status, headers, _ = await asyncio.to_thread(site.ask, "/health")
    names = [name for name, _ in headers]
    assert status == 200
    for name in ("strict-transport-security", "x-content-type-options", "content-security-policy", "x-frame-options"):
        assert names.count(name) == 1, name


async def test_a_flood_of_logins_is_stopped_before_the_hub_in_the_apis_own_words(site: Site) -> None:
    def flood() -> list[tuple[int, list[tuple[str, str]], bytes]]:
        with ThreadPoolExecutor(8) as threads:
            return list(threads.map(lambda _: site.ask("/api/v1/auth/profile"), range(80)))

    answers = await asyncio.to_thread(flood)
    refused = [(dict(headers), body) for status, headers, body in answers if status == 429]
    assert 0 < len(refused) < 80
    for headers, body in refused:
        assert headers["retry-after"] == "1"
        assert json.loads(body)["error"]["code"] == "RATE_LIMITED"


async def test_plain_http_leads_to_tls(site: Site) -> None:
    connection = http.client.HTTPConnection("localhost", site.nginx.plain_port, timeout=8)
    with contextlib.closing(connection):
        connection.request("GET", "/docs?x=1")
        answer = connection.getresponse()
    assert (answer.status, answer.getheader("location")) == (308, "https://localhost/docs?x=1")
