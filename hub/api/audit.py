"""`/api/v1/admin/logs`: the audit trail as administrators read it, take it along, and have it checked."""

import csv
import io
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.responses import StreamingResponse

from auth.audit import Audit, Level
from auth.audit_chain import Entry
from auth.audit_store import Wanted
from hub.api.trail import event
from hub.http.endpoint import Access, Call, Endpoint
from hub.http.requests import moment_of
from schemas.market import ist_text

log = logging.getLogger("tickhub.hub.api.audit")

Word = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^\x00]*$")]
"""PostgreSQL has no texts with a NUL, so none can be looked for."""
TimeText = Annotated[str, Meta(max_length=40)]

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What makes a spreadsheet take a cell for a formula, in full width too."""


class LogFilters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which entries, and in which order: times from inclusive, to exclusive.

    `action` is how actions begin, `q` a text anywhere in action, actor, target or details.
    """

    level: Level | None = None
    action: Word | None = None
    actor: Word | None = None
    target: Word | None = None
    address: Word | None = None
    min_risk: Annotated[int, Meta(ge=0, le=100)] | None = None
    since: TimeText | None = msgspec.field(name="from", default=None)
    to: TimeText | None = None
    q: Word | None = None
    sort: Literal["at", "risk"] = "at"
    order: Literal["asc", "desc"] = "desc"


class LogsQuery(LogFilters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET admin/logs`."""

    page: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, Meta(ge=1, le=500)] = 50


class ExportQuery(LogFilters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET admin/logs/export`."""

    format: Literal["csv", "ndjson"] = "csv"


class LogView(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the audit trail."""

    id: int
    at: str
    level: str
    action: str
    actor: str | None
    target: str | None
    address: str | None
    user_agent: str | None
    request_id: str | None
    risk: int | None
    details: dict[str, Any]
    previous_hash: str
    hash: str


class LogList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of entries. `total` counts up to 100,000."""

    items: list[LogView]
    total: int
    page: int
    limit: int


class ChainView(msgspec.Struct, frozen=True, kw_only=True):
    """One level's chain: how many entries hold, and the first that doesn't.

    `last_hash`, kept elsewhere, shows later whether entries were taken off the chain's end.
    """

    level: str
    intact: bool
    count: int
    broken_id: int | None
    last_id: int
    last_hash: str


class ChainsView(msgspec.Struct, frozen=True, kw_only=True):
    """All chains; `intact` where all of them are."""

    intact: bool
    chains: list[ChainView]


class AuditApi:
    """The routes of the audit trail."""

    def __init__(self, *, audit: Audit) -> None:
        self._audit = audit

    @property
    def endpoints(self) -> list[Endpoint]:
        """Under `/api/v1`."""
        return [
            Endpoint("GET", "/admin/logs", self.logs, access=Access.ADMIN),
            Endpoint("GET", "/admin/logs/export", self.export, access=Access.ADMIN),
            Endpoint("GET", "/admin/logs/verify", self.verify, access=Access.ADMIN),
        ]

    async def logs(self, call: Call, query: LogsQuery) -> LogList:
        """Read the audit trail, a page at a time.

        `action` is how actions begin, `q` a text anywhere in action, actor, target or details; `from` is inclusive and
        `to` exclusive, both ISO 8601 or Unix seconds.
        """
        offset = (query.page - 1) * query.limit
        entries, total = await self._audit.find(_wanted(query, limit=query.limit, offset=offset))
        return LogList(items=[_view(entry) for entry in entries], total=total, page=query.page, limit=query.limit)

    async def export(self, call: Call, query: ExportQuery) -> StreamingResponse:
        """Download all of the audit trail that matches.

        As CSV, its cells safe for spreadsheets, or as one JSON object a line (`format=ndjson`). Filters as in
        `GET admin/logs`. That somebody did so is an entry of its own.
        """
        await self._audit.record(event(call, "audit.exported", format=query.format))
        encode, media_type = _FORMATS[query.format]
        pages = self._audit.stream(_wanted(query))
        first = await anext(pages, None)  # a database that is away is still a 503 here
        headers = {"Content-Disposition": f'attachment; filename="audit.{query.format}"', "Cache-Control": "no-store"}
        return StreamingResponse(_chunks(first or [], pages, encode), media_type=media_type, headers=headers)

    async def verify(self, call: Call) -> ChainsView:
        """Check the chains of the audit trail, each from end to end."""
        chains = [
            ChainView(
                level=level,
                intact=state.broken_id is None,
                count=state.count,
                broken_id=state.broken_id,
                last_id=state.last_id,
                last_hash=state.last_hash,
            )
            for level, state in (await self._audit.verify()).items()
        ]
        for broken in (chain for chain in chains if not chain.intact):
            extra = {"level": broken.level, "entry": broken.broken_id, "by": call.caller.user}
            log.error("audit.broken", extra=extra)
        return ChainsView(intact=all(chain.intact for chain in chains), chains=chains)


def _wanted(query: LogFilters, *, limit: int = 0, offset: int = 0) -> Wanted:
    return Wanted(
        level=query.level,
        action=query.action,
        actor=query.actor,
        target=query.target,
        address=query.address,
        min_risk=query.min_risk,
        from_ms=None if query.since is None else moment_of(query.since, "?from") * 1000,
        to_ms=None if query.to is None else moment_of(query.to, "?to") * 1000,
        words=query.q,
        sort=query.sort,
        descending=query.order == "desc",
        limit=limit,
        offset=offset,
    )


def _view(entry: Entry) -> LogView:
    fields = msgspec.structs.asdict(entry)
    return LogView(at=ist_text(fields.pop("at_ms")), details=_details(fields.pop("details")), **fields)


def _details(text: str) -> dict[str, Any]:
    """The details; what somebody has made of them in the table is shown all the same."""
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError, TypeError):
        return {"unreadable": str(text)}


Encode = Callable[[Sequence[Entry], bool], bytes]
"""Some entries as bytes; True for the first of them."""


async def _chunks(first: Sequence[Entry], pages: AsyncIterator[list[Entry]], encode: Encode) -> AsyncIterator[bytes]:
    yield encode(first, True)
    async for page in pages:
        yield encode(page, False)


def _csv(entries: Sequence[Entry], beginning: bool) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    if beginning:
        writer.writerow(LogView.__struct_fields__)
    for entry in entries:
        fields = msgspec.structs.asdict(entry)
        row = [fields["id"], ist_text(fields["at_ms"]), *list(fields.values())[2:]]
        writer.writerow([safe_cell(value) for value in row])
    return out.getvalue().encode()


def safe_cell(value: object) -> object:
    """The value as a cell that no spreadsheet takes for a formula (OWASP, "CSV Injection")."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _ndjson(entries: Sequence[Entry], _: bool) -> bytes:
    return msgspec.json.Encoder().encode_lines([_view(entry) for entry in entries])


_FORMATS: dict[str, tuple[Encode, str]] = {
    "csv": (_csv, "text/csv; charset=utf-8"),
    "ndjson": (_ndjson, "application/x-ndjson"),
}
