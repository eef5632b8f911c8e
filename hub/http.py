"""Publishing over HTTP, and what stands beside the API: health and the first page."""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import files
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import orjson
from msgspec import UNSET, Meta, UnsetType
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from auth.audit import Event, Level
from auth.permissions import Action, Permissions
from channels.broker import Broker
from channels.channel import ChannelNames
from hub.endpoint import Call, Endpoint, Reply
from hub.envelope import success
from hub.trail import event
from schemas.commands import ChannelName
from schemas.errors import CommandError, ErrorCode, Unavailable

log = logging.getLogger("tickhub.hub.http")

Check = Callable[[], Awaitable[None]]


class PublishBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST publish`."""

    channel: ChannelName
    data: Annotated[msgspec.Raw, Meta(extra_json_schema={"type": "object"})]
    idempotency_key: Annotated[str, Meta(min_length=1, max_length=128)] | None = None


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a publication; `epoch` and `offset` where its channel is a log."""

    channel: str
    duplicate: bool
    epoch: str | UnsetType = UNSET
    offset: int | UnsetType = UNSET


class PublishApi:
    """Publishing over HTTP. What API keys publish is noted in the audit trail."""

    def __init__(
        self,
        *,
        broker: Broker,
        names: ChannelNames,
        permissions: Permissions,
        note: Callable[[Event], None],
    ) -> None:
        self._broker = broker
        self._names = names
        self._permissions = permissions
        self._note = note

    @property
    def endpoints(self) -> list[Endpoint]:
        """What belongs to none of the families."""
        unknown = (ErrorCode.UNKNOWN_CHANNEL, ErrorCode.INVALID_SYMBOL)
        return [
            Endpoint("POST", "/publish", self.publish, scope="publish", status=201, also=(200,), errors=unknown),
        ]

    async def publish(self, call: Call, body: PublishBody) -> Reply[Receipt]:
        """Publish one message on one channel, as servers do.

        The same `idempotency_key` publishes once: the second answer is 200 instead of 201.
        """
        channel = self._names.parse(body.channel)
        self._permissions.allow(call.caller, Action.PROVIDE, channel)
        payload = channel.namespace.normalise(bytes(body.data))
        receipt = await self._broker.publish(channel, payload, key=body.idempotency_key)
        if call.caller.scopes is not None:
            self._note(event(call, "publish", level=Level.DEBUG, actor=call.caller.token_id, target=channel.name))
        answer = Receipt(
            channel=channel.name,
            duplicate=receipt.duplicate,
            epoch=receipt.epoch or UNSET,
            offset=receipt.offset if receipt.epoch else UNSET,
        )
        return Reply(answer, 200 if receipt.duplicate else 201)


class Alive(msgspec.Struct, frozen=True, kw_only=True):
    """This process turns; `uptime` is in seconds."""

    status: Literal["ok"]
    uptime: float


class DependencyHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One dependency: its round trip in milliseconds, or why there is none."""

    status: Literal["ok", "unavailable"]
    ms: float | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class HealthReport(msgspec.Struct, frozen=True, kw_only=True):
    """Each dependency, and figures of this process."""

    status: Literal["ok", "degraded"]
    parts: dict[str, DependencyHealth]
    uptime: float


async def health_of(check: Check) -> DependencyHealth:
    """One dependency's answer to a question, or why there is none."""
    before = time.perf_counter()
    try:
        await check()
    except Unavailable as exc:
        return DependencyHealth(status="unavailable", reason=exc.why)
    return DependencyHealth(status="ok", ms=round((time.perf_counter() - before) * 1000, 2))


class Health:
    """`/health` says whether the process lives; `/health/detailed` also asks everything that it depends on."""

    def __init__(self, *, checks: dict[str, Check], facts: Callable[[], dict[str, Any]]) -> None:
        self._checks = checks
        self._facts = facts
        self._started = time.monotonic()

    async def health(self, _: Request) -> Response:
        """Alive: the loop turns and answers. Whether Redis does is no reason to restart this process."""
        return success(Alive(status="ok", uptime=self._uptime))

    async def detailed(self, _: Request) -> Response:
        """Each dependency with its round trip in milliseconds; 503 where one is away."""
        parts = {name: await health_of(check) for name, check in self._checks.items()}
        well = all(part.status == "ok" for part in parts.values())
        report = HealthReport(status="ok" if well else "degraded", parts=parts, uptime=self._uptime)
        return success(msgspec.structs.asdict(report) | self._facts(), 200 if well else 503)

    @property
    def _uptime(self) -> float:
        return round(time.monotonic() - self._started, 1)


class Page:
    """`/`: live prices in a browser, over the same socket as everyone's. Three files, nothing from elsewhere."""

    _TYPES: ClassVar[dict[str, str]] = {"app.js": "text/javascript", "style.css": "text/css"}
    _HEADERS: ClassVar[dict[str, str]] = {
        "Content-Security-Policy": (
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:;"
            " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }

    def __init__(
        self, *, symbols: Callable[[], Sequence[tuple[str, str]]], demo_token: Callable[[Request], str | None]
    ) -> None:
        self._symbols = symbols
        self._demo_token = demo_token
        folder = files("hub").joinpath("page")
        self._html = folder.joinpath("index.html").read_text(encoding="utf-8")
        self._files = {name: folder.joinpath(name).read_bytes() for name in self._TYPES}

    async def index(self, request: Request) -> Response:
        """The page, told what to subscribe; with a token where this hub is a demonstration."""
        boot = {"token": self._demo_token(request), "symbols": self._symbols()}
        text = orjson.dumps(boot).decode().replace("<", "\\u003c")
        return HTMLResponse(self._html.replace("{{boot}}", text), headers=self._HEADERS)

    async def file(self, request: Request) -> Response:
        """One of the page's own files."""
        name = request.path_params["name"]
        if name not in self._files:
            raise CommandError(ErrorCode.NOT_FOUND, "No such file")
        return Response(self._files[name], headers=self._HEADERS, media_type=self._TYPES[name])
