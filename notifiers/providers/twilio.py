"""Twilio's API: one request for each question, and what its answers mean.

Creating a message or a call can't be repeated safely: Twilio has no key that would make two requests one. So `create`
tells apart what surely did not happen (`Unavailable`, `Refused`) from what may have (`OutcomeUnknown`); `read` changes
nothing, and knows no doubt.
"""

import base64
from collections.abc import Awaitable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import msgspec
from twilio.base.exceptions import (  # type: ignore[import-untyped]
    TwilioException,
    TwilioRestException,
    TwilioServiceException,
)
from twilio.http.async_http_client import AsyncTwilioHttpClient  # type: ignore[import-untyped]
from twilio.http.response import Response  # type: ignore[import-untyped]
from twilio.rest import Client  # type: ignore[import-untyped]

from notifiers.errors import Blame, OutcomeUnknown, Refused
from schemas.durations import Seconds
from schemas.errors import Unavailable
from schemas.secret import Secret

MAX_ANSWER_BYTES = 256 * 1024
TIMEOUT_S: Seconds = 15.0
LONGEST_RETRY_AFTER_S: Seconds = 3600.0
LATER_S: Seconds = 120.0
"""When to ring again at a telephone that is switched off, out of reach or busy."""


LISTED = 50
"""How many of the newest messages or calls to one number are looked through."""
CLOCKS_APART_MS = 10_000

_LEAST_CODE = 10_000
"""Twilio's codes have five digits; where it gave none, its SDK puts the HTTP status there."""

_FOR_NOW = frozenset({10004, 14107, 20429, 21611, 30001, 30017, 63018})
"""Codes that pass by themselves: too fast, too many at once, too much waiting."""
_BLAMES: Mapping[Blame, frozenset[int]] = {
    Blame.ADDRESS: frozenset({21211, 21214, 21217, 21610, 21614, 30005, 30006}),
    Blame.HANDSET: frozenset({30003, 30008, 30500}),
    Blame.PROVIDER: frozenset({
        10001, 20003, 21215, 21408, 21606, 21612, 21701, 21703, 21704, 30002, 30004, 30007, 30024, 30042, 30450,
    }),
}  # fmt: skip
"""Whose fault a code is, see https://www.twilio.com/docs/api/errors; of no code here it is the message's."""
STOPPED = 21610
"""They have answered STOP, and Twilio sends them nothing more."""

_NEVER_ASKED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)
_BROKEN = (TwilioException, aiohttp.ClientError, OSError, TimeoutError, ValueError, LookupError, TypeError)
"""What its SDK and its HTTP client raise for an answer that stays away or makes no sense."""

T = TypeVar("T")


class Twilio:
    """An account at Twilio. `client` is the SDK's; its calls are awaited by `create` and `read`."""

    def __init__(
        self, account_sid: str, auth_token: Secret, *, base_url: str | None = None, timeout_s: Seconds = TIMEOUT_S
    ) -> None:
        """`base_url` is another address of the API, maybe with a path; None: Twilio's own."""
        self.client = Client(account_sid, auth_token.reveal(), http_client=_BoundedHttp(base_url, timeout_s))

    async def create(self, asked: Awaitable[T]) -> T:
        """What was created. Raises Refused, Unavailable or OutcomeUnknown; cancelling leaves the outcome open."""
        try:
            return await asked
        except (TwilioRestException, TwilioServiceException) as exc:
            raise _translated(exc.status, exc.code) from exc
        except _NEVER_ASKED as exc:
            raise Unavailable("Twilio", type(exc).__name__) from exc
        except _BROKEN as exc:
            raise OutcomeUnknown("Twilio", type(exc).__name__) from exc

    async def read(self, asked: Awaitable[T]) -> T | None:
        """What is there; None if it is not. Raises Unavailable, and Refused where the account may not ask."""
        try:
            return await asked
        except (TwilioRestException, TwilioServiceException) as exc:
            if exc.status == 404:
                return None
            refused = _translated(exc.status, exc.code)
            if isinstance(refused, Refused):
                raise refused from exc
            raise Unavailable("Twilio", f"HTTP {exc.status}") from exc
        except _BROKEN as exc:
            raise Unavailable("Twilio", type(exc).__name__) from exc

    async def check(self) -> None:
        """Asks whether the account may be used, and sends nothing. Raises Unavailable, or Refused where it may not."""
        if await self.read(self.client.api.accounts(self.client.account_sid).fetch_async()) is None:
            raise Refused("Twilio 20404", permanent=True, blame=Blame.PROVIDER)


