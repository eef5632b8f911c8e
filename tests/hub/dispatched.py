"""Endpoints on a server of their own, without the rest of a hub: whose token is which, the test says."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount

from auth.identity import Identity
from auth.refusals import Reason, TokenRefused
from hub.http.dispatch import Dispatcher
from hub.http.endpoint import Endpoint
from hub.http.envelope import EXCEPTION_HANDLERS


@asynccontextmanager
async def dispatched(
    endpoints: Sequence[Endpoint], bearers: Mapping[str, Identity]
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of those endpoints; a token is a name in `bearers`."""

    async def verify(token: str) -> Identity:
        if token not in bearers:
            raise TokenRefused(Reason.MALFORMED)
        return bearers[token]

    async def limit(*_: object) -> None:
        pass

    dispatcher = Dispatcher(verify=verify, limit=limit, address_of=_address, language_of=lambda *_: "en")
    app = Starlette(
        routes=[Mount("/api/v1", routes=dispatcher.routes(endpoints))], exception_handlers=EXCEPTION_HANDLERS
    )
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://hub/api/v1") as client:
        yield client


def _address(_: Request) -> str:
    return "10.1.2.3"


def bearer(name: str) -> dict[str, str]:
    """The header that brings that token."""
    return {"Authorization": f"Bearer {name}"}
