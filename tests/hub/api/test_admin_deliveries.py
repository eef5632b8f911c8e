"""What could not be delivered is seen by administrators, and sent again when they say so."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from notifiers.outbox.delivery import IN_DOUBT, Kind, NewDelivery
from notifiers.way import Way
from schemas.tables import deliveries
from tests.hub.api.alerting import Office, alerting

PLACE = "/admin/deliveries"


@pytest.fixture
async def office(engine: AsyncEngine) -> AsyncIterator[Office]:
    async with alerting(engine) as office:
        yield office


SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For tests that ask nothing of the database which others don't."""


async def dead(office: Office, key: str, reason: str = "SMTP 550", *, user: str = "7", way: Way = Way.EMAIL) -> int:
    new = NewDelivery(key=key, user=user, kind=Kind.ALERT, channel=way, content="{}", lives_ms=1000)
    await office.deliveries.add([new])
    rows = deliveries.c
    died = {"status": "dead", "reason": reason, "finished_at_ms": rows.created_at_ms}
    async with office.engine.begin() as connection:
        await connection.execute(update(deliveries).where(rows.key == key).values(died))
        return int(await connection.scalar(select(rows.id).where(rows.key == key)) or 0)


async def found(office: Office, query: str = "") -> list[int]:
    answer = await office.ask("GET", f"{PLACE}{query}", who="boss")
    return [one["id"] for one in answer.data["items"]]


async def test_dead_deliveries_are_listed_with_their_reasons(office: Office) -> None:
    first = await dead(office, "a")
    second = await dead(office, "b", "Twilio 21211", user="8", way=Way.SMS)
    new = NewDelivery(key="c", user="7", kind=Kind.ALERT, channel=Way.PUSH, content="{}", lives_ms=1000)
    await office.deliveries.add([new])
    assert await found(office) == [second, first]
    assert await found(office, "?user=7") == [first]
    assert await found(office, "?channel=sms") == [second]
    assert await found(office, "?limit=1&page=2") == [first]
    assert len(await found(office, "?status=queued")) == 1
    shown = (await office.ask("GET", PLACE, who="boss")).data["items"][0]
    assert (shown["user"], shown["status"], shown["reason"], shown["attempts"]) == ("8", "dead", "Twilio 21211", [])


@pytest.mark.parametrize(
    ("body", "again"),
    [
        ({}, ["a", "b"]),
        ({"in_doubt": True}, ["a", "b", "c"]),
        ({"user": "8"}, ["b"]),
        ({"channel": "email"}, ["a"]),
        ({"reason": "SMTP 550"}, ["a"]),
        ({"reason": "nothing"}, []),
    ],
)
async def test_those_that_are_meant_are_sent_again(office: Office, body: dict[str, Any], again: list[str]) -> None:
    await dead(office, "a")
    await dead(office, "b", "Twilio 21211", user="8", way=Way.SMS)
    await dead(office, "c", IN_DOUBT, way=Way.VOICE)
    answer = await office.ask("POST", f"{PLACE}/redrive", body, "boss")
    assert answer.data == {"count": len(again)}
    rows = deliveries.c
    async with office.engine.connect() as connection:
        queued = await connection.execute(select(rows.key).where(rows.status == "queued").order_by(rows.key))
        assert list(queued.scalars()) == again
    (noted,) = office.noted
    assert (noted.action, noted.actor, noted.details) == ("deliveries.redriven", "boss", {"count": len(again)})


@SQLITE
async def test_one_is_named_by_its_id(office: Office) -> None:
    await dead(office, "a")
    second = await dead(office, "b")
    assert (await office.ask("POST", f"{PLACE}/redrive", {"ids": [second], "lives": "2h"}, "boss")).data == {"count": 1}
    assert await found(office, "?status=queued") == [second]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"lives": "8d"}, "$.lives"),
        ({"lives": "0s"}, "$.lives"),
        ({"lives": "long"}, "$.lives"),
        ({"ids": [0]}, "$.ids[0]"),
        ({"ids": list(range(1, 1002))}, "$.ids"),
        ({"channel": "fax"}, "$.channel"),
        ({"everything": True}, "everything"),
    ],
)
@SQLITE
async def test_what_is_not_meant_is_refused(office: Office, body: dict[str, Any], place: str) -> None:
    answer = await office.ask("POST", f"{PLACE}/redrive", body, "boss")
    assert (answer.status, answer.code) == (400, "BAD_REQUEST")
    assert place in answer.message


@SQLITE
async def test_nobody_but_administrators_is_let_in(office: Office) -> None:
    for who in ("asha", "writer"):
        assert (await office.ask("GET", PLACE, who=who)).status == 403
        assert (await office.ask("POST", f"{PLACE}/redrive", {}, who)).status == 403
