"""Deliveries and the people whom they are for, in a database of each kind."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.preferences import Preferences
from notifiers.alerts.facts import encode, of_content
from notifiers.outbox.delivery import Delivery, Kind, Status
from notifiers.way import Way
from schemas.tables import accounts, deliveries

NOW_MS = 1_795_420_800_000
"""2026-11-23T12:00 in India, give or take."""

MakeDelivery = Callable[..., Delivery]


class Wall:
    """A clock that stands."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS

    def __call__(self) -> float:
        return self.now_ms / 1000


@pytest.fixture
def wall() -> Wall:
    return Wall()


def content(**fields: Any) -> dict[str, Any]:
    """Facts as deliveries hold them."""
    return {
        "kind": "alert", "alert_id": 1, "exchange": "NSE", "symbol": "TCS", "condition": "price > 1", "at_ms": NOW_MS
    } | fields  # fmt: skip


def delivery(number: int = 1, **fields: Any) -> Delivery:
    """A delivery that waits."""
    given = {
        "id": number, "key": f"k{number}", "trigger_id": None, "alert_id": 1, "user": "7", "kind": Kind.ALERT,
        "channel": Way.EMAIL, "endpoint": "", "status": Status.QUEUED, "reason": None, "priority": 3,
        "due_at_ms": NOW_MS, "expires_at_ms": NOW_MS + 3_600_000, "unless_acknowledged": False, "content": content(),
        "attempts": 0, "provider": None, "provider_id": None, "provider_status": None, "cost": 0,
        "created_at_ms": NOW_MS, "sent_at_ms": None, "finished_at_ms": None,
    } | fields  # fmt: skip
    return Delivery(**given)


async def store(engine: AsyncEngine, *several: Delivery) -> None:
    """Deliveries as rows."""
    rows = []
    for one in several:
        row = msgspec.structs.asdict(one)
        row["user_id"] = row.pop("user")
        row["content"] = encode(of_content(one.content))
        rows.append(row)
    async with engine.begin() as connection:
        await connection.execute(insert(deliveries), rows)
        if connection.dialect.name == "postgresql":  # which doesn't look at ids that were given
            await connection.execute(text("SELECT setval(pg_get_serial_sequence('deliveries', 'id'), 1000)"))


async def stored(engine: AsyncEngine, **wanted: Any) -> list[Any]:
    """Rows of deliveries with those values."""
    rows = deliveries.c
    query = select(deliveries).where(*(rows[name] == value for name, value in wanted.items())).order_by(rows.id)
    async with engine.connect() as connection:
        return list((await connection.execute(query)).all())


async def account(engine: AsyncEngine, user: str = "u_" + "a" * 16, **fields: Any) -> str:
    """Somebody with an account, whose address and number are verified."""
    row = {
        "id": user, "email": f"{user}@example.com", "email_key": f"{user}@example.com", "email_verified_at": 1,
        "name": "Asha", "phone": "+919876543210", "phone_verified_at": 1, "plan": "basic", "role": "user",
        "status": "active", "created_at": 1, "updated_at": 1,
    } | fields  # fmt: skip
    async with engine.begin() as connection:
        await connection.execute(insert(accounts), [row])
    return user


@pytest.fixture
def preferences(engine: AsyncEngine, wall: Wall) -> Preferences:
    return Preferences(engine, wall=wall)
