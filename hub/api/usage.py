"""`/api/v1/users/usage`: what is left of what a plan includes, for plans that may see it."""

import math
from collections.abc import Awaitable, Callable

import msgspec

from auth.identity import Identity, Plan
from auth.limits import Allowance
from auth.permissions import Action, Permissions
from hub.http.endpoint import Call, Endpoint
from schemas.errors import ErrorCode


class RequestsLeft(msgspec.Struct, frozen=True, kw_only=True):
    """HTTP requests of the present window."""

    limit: int
    remaining: int
    resets_in_s: int
    window_s: int


class UsageView(msgspec.Struct, frozen=True, kw_only=True):
    """What the bearer uses and may use; a limit of 0 sockets is none."""

    plan: Plan
    requests: RequestsLeft
    sockets: int
    sockets_limit: int
    channels_limit: int
    """Of one socket."""
    alerts: int
    """Active ones."""
    alerts_limit: int
    sms: int
    """Parts of SMS sent this month."""
    sms_limit: int
    """A month."""


class UsageApi:
    """The route of usage.

    `allowance` looks at the bearer's requests; `sockets` counts theirs on all instances, `alerts` their active ones,
    `sms` the parts of this month.
    """

    def __init__(
        self,
        *,
        permissions: Permissions,
        allowance: Callable[[Identity], Awaitable[Allowance]],
        sockets: Callable[[str], Awaitable[int]],
        alerts: Callable[[str], Awaitable[int]],
        sms: Callable[[str], Awaitable[int]],
    ) -> None:
        self._permissions = permissions
        self._allowance = allowance
        self._sockets = sockets
        self._alerts = alerts
        self._sms = sms

    @property
    def endpoints(self) -> list[Endpoint]:
        """Under `/api/v1`."""
        return [Endpoint("GET", "/users/usage", self.usage, errors=(ErrorCode.PERMISSION_DENIED,))]

    async def usage(self, call: Call) -> UsageView:
        """Show what is used of what the plan includes, for plans with usage metrics."""
        caller = call.caller
        self._permissions.allow(caller, Action.MEASURE)
        rules = self._permissions.plans.of(caller.plan)
        left = await self._allowance(caller)
        return UsageView(
            plan=caller.plan,
            requests=RequestsLeft(
                limit=left.limit,
                remaining=left.remaining,
                resets_in_s=math.ceil(left.resets_in_s),
                window_s=math.ceil(left.window_s),
            ),
            sockets=await self._sockets(caller.user),
            sockets_limit=self._permissions.connections(caller),
            channels_limit=self._permissions.channels(caller),
            alerts=await self._alerts(caller.user),
            alerts_limit=rules.alerts,
            sms=await self._sms(caller.user),
            sms_limit=rules.sms_per_month,
        )
