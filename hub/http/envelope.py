"""The one envelope of every HTTP answer, and what becomes of errors; never a stack trace."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from auth.limits import RateLimited
from hub.http.limits import refusal_headers
from hub.languages import DEFAULT, language_at, say, tell
from hub.logs import request_id
from schemas.errors import HTTP_STATUS, CommandError, ErrorCode, Unavailable
from schemas.phrases import Phrase, translatable

log = logging.getLogger("tickhub.hub.http.envelope")

_STATUS_CODE = {
    401: ErrorCode.UNAUTHORIZED,
    403: ErrorCode.PERMISSION_DENIED,
    404: ErrorCode.NOT_FOUND,
    405: ErrorCode.BAD_REQUEST,
}
_DETAILS = (translatable("Not Found"), translatable("Method Not Allowed"))  # Starlette's words for what is no route


def success(data: Any, status: int = 200) -> Response:
    """The envelope of a good answer."""
    return _json({"status": "success", "data": data, "timestamp": _now()}, status)


def failure(
    code: ErrorCode,
    message: str,
    *,
    status: int | None = None,
    headers: dict[str, str] | None = None,
    details: Mapping[str, Any] | None = None,
    language: str = DEFAULT,
) -> Response:
    """The envelope of a failure, whose message is in that language; the status is the code's own where none is given.

    `error.details` holds the request's id beside what is given.
    """
    said = {"Content-Language": language, "Vary": "Accept-Language", **(headers or {})}
    error: dict[str, Any] = {"code": code, "message": message}
    name = request_id()
    if name or details:
        error["details"] = {**(details or {}), **({"request_id": name} if name else {})}
    return _json({"status": "error", "error": error, "timestamp": _now()}, status or HTTP_STATUS[code], said)


def _json(body: Any, status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def on_command_error(request: Request, exc: Exception) -> Response:
    """A refused request."""
    if not isinstance(exc, CommandError):
        raise exc
    return _told(request, exc, _headers(exc))


def _told(request: Request, error: CommandError, headers: dict[str, str] | None = None) -> Response:
    language = language_at(request)
    column = error.values.get("column")  # of a text that can't be read, so that an editor can point at it
    details = {"column": column} if isinstance(column, int) else None
    return failure(error.code, tell(error, language), headers=headers, details=details, language=language)


def _headers(exc: CommandError) -> dict[str, str] | None:
    """What HTTP says of a refusal beside its status."""
    if isinstance(exc, RateLimited):
        return refusal_headers(exc.allowance)
    if exc.code in (ErrorCode.UNAUTHORIZED, ErrorCode.TOKEN_EXPIRED):
        return {"WWW-Authenticate": "Bearer"}
    return None


async def on_unavailable(request: Request, exc: Exception) -> Response:
    """A server that we depend on is away."""
    if not isinstance(exc, Unavailable):
        raise exc
    return _told(request, exc.refusal, {"Retry-After": "2"})


async def on_http_exception(request: Request, exc: Exception) -> Response:
    """A route that does not exist, or not for this method."""
    if not isinstance(exc, HTTPException):
        raise exc
    headers = dict(exc.headers) if exc.headers else None
    other = ErrorCode.BAD_REQUEST if exc.status_code < 500 else ErrorCode.INTERNAL
    code = _STATUS_CODE.get(exc.status_code, other)
    language = language_at(request)
    told = say(Phrase(exc.detail), language)
    return failure(code, told, status=exc.status_code, headers=headers, language=language)


async def on_bug(request: Request, exc: Exception) -> Response:
    """Anything else is a bug of ours: the log has it, the caller gets no more than that it happened."""
    log.error("http.bug", exc_info=exc, extra={"method": request.method, "path": request.url.path})
    return _told(request, CommandError(ErrorCode.INTERNAL, "Something went wrong on our side"))


EXCEPTION_HANDLERS: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
    CommandError: on_command_error,
    Unavailable: on_unavailable,
    HTTPException: on_http_exception,
    Exception: on_bug,
}
