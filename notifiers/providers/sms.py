"""SMS, out through Twilio or into files: one port, two twins.

Sending an SMS can't be repeated safely: Twilio has no key that would make two requests one. So the port tells apart
what was surely not sent (`Unavailable`, `Refused`) from what may have been (`OutcomeUnknown`).
"""

import asyncio
import base64
import logging
from pathlib import Path
from typing import Any, Protocol
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

from notifiers.errors import OutcomeUnknown, Refused
from notifiers.providers.files import Outbox
from notifiers.wording.letters import Sms
from schemas.durations import Seconds
from schemas.errors import Unavailable
from schemas.secret import Secret

log = logging.getLogger("tickhub.notifiers.providers.sms")

MAX_ANSWER_BYTES = 256 * 1024
VALID_FOR_S = 600
"""How long Twilio may try: a code that comes later is of no use. Twilio's own default is ten hours."""

_FOR_NOW = frozenset({14107, 20429, 21611, 30001})
"""Codes of Twilio's that pass by themselves: too fast, too much waiting."""
_LEAST_CODE = 10_000
"""Twilio's codes have five digits; where it gave none, its SDK puts the HTTP status there."""


class Texter(Protocol):
    """Hands text messages on."""

    async def send(self, sms: Sms) -> str:
        """Returns once somebody else has taken the text over, with what they call it.

        Raises Refused or Unavailable: it was not sent; OutcomeUnknown: it may have been. Cancelling leaves that open.
        """

    async def close(self) -> None:
        """Lets go of all connections. Safe to call twice."""


class FileTexter:
    """Writes texts into files instead of sending them."""

    def __init__(self, folder: Path) -> None:
        self._outbox = Outbox(folder)
        self._said = False

    async def send(self, sms: Sms) -> str:
        """See `Texter`."""
        if not self._said:
            self._said = True
            log.info("sms.to_files", extra={"folder": str(self._outbox.folder)})
        content = f"To: {sms.to}\n\n{sms.text}\n".encode()
        return (await asyncio.to_thread(self._outbox.keep, sms.kind, sms.id, "sms.txt", content)).name

    async def close(self) -> None:
        """See `Texter`."""


class TwilioTexter:
    """Sends texts through Twilio, each of them with one request."""

    def __init__(
        self,
        account_sid: str,
        auth_token: Secret,
        *,
        sender: str | None = None,
        messaging_service_sid: str | None = None,
        base_url: str | None = None,
        timeout_s: Seconds = 15.0,
    ) -> None:
        """`sender` is a number of the account's, or the service chooses one. Raises ValueError without either."""
        if not sender and not messaging_service_sid:
            raise ValueError("a text needs a sender: a number or a messaging service")
        origin = {"messaging_service_sid": messaging_service_sid} if messaging_service_sid else {"from_": sender}
        self._origin = origin
        http = _BoundedHttp(base_url, timeout_s)
        self._client = Client(account_sid, auth_token.reveal(), http_client=http)

    async def send(self, sms: Sms) -> str:
        """See `Texter`."""
        try:
            message = await self._client.messages.create_async(
                to=sms.to, body=sms.text, validity_period=VALID_FOR_S, **self._origin
            )
        except (TwilioRestException, TwilioServiceException) as exc:
            raise _translated(exc.status, exc.code) from exc
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as exc:
            raise Unavailable("Twilio", type(exc).__name__) from exc
        except (TwilioException, aiohttp.ClientError, OSError, TimeoutError, ValueError) as exc:
            raise OutcomeUnknown("Twilio", type(exc).__name__) from exc
        return str(message.sid)

    async def close(self) -> None:
        """See `Texter`."""


class _BoundedHttp(AsyncTwilioHttpClient):  # type: ignore[misc]
    """Twilio's own HTTP client forgets its timeout, knows no other address and logs numbers: this one doesn't."""

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
        """One request, never repeated. Raises what aiohttp raises, and ValueError for an answer that is none."""
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
            if response.status < 300:
                msgspec.json.decode(body, type=_Created)
            return Response(response.status, body.decode(errors="replace"), dict(response.headers))

    def _addressed(self, url: str) -> str:
        if self._base_url is None:
            return url
        asked, base = urlsplit(url), self._base_url
        return urlunsplit((base.scheme, base.netloc, base.path.rstrip("/") + asked.path, asked.query, ""))


class _Created(msgspec.Struct):
    sid: str


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise ValueError(f"more than {MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def _translated(status: int, code: Any) -> Refused | OutcomeUnknown:
    """What Twilio's answer means for the text: https://www.twilio.com/docs/api/errors."""
    known = isinstance(code, int) and code >= _LEAST_CODE
    if status == 429 or (known and code in _FOR_NOW):
        return Refused(f"Twilio {code}", permanent=False)
    if status < 500 and known:
        return Refused(f"Twilio {code}", permanent=True)
    return OutcomeUnknown("Twilio", f"HTTP {status}")
