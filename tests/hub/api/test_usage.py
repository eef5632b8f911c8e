"""What is left of a plan."""

from pathlib import Path

from tests.hub.live import bearer, running

PRO = bearer("7", plan="pro")


async def test_usage_counts_requests_and_sockets(tmp_path: Path) -> None:
    async with running(tmp_path, RATE_LIMIT_MAX="50") as hub, hub.client(user="7"), hub.client(user="7"):
        used = (await hub.get("/api/v1/users/usage", **PRO)).data
        assert used["requests"] | {"resets_in_s": 0} == {
            "limit": 50, "remaining": 49, "resets_in_s": 0, "window_s": 900,
        }  # fmt: skip
        assert 0 < used["requests"]["resets_in_s"] <= 900
        assert (used["plan"], used["sockets"], used["sockets_limit"]) == ("pro", 2, 0)
        assert (used["channels_limit"], used["alerts_limit"], used["sms_limit"]) == (3000, 500, 500)
        assert (used["alerts"], used["sms"]) == (0, 0)
        assert (await hub.get("/api/v1/users/usage", **PRO)).data["requests"]["remaining"] == 48


async def test_a_plan_without_usage_metrics_has_none(tmp_path: Path) -> None:
    async with running(tmp_path) as hub:
        refused = await hub.get("/api/v1/users/usage", **bearer("7", plan="free"))
        assert (refused.status, refused.code) == (403, "PERMISSION_DENIED")
