"""The few HTTP calls that some vendors want before a socket, over aiohttp."""

import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec

from feeds.errors import ConnectionLost, VendorRefused
from schemas.durations import Seconds

TIMEOUT_S: Seconds = 10.0
MAX_BYTES = 1 << 20
LONGEST_RETRY_AFTER_S: Seconds = 3600.0


class HttpClient:
    """The `Http` port. Keeps no connection between calls; certificates are verified; follows no redirect."""

    def __init__(self, tls: ssl.SSLContext, *, timeout_s: Seconds = TIMEOUT_S) -> None:
        self._tls = tls
        self._timeout_s = timeout_s

    async def get_json(self, url: str, headers: Mapping[str, str]) -> object:
        """The JSON of a 200 answer. Raises VendorRefused, or ConnectionLost where nobody answers; safe to cancel."""
        return await self._call("GET", url, headers, None)

    async def post_json(self, url: str, body: object, headers: Mapping[str, str]) -> object:
        """The JSON of a 200 answer to a JSON body. Raises as `get_json`."""
        return await self._call("POST", url, {"Content-Type": "application/json"} | dict(headers), body)

    async def _call(self, method: str, url: str, headers: Mapping[str, str], body: object) -> object:
        host = _host(url)
        data = None if body is None else msgspec.json.encode(body)
        try:
            status, answer, retry_after_s = await self._exchange(method, url, headers, data)
        except TimeoutError as exc:
            raise ConnectionLost(f"{host} has not answered in {self._timeout_s:g} s") from exc
        except (aiohttp.ClientError, ValueError) as exc:  # ValueError: the address is none
            raise ConnectionLost(f"{host} can't be asked: {type(exc).__name__}") from exc
        if status != HTTPStatus.OK:
            raise refusal(status, retry_after_s)
        try:
            return msgspec.json.decode(answer)
        except (msgspec.DecodeError, RecursionError):
            raise VendorRefused(f"{host} has answered with something that is no JSON", status=status) from None

    async def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], data: bytes | None
    ) -> tuple[int, bytes, Seconds]:
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        connector = aiohttp.TCPConnector(ssl=self._tls, force_close=True)
        options: dict[str, Any] = {"headers": dict(headers), "data": data, "allow_redirects": False}
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.request(method, url, **options) as response,
        ):
            answer = bytearray()
            async for chunk in response.content.iter_any():
                answer += chunk
                if len(answer) > MAX_BYTES:
                    raise VendorRefused(f"an answer of more than {MAX_BYTES} bytes", status=response.status)
            return response.status, bytes(answer), retry_after(response.headers)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "the address"
    except ValueError:
        return "the address"


def refusal(status: int, retry_after_s: Seconds = 0.0) -> VendorRefused:
    """What an HTTP status other than success means: 401 and 403 are about the credentials."""
    expired = status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
    if expired:
        text = f"the credentials are refused (HTTP {status})"
    elif status == HTTPStatus.TOO_MANY_REQUESTS:
        text = f"too many connections or attempts (HTTP {status})"
    else:
        text = f"refused with HTTP {status}"
    return VendorRefused(text, status=status, expired=expired, retry_after_s=retry_after_s)


def retry_after(headers: Mapping[str, str]) -> Seconds:
    """How long `Retry-After` asks to wait, in either of its two forms (RFC 9110, 10.2.3); 0 where it makes no sense."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_RETRY_AFTER_S)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0.0
    if moment.tzinfo is None:
        return 0.0
    return min(max((moment - datetime.now(UTC)).total_seconds(), 0.0), LONGEST_RETRY_AFTER_S)
