"""`/api/v1/admin/config`: what administrators set at run time, for every process that shares the database."""

import logging
from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from auth.audit import Event, Level
from feeds.configuration import MAX_VALUE, Configuration, Entry
from hub.api.trail import event
from hub.http.endpoint import Access, Call, Endpoint
from hub.instances.sections import READERS, SectionFaults
from schemas.errors import CommandError, ErrorCode
from schemas.market import moment_text

log = logging.getLogger("tickhub.hub.api.admin_config")

Document = Annotated[msgspec.Raw, Meta(extra_json_schema={"type": ["object", "null"]})]
"""A section's value as it was written; null takes back what was set of it."""


class ConfigBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST admin/config/update`: sections, each of which replaces what was set of it, or takes it back."""

    sessions: Document | UnsetType = UNSET
    """Holidays, special days and halts; see `feeds.market_hours.overrides`."""
    namespaces: Document | UnsetType = UNSET
    """Tables by name, as in NAMESPACES_FILE, which they add to and count over."""
    plans: Document | UnsetType = UNSET
    """Tables by plan, as in PLANS_FILE, instead of which they count."""
    limits: Document | UnsetType = UNSET
    """See `LimitsSection`."""


class SectionView(msgspec.Struct, frozen=True, kw_only=True):
    """A section that is set, by whom and when."""

    value: Document
    updated_by: str
    updated_at: str


class ConfigView(msgspec.Struct, frozen=True, kw_only=True):
    """All sections; null where files and settings count."""

    sessions: SectionView | None
    namespaces: SectionView | None
    plans: SectionView | None
    limits: SectionView | None


class AdminConfigApi:
    """The endpoints of the run-time configuration.

    `record` writes the audit trail. `announce` lets every process look at a section at once; one that misses it
    does within a second.
    """

    def __init__(
        self,
        *,
        configuration: Configuration,
        record: Callable[[Event], Awaitable[None]],
        announce: Callable[[str], Awaitable[None]],
    ) -> None:
        self._configuration = configuration
        self._record = record
        self._announce = announce

    @property
    def endpoints(self) -> list[Endpoint]:
        """Under `/api/v1`."""
        return [
            Endpoint("GET", "/admin/config", self.config, access=Access.ADMIN),
            Endpoint(
                "POST",
                "/admin/config/update",
                self.update,
                access=Access.ADMIN,
                errors=(ErrorCode.LIMIT_EXCEEDED,),
                max_body_bytes=MAX_VALUE,
            ),
        ]

    async def config(self, call: Call) -> ConfigView:
        """Show what is set at run time, by whom and when."""
        return await self._view()

    async def update(self, call: Call, body: ConfigBody) -> ConfigView:
        """Set sections of the run-time configuration, or take them back with null.

        All of them or none: what makes no sense is refused with its place. Every process follows within seconds.
        """
        given = {name: getattr(body, name) for name in READERS}
        texts = {name: _checked(name, bytes(raw)) for name, raw in given.items() if raw is not UNSET}
        if not texts:
            raise CommandError(ErrorCode.BAD_REQUEST, "Expected one of the sections {names}", names=", ".join(READERS))
        await self._configuration.change(texts, by=call.caller.user)
        for name, text in texts.items():
            log.info("config.updated", extra={"section": name, "by": call.caller.user})
            action = "config.updated" if text is not None else "config.taken_back"
            await self._record(event(call, action, level=Level.CRITICAL, target=name, value=text and text[:500]))
            await self._announce(name)
        return await self._view()

    async def _view(self) -> ConfigView:
        entries = await self._configuration.get_all(READERS)
        return ConfigView(**{name: _section(entries.get(name)) for name in READERS})


def _checked(name: str, raw: bytes) -> str | None:
    """The section's text as it is kept, None for null. Raises CommandError BAD_REQUEST."""
    if raw.strip() == b"null":
        return None
    try:
        READERS[name](raw)
        return raw.decode()
    except (SectionFaults, UnicodeDecodeError) as exc:
        raise CommandError(ErrorCode.BAD_REQUEST, "{faults}", faults=str(exc)) from exc


def _section(entry: Entry | None) -> SectionView | None:
    if entry is None:
        return None
    return SectionView(
        value=msgspec.Raw(entry.value.encode()),
        updated_by=entry.updated_by,
        updated_at=moment_text(entry.updated_at),
    )
