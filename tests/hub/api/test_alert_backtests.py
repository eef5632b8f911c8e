"""Backtests over HTTP see what their caller may see, one at a time, and say what they could not try."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from hub.alerting.trial import Abandoned, Tried, tried
from hub.api import alert_backtests
from tests.hub.alerting.stored import at, bar, minutes, walk
from tests.hub.api.alerting import Answer, Office, alerting

MONDAY, FRIDAY, THURSDAY = "2026-11-23", "2026-11-20", "2026-11-19"
CROSSES = "price crosses above 100"


@pytest.fixture
async def office(engine: AsyncEngine) -> AsyncIterator[Office]:
    async with alerting(engine) as office:
        yield office


async def ask(office: Office, condition: Any = CROSSES, who: str = "asha", **fields: Any) -> Answer:
    body = {"symbol": "TCS", "condition": condition, "frequency": "every"} | fields
    return await office.ask("POST", "/alerts/backtest", body, who)


async def test_a_backtest_says_when_the_alert_would_have_fired(office: Office) -> None:
    await office.store(*minutes(FRIDAY, 98, 97), *minutes(MONDAY, 99, 102, 101))
    assert (await ask(office)).data == {
        "exchange": "NSE",
        "symbol": "TCS",
        "condition": CROSSES,
        "bars": 3,
        "from": "2026-11-23T09:15:00.000+05:30",
        "to": "2026-11-23T09:18:00.000+05:30",
        "fired": [{"time": "2026-11-23T09:16:00.000+05:30", "price": 102.0, "number": 1}],
        "total": 1,
        "levels": [100.0],
        "note": None,
    }
    two = (await ask(office, days=2)).data
    assert (two["bars"], two["from"]) == (5, "2026-11-20T09:15:00.000+05:30")


async def test_the_platforms_plain_form_and_trees_are_taken_too(office: Office) -> None:
    await office.store(*minutes(MONDAY, 99, 102))
    assert (await ask(office, "above", threshold=100)).data["total"] == 1
    tree = {
        "is": "cross", "left": {"is": "field", "name": "price"}, "right": {"is": "number", "value": 100},
        "direction": "above",
    }  # fmt: skip
    assert (await ask(office, tree)).data["condition"] == CROSSES


async def test_what_opens_beyond_a_level_is_compared_with_the_evening_before(office: Office) -> None:
    await office.store(*minutes(FRIDAY, 98), *minutes(MONDAY, 103))
    assert (await ask(office)).data["total"] == 1
    assert (await ask(office, overnight="rebase")).data["total"] == 0


async def test_indicators_look_back_beyond_the_days(office: Office) -> None:
    stored = [bar(at(THURSDAY, "09:15") + n * 300_000, 200, timeframe="5m") for n in range(50)]
    await office.store(*stored, *minutes(MONDAY, *[100] * 10))
    answer = await ask(office, "price < sma(20) on 5m", frequency="once")
    assert (answer.data["total"], answer.data["note"]) == (1, None)


async def test_without_candles_nothing_fires_and_it_is_said(office: Office) -> None:
    data = (await ask(office, "price > NSE:INFY.price")).data
    assert (data["bars"], data["from"], data["to"], data["fired"]) == (0, None, None, [])
    assert data["note"] == "No candles of NSE:TCS, NSE:INFY are stored here yet"


@pytest.mark.parametrize(
    ("condition", "days", "note"),
    [
        ("bid > 1 or price > 1", 1, "Candles do not hold bid, so nothing fires by that here"),
        ("sma(50) on 1d > 1", 1, "The candles that are stored give no value of sma(50) on 1d"),
        ("price > 1", 5, "Only 1 of the 5 days could be tried"),
        ("price > NSE:INFY.price", 1, "No candles of NSE:INFY are stored here yet"),
        (
            "price > 1 or NSE:INFY.price > 1 or ask > 1",
            2,
            (
                "No candles of NSE:INFY are stored here yet. Candles do not hold ask, so nothing fires by that here. "
                "Only 1 of the 2 days could be tried"
            ),
        ),
    ],
)
async def test_what_could_not_be_tried_is_said(office: Office, condition: str, days: int, note: str) -> None:
    await office.store(*minutes(MONDAY, 99, 102))
    assert (await ask(office, condition, days=days)).data["note"] == note


async def test_who_has_prices_late_has_backtests_late(office: Office) -> None:
    """It is 13:50; the plan pro has prices that are 15 minutes old."""
    await office.store(*minutes(MONDAY, *[99] * 25, 102, 99, begin="13:10"), *minutes(MONDAY, 102, begin="13:49"))
    own = (await ask(office)).data
    assert ([one["time"][11:16] for one in own["fired"]], own["to"][11:16]) == (["13:35", "13:49"], "13:50")
    late = (await ask(office, who="late")).data
    assert (late["fired"], late["to"][11:16]) == ([], "13:35")


async def test_the_forming_minute_is_not_looked_at(office: Office) -> None:
    office.now_s = at(MONDAY, "09:16:30") / 1000
    await office.store(*minutes(MONDAY, 99, 102))
    assert (await ask(office)).data["bars"] == 1


async def test_a_day_that_is_cut_is_left_out(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alert_backtests, "MAX_BARS", 500)
    await office.store(*walk(THURSDAY, 1), *walk(FRIDAY, 2))
    data = (await ask(office, days=2)).data
    assert (data["bars"], data["note"]) == (375, "Only 1 of the 2 days could be tried")
    monkeypatch.setattr(alert_backtests, "MAX_BARS", 100)
    data = (await ask(office, days=1)).data
    assert (data["bars"], data["to"]) == (101, "2026-11-20T15:30:00.000+05:30")


MANY = " or ".join(f"sma({n}) on {tf} > 1" for n, tf in enumerate(["1m", "3m", "5m", "15m", "30m", "1h", "1d"], 2))
OTHERS = " or ".join(f"{place}.{figure} > 1" for place in ("NSE:INFY", "BSE:TCS") for figure in ("price", "rsi on 1m"))


@pytest.mark.parametrize(
    ("fields", "who", "status", "code"),
    [
        ({"condition": "price >"}, "asha", 400, "BAD_REQUEST"),
        ({"days": 0}, "asha", 400, "BAD_REQUEST"),
        ({"days": 31}, "asha", 400, "BAD_REQUEST"),
        ({"channels": ["email"]}, "asha", 400, "BAD_REQUEST"),
        ({"symbol": "NOSUCHTHING"}, "asha", 404, "INVALID_SYMBOL"),
        ({"symbol": "NFO:NIFTY26OCTFUT"}, "asha", 404, "INVALID_SYMBOL"),
        ({"symbol": "MCX:GOLD26DECFUT"}, "free", 403, "PERMISSION_DENIED"),
        ({"condition": "price > MCX:GOLD26DECFUT.price"}, "free", 403, "PERMISSION_DENIED"),
        ({}, "other", 403, "PERMISSION_DENIED"),
        ({"condition": f"{MANY} or {OTHERS}"}, "asha", 422, "LIMIT_EXCEEDED"),
    ],
)
async def test_a_backtest_that_makes_no_sense_is_refused(
    office: Office, fields: dict[str, Any], who: str, status: int, code: str
) -> None:
    answer = await ask(office, **{"condition": CROSSES, "who": who} | fields)
    assert (answer.status, answer.code) == (status, code)


async def test_one_runs_and_one_waits_and_more_are_refused(office: Office) -> None:
    await office.store(*minutes(MONDAY, 99, 102))
    async with office.backtests._running:
        asking = [asyncio.create_task(ask(office), name=f"asking.{number}") for number in range(5)]
        done, waiting = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        while len(done) < 3:
            now, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            done |= now
        assert {one.result().code for one in done} == {"RATE_LIMITED"}
        ravis = asyncio.create_task(ask(office, who="ravi"), name="asking.ravi")
    assert {(await one).status for one in (*waiting, ravis)} == {200}
    assert (await ask(office)).status == 200


async def test_a_request_that_is_cancelled_ends_its_thread(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, ended = threading.Event(), threading.Event()

    def watched(*given: Any) -> Tried:
        begun.set()
        try:
            return tried(*given)
        except Abandoned:
            ended.set()
            raise

    monkeypatch.setattr(alert_backtests, "tried", watched)
    await office.store(*minutes(MONDAY, *[99] * 300))
    asking = asyncio.create_task(ask(office), name="asking")
    assert await asyncio.to_thread(begun.wait, 10)
    asking.cancel()
    assert await asyncio.to_thread(ended.wait, 10)


async def test_a_preview_tells_the_levels_too(office: Office) -> None:
    body = {"symbol": "TCS", "condition": "price enters 2400..2500"}
    assert (await office.ask("POST", "/alerts/preview", body)).data["levels"] == [2400.0, 2500.0]
