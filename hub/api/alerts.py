"""`/api/v1/alerts`: alerts of the caller's own. Somebody else's are as if there were none.

What an alert waits for is read, typed and checked when it is made or changed, with an error that says where it is
wrong; so are its message, its channels (whether there is a verified address) and what the plan allows.
"""

import re
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from msgspec import UNSET, structs

from auth.audit import Event, Level
from auth.identity import Identity, Role
from auth.limits import Rule
from auth.permissions import Permissions
from channels.broker import Clock
from channels.channel import Channel
from hub import languages
from hub.api.alert_bodies import (
    AlertBody,
    AlertChangesBody,
    AlertsQuery,
    DeliveriesQuery,
    HistoryQuery,
    PreviewBody,
    TestBody,
    checked_message,
    checked_name,
)
from hub.api.alert_channels import AlertChannels
from hub.api.alert_conditions import ConditionReader
from hub.api.alert_market import AlertMarket, Watched
from hub.api.alert_views import (
    Acknowledged,
    AlertPage,
    AlertView,
    DeliveryPage,
    Preview,
    Tested,
    TriggerPage,
    alert_view,
    delivery_view,
    trigger_view,
)
from hub.api.alert_words import AlertWords
from hub.api.trail import event
from hub.http.endpoint import Call, Endpoint, Nothing
from hub.http.requests import exchange_of, moment_of
from notifiers.alerts.alert import Alert, Status
from notifiers.alerts.history import History
from notifiers.alerts.store import Alerts, Changes, Draft, Wanted
from notifiers.conditions.levels import levels
from notifiers.conditions.options import Options
from notifiers.outbox.deliveries import Deliveries
from notifiers.way import Way
from schemas.errors import CommandError, ErrorCode
from schemas.phrases import Phrase

LONGEST_MS = 365 * 86_400_000
"""How far ahead an alert may expire."""
UNLIMITED = 1_000_000
"""Alerts of those who have no plan to keep to."""

_ID = re.compile(r"[0-9]{1,18}")
_READ, _WRITE = "alerts", "alerts:write"
_MISSING = (ErrorCode.NOT_FOUND,)
_MAKING = (
    ErrorCode.UNKNOWN_CHANNEL,
    ErrorCode.INVALID_SYMBOL,
    ErrorCode.PERMISSION_DENIED,
    ErrorCode.LIMIT_EXCEEDED,
    ErrorCode.CONFLICT,
)
_SORTS = {
    "created_at": "created_at_ms",
    "updated_at": "updated_at_ms",
    "last_fired_at": "last_fired_ms",
    "expires_at": "expires_at_ms",
    "symbol": "symbol",
    "status": "status",
    "name": "name",
    "id": "id",
}