def refusal(code: int, *, retry_after_s: Seconds | None = None) -> Refused:
    """What one of Twilio's codes means, as an answer to a request or as how a message ended."""
    blame = next((blame for blame, codes in _BLAMES.items() if code in codes), Blame.MESSAGE)
    if blame is Blame.HANDSET:
        return Refused(f"Twilio {code}", permanent=False, blame=blame, retry_after_s=LATER_S)
    return Refused(f"Twilio {code}", permanent=code not in _FOR_NOW, blame=blame, retry_after_s=retry_after_s)


def _translated(status: int, code: Any) -> Refused | OutcomeUnknown:
    known = isinstance(code, int) and code >= _LEAST_CODE
    return refusal(code) if status < 500 and known else OutcomeUnknown("Twilio", f"HTTP {status}")


class _BoundedHttp(AsyncTwilioHttpClient):  # type: ignore[misc]
    """Twilio's own HTTP client forgets its timeout, knows no other address and logs numbers: this one doesn't.

    Each request has a connection of its own: one that has rested may be closed under the next request, and nobody
    could tell whether that was read.
    """

    def __init__(self, base_url: str | None, timeout_s: Seconds) -> None:
        super().__init__(pool_connections=False)
        self._base_url = urlsplit(base_url) if base_url else None
        self._timeout_s = timeout_s

    async def request(  # noqa: PLR0917 - the signature is Twilio's
        self,
        method: str,
        url: str,
        params: dict[str, str] | None = None,
        data: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is Twilio's
        allow_redirects: bool = False,
    ) -> Response:
        """One request, never repeated.

        Raises Refused for one too many, else what aiohttp raises, and ValueError for an answer that is none.
        """
        del timeout, allow_redirects
        sent = dict(headers or {})
        if auth is not None:
            sent["Authorization"] = "Basic " + base64.b64encode(":".join(auth).encode()).decode()
        limit = aiohttp.ClientTimeout(total=self._timeout_s, sock_connect=self._timeout_s / 2)
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.request(
                method, self._addressed(url), params=params, data=data, headers=sent, allow_redirects=False
            ) as response,
        ):
            body = await _bounded(response)
            return _checked(method, response.status, body, dict(response.headers))

    def _addressed(self, url: str) -> str:
        if self._base_url is None:
            return url
        asked, base = urlsplit(url), self._base_url
        return urlunsplit((base.scheme, base.netloc, base.path.rstrip("/") + asked.path, asked.query, ""))


class _Created(msgspec.Struct):
    sid: str


def _checked(method: str, status: int, body: bytes, headers: dict[str, str]) -> Response:
    if status == 429:  # the SDK would lose when to come again
        raise Refused("Twilio 20429", permanent=False, retry_after_s=_retry_after_s(headers))
    if status < 300:
        msgspec.json.decode(body, type=_Created if method.upper() == "POST" else dict)
    return Response(status, body.decode(errors="replace"), headers)


def _retry_after_s(headers: Mapping[str, str]) -> Seconds | None:
    given = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    return min(float(given), LONGEST_RETRY_AFTER_S) if given.isascii() and given.isdigit() else None


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise ValueError(f"more than {MAX_ANSWER_BYTES} bytes")
    return bytes(body)


async def newest(resource: Any, **filters: str) -> list[Any]:
    """The newest messages or calls that have these; one page, newest first."""
    page = await resource.page_async(**filters, page_size=LISTED)
    return list(page)


def created_since(listed: Iterable[Any] | None, since_ms: int) -> Iterator[Any]:
    """Those that were made since then: by Twilio's clock, which may be a little behind ours, and knows only seconds."""
    for one in listed or ():
        made: datetime | None = one.date_created
        if made is None or made.timestamp() * 1000 >= since_ms - CLOCKS_APART_MS:
            yield one
