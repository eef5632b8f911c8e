"""From a request to its endpoint's handler and back: token, rate limit, rights, query, body, envelope."""

from collections.abc import Callable, Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from auth.identity import Identity
from auth.limits import Rule
from auth.permissions import allow_admin, allow_scope
from hub.http.endpoint import Access, Call, Endpoint, Reply
from hub.http.envelope import success
from hub.http.requests import MAX_BODY_BYTES, NothingQuery, Verify, body, credential, query
from hub.languages import SCOPE
from schemas.errors import CommandError, ErrorCode


class Areas:
    """Routes by the first part of their path: Starlette tries one after the other, and of those there are many.

    To be mounted at a path.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = list(routes)
        """All of them, for whoever looks through an application's routes."""
        self._nowhere = Router()
        self._routers: dict[str, Router] = {}
        for route in self.routes:
            self._routers.setdefault(_area(route.path), Router()).routes.append(route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Along the routes of the path's area."""
        area = _area(scope["path"].removeprefix(scope["root_path"]))
        await self._routers.get(area, self._nowhere)(scope, receive, send)


def _area(path: str) -> str:
    return path[1:].partition("/")[0]


class Dispatcher:
    """Makes routes of endpoints."""

    def __init__(
        self,
        *,
        verify: Verify,
        limit: Callable[[Request, Identity | None, str], Any],
        address_of: Callable[[Request], str],
        language_of: Callable[[Request, Identity | None], str],
    ) -> None:
        """`limit` is `async (request, identity, class)` and raises CommandError RATE_LIMITED."""
        self._verify = verify
        self._limit = limit
        self._address_of = address_of
        self._language_of = language_of

    def routes(self, endpoints: Iterable[Endpoint]) -> list[Route]:
        """To be mounted at `/api/v1`: one route a path, so that a wrong method is told all the right ones."""
        paths: dict[str, dict[str, Endpoint]] = {}
        for one in endpoints:
            paths.setdefault(one.path, {})[one.method] = one
        return [Route(path, self._answerer(methods), methods=list(methods)) for path, methods in paths.items()]

    def _answerer(self, methods: dict[str, Endpoint]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            method = "GET" if request.method == "HEAD" else request.method
            return await self._answer(methods[method], request)

        return answer

    async def _answer(self, endpoint: Endpoint, request: Request) -> Response:
        identity = await self._identify(endpoint, request)
        language = request.scope[SCOPE] = self._language_of(request, identity)
        if endpoint.limit is not None:
            await self._limit(request, identity, endpoint.limit)
        _check_access(endpoint, identity)
        given: dict[str, Any] = {}
        if endpoint.query_type is not None:
            given["query"] = query(request, endpoint.query_type)
        elif request.scope["query_string"]:
            query(request, NothingQuery)
        if endpoint.body_type is not None:
            limit = endpoint.max_body_bytes or MAX_BODY_BYTES
            given["body"] = await body(request, endpoint.body_type, max_bytes=limit)
        call = Call(
            request=request,
            identity=identity,
            address=self._address_of(request),
            language=language,
            request_id=request.scope.get("request_id", ""),
        )
        return _response(endpoint, await endpoint.handle(call, **given))

    async def _identify(self, endpoint: Endpoint, request: Request) -> Identity | None:
        """Who asks. A bad token counts against its address.

        On a public endpoint a token is nobody's that is bad, as programs send an old one along even to renew it, and so
        is a key.
        """
        public = endpoint.access is Access.PUBLIC
        try:
            token = credential(request)
            identity = None if token is None else await self._verify(token)
        except CommandError:
            if public:
                return None
            await self._limit(request, None, endpoint.limit or Rule.DEFAULT)
            raise
        if public:
            return None if identity is None or identity.scopes is not None else identity
        if identity is None:
            await self._limit(request, None, endpoint.limit or Rule.DEFAULT)
            raise CommandError(ErrorCode.UNAUTHORIZED, "Expected `Authorization: Bearer` with a token")
        return identity


def _check_access(endpoint: Endpoint, identity: Identity | None) -> None:
    if identity is None or endpoint.access is Access.PUBLIC:
        return
    allow_scope(identity, endpoint.scope)
    if endpoint.access is Access.ADMIN:
        allow_admin(identity)


def _response(endpoint: Endpoint, answer: Any) -> Response:
    match answer:
        case Response():
            return answer
        case Reply():
            response = success(answer.data, answer.status)
            response.headers.update(answer.headers)
            return response
        case _:
            return success(answer, endpoint.status)
