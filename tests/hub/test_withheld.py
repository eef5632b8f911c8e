"""What a plan has none of can't be had by any way round."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.hub.live import Hub, running

SIGNAL = {"symbol": "GOLD", "exchange": "MCX", "signal_type": "BUY", "confidence": 70, "entry_price": 71234.0}


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    (tmp_path / "plans.toml").write_text('[basic]\nMCX = "none"\n')
    async with running(tmp_path, PLANS_FILE=str(tmp_path / "plans.toml")) as hub:
        yield hub


@pytest.mark.parametrize(
    ("action", "channel"),
    [
        ("history", "signals:MCX:GOLD"),
        ("presence", "market:MCX:GOLD"),
        ("presence", "candles:1m:MCX:GOLD"),
        ("history", "signals:generated"),
        ("presence", "signals:generated"),
    ],
)
async def test_no_command_reaches_an_exchange_that_the_plan_lacks(hub: Hub, action: str, channel: str) -> None:
    await hub.publish("signals:MCX:GOLD", **SIGNAL)
    await hub.publish("signals:generated", **SIGNAL)
    async with hub.client(plan="basic") as basic, hub.client(plan="pro") as pro:
        assert (await basic.ask(action, channel=channel))["code"] == "PERMISSION_DENIED"
        assert (await pro.ask(action, channel=channel))["type"] == action


@pytest.mark.parametrize("channel", ["signals:MCX:GOLD", "signals:generated", "market:MCX:GOLD", "depth:MCX:GOLD"])
async def test_no_subscription_does_either(hub: Hub, channel: str) -> None:
    async with hub.client(plan="basic") as basic, hub.client(plan="pro") as pro:
        (failed,) = (await basic.ask("subscribe", channel=channel))["failed"]
        assert failed["code"] == "PERMISSION_DENIED"
        await pro.subscribe(channel)


async def test_what_the_plan_has_is_not_touched(hub: Hub) -> None:
    await hub.publish("signals:NSE:TCS", **SIGNAL | {"symbol": "TCS", "exchange": "NSE"})
    async with hub.client(plan="basic") as basic:
        await basic.subscribe("signals:NSE:TCS", "market:TCS")
        assert (await basic.ask("history", channel="signals:NSE:TCS"))["publications"]
