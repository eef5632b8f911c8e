"""Anybody may see what plans cost and include."""

from pathlib import Path

from auth.identity import Plan
from tests.hub.administration import BOSS, administered
from tests.hub.live import bearer


async def test_the_plans_are_shown_to_everyone_from_the_least_to_the_most(tmp_path: Path) -> None:
    async with administered(tmp_path) as desk:
        answer = await desk.hub.get("/api/v1/plans")
        items = answer.data["items"]
        assert [one["name"] for one in items] == list(Plan)
        free = items[0]
        assert free["price"] == 0
        assert free["prices"]["NSE"] == "realtime"
        assert items[3]["price"] is None
        assert free.keys() == {
            "name", "price", "prices", "withheld", "connections", "channels", "alerts", "sms_per_month", "requests",
            "api_metrics",
        }  # fmt: skip
        assert (await desk.hub.get("/api/v1/plans?x=1")).code == "BAD_REQUEST"
        assert (await desk.hub.get("/api/v1/admin/plans", **BOSS)).data == answer.data
        assert (await desk.hub.get("/api/v1/admin/plans", **bearer("7"))).code == "PERMISSION_DENIED"


async def test_a_plan_of_the_file_is_shown_as_it_counts(tmp_path: Path) -> None:
    plans = tmp_path / "plans.toml"
    plans.write_text('[free]\ndefault = "15m"\nMCX = "none"\nchannels = 50\nwithheld = ["depth"]\n')
    async with administered(tmp_path, PLANS_FILE=str(plans)) as desk:
        free = (await desk.hub.get("/api/v1/plans")).data["items"][0]
    assert (free["prices"]["NSE"], free["prices"]["MCX"]) == ("15m", "none")
    assert (free["channels"], free["withheld"]) == (50, ["depth"])
