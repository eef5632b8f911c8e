"""One route of the HTTP API, described once: what dispatches a request by it also writes the documentation from it.

A handler's signature is the description. Its first parameter is the `Call`; `query` and `body`, where it has them, are
msgspec structs, read and checked before it runs; what it returns is the `data` of the envelope:

    async def update(self, call: Call, body: ChangesBody) -> SignalView: ...

    Endpoint("PUT", "/signals/{id}", self.update, scope="signals:write", errors=(ErrorCode.NOT_FOUND,))

A `Reply` says the status or headers as well; a Response of Starlette's (a file, a redirect) goes out as it is.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from auth.identity import Identity
from schemas.errors import CommandError, ErrorCode

T_co = TypeVar("T_co", covariant=True)

Handler = Callable[..., Awaitable[Any]]

SCHEMAS = "#/components/schemas/"
"""Where a document keeps its structs."""


class Access(StrEnum):
    """Who may call. Finer questions (a plan, a publisher's role, whose object it is) are the handler's."""

    PUBLIC = "public"
    BEARER = "bearer"
    """Every good token, and API keys that have the endpoint's scope."""
    ADMIN = "admin"
    """Tokens of administrators; no key."""


class Reply(msgspec.Struct, Generic[T_co], frozen=True):
    """An answer that says more than its data."""

    data: T_co
    status: int = 200
    headers: Mapping[str, str] = {}


class Nothing(msgspec.Struct, frozen=True):
    """Nothing but that it was done."""


def encoded(model: type[msgspec.Struct]) -> Meta:
    """Annotates a `msgspec.Raw` in an answer that holds the JSON of such a struct, so that it is documented as one."""
    return Meta(extra={"encodes": model}, extra_json_schema={"$ref": f"{SCHEMAS}{model.__name__}"})


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request: who asks, from where. `address` is the client's as far as trusted proxies tell."""

    request: Request
    identity: Identity | None
    address: str
    language: str
    request_id: str

    @property
    def caller(self) -> Identity:
        """Who asks. Raises CommandError UNAUTHORIZED on a public endpoint without a token."""
        if self.identity is None:
            raise CommandError(ErrorCode.UNAUTHORIZED, "Expected `Authorization: Bearer` with a token")
        return self.identity

    @property
    def user_agent(self) -> str:
        """What the client says that it is; at most 256 characters."""
        return self.request.headers.get("user-agent", "")[:256]

    def path(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])


class Endpoint:
    """One method of one path under `/api/v1`.

    `scope` is what an API key needs; without one no key is taken. `limit` is the class of rate limit, None for what
    proves itself by a signature before anything is done for it. `status` is that of success, `also` others that it may
    have. `errors` are the codes of the handler's own, beside those that every endpoint of its kind may answer.
    `media_type` is that of a Response which its class doesn't tell. `form` names the fields of an urlencoded body,
    which the handler reads itself.
    """

    def __init__(
        self,
        method: str,
        path: str,
        handle: Handler,
        *,
        access: Access = Access.BEARER,
        scope: str | None = None,
        limit: str | None = "default",
        status: int = 200,
        also: tuple[int, ...] = (),
        errors: tuple[ErrorCode, ...] = (),
        max_body_bytes: int | None = None,
        media_type: str | None = None,
        form: tuple[str, ...] = (),
    ) -> None:
        """Raises TypeError for a handler whose signature describes no endpoint."""
        self.method = method
        self.path = path
        self.handle = handle
        self.access = access
        self.scope = scope
        self.limit = limit
        self.status = status
        self.also = also
        self.errors = errors
        self.max_body_bytes = max_body_bytes
        self.media_type = media_type
        self.form = form
        hints = get_type_hints(handle, include_extras=True)
        names = list(inspect.signature(handle).parameters)
        if not names or hints[names[0]] is not Call or not set(names[1:]) <= {"query", "body"}:
            raise TypeError(f"{handle.__qualname__}: expected (call: Call) and perhaps query and body")
        self.query_type: type | None = hints.get("query")
        self.body_type: Any = hints.get("body")
        self.answer_type: Any = _inner(hints["return"])

    @property
    def description(self) -> str:
        """The handler's docstring: its first line is the summary."""
        return inspect.getdoc(self.handle) or ""

    @property
    def raw(self) -> bool:
        """Whether the handler answers without the envelope."""
        return isinstance(self.answer_type, type) and issubclass(self.answer_type, Response)


def _inner(answer: Any) -> Any:
    """Of `Reply[T]` the T."""
    return get_args(answer)[0] if get_origin(answer) is Reply else answer
