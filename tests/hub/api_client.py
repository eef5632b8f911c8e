"""Some endpoints behind a dispatcher, as the hub has them, and a browser to ask them with."""

import contextlib
from collections.abc import AsyncIterator, Iterable

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount

from auth.identity import Identity
from hub.http.dispatch import Dispatcher
from hub.http.endpoint import Endpoint
from hub.http.envelope import EXCEPTION_HANDLERS
from hub.languages import language_of


async def _verify(_: str) -> Identity:
    raise AssertionError("nobody brings a token here")


async def _no_limit(*_: object) -> None:
    return


def _language(request: Request, identity: Identity | None) -> str:
    return language_of(request.headers.get("accept-language"), identity)


@contextlib.asynccontextmanager
async def browser(
    endpoints: Iterable[Endpoint], *, base_url: str = "https://hub.test"
) -> AsyncIterator[httpx2.AsyncClient]:
    """Keeps cookies, and follows no redirect."""
    dispatcher = Dispatcher(verify=_verify, limit=_no_limit, address_of=lambda _: "203.0.113.9", language_of=_language)
    routes = [Mount("/api/v1", routes=dispatcher.routes(endpoints))]
    app = Starlette(routes=routes, exception_handlers=EXCEPTION_HANDLERS)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=base_url) as client:
        yield client
