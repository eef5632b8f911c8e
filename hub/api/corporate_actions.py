"""`/api/v1/admin/corporate-actions`: splits, bonuses and dividends, after which alerts' prices mean something else."""

from collections.abc import Awaitable, Callable
from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from auth.audit import Event, Level
from hub.api.alert_bodies import SymbolText
from hub.api.alert_market import AlertMarket
from hub.api.trail import event
from hub.http.endpoint import Access, Call, Endpoint
from hub.http.requests import ExchangeText
from notifiers.alerts.corporate_actions import MOST, Action, CorporateActions, Policy, Recorded
from schemas.errors import ErrorCode
from schemas.market import ist_text

Part = Annotated[int, Meta(ge=1, le=MOST)]


class ActionsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET admin/corporate-actions`, the newest first."""

    page: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, Meta(ge=1, le=500)] = 50


class ActionBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST admin/corporate-actions`: prices from `ex_date` on are those of before times the fraction.

    A split of one share into five is 1/5, a bonus of 1:1 is 1/2, a dividend of 30 at 3000 is 99/100.
    """

    symbol: SymbolText
    kind: Literal["split", "bonus", "dividend"]
    numerator: Part
    denominator: Part
    ex_date: date
    exchange: ExchangeText | None = None
    policy: Policy = Policy.RESCALE


class ActionView(msgspec.Struct, frozen=True, kw_only=True):
    """An action that was applied."""

    id: int
    exchange: str
    symbol: str
    kind: str
    numerator: int
    denominator: int
    ex_date: date
    policy: Policy
    created_at: str
    created_by: str


class ActionPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of them, the newest first."""

    items: list[ActionView]
    total: int
    page: int
    limit: int


class ActionDone(msgspec.Struct, frozen=True, kw_only=True):
    """How many alerts were rescaled, and how many had to be disabled."""

    rescaled: int
    disabled: int


class CorporateActionsApi:
    """The routes. `record` waits until it is written down."""

    def __init__(
        self, *, actions: CorporateActions, market: AlertMarket, record: Callable[[Event], Awaitable[None]]
    ) -> None:
        self._actions = actions
        self._market = market
        self._record = record

    @property
    def endpoints(self) -> list[Endpoint]:
        """Under `/api/v1`."""
        path, admin = "/admin/corporate-actions", Access.ADMIN
        applying = (ErrorCode.CONFLICT, ErrorCode.UNKNOWN_CHANNEL, ErrorCode.INVALID_SYMBOL)
        return [
            Endpoint("GET", path, self.find, access=admin),
            Endpoint("POST", path, self.apply, access=admin, status=201, errors=applying),
        ]

    async def find(self, call: Call, query: ActionsQuery) -> ActionPage:
        """Corporate actions that were applied to alerts."""
        found, total = await self._actions.listed(page=query.page, limit=query.limit)
        return ActionPage(items=[_view(one) for one in found], total=total, page=query.page, limit=query.limit)

    async def apply(self, call: Call, body: ActionBody) -> ActionDone:
        """Apply a corporate action to all alerts that look at the instrument, once.

        To be done on its ex-date before the market opens. What can't be rescaled is disabled, and its owner told.
        """
        channel = self._market.channel(body.exchange, body.symbol)
        await self._market.require(channel)
        action = Action(
            exchange=channel.exchange or "",
            symbol=channel.symbol or "",
            kind=body.kind,
            numerator=body.numerator,
            denominator=body.denominator,
            ex_date=body.ex_date,
        )
        done = await self._actions.apply(action, body.policy, by=call.caller.user)
        await self._record(
            event(
                call,
                "corporate_action.applied",
                level=Level.CRITICAL,
                target=f"{action.exchange}:{action.symbol}",
                kind=action.kind,
                factor=f"{action.numerator}/{action.denominator}",
                ex_date=action.ex_date.isoformat(),
                rescaled=done.rescaled,
                disabled=done.disabled,
            )
        )
        return ActionDone(rescaled=done.rescaled, disabled=done.disabled)


def _view(one: Recorded) -> ActionView:
    return ActionView(
        id=one.id,
        policy=one.policy,
        created_at=ist_text(one.created_at_ms),
        created_by=one.created_by,
        **msgspec.structs.asdict(one.action),
    )
