"""After a split an alert waits for what its owner meant."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.hub.api.alerting import Office, alerting

PLACE = "/admin/corporate-actions"
SPLIT = {"symbol": "TCS", "kind": "split", "numerator": 1, "denominator": 5, "ex_date": "2026-11-23"}


@pytest.fixture
async def office(engine: AsyncEngine) -> AsyncIterator[Office]:
    async with alerting(engine) as office:
        yield office


SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For tests that ask nothing of the database which others don't."""


async def test_alerts_are_rescaled_once(office: Office) -> None:
    made, other = await office.make(), await office.make(symbol="BSE:TCS")
    answer = await office.ask("POST", PLACE, SPLIT, "boss")
    assert (answer.status, answer.data) == (201, {"rescaled": 1, "disabled": 0})
    again = await office.ask("POST", PLACE, SPLIT, "boss")
    assert (again.status, again.code) == (409, "CONFLICT")
    assert (await office.ask("GET", f"/alerts/{made['id']}")).data["condition"] == "price > 500"
    assert (await office.ask("GET", f"/alerts/{other['id']}")).data["condition"] == "price > 2500"
    (shown,) = (await office.ask("GET", PLACE, who="boss")).data["items"]
    assert shown == SPLIT | {
        "id": shown["id"], "exchange": "NSE", "policy": "rescale", "created_at": "2026-11-23T13:50:00.000+05:30",
        "created_by": "boss",
    }  # fmt: skip
    noted = office.noted[-1]
    assert (noted.action, noted.target) == ("corporate_action.applied", "NSE:TCS")


@SQLITE
async def test_alerts_are_disabled_where_that_is_the_policy(office: Office) -> None:
    made = await office.make()
    answer = await office.ask("POST", PLACE, SPLIT | {"policy": "disable"}, "boss")
    assert answer.data == {"rescaled": 0, "disabled": 1}
    shown = (await office.ask("GET", f"/alerts/{made['id']}")).data
    assert (shown["status"], shown["status_reason"]) == ("disabled", "corporate_action")


@pytest.mark.parametrize(
    ("fields", "status", "code", "word"),
    [
        ({"kind": "merger"}, 400, "BAD_REQUEST", "$.kind"),
        ({"numerator": 0}, 400, "BAD_REQUEST", "$.numerator"),
        ({"denominator": 10**7}, 400, "BAD_REQUEST", "$.denominator"),
        ({"ex_date": "soon"}, 400, "BAD_REQUEST", "$.ex_date"),
        ({"policy": "ignore"}, 400, "BAD_REQUEST", "$.policy"),
        ({"symbol": "NOSUCH"}, 404, "INVALID_SYMBOL", "NOSUCH"),
        ({"exchange": "MOON"}, 400, "BAD_REQUEST", "$.exchange"),
    ],
)
@SQLITE
async def test_what_is_no_corporate_action_is_refused(
    office: Office, fields: dict[str, Any], status: int, code: str, word: str
) -> None:
    answer = await office.ask("POST", PLACE, SPLIT | fields, "boss")
    assert (answer.status, answer.code) == (status, code)
    assert word in answer.message


@SQLITE
async def test_nobody_but_administrators_is_let_in(office: Office) -> None:
    for who in ("asha", "writer"):
        assert (await office.ask("GET", PLACE, who=who)).status == 403
        assert (await office.ask("POST", PLACE, SPLIT, who)).status == 403
