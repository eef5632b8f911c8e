"""`/api/v1/admin`: what administrators set at run time, for every process that shares the database."""

import logging
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from auth.identity import Identity
from auth.permissions import allow_admin
from feeds.configuration import MAX_VALUE, Configuration
from feeds.errors import BadFile
from feeds.market_hours.overrides import CONFIGURATION_KEY, read_json
from hub.envelope import success
from hub.requests import NothingQuery, Verify, bearer, body, query
from schemas.errors import CommandError, ErrorCode
from schemas.market import ist_text

log = logging.getLogger("tickhub.hub.admin")

SECTIONS = (CONFIGURATION_KEY,)


class ConfigBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST config/update`: sections, each of which replaces what was set of it. `{}` takes it all back."""

    sessions: msgspec.Raw | UnsetType = UNSET
    """Holidays, special days and halts; see `feeds.market_hours.overrides`."""


class AdminApi:
    """The routes of administration."""

    def __init__(self, *, configuration: Configuration, verify: Verify) -> None:
        self._configuration = configuration
        self._verify = verify

    @property
    def routes(self) -> list[Route]:
        """To be mounted at `/api/v1/admin`."""
        return [
            Route("/config", self.config),
            Route("/config/update", self.update, methods=["POST"]),
        ]

    async def config(self, request: Request) -> Response:
        """`GET admin/config`: each section that is set, by whom and when; null where none is."""
        await self._admin(request)
        query(request, NothingQuery)
        return success(await self._set())

    async def update(self, request: Request) -> Response:
        """`POST admin/config/update`: sets sections, and answers as `GET admin/config`. Feeds follow within seconds."""
        identity = await self._admin(request)
        asked = await body(request, ConfigBody, max_bytes=MAX_VALUE)
        if asked.sessions is UNSET:
            raise CommandError(ErrorCode.BAD_REQUEST, f"Expected one of the sections {', '.join(SECTIONS)}")
        text = _sessions(bytes(asked.sessions))
        await self._configuration.put(CONFIGURATION_KEY, text, by=identity.user)
        log.info("config.updated", extra={"section": CONFIGURATION_KEY, "by": identity.user})
        return success(await self._set())

    async def _admin(self, request: Request) -> Identity:
        identity = await bearer(request, self._verify)
        allow_admin(identity)
        return identity

    async def _set(self) -> dict[str, Any]:
        return {name: await self._section(name) for name in SECTIONS}

    async def _section(self, name: str) -> dict[str, Any] | None:
        entry = await self._configuration.get(name)
        if entry is None:
            return None
        return {
            "value": msgspec.json.decode(entry.value),
            "updated_by": entry.updated_by,
            "updated_at": ist_text(entry.updated_at * 1000),
        }


def _sessions(raw: bytes) -> str:
    """The overrides as they are kept. Raises CommandError BAD_REQUEST with the place of what is wrong."""
    try:
        text = raw.decode()
        read_json(text)
    except (BadFile, UnicodeDecodeError, RecursionError) as exc:
        message = str(exc)
        told = message.replace("`$", "`$.sessions") if "`$" in message else f"{message} - at `$.sessions`"
        raise CommandError(ErrorCode.BAD_REQUEST, told) from exc
    return text
