import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from aiohttp import web

from feeds.accounts.http import LONGEST_RETRY_AFTER_S, HttpClient, refusal, retry_after
from feeds.errors import ConnectionLost, VendorRefused
from tests.feeds.tls import self_signed

TLS = ssl.create_default_context()


class Vendor:
    """An HTTP server that answers as it is told to, and remembers the last request."""

    def __init__(self) -> None:
        self.answer = web.Response(text='{"a": [1]}', content_type="application/json")
        self.request: tuple[str, str, dict[str, str], str] | None = None
        self.url = ""
        self.gate: asyncio.Event | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.request = (request.method, request.path, dict(request.headers), await request.text())
        if self.gate is not None:
            await self.gate.wait()
        return self.answer


async def _serve(vendor: Vendor, context: ssl.SSLContext | None) -> AsyncIterator[Vendor]:
    server = web.Server(vendor.handle)
    runner = web.ServerRunner(server, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    port = runner.addresses[0][1]
    vendor.url = f"{'https' if context else 'http'}://127.0.0.1:{port}"
    yield vendor
    if vendor.gate is not None:
        vendor.gate.set()
    await runner.cleanup()


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    async for served in _serve(Vendor(), None):
        yield served


async def test_a_get_brings_json_and_takes_headers_along(vendor: Vendor) -> None:
    assert await HttpClient(TLS).get_json(f"{vendor.url}/v3", {"Authorization": "Bearer x"}) == {"a": [1]}
    assert vendor.request is not None
    method, path, headers, _ = vendor.request
    assert (method, path, headers["Authorization"]) == ("GET", "/v3", "Bearer x")


async def test_a_post_sends_json(vendor: Vendor) -> None:
    assert await HttpClient(TLS).post_json(f"{vendor.url}/login", {"uid": "U"}, {"X": "1"}) == {"a": [1]}
    assert vendor.request is not None
    method, _, headers, body = vendor.request
    assert (method, headers["Content-Type"], headers["X"], body) == ("POST", "application/json", "1", '{"uid":"U"}')


@pytest.mark.parametrize(
    ("status", "expired", "reason"),
    [
        (401, True, "the credentials are refused (HTTP 401)"),
        (403, True, "the credentials are refused (HTTP 403)"),
        (429, False, "too many connections or attempts (HTTP 429)"),
        (302, False, "refused with HTTP 302"),
        (503, False, "refused with HTTP 503"),
        (999, False, "refused with HTTP 999"),
    ],
)
async def test_any_other_status_is_a_refusal(vendor: Vendor, status: int, expired: bool, reason: str) -> None:
    vendor.answer = web.Response(status=status, headers={"Retry-After": "7", "Location": "/elsewhere"})
    with pytest.raises(VendorRefused) as caught:
        await HttpClient(TLS).get_json(vendor.url, {})
    refused = caught.value
    assert (refused.status, refused.expired, refused.retry_after_s, str(refused)) == (status, expired, 7.0, reason)


async def test_an_answer_that_is_no_json_is_a_refusal(vendor: Vendor) -> None:
    vendor.answer = web.Response(text="<html>maintenance</html>")
    with pytest.raises(VendorRefused, match="no JSON"):
        await HttpClient(TLS).get_json(vendor.url, {})


async def test_an_answer_without_end_is_a_refusal(vendor: Vendor) -> None:
    vendor.answer = web.Response(body=b" " * (2 << 20))
    with pytest.raises(VendorRefused, match="more than"):
        await HttpClient(TLS).get_json(vendor.url, {})


async def test_a_vendor_that_does_not_answer_in_time_is_lost(vendor: Vendor) -> None:
    vendor.gate = asyncio.Event()
    with pytest.raises(ConnectionLost, match=r"127\.0\.0\.1 has not answered in 0\.1 s"):
        await HttpClient(TLS, timeout_s=0.1).get_json(vendor.url, {})


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "no address", "http://127.0.0.1:99999/", "http://[::/"])
async def test_an_address_where_nobody_is_leaves_no_secret_in_the_reason(url: str) -> None:
    with pytest.raises(ConnectionLost) as caught:
        await HttpClient(TLS).get_json(f"{url}?token=secret", {})
    assert "secret" not in str(caught.value)


async def test_a_certificate_that_nobody_vouches_for_is_not_accepted(tmp_path: Path) -> None:
    server, client = self_signed(tmp_path)
    async for vendor in _serve(Vendor(), server):
        with pytest.raises(ConnectionLost, match="CertificateError"):
            await HttpClient(TLS).get_json(vendor.url, {})
        assert await HttpClient(client).get_json(vendor.url, {}) == {"a": [1]}


def test_retry_after_is_read_in_both_of_its_forms() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=90)
    assert retry_after({"Retry-After": "120"}) == 120
    assert 85 < retry_after({"Retry-After": format_datetime(soon, usegmt=True)}) <= 90
    assert retry_after({"Retry-After": "999999"}) == LONGEST_RETRY_AFTER_S


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "-5",
        "²",
        "Wed, 21 Oct 2015 07:28:00 GMT",
        "Wed, 21 Oct 2099 07:28:00",
        f"Mon, 01 Jan {'9' * 20} 0:0:0 GMT",
    ],
)
def test_a_retry_after_that_makes_no_sense_asks_for_nothing(text: str) -> None:
    assert retry_after({"Retry-After": text}) == 0
    assert refusal(418).retry_after_s == 0
