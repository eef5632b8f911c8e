"""What a request says: who asks, its body, its query, each checked, with a clear error for what is wrong."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated, Literal, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta
from starlette.requests import ClientDisconnect, Request

from auth.identity import Identity
from schemas.errors import CommandError, ErrorCode
from schemas.market import EXCHANGES, IST
from schemas.publications import MAX_BYTES
from schemas.validation import bad_request

MAX_BODY_BYTES = MAX_BYTES + 4096
"""A publication and what stands around it."""

BODY_TIMEOUT_S = 10.0
"""How long a body may take to come; who sends a byte now and then would hold a request for ever."""

Verify = Callable[[str], Awaitable[Identity]]

ExchangeText = Annotated[str, Meta(max_length=8)]
"""An exchange in any case; see `exchange_of`."""
Timeframe = Annotated[str, Meta(pattern="^(1m|3m|5m|15m|30m|1h|1d)$")]

_LATEST_S = 2**40
_UNIX_TIME = re.compile(r"[0-9]{1,13}")
_LOST_PLUS = re.compile(r"(?<=[0-9]) (?=[0-9]{2}:?[0-9]{2}$)")

T = TypeVar("T")
Query = TypeVar("Query", bound=msgspec.Struct)


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a list is asked for: `page` from 1."""

    page: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, Meta(ge=1, le=500)] = 50
    sort: Annotated[str, Meta(max_length=32)] | None = None
    order: Literal["asc", "desc"] | None = None

    @property
    def offset(self) -> int:
        """How many entries stand before this page."""
        return (self.page - 1) * self.limit

    def sorted_by(self, *names: str) -> str:
        """What to sort by, the first name where nothing is said. Raises CommandError BAD_REQUEST for any other."""
        if self.sort is not None and self.sort not in names:
            known = ", ".join(dict.fromkeys(names))
            raise CommandError(ErrorCode.BAD_REQUEST, "Expected one of {words} - at `?sort`", words=known)
        return self.sort or names[0]


class NothingQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A query that says nothing."""


def credential(request: Request) -> str | None:
    """The token or key that a request brings, if any. Raises CommandError UNAUTHORIZED for another scheme."""
    header = request.headers.get("authorization")
    if header is None:
        return request.headers.get("x-api-key")
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise CommandError(ErrorCode.UNAUTHORIZED, "Expected `Authorization: Bearer` with a token")
    return token.strip()


async def raw_body(request: Request, *, max_bytes: int = MAX_BODY_BYTES, timeout_s: float = BODY_TIMEOUT_S) -> bytes:
    """The body as it came.

    Raises CommandError BAD_REQUEST for one that ends early or takes too long, LIMIT_EXCEEDED for one that is too long.
    """
    raw = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.stream():
                raw += chunk
                if len(raw) > max_bytes:
                    raise CommandError(ErrorCode.LIMIT_EXCEEDED, "A body holds at most {count} bytes", count=max_bytes)
    except ClientDisconnect as exc:
        raise CommandError(ErrorCode.BAD_REQUEST, "The body ended early") from exc
    except TimeoutError as exc:
        raise CommandError(ErrorCode.BAD_REQUEST, "The body took too long to come") from exc
    return bytes(raw)


async def body(
    request: Request, kind: type[T], *, max_bytes: int = MAX_BODY_BYTES, timeout_s: float = BODY_TIMEOUT_S
) -> T:
    """The JSON body as a struct; without one as an empty object. Raises CommandError as `raw_body`, or BAD_REQUEST."""
    raw = await raw_body(request, max_bytes=max_bytes, timeout_s=timeout_s)
    try:
        return msgspec.json.decode(raw or b"{}", type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise bad_request(str(exc)) from exc


def query(request: Request, kind: type[Query]) -> Query:
    """The query as a struct; each name once. Raises CommandError BAD_REQUEST."""
    given = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    names = [name for name, _ in given]
    if len(set(names)) < len(names):
        raise CommandError(ErrorCode.BAD_REQUEST, "Expected each query parameter at most once")
    try:
        return msgspec.convert(dict(given), kind, strict=False)
    except msgspec.ValidationError as exc:
        raise _unknown(names, kind) or bad_request(str(exc).replace("`$.", "`?")) from exc


def _unknown(names: Sequence[str], kind: type[msgspec.Struct]) -> CommandError | None:
    """The refusal of a parameter that a query has not, where there is one; msgspec doesn't say its place."""
    if not kind.__struct_config__.forbid_unknown_fields:
        return None
    unknown = next((name for name in names if name not in kind.__struct_encode_fields__), None)
    if unknown is None:
        return None
    return CommandError(ErrorCode.BAD_REQUEST, "There is no parameter `?{name}`", name=unknown)


def exchange_of(text: str, place: str = "?exchange") -> str:
    """An exchange as the hub writes it. Raises CommandError BAD_REQUEST, naming `place`."""
    if text.upper() not in EXCHANGES:
        raise CommandError(
            ErrorCode.BAD_REQUEST,
            "Expected an exchange out of {exchanges} - at `{place}`",
            exchanges=" ".join(sorted(EXCHANGES)),
            place=place,
        )
    return text.upper()


def moment_of(text: str | int, place: str) -> int:
    """A time in Unix seconds, from such or from ISO 8601; a day is its midnight, and without a zone it is India's.

    Raises CommandError BAD_REQUEST, naming `place`.
    """
    if isinstance(text, int) or _UNIX_TIME.fullmatch(text):
        seconds = int(text)
    else:
        try:
            read = datetime.fromisoformat(_LOST_PLUS.sub("+", text))  # an offset's + in a query means a space
        except ValueError:
            raise CommandError(
                ErrorCode.BAD_REQUEST, "Expected a time, ISO 8601 or Unix - at `{place}`", place=place
            ) from None
        seconds = int((read.replace(tzinfo=IST) if read.tzinfo is None else read).timestamp())
    if not 0 <= seconds <= _LATEST_S:
        raise CommandError(ErrorCode.BAD_REQUEST, "Expected a time since 1970, in seconds - at `{place}`", place=place)
    return seconds
