"""`/api/v1/users/api-keys`: a user's keys for programs. Keys themselves can't do anything here."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from auth.api_keys import ApiKey, ApiKeys
from auth.audit import Audit, Level
from auth.permissions import Scope
from auth.revocations import Revocation
from hub.api.trail import event
from hub.http.endpoint import Call, Endpoint, Nothing
from hub.http.requests import Page, moment_of
from schemas.errors import CommandError, ErrorCode
from schemas.market import moment_text


class KeysQuery(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET users/api-keys`; sort by created_at, name or last_used_at."""


class KeyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST users/api-keys`; without `expires_at` the key is good until it is revoked."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=20)]
    expires_at: int | Annotated[str, Meta(max_length=40)] | None = None


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key as its owner sees it; `prefix` is how its text begins."""

    id: str
    prefix: str
    name: str
    scopes: list[str]
    created_at: str
    last_used_at: str | None
    expires_at: str | None


class NewKey(KeyView, frozen=True, kw_only=True):
    """A new key, with its text, which is shown this once."""

    key: str


class KeyList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of keys."""

    items: list[KeyView]
    total: int
    page: int
    limit: int


class KeysApi:
    """The routes of API keys. `revoke` announces revocations that are committed: every instance's sockets end."""

    def __init__(
        self, *, keys: ApiKeys, audit: Audit, revoke: Callable[[Sequence[Revocation]], Awaitable[None]]
    ) -> None:
        self._keys = keys
        self._audit = audit
        self._revoke = revoke

    @property
    def endpoints(self) -> list[Endpoint]:
        """Under `/api/v1`."""
        return [
            Endpoint("GET", "/users/api-keys", self.many),
            Endpoint(
                "POST",
                "/users/api-keys",
                self.create,
                status=201,
                errors=(ErrorCode.PERMISSION_DENIED, ErrorCode.LIMIT_EXCEEDED),
            ),
            Endpoint("DELETE", "/users/api-keys/{id}", self.delete, errors=(ErrorCode.NOT_FOUND,)),
        ]

    async def many(self, call: Call, query: KeysQuery) -> KeyList:
        """List one's API keys.

        Those that have ended are among them, those that were revoked are not.
        """
        keys = await self._keys.listed(call.caller.user)
        sort = query.sorted_by("created_at", "name", "last_used_at")
        keys.sort(key=lambda key: (getattr(key, sort) or 0, key.id), reverse=query.order != "asc")
        shown = [_view(key) for key in keys[query.offset : query.offset + query.limit]]
        return KeyList(items=shown, total=len(keys), page=query.page, limit=query.limit)

    async def create(self, call: Call, body: KeyBody) -> NewKey:
        """Make an API key.

        Its text is in the answer and is never shown again. Only publishers and administrators may have keys for
        `publish` and `signals:write`. A key acts for its owner, but never as an administrator.
        """
        expires_at = None if body.expires_at is None else moment_of(body.expires_at, "$.expires_at")
        key, text = await self._keys.create(call.caller, body.name, body.scopes, expires_at)
        await self._audit.record(
            event(call, "key.created", level=Level.WARNING, target=key.id, scopes=" ".join(key.scopes), name=key.name)
        )
        return NewKey(**msgspec.structs.asdict(_view(key)), key=text)

    async def delete(self, call: Call) -> Nothing:
        """Revoke an API key.

        Requests with it are refused at once, and sockets that were opened with it are closed.
        """
        key_id = call.path("id")
        revocation = await self._keys.revoke(call.caller.user, key_id)
        if revocation is None:
            raise CommandError(ErrorCode.NOT_FOUND, "You have no such API key")
        await self._revoke([revocation])
        await self._audit.record(event(call, "key.revoked", level=Level.WARNING, target=key_id))
        return Nothing()


def _view(key: ApiKey) -> KeyView:
    return KeyView(
        id=key.id,
        prefix=key.prefix,
        name=key.name,
        scopes=list(key.scopes),
        created_at=moment_text(key.created_at),
        last_used_at=moment_text(key.last_used_at),
        expires_at=moment_text(key.expires_at),
    )
