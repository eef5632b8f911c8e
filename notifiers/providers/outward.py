"""The only way by which a URL of a user's is asked: of the Internet alone, in bounded time, for a bounded answer.

Names are resolved here, and every socket is made here, for one address that was checked a moment before: so nothing
that a name leads to later, and no spelling of an address, gets past the check. No redirect is followed, no proxy is
taken from the environment, no cookie is kept, nothing is unpacked, and no request is sent twice.
"""

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from notifiers.errors import OutcomeUnknown
from notifiers.people.reach import Reach
from schemas.durations import Seconds
from schemas.errors import TickhubError, Unavailable

TIMEOUT_S: Seconds = 15.0
"""Of a whole request; two thirds of it for the connection."""
MAX_ANSWER_BYTES = 64 * 1024
LONGEST_RETRY_AFTER_S: Seconds = 3600.0

_LOOKUPS_AT_ONCE = 8
_CONNECTIONS = 100
_CONNECTIONS_PER_HOST = 16
_SECONDS = re.compile(r"[0-9]{1,12}")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back; `body` as far as it came and fits. `retry_after_s` is None where nothing was said of it."""

    status: int
    body: bytes
    retry_after_s: Seconds | None


class NotReachable(TickhubError):
    """The URL leads to an address that must not be asked from here."""


class Outward:
    """Asks what URLs of users' say. Connections are kept for a while; who makes one closes it."""

    def __init__(self, tls: ssl.SSLContext, reach: Reach, *, timeout_s: Seconds = TIMEOUT_S) -> None:
        self._tls = tls
        self._reach = reach
        self._timeout_s = timeout_s
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        self._threads = ThreadPoolExecutor(_LOOKUPS_AT_ONCE, "outward.lookup")

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Post once.

        `url` is one that has passed `Reach.url`, or is in ASCII anyway. Raises NotReachable; Unavailable where nothing
        was sent; OutcomeUnknown where there was no answer to what was sent, and so it stands after cancelling.
        """
        target = _target(url)
        try:
            async with self._session(target.scheme).post(
                target, headers=dict(headers), data=body, allow_redirects=False
            ) as response:
                read = await _read(response)
                return Answer(status=response.status, body=read, retry_after_s=retry_after(response.headers))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as exc:
            if isinstance(exc, aiohttp.ClientConnectorError) and isinstance(exc.os_error, _Barred):
                raise NotReachable from exc
            raise Unavailable("the address", type(exc).__name__) from exc
        except (aiohttp.ClientError, OSError, TimeoutError) as exc:
            raise OutcomeUnknown("the address", type(exc).__name__) from exc

    async def close(self) -> None:
        """Lets go of all connections. Safe to call twice."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        while self._sessions:
            await self._sessions.popitem()[1].close()

    def _session(self, scheme: str) -> aiohttp.ClientSession:
        """One for each scheme, since what may be reached is not the same."""
        if scheme not in self._sessions:
            connector = aiohttp.TCPConnector(
                ssl=self._tls,
                resolver=_Resolver(scheme, self._reach, self._threads),
                socket_factory=partial(_socket, scheme, self._reach),
                limit=_CONNECTIONS,
                limit_per_host=_CONNECTIONS_PER_HOST,
            )
            self._sessions[scheme] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=self._timeout_s, connect=self._timeout_s * 2 / 3),
                headers={"User-Agent": "tickhub", "Accept-Encoding": "identity"},
                auto_decompress=False,
                trust_env=False,
            )
        return self._sessions[scheme]


def _target(url: str) -> URL:
    try:
        target = URL(url, encoded=True)
        named = target.user is not None or target.password is not None
    except ValueError:
        raise NotReachable from None
    if target.scheme not in {"http", "https"} or named:
        raise NotReachable
    return target


class _Barred(OSError):
    """An address is not within reach. An OSError, so that what connects takes it for one that can't be reached."""


class _Resolver(AbstractResolver):
    """Looks names up in threads of their own, so that slow ones hold up nobody else's; refuses where one is barred."""

    def __init__(self, scheme: str, reach: Reach, threads: ThreadPoolExecutor) -> None:
        self._scheme = scheme
        self._reach = reach
        self._threads = threads

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """All addresses of a name. Raises OSError where there are none, or one that must not be reached."""
        name = host.encode()  # not text, of which Python would make something else before asking
        lookup = partial(socket.getaddrinfo, name, port, family, socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, lookup)
        addresses = [(kind, str(place[0])) for kind, _, _, _, place in found]
        if not all(self._reach.allows(self._scheme, address) for _, address in addresses):
            raise _Barred
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=kind,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for kind, address in addresses
        ]

    async def close(self) -> None:
        """There is nothing to close; the threads are the owner's."""


def _socket(scheme: str, reach: Reach, address: tuple[Any, ...]) -> socket.socket:
    """A socket for an address of `getaddrinfo`'s form; the last look at where a request goes."""
    family, kind, protocol, _, place = address
    if not reach.allows(scheme, str(place[0])):
        raise _Barred
    return socket.socket(family, kind, protocol)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """As much of the body as comes: what counts, the status, has been said."""
    body = bytearray()
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                response.close()
                break
    return bytes(body[:MAX_ANSWER_BYTES])


def retry_after(headers: Mapping[str, str]) -> Seconds | None:
    """How long `Retry-After` asks to wait, in either of its forms (RFC 9110, 10.2.3), at most an hour."""
    text = headers.get("Retry-After", "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), LONGEST_RETRY_AFTER_S)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        return None
    return min(max((moment - datetime.now(UTC)).total_seconds(), 0.0), LONGEST_RETRY_AFTER_S)
