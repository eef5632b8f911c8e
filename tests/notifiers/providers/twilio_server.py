"""Twilio on loopback: keeps messages and calls, answers as a test wants, and calls back, signed with the SDK's signer.

async with TwilioServer() as twilio:
    ...                                   # the hub sends: twilio.created, twilio.resources
    await twilio.advance("SM1", "sent")   # the status changes, and its callback goes out
    await twilio.press("CA1", "1")        # a key in a call; answers with the TwiML that came back
"""

import asyncio
import base64
import json
import re
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET

import aiohttp
from twilio.request_validator import (  # type: ignore[import-untyped]
    SIGNATURE_HEADER,
    SIGNATURE_SETTINGS_HEADER,
    RequestValidator,
)

ACCOUNT = "AC1"
TOKEN = "token"

_PATH = re.compile(r".*/2010-04-01/Accounts/(?P<account>\w+)/(?P<family>Messages|Calls)(?:/(?P<sid>\w+))?\.json")
_PREFIXES = {"Messages": "SM", "Calls": "CA"}


Carry = Callable[[str, dict[str, str], dict[str, str]], Awaitable[tuple[int, str]]]
"""`(url, form, headers)`: status and body of the answer."""


async def over_http(url: str, form: dict[str, str], headers: dict[str, str]) -> tuple[int, str]:
    """As Twilio does it."""
    limit = aiohttp.ClientTimeout(total=10)
    async with (
        aiohttp.ClientSession(timeout=limit) as session,
        session.post(url, data=form, headers=headers) as answer,
    ):
        return answer.status, await answer.text()


class Resource:
    """A message or a call, as Twilio keeps it."""

    def __init__(self, family: str, sid: str, form: dict[str, str], made_at: float) -> None:
        self.family = family
        self.sid = sid
        self.form = form
        self.made_at = made_at
        self.status = "accepted" if "MessagingServiceSid" in form else "queued"
        self.error_code: int | None = None
        self.num_segments = "0"
        self.answered_by: str | None = None
        self.sequence = -1

    @property
    def is_call(self) -> bool:
        return self.family == "Calls"

    def shown(self) -> dict[str, Any]:
        """As the API shows it."""
        made = formatdate(self.made_at)
        shown: dict[str, Any] = {
            "sid": self.sid,
            "account_sid": ACCOUNT,
            "status": self.status,
            "to": self.form.get("To"),
            "from": self.form.get("From"),
            "direction": "outbound-api",
            "date_created": made,
            "date_updated": made,
        }
        if self.is_call:
            return shown | {"answered_by": self.answered_by}
        sent = None if self.status in ("queued", "accepted") else made
        return shown | {
            "body": self.form["Body"],
            "error_code": self.error_code,
            "date_sent": sent,
            "num_segments": self.num_segments,
        }

    def told(self) -> dict[str, str]:
        """What a callback says of it."""
        told = {"AccountSid": ACCOUNT, "To": self.form.get("To", ""), "From": self.form.get("From", "")}
        if self.is_call:
            told |= {"CallSid": self.sid, "CallStatus": self.status, "SequenceNumber": str(self.sequence)}
            return told | ({"AnsweredBy": self.answered_by} if self.answered_by else {})
        told |= {"MessageSid": self.sid, "MessageStatus": self.status, "SmsSid": self.sid, "SmsStatus": self.status}
        return told | ({"ErrorCode": str(self.error_code)} if self.error_code else {})


