"""Fetching a file over HTTP, whole and bounded: brokers' lists of instruments are up to 100 MB."""

from collections.abc import Mapping
from urllib.parse import urlsplit

import aiohttp

from feeds.errors import ConnectionLost, VendorRefused
from schemas.durations import Seconds

MAX_BYTES = 256 * 1024 * 1024
TIMEOUT_S: Seconds = 120.0


async def fetch(url: str) -> tuple[bytes, Mapping[str, str]]:
    """The body and the headers of a 200 answer. Raises VendorRefused for another one, ConnectionLost for none."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    body = bytearray()
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
            if response.status != 200:
                raise VendorRefused(f"HTTP {response.status}", status=response.status)
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise VendorRefused(f"more than {MAX_BYTES >> 20} MiB")
            return bytes(body), dict(response.headers.items())
    except TimeoutError as exc:
        raise ConnectionLost(f"no whole answer in {TIMEOUT_S:g} s") from exc
    except (aiohttp.ClientError, ValueError) as exc:
        raise ConnectionLost(f"{urlsplit(url).hostname} can't be reached ({type(exc).__name__})") from exc
