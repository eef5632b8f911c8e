"""The one envelope of every HTTP answer, and what becomes of errors; never a stack trace."""

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from schemas.errors import HTTP_STATUS, CommandError, ErrorCode, Unavailable

log = logging.getLogger("tickhub.hub.http")

_STATUS_CODE = {
    401: ErrorCode.UNAUTHORIZED,
    403: ErrorCode.PERMISSION_DENIED,
    404: ErrorCode.NOT_FOUND,
    405: ErrorCode.BAD_REQUEST,
}


def success(data: Any, status: int = 200) -> Response:
    """The envelope of a good answer."""
    return _json({"status": "success", "data": data, "timestamp": _now()}, status)


def failure(
    code: ErrorCode, message: str, *, status: int | None = None, headers: dict[str, str] | None = None
) -> Response:
    """The envelope of a failure; the status is the code's own where none is given."""
    body = {"status": "error", "error": {"code": code, "message": message}, "timestamp": _now()}
    return _json(body, status or HTTP_STATUS[code], headers)


def _json(body: Any, status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def on_command_error(_: Request, exc: Exception) -> Response:
    """A refused request."""
    if not isinstance(exc, CommandError):
        raise exc
    unauthorized = exc.code in (ErrorCode.UNAUTHORIZED, ErrorCode.TOKEN_EXPIRED)
    return failure(exc.code, exc.message, headers={"WWW-Authenticate": "Bearer"} if unauthorized else None)


async def on_unavailable(_: Request, exc: Exception) -> Response:
    """A server that we depend on is away."""
    return failure(ErrorCode.NOT_AVAILABLE, str(exc), headers={"Retry-After": "2"})


async def on_http_exception(_: Request, exc: Exception) -> Response:
    """A route that does not exist, or not for this method."""
    if not isinstance(exc, HTTPException):
        raise exc
    headers = dict(exc.headers) if exc.headers else None
    code = _STATUS_CODE.get(exc.status_code, ErrorCode.INTERNAL)
    return failure(code, exc.detail, status=exc.status_code, headers=headers)


async def on_bug(request: Request, exc: Exception) -> Response:
    """Anything else is a bug of ours: the log has it, the caller gets no more than that it happened."""
    log.error("http.bug", exc_info=exc, extra={"method": request.method, "path": request.url.path})
    return failure(ErrorCode.INTERNAL, "Something went wrong on our side")


EXCEPTION_HANDLERS: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
    CommandError: on_command_error,
    Unavailable: on_unavailable,
    HTTPException: on_http_exception,
    Exception: on_bug,
}
