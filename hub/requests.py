"""What a request says: who asks, its body, its query, each checked, with a clear error for what is wrong."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta
from starlette.requests import ClientDisconnect, Request

from auth.identity import Identity
from schemas.errors import CommandError, ErrorCode
from schemas.publications import MAX_BYTES

MAX_BODY_BYTES = MAX_BYTES + 4096
"""A publication and what stands around it."""

Verify = Callable[[str], Awaitable[Identity]]

T = TypeVar("T")


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a list is asked for: `page` from 1."""

    page: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, Meta(ge=1, le=500)] = 50
    sort: Annotated[str, Meta(max_length=32)] = ""
    order: Annotated[str, Meta(pattern="^(asc|desc)$")] = "desc"

    @property
    def offset(self) -> int:
        """How many entries stand before this page."""
        return (self.page - 1) * self.limit

    def of(self, items: Sequence[Any], total: int) -> dict[str, Any]:
        """The answer's data."""
        return {"items": list(items), "total": total, "page": self.page, "limit": self.limit}


async def bearer(request: Request, verify: Verify) -> Identity:
    """Who asks. Raises CommandError UNAUTHORIZED or TOKEN_EXPIRED."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise CommandError(ErrorCode.UNAUTHORIZED, "Expected `Authorization: Bearer` with a token")
    return await verify(token.strip())


async def body(request: Request, kind: type[T]) -> T:
    """The JSON body as a struct. Raises CommandError BAD_REQUEST, or LIMIT_EXCEEDED for one that is too long."""
    raw = bytearray()
    try:
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > MAX_BODY_BYTES:
                raise CommandError(ErrorCode.LIMIT_EXCEEDED, f"A body holds at most {MAX_BODY_BYTES} bytes")
    except ClientDisconnect as exc:
        raise CommandError(ErrorCode.BAD_REQUEST, "The body ended early") from exc
    try:
        return msgspec.json.decode(bytes(raw), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise CommandError(ErrorCode.BAD_REQUEST, str(exc)) from exc


def query(request: Request, kind: type[T]) -> T:
    """The query as a struct; each name once. Raises CommandError BAD_REQUEST."""
    given = request.query_params.multi_items()
    names = [name for name, _ in given]
    if len(set(names)) < len(names):
        raise CommandError(ErrorCode.BAD_REQUEST, "Expected each query parameter at most once")
    try:
        return msgspec.convert(dict(given), kind, strict=False)
    except msgspec.ValidationError as exc:
        raise CommandError(ErrorCode.BAD_REQUEST, str(exc).replace("`$.", "`?")) from exc
