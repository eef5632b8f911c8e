"""What alerts would have fired over a file of prices, said line by line."""

from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from feeds.errors import BadFile
from hub.alerting.backtest import Asked, backtest, rule_of, stored
from hub.alerting.indicators import CatalogueReader
from notifiers.alerts.store import Alerts, Draft
from notifiers.conditions.options import Frequency, Options
from notifiers.conditions.parser import parse
from schemas.errors import CommandError, ErrorCode

HEAD = "time,symbol,price,volume\n"
DAY = "2026-11-20"


def priced(path: Path, *rows: tuple[str, float], symbol: str = "TCS") -> Path:
    lines = [f"{DAY} {at},{symbol},{price},{number * 10}\n" for number, (at, price) in enumerate(rows, 1)]
    path.write_text(HEAD + "".join(lines))
    return path


async def said(path: Path, *conditions: str, frequency: Frequency = Frequency.EVERY) -> list[str]:
    asked = [Asked(exchange="NSE", symbol="TCS", condition=one, frequency=frequency) for one in conditions]
    lines: list[str] = []
    count = await backtest(path, {n: rule_of(n, one) for n, one in enumerate(asked)}, say=lines.append)
    assert count == len(lines) - 1
    return lines


async def test_each_firing_is_said_with_its_time_and_why(tmp_path: Path) -> None:
    path = priced(
        tmp_path / "day.csv", ("09:15:01", 2490), ("09:15:02", 2498), ("09:16:02", 2503.2), ("09:17:00", 2499)
    )
    assert await said(path, "price crosses above 2500") == [
        f"{DAY} 09:16:02  NSE:TCS      2,503.20  price crosses above 2500  (before 2,498.00; gap)",
        f"1 fired, over 4 ticks, {DAY} 09:15:01 to {DAY} 09:17:00",
    ]


async def test_candles_and_their_indicators_are_made_of_the_file(tmp_path: Path) -> None:
    rows = [(f"09:{minute}:10", 2500 + minute * (-1) ** minute) for minute in range(15, 40)]
    lines = await said(priced(tmp_path / "day.csv", *rows), "rsi(2) on 1m > 50", frequency=Frequency.ONCE)
    assert len(lines) == 2
    assert "rsi(2) on 1m > 50" in lines[0]


async def test_what_lasts_to_the_end_of_the_file_is_said(tmp_path: Path) -> None:
    path = priced(tmp_path / "day.csv", ("09:15:01", 2490), ("09:15:02", 2503))
    assert (await said(path, "price > 2500 for 10s"))[0].startswith(f"{DAY} 09:15:12")


async def test_a_file_without_the_instrument_is_refused(tmp_path: Path) -> None:
    path = priced(tmp_path / "day.csv", ("09:15:01", 2490), symbol="INFY")
    with pytest.raises(CommandError) as caught:
        await said(path, "price > 1")
    assert caught.value.code is ErrorCode.INVALID_SYMBOL


async def test_a_file_that_holds_no_prices_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "day.csv"
    path.write_text("name\nx\n")
    with pytest.raises(BadFile):
        await said(path, "price > 1")


async def test_the_stored_alerts_are_tried_as_if_they_had_just_been_made(tmp_path: Path, engine: AsyncEngine) -> None:
    alerts = Alerts(engine, wall=lambda: 1_800_000_000.0)
    tree = parse("price crosses above 2500", CatalogueReader())
    draft = Draft(
        user="7",
        exchange="NSE",
        symbol="TCS",
        condition="price crosses above 2500",
        tree=tree,
        options=Options(),
    )
    made = await alerts.create(draft, limit=10)
    rules = await stored(engine)
    assert list(rules) == [made.id]
    path = priced(tmp_path / "day.csv", ("09:15:01", 2490), ("09:15:02", 2503))
    lines: list[str] = []
    assert await backtest(path, rules, say=lines.append) == 1
