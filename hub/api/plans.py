"""`/api/v1/plans`: what each plan costs and may do, for whoever chooses one and for administrators."""

import msgspec
from msgspec import structs

from auth.identity import Plan
from auth.plans import PlanRules, Plans
from hub.http.endpoint import Access, Call, Endpoint
from schemas.durations import duration_text
from schemas.market import EXCHANGES


class PlanView(msgspec.Struct, frozen=True, kw_only=True):
    """One plan."""

    name: Plan
    price: int | None
    """Rupees a month; null: on request. Paying happens elsewhere."""
    prices: dict[str, str]
    """By exchange: `realtime`, `none`, or by how much prices come late, such as `15m`."""
    withheld: list[str]
    """Namespaces that the plan doesn't have."""
    connections: int
    """Sockets at once; 0: without limit."""
    channels: int
    """Channels of one socket."""
    alerts: int
    sms_per_month: int
    requests: int | None
    """Over HTTP in a window; null: as everybody's."""
    api_metrics: bool


class PlanList(msgspec.Struct, frozen=True, kw_only=True):
    """All plans, from the least to the most."""

    items: list[PlanView]


class PlansApi:
    """The endpoints of plans. The table may be replaced while it runs."""

    def __init__(self, plans: Plans) -> None:
        self._plans = plans

    @property
    def endpoints(self) -> list[Endpoint]:
        """Under `/api/v1`."""
        return [
            Endpoint("GET", "/plans", self.plans, access=Access.PUBLIC),
            Endpoint("GET", "/admin/plans", self.admin_plans, access=Access.ADMIN),
        ]

    async def plans(self, call: Call) -> PlanList:
        """Show the plans: what each costs and what it includes."""
        return PlanList(items=[_view(plan, self._plans.of(plan)) for plan in Plan])

    async def admin_plans(self, call: Call) -> PlanList:
        """Show the plans as they count now, from files or as set at run time."""
        return await self.plans(call)


def _view(plan: Plan, rules: PlanRules) -> PlanView:
    fields = structs.asdict(rules) | {"withheld": list(rules.withheld)}
    prices = {exchange: _price(rules.delay_s(exchange)) for exchange in sorted(EXCHANGES)}
    return PlanView(**fields | {"name": plan, "prices": prices})


def _price(delay_s: int | None) -> str:
    match delay_s:
        case None:
            return "none"
        case 0:
            return "realtime"
        case _:
            return duration_text(delay_s)
