"""`/api/v1/users/webhooks`: a user's own servers, which are told what their alerts tell."""

import re
from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from auth.audit import Audit, Level
from hub.api.trail import event
from hub.http.endpoint import Call, Endpoint, Nothing
from hub.http.requests import Page
from notifiers.errors import OutcomeUnknown
from notifiers.people.webhook_endpoints import WebhookEndpoint, WebhookEndpoints
from notifiers.providers.outward import NotReachable
from notifiers.providers.webhook import WebhookCaller
from schemas.errors import CommandError, ErrorCode, Unavailable
from schemas.market import ist_text

Url = Annotated[str, Meta(min_length=1, max_length=2000)]

_ID = re.compile(r"[0-9]{1,18}")


class WebhooksQuery(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET users/webhooks`; sort by created_at, url or status."""


class WebhookBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST users/webhooks`."""

    url: Url


class WebhookChangesBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `PUT users/webhooks/{id}`: what is to change."""

    url: Url | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class WebhookView(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook as its owner sees it."""

    id: int
    url: str
    status: str
    """active, or disabled for `status_reason`: owner, gone (it answered 410), failing (for five days)."""
    status_reason: str | None
    failing_since: str | None
    created_at: str


class NewWebhook(WebhookView, frozen=True, kw_only=True):
    """A new webhook, with the secret that signs what it is told, which is shown this once."""

    secret: str


class WebhookList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of webhooks."""

    items: list[WebhookView]
    total: int
    page: int
    limit: int


class NewSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A new secret, which is shown this once; until `previous_until` the one before it signs too."""

    secret: str
    previous_until: str


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a trial: whether it was taken, and the status of the answer or why there was none."""

    delivered: bool
    status: int | None = None
    reason: str | None = None
    """unreachable, private_address, no_answer."""


class WebhookEndpointsApi:
    """The routes of webhooks."""

    def __init__(
        self,
        *,
        webhooks: WebhookEndpoints,
        caller: WebhookCaller,
        audit: Audit,
        limit_tests: Callable[[str], Awaitable[None]],
    ) -> None:
        """`limit_tests` counts a user's tests, and raises CommandError for one too many."""
        self._webhooks = webhooks
        self._caller = caller
        self._audit = audit
        self._limit_tests = limit_tests

    @property
    def endpoints(self) -> list[Endpoint]:
        """Under `/api/v1`."""
        one, missing = "/users/webhooks/{id}", (ErrorCode.NOT_FOUND,)
        return [
            Endpoint("GET", "/users/webhooks", self.many),
            Endpoint("POST", "/users/webhooks", self.create, status=201, errors=(ErrorCode.LIMIT_EXCEEDED,)),
            Endpoint("GET", one, self.get, errors=missing),
            Endpoint("PUT", one, self.change, errors=missing),
            Endpoint("DELETE", one, self.delete, errors=missing),
            Endpoint("POST", f"{one}/rotate", self.rotate, errors=missing),
            Endpoint("POST", f"{one}/test", self.test, errors=missing),
        ]

    async def many(self, call: Call, query: WebhooksQuery) -> WebhookList:
        """List one's webhooks."""
        webhooks = await self._webhooks.listed(call.caller.user)
        sort = {"created_at": "created_at_ms"}.get(by := query.sorted_by("created_at", "url", "status"), by)
        webhooks.sort(key=lambda one: (getattr(one, sort), one.id), reverse=query.order != "asc")
        shown = [_view(one) for one in webhooks[query.offset : query.offset + query.limit]]
        return WebhookList(items=shown, total=len(webhooks), page=query.page, limit=query.limit)

    async def create(self, call: Call, body: WebhookBody) -> NewWebhook:
        """Have a server of one's own told.

        What it is sent is signed as Standard Webhooks has it, with the secret in the answer, which is never shown
        again. It must be reached by https, and not at a private address.
        """
        made, secret = await self._webhooks.add(call.caller.user, body.url)
        await self._audit.record(event(call, "webhook.created", level=Level.WARNING, target=str(made.id)))
        return NewWebhook(**msgspec.structs.asdict(_view(made)), secret=secret.reveal())

    async def get(self, call: Call) -> WebhookView:
        """One of one's webhooks."""
        return _view(await self._webhooks.get(call.caller.user, _id(call)))

    async def change(self, call: Call, body: WebhookChangesBody) -> WebhookView:
        """Change a webhook's URL, disable it, or enable it again."""
        changed = await self._webhooks.change(call.caller.user, _id(call), url=body.url, enabled=body.enabled)
        await self._audit.record(event(call, "webhook.changed", level=Level.WARNING, target=str(changed.id)))
        return _view(changed)

    async def delete(self, call: Call) -> Nothing:
        """Delete a webhook."""
        webhook_id = _id(call)
        await self._webhooks.remove(call.caller.user, webhook_id)
        await self._audit.record(event(call, "webhook.deleted", level=Level.WARNING, target=str(webhook_id)))
        return Nothing()

    async def rotate(self, call: Call) -> NewSecret:
        """Replace a webhook's secret.

        For a day the one before it signs too, so that nothing is missed while the server changes over.
        """
        webhook_id = _id(call)
        secret, until_ms = await self._webhooks.rotate(call.caller.user, webhook_id)
        await self._audit.record(event(call, "webhook.rotated", level=Level.WARNING, target=str(webhook_id)))
        return NewSecret(secret=secret.reveal(), previous_until=ist_text(until_ms))

    async def test(self, call: Call) -> Trial:
        """Send a webhook something at once, and say how it answered."""
        target = await self._webhooks.target(call.caller.user, _id(call))
        if target is None:
            raise _missing()
        await self._limit_tests(call.caller.user)
        try:
            answer = await self._caller.try_out(target)
        except NotReachable:
            return Trial(delivered=False, reason="private_address")
        except Unavailable:
            return Trial(delivered=False, reason="unreachable")
        except OutcomeUnknown:
            return Trial(delivered=False, reason="no_answer")
        return Trial(delivered=200 <= answer.status < 300, status=answer.status)


def _id(call: Call) -> int:
    text = call.path("id")
    if not _ID.fullmatch(text):
        raise _missing()
    return int(text)


def _missing() -> CommandError:
    return CommandError(ErrorCode.NOT_FOUND, "You have no such webhook")


def _view(one: WebhookEndpoint) -> WebhookView:
    return WebhookView(
        id=one.id,
        url=one.url,
        status=one.status,
        status_reason=one.status_reason,
        failing_since=None if one.failing_since_ms is None else ist_text(one.failing_since_ms),
        created_at=ist_text(one.created_at_ms),
    )