class AlertsApi:
    """Alerts over HTTP. `limit_tests` raises CommandError RATE_LIMITED for a user who sends too many tests."""

    def __init__(
        self,
        *,
        alerts: Alerts,
        history: History,
        deliveries: Deliveries,
        market: AlertMarket,
        conditions: ConditionReader,
        channels: AlertChannels,
        words: AlertWords,
        permissions: Permissions,
        limit_tests: Callable[[str], Awaitable[object]],
        note: Callable[[Event], None],
        clock: Clock = time.time,
    ) -> None:
        self._alerts = alerts
        self._history = history
        self._deliveries = deliveries
        self._market = market
        self._conditions = conditions
        self._channels = channels
        self._words = words
        self._permissions = permissions
        self._limit_tests = limit_tests
        self._note = note
        self._clock = clock

    @property
    def endpoints(self) -> list[Endpoint]:
        """All of `/alerts`."""
        one, missing = "/alerts/{id}", _MISSING
        testing = (*missing, ErrorCode.CONFLICT)
        return [
            Endpoint("GET", "/alerts", self.find, scope=_READ, errors=(ErrorCode.UNKNOWN_CHANNEL,)),
            Endpoint("POST", "/alerts", self.create, scope=_WRITE, status=201, errors=_MAKING),
            Endpoint("POST", "/alerts/preview", self.preview, scope=_READ, limit=Rule.LOOKUP, errors=_MAKING),
            Endpoint("POST", "/alerts/triggers/{id}/acknowledge", self.acknowledge, scope=_WRITE, errors=missing),
            Endpoint("GET", one, self.get, scope=_READ, errors=missing),
            Endpoint("PUT", one, self.update, scope=_WRITE, errors=(*missing, *_MAKING)),
            Endpoint("DELETE", one, self.delete, scope=_WRITE, errors=missing),
            Endpoint("POST", f"{one}/pause", self.pause, scope=_WRITE, errors=testing),
            Endpoint("POST", f"{one}/resume", self.resume, scope=_WRITE, errors=(*missing, *_MAKING)),
            Endpoint("POST", f"{one}/test", self.test, scope=_WRITE, errors=testing),
            Endpoint("GET", f"{one}/history", self.history, scope=_READ, errors=missing),
            Endpoint("GET", f"{one}/deliveries", self.deliveries, scope=_READ, errors=missing),
        ]

    # -- reading ------------------------------------------------------------------------------------------------------

    async def find(self, call: Call, query: AlertsQuery) -> AlertPage:
        """The caller's alerts, a page at a time.

        The newest come first, unless `sort` and `order` say otherwise.
        """
        wanted = self._wanted(query)
        sort = _SORTS[query.sorted_by(*_SORTS)]
        found, total = await self._alerts.listed(
            call.caller.user,
            wanted,
            page=query.page,
            limit=query.limit,
            sort=sort,
            descending=query.order != "asc",
        )
        items = [self._shown(call, one) for one in found]
        return AlertPage(items=items, total=total, page=query.page, limit=query.limit)

    async def get(self, call: Call) -> AlertView:
        """One alert."""
        return self._shown(call, await self._one(call))

    async def history(self, call: Call, query: HistoryQuery) -> TriggerPage:
        """What an alert has fired, and why; what was suppressed, and why; and tests."""
        alert = await self._one(call)
        found, total = await self._history.of(
            alert.id, call.caller.user, kind=query.kind, page=query.page, limit=query.limit
        )
        items = [trigger_view(one) for one in found]
        return TriggerPage(items=items, total=total, page=query.page, limit=query.limit)

    async def deliveries(self, call: Call, query: DeliveriesQuery) -> DeliveryPage:
        """What was sent of an alert, by which channels, and how far it has come."""
        alert = await self._one(call)
        found, total = await self._deliveries.of_alert(
            alert.id, limit=query.limit, offset=(query.page - 1) * query.limit
        )
        items = [delivery_view(one) for one in found]
        return DeliveryPage(items=items, total=total, page=query.page, limit=query.limit)

    async def preview(self, call: Call, body: PreviewBody) -> Preview:
        """Say how a condition is understood; nothing is stored.

        In words of every language, with what an alert would say and how many parts of an SMS that takes.
        """
        channel = self._market.channel(body.exchange, body.symbol)
        options = body.applied_to(Options())
        read = self._conditions.read(
            body.condition, body.threshold, channel, options, in_bars=body.timeframe is not UNSET
        )
        watched = await self._market.watch(call.caller, channel, read)
        exchange, symbol = _place(channel)
        return Preview(
            exchange=exchange,
            symbol=symbol,
            condition=read.text,
            tree=read.tree,
            happens="edge" if read.edge else "level",
            words=self._words.of(read, exchange, symbol),
            levels=levels(read.tree),
            said=self._words.said(
                exchange=exchange,
                symbol=symbol,
                condition=read.text,
                name=checked_name(body.name),
                message=checked_message(body.message),
                price=await self._market.price(channel, watched.delay_s),
            ),
        )

    # -- making and changing ------------------------------------------------------------------------------------------

    async def create(self, call: Call, body: AlertBody) -> AlertView:
        """Make an alert.

        From now on: what the price does from its newest value on counts. An alert on a contract ends with it.
        """
        caller = call.caller
        channel = self._market.channel(body.exchange, body.symbol)
        options = body.applied_to(Options())
        read = self._conditions.read(
            body.condition, body.threshold, channel, options, in_bars=body.timeframe is not UNSET
        )
        ways = self._conditions.ways(body.channels, body.notification_type)
        name, message = checked_name(body.name), checked_message(body.message)
        watched = await self._market.watch(caller, channel, read)
        warnings = await self._channels.check(caller, ways, options)
        exchange, symbol = _place(channel)
        draft = Draft(
            user=caller.user,
            exchange=exchange,
            symbol=symbol,
            condition=read.text,
            tree=read.tree,
            options=options,
            channels=ways,
            name=name,
            message=message,
            language=body.language,
            delay_s=watched.delay_s,
            baseline=await self._market.baseline(channel, watched.delay_s),
            expires_at_ms=self._end(body.expires_at, watched),
        )
        made = await self._alerts.create(draft, limit=self._limit(caller))
        self._record(call, "alert.created", made.id)
        return self._shown(call, made, warnings)

    async def update(self, call: Call, body: AlertChangesBody) -> AlertView:
        """Change an alert.

        What is not named stays. With another instrument, condition or options it begins anew.
        """
        before = await self._one(call)
        changes, warnings = _said(body), await self._warnings(call.caller, before, body)
        if not body.is_about_words:
            changes = structs.replace(changes, **await self._anew(call.caller, before, body))
        after = await self._alerts.update(before.id, before.user, changes, expected_version=body.version)
        self._record(call, "alert.changed", after.id)
        return self._shown(call, after, warnings)

    async def _warnings(self, caller: Identity, before: Alert, body: AlertChangesBody) -> Sequence[Phrase]:
        """What there is to say of other channels."""
        if body.channels is UNSET and body.escalation is UNSET:
            return ()
        return await self._channels.check(caller, self._ways(before, body), body.applied_to(before.options))

    def _ways(self, before: Alert, body: AlertChangesBody) -> tuple[Way, ...]:
        return before.channels if body.channels is UNSET else self._conditions.ways(body.channels, None)

    async def _anew(self, caller: Identity, before: Alert, body: AlertChangesBody) -> dict[str, Any]:
        """What has to be looked at again where more has changed than what the alert says."""
        channel = self._moved(before, body)
        options = body.applied_to(before.options)
        said = before.tree if body.condition is UNSET else body.condition
        read = self._conditions.read(said, None, channel, options, in_bars=body.timeframe is not UNSET)
        watched = await self._market.watch(caller, channel, read)
        exchange, symbol = _place(channel)
        return {
            "exchange": exchange,
            "symbol": symbol,
            "condition": read.text,
            "tree": read.tree,
            "options": options,
            "channels": self._ways(before, body),
            "baseline": await self._market.baseline(channel, watched.delay_s),
            "delay_s": watched.delay_s,
            "expires_at_ms": self._end_after(before, body, watched),
        }

    def _end_after(self, before: Alert, body: AlertChangesBody, watched: Watched) -> int | None:
        """When an alert ends after a change: by its own wish, and with its contracts."""
        if body.expires_at is not UNSET:
            return self._end(body.expires_at, watched)
        ends = [end for end in (before.expires_at_ms, watched.ends_at_ms) if end is not None]
        return min(ends, default=None)

    def _moved(self, before: Alert, body: AlertChangesBody) -> Channel:
        """The instrument after a change."""
        if body.symbol is UNSET and body.exchange is UNSET:
            return self._market.channel(before.exchange, before.symbol)
        symbol = before.symbol if body.symbol is UNSET else body.symbol
        if body.exchange is not UNSET:
            return self._market.channel(body.exchange, symbol)
        return self._market.channel(None if ":" in symbol else before.exchange, symbol)

    async def delete(self, call: Call) -> Nothing:
        """Delete an alert; what of it is still to be sent is cancelled."""
        alert_id = _id(call)
        await self._alerts.delete(alert_id, call.caller.user)
        await self._deliveries.cancel(alert_id, "deleted")
        self._record(call, "alert.deleted", alert_id, level=Level.WARNING)
        return Nothing()

    async def pause(self, call: Call) -> AlertView:
        """Have an alert wait for its owner."""
        paused = await self._alerts.pause(_id(call), call.caller.user)
        self._record(call, "alert.paused", paused.id)
        return self._shown(call, paused)

    async def resume(self, call: Call) -> AlertView:
        """Have an alert watch again, from now on; also one that has fired, or that we disabled."""
        before = await self._one(call)
        channel = self._market.channel(before.exchange, before.symbol)
        read = self._conditions.read(before.tree, None, channel, before.options)
        watched = await self._market.watch(call.caller, channel, read)
        baseline = await self._market.baseline(channel, watched.delay_s)
        if watched.delay_s != before.delay_s:
            changes = Changes(delay_s=watched.delay_s, baseline=baseline)
            await self._alerts.update(before.id, before.user, changes)
        resumed = await self._alerts.resume(before.id, before.user, limit=self._limit(call.caller), baseline=baseline)
        self._record(call, "alert.resumed", resumed.id)
        return self._shown(call, resumed)

    # -- trying out ---------------------------------------------------------------------------------------------------

    async def test(self, call: Call, body: TestBody) -> Tested:
        """Send now what an alert would send if it fired, by its own channels; with `dry_run` only show it.

        A test waits for no quiet hours, and counts against the SMS of the month.
        """
        alert = await self._one(call)
        channel = self._market.channel(alert.exchange, alert.symbol)
        price = await self._market.price(channel, alert.delay_s)
        trigger = None
        if not body.dry_run:
            await self._limit_tests(call.caller.user)
            trigger = await self._history.test(alert, price=price)
            self._record(call, "alert.tested", alert.id)
        ways: tuple[Way, ...] = tuple(dict.fromkeys((Way.WEBSOCKET, *alert.channels)))
        said = self._words.said_of(alert, price)
        return Tested(
            dry_run=body.dry_run, trigger=trigger, channels=ways, language=alert.language or call.language, said=said
        )

    async def acknowledge(self, call: Call) -> Acknowledged:
        """Say that one has seen that an alert fired: what would have followed by other channels is cancelled."""
        done = await self._deliveries.acknowledge(_id(call, "trigger"), "api", user=call.caller.user)
        return Acknowledged(acknowledged=done)

    # -- details ------------------------------------------------------------------------------------------------------

    async def _one(self, call: Call) -> Alert:
        return await self._alerts.get(_id(call), call.caller.user)

    def _shown(self, call: Call, alert: Alert, warnings: Sequence[Phrase] = ()) -> AlertView:
        said = tuple(languages.say(one, call.language) for one in warnings)
        return structs.replace(alert_view(alert, call.language), warnings=said)

    def _wanted(self, query: AlertsQuery) -> Wanted:
        status = None if query.status is None else Status(query.status)
        if query.symbol is None:
            exchange = None if query.exchange is None else exchange_of(query.exchange)
            return Wanted(status=status, exchange=exchange)
        channel = self._market.channel(query.exchange, query.symbol, place="?exchange")
        named = query.exchange is not None or ":" in query.symbol
        return Wanted(status=status, exchange=channel.exchange if named else None, symbol=channel.symbol)

    def _end(self, given: str | int | None, watched: Watched) -> int | None:
        """When an alert ends: as wished, and no later than its contracts."""
        if given is None:
            return watched.ends_at_ms
        end_ms, now_ms = moment_of(given, "$.expires_at") * 1000, self._now_ms()
        if end_ms <= now_ms:
            raise CommandError(ErrorCode.BAD_REQUEST, "Expected a time to come - at `$.expires_at`")
        if end_ms > now_ms + LONGEST_MS:
            raise CommandError(ErrorCode.BAD_REQUEST, "Expected at most 365 days - at `$.expires_at`")
        return end_ms if watched.ends_at_ms is None else min(end_ms, watched.ends_at_ms)

    def _limit(self, identity: Identity) -> int:
        """How many active alerts the caller may have."""
        return self._permissions.plans.of(identity.plan).alerts if identity.role is Role.USER else UNLIMITED

    def _record(self, call: Call, action: str, alert_id: int, *, level: Level = Level.INFO) -> None:
        actor = call.caller.user if call.caller.scopes is None else call.caller.token_id
        self._note(event(call, action, level=level, actor=actor, target=str(alert_id)))

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def _said(body: AlertChangesBody) -> Changes:
    """What changes of what an alert says."""
    return Changes(
        name=body.name if body.name is UNSET else checked_name(body.name),
        message=body.message if body.message is UNSET else checked_message(body.message),
        language=body.language,
    )


def _place(channel: Channel) -> tuple[str, str]:
    return channel.exchange or "", channel.symbol or ""


def _id(call: Call, what: str = "alert") -> int:
    text = call.path("id")
    if not _ID.fullmatch(text):
        known = "There is no trigger {alert}" if what == "trigger" else "There is no alert {alert}"
        raise CommandError(ErrorCode.NOT_FOUND, known, alert=text[:40])
    return int(text)