class TwilioServer:
    """A message is created whatever is answered, unless `refuse` was called."""

    def __init__(self, *, token: str = TOKEN) -> None:
        self.created: list[dict[str, str]] = []
        """What was asked for, messages and calls."""
        self.resources: dict[str, Resource] = {}
        self.paths: list[str] = []
        self.logins: list[str] = []
        self.hold = asyncio.Event()
        """Cleared, answers are held until it is set."""
        self.hold.set()
        self.cut = False
        """Cut the line instead of answering."""
        self.early: list[str] = []
        """Statuses that are called back before a create is answered."""
        self.callbacks: list[tuple[str, int]] = []
        """Status and HTTP status of all callbacks that went out."""
        self.carry: Carry = over_http
        """Brings a request to the hub, wherever its address really is."""
        self.signed_for: str | None = None
        """Another token to sign with, as somebody would who doesn't know ours."""
        self.algorithm: str | None = None
        """HMAC_SHA256, as webhooks with a shared key have it."""
        self.wall = time.time
        self._token = token
        self._refusal: tuple[int, bytes, dict[str, str]] | None = None
        self._answer: tuple[int, bytes] | None = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/proxy"

    def refuse(self, status: int, code: int | None, *, retry_after: str | None = None) -> None:
        """Create nothing, and say so as Twilio does; without a code as something between here and there does."""
        body = {"code": code, "message": "No to +919876543210", "status": status} if code else None
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        self._refusal = (status, json.dumps(body).encode() if body else b"<html>Bad Gateway</html>", headers)

    def answer(self, status: int, body: bytes) -> None:
        """Answer this, whatever was done."""
        self._answer = (status, body)

    def recover(self) -> None:
        """Do from now on what Twilio does."""
        self._refusal = self._answer = None
        self.cut = False
        self.hold.set()

    # -- what Twilio does by itself -----------------------------------------------------------------------------------

    async def advance(
        self, sid: str, status: str, *, code: int | None = None, answered_by: str | None = None, times: int = 1
    ) -> list[int]:
        """Something has become of a message or a call; what its callback was answered, so many times."""
        one = self.resources[sid]
        one.status, one.error_code, one.sequence = status, code, one.sequence + 1
        one.answered_by = answered_by or one.answered_by
        return [await self._called_back(one, one.told()) for _ in range(times)]

    async def repeat(self, sid: str, status: str) -> int:
        """Call back with an older status once more; nothing else has changed."""
        one = self.resources[sid]
        return await self._called_back(one, one.told() | {("CallStatus" if one.is_call else "MessageStatus"): status})

    async def press(self, sid: str, digits: str) -> tuple[int, str]:
        """Press a key in a call: status and TwiML of what was answered."""
        one = self.resources[sid]
        gather = ET.fromstring(one.form["Twiml"]).find("Gather")
        assert gather is not None
        return await self.post(gather.attrib["action"], one.told() | {"CallStatus": "in-progress", "Digits": digits})

    async def post(self, url: str, form: dict[str, str]) -> tuple[int, str]:
        """A signed request to the hub: status and body of its answer."""
        validator = RequestValidator(self.signed_for or self._token)
        headers = {SIGNATURE_HEADER: validator.compute_signature(url, form, self.algorithm)}
        if self.algorithm:
            headers[SIGNATURE_SETTINGS_HEADER] = f"key=webhooks_sharedkey_1,algorithm={self.algorithm}"
        return await self.carry(url, form, headers)

    async def _called_back(self, one: Resource, form: dict[str, str]) -> int:
        url = one.form.get("StatusCallback")
        if url is None:
            return 0
        status, _ = await self.post(url, form)
        self.callbacks.append((one.status, status))
        return status

    # -- the API ------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.hold.set()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            status, body, headers = await self._act(*await _request(reader))
            await self.hold.wait()
            if not self.cut:
                lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close"]
                lines += [f"{name}: {value}" for name, value in headers.items()]
                writer.write("\r\n".join([*lines, "", ""]).encode() + body)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _act(
        self, method: str, target: str, headers: dict[str, str], form: dict[str, str]
    ) -> tuple[int, bytes, dict[str, str]]:
        path, _, query = target.partition("?")
        self.paths.append(path)
        self.logins.append(base64.b64decode(headers["authorization"].partition(" ")[2]).decode())
        if self._refusal is not None:
            return self._refusal
        found = _PATH.fullmatch(path)
        assert found, path
        if method == "POST":
            status, shown = 201, await self._create(found["family"], form)
        elif found["sid"]:
            one = self.resources.get(found["sid"])
            status, shown = (200, one.shown()) if one else (404, {"code": 20404, "message": "No", "status": 404})
        else:
            status, shown = 200, self._listed(found["family"], dict(parse_qsl(query)))
        if self._answer is not None:
            return (*self._answer, {})
        return status, json.dumps(shown).encode(), {}

    async def _create(self, family: str, form: dict[str, str]) -> dict[str, Any]:
        self.created.append(form)
        count = sum(one.family == family for one in self.resources.values())
        one = Resource(family, f"{_PREFIXES[family]}{count + 1}", form, self.wall())
        self.resources[one.sid] = one
        shown = one.shown()
        for status in self.early:
            await self.advance(one.sid, status)
        return shown

    def _listed(self, family: str, query: dict[str, str]) -> dict[str, Any]:
        """Newest first; `DateSent>` leaves out what was not sent yet, as it has no such date."""
        found = [one.shown() for one in reversed(self.resources.values()) if one.family == family]
        for name, key in (("To", "to"), ("From", "from")):
            found = [one for one in found if name not in query or one[key] == query[name]]
        if "DateSent>" in query:
            found = [one for one in found if one.get("date_sent")]
        page = found[: int(query.get("PageSize", "50"))]
        return {family.lower(): page, "page": 0, "page_size": 50, "next_page_uri": None, "uri": "/"}


async def _request(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str], dict[str, str]]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    method, target, _ = first.split(" ")
    fields: dict[str, str] = {}
    for name, value in parse_qsl(body.decode(), keep_blank_values=True):
        fields[name] = f"{fields[name]} {value}" if name in fields else value  # StatusCallbackEvent comes several times
    return method, target, headers, fields
