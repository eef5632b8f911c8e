"""`/api/v1/admin/deliveries`: what could not be delivered, and a way to send it again."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
from msgspec import Meta

from auth.audit import Event, Level
from hub.api.alert_views import DeliveryView, delivery_view
from hub.api.trail import event
from hub.http.endpoint import Access, Call, Endpoint
from notifiers.outbox.deliveries import Deliveries, Redrive
from notifiers.outbox.delivery import Status
from notifiers.way import Way
from schemas.durations import parse_duration
from schemas.errors import CommandError, ErrorCode

LONGEST_S = 7 * 86_400

User = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^\x00]*$")]
Reason = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00]*$")]
Id = Annotated[int, Meta(ge=1, le=2**63 - 1)]
LifeText = Annotated[str, Meta(pattern=r"^[0-9]{1,6}(?:s|m|h|d)$")]


class AdminDeliveriesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET admin/deliveries`, the newest first."""

    status: Status = Status.DEAD
    channel: Way | None = None
    user: User | None = None
    page: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, Meta(ge=1, le=500)] = 50


class RedriveBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST admin/deliveries/redrive`: which dead ones are meant, all that fit everything that is said.

    Those that may have arrived (`reason` unknown) only with `in_doubt`. `lives` is how long they make sense from now.
    """

    ids: Annotated[list[Id], Meta(max_length=1000)] = []
    channel: Way | None = None
    user: User | None = None
    reason: Reason | None = None
    in_doubt: bool = False
    lives: LifeText = "1h"


class DeliveryOfUser(DeliveryView, frozen=True, kw_only=True):
    """A delivery with whose it is."""

    user: str


class DeliveriesOfUsers(msgspec.Struct, frozen=True, kw_only=True):
    """One page of deliveries, the newest first."""

    items: list[DeliveryOfUser]
    total: int
    page: int
    limit: int


class Redriven(msgspec.Struct, frozen=True, kw_only=True):
    """How many are to be sent again."""

    count: int


class AdminDeliveriesApi:
    """The routes. `record` waits until it is written down; `ring` tells workers in this process that there is work."""

    def __init__(
        self,
        *,
        deliveries: Deliveries,
        record: Callable[[Event], Awaitable[None]],
        ring: Callable[[], None] = lambda: None,
    ) -> None:
        self._deliveries = deliveries
        self._record = record
        self._ring = ring

    @property
    def endpoints(self) -> list[Endpoint]:
        """Under `/api/v1`."""
        admin = Access.ADMIN
        return [
            Endpoint("GET", "/admin/deliveries", self.find, access=admin),
            Endpoint("POST", "/admin/deliveries/redrive", self.redrive, access=admin),
        ]

    async def find(self, call: Call, query: AdminDeliveriesQuery) -> DeliveriesOfUsers:
        """Deliveries of all users by status, those that died unless told otherwise, with every attempt at them."""
        offset = (query.page - 1) * query.limit
        found, total = await self._deliveries.listed(
            query.status, way=query.channel, user=query.user, limit=query.limit, offset=offset
        )
        items = [DeliveryOfUser(user=one.delivery.user, **msgspec.structs.asdict(delivery_view(one))) for one in found]
        return DeliveriesOfUsers(items=items, total=total, page=query.page, limit=query.limit)

    async def redrive(self, call: Call, body: RedriveBody) -> Redriven:
        """Send dead deliveries again."""
        lives_s = parse_duration(body.lives)
        if not 1 <= lives_s <= LONGEST_S:
            raise CommandError(ErrorCode.BAD_REQUEST, "Expected from 1s to 7d - at `$.lives`")
        wanted = Redrive(
            lives_s=lives_s,
            ids=body.ids,
            way=body.channel,
            user=body.user,
            reason=body.reason,
            in_doubt=body.in_doubt,
        )
        count = await self._deliveries.redrive(wanted)
        self._ring()
        await self._record(event(call, "deliveries.redriven", level=Level.WARNING, count=count))
        return Redriven(count=count)
