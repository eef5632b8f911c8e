import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from feeds.candles.bars import LENGTHS_MS, Bar
from feeds.candles.history import CandleHistory
from feeds.indicators.evaluation import evaluate
from feeds.indicators.indicator import parse_all
from feeds.instruments import Instrument, Kind
from feeds.listings.directory import directory_of
from schemas.market import IST, PRICE_SCALE, ist_text, scaled
from tests.feeds.bars import Candle, walk
from tests.hub.live import WAIT_S, Answer, Hub, bearer, running
from tests.servers import free_port

MINUTE_MS = 60_000
FRIDAY = date(2024, 1, 5)
MONDAY = date(2024, 1, 8)
PLANS = """
[free]
default = "15m"
MCX = "none"

[basic]
default = "realtime"
"""


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    async with running(tmp_path) as hub:
        yield hub


@pytest.fixture
async def planned(tmp_path: Path) -> AsyncIterator[Hub]:
    """A hub on which the free plan is a quarter of an hour late."""
    plans = tmp_path / "plans.toml"
    plans.write_text(PLANS)
    async with running(tmp_path, PLANS_FILE=str(plans)) as hub:
        yield hub


async def ask(hub: Hub, place: str, **bearer_of: Any) -> Answer:
    """What `GET market/…` answers; a bearer on the plan pro where nothing is said."""
    return await hub.get(f"/api/v1/market/{place}", **bearer(**bearer_of))


def at(day: date, clock: str) -> int:
    return round(datetime.fromisoformat(f"{day}T{clock}+05:30").timestamp() * 1000)


def bar(start_ms: int, close: float, *, timeframe: str = "1m", symbol: str = "TCS", **fields: Any) -> Bar:
    figures = dict.fromkeys(("open", "high", "low", "close"), scaled(close)) | {"volume": 10}
    end_ms = start_ms + LENGTHS_MS.get(timeframe, 86_400_000)
    place = {"exchange": "NSE", "symbol": symbol, "timeframe": timeframe}
    return Bar(**place, start_ms=start_ms, end_ms=end_ms, **figures | fields)


async def store(hub: Hub, bars: Sequence[Bar]) -> None:
    history = CandleHistory(hub.engine)
    history.offer(bars)
    await history.flush()


async def tell(hub: Hub, start_ms: int, close: float, *, closed: bool = False, **fields: Any) -> None:
    """Publish a candle of TCS as the feeds do."""
    figures = dict.fromkeys(("open", "high", "low", "close"), close)
    start = ist_text(start_ms)
    await hub.publish("candles:1m:NSE:TCS", **figures, start=start, volume=5, closed=closed, **fields)


def closes(answer: Answer) -> list[float]:
    return [one["close"] for one in answer.data["candles"]]


async def in_time(hub: Hub, place: str, true: Callable[[Any], object]) -> Any:
    """The data of an answer, once it is as wanted."""
    async with asyncio.timeout(WAIT_S):
        while not ((answer := await ask(hub, place)).status == 200 and true(answer.data)):
            pass
    return answer.data


async def wanted(hub: Hub, name: str) -> None:
    """Returns once the channel is wanted from the feeds."""
    async with asyncio.timeout(WAIT_S):
        while name not in ((await hub.broker.demanded()).names or ()):  # noqa: ASYNC110 - the broker tells nobody
            await asyncio.sleep(0.005)


# -- prices -----------------------------------------------------------------------------------------------------------


async def test_the_simulated_market_has_prices(tmp_path: Path) -> None:
    async with running(tmp_path, feeds=True) as hub:
        several = "prices?symbols=RELIANCE,NSE:TCS,BSE:SENSEX,reliance"
        found = await in_time(hub, several, lambda data: not data["missing"])
        assert [one["symbol"] for one in found["prices"]] == ["RELIANCE", "TCS", "SENSEX"]
        reliance = (await ask(hub, "prices/RELIANCE")).data
        assert reliance["price"] > 0
        assert reliance["low"] <= reliance["price"] <= reliance["high"]
        sensex = (await ask(hub, "prices/SENSEX?exchange=bse")).data
        assert (sensex["exchange"], sensex["symbol"]) == ("BSE", "SENSEX")


async def test_a_price_is_all_that_was_published(hub: Hub) -> None:
    await hub.publish("market:TCS", price=1.5, volume=7, state="continuous", time="2026-11-23T09:15:00+05:30")
    data = (await ask(hub, "prices/TCS")).data
    assert data.pop("seq") > 0
    assert data == {
        "exchange": "NSE", "symbol": "TCS", "price": 1.5, "volume": 7, "state": "continuous",
        "time": "2026-11-23T09:15:00+05:30",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("place", "status", "code"),
    [
        ("prices/RELIANCE", 404, "NOT_FOUND"),
        ("prices/SENSEX?exchange=BSE", 404, "NOT_FOUND"),
        ("prices/NOSUCHTHING", 404, "INVALID_SYMBOL"),
        ("prices/SENSEX?exchange=NSE", 404, "INVALID_SYMBOL"),
        ("prices/MOON:RELIANCE", 404, "INVALID_SYMBOL"),
        ("prices/NSE:RELIANCE?exchange=BSE", 404, "INVALID_SYMBOL"),
        ("prices/", 404, "UNKNOWN_CHANNEL"),
        ("prices/a%00b", 404, "UNKNOWN_CHANNEL"),
        ("prices/" + "A" * 300, 404, "UNKNOWN_CHANNEL"),
    ],
)
async def test_a_symbol_without_a_price_is_told_from_one_that_is_none(
    hub: Hub, place: str, status: int, code: str
) -> None:
    answer = await ask(hub, place)
    assert (answer.status, answer.code) == (status, code)


async def test_what_is_asked_for_is_wanted_from_the_feeds_and_their_first_price_waited_for(hub: Hub) -> None:
    asking = asyncio.create_task(ask(hub, "prices/TCS"), name="asking")
    await wanted(hub, "market:NSE:TCS")
    await hub.publish("market:TCS", price=9)
    assert (await asking).data["price"] == 9.0


async def test_a_price_that_nobody_wanted_for_long_is_renewed_first(hub: Hub) -> None:
    await hub.publish("market:TCS", price=1, time=ist_text(int(time.time() * 1000) - 120_000))
    asking = asyncio.create_task(ask(hub, "prices?symbols=TCS"), name="asking")
    await wanted(hub, "market:NSE:TCS")
    await hub.publish("market:TCS", price=2)
    assert [one["price"] for one in (await asking).data["prices"]] == [2.0]


async def test_an_old_price_is_answered_where_nothing_newer_comes(hub: Hub) -> None:
    await hub.publish("market:TCS", price=1, time="2024-01-05T15:30:00+05:30")
    assert (await ask(hub, "prices/TCS")).data["price"] == 1.0


async def test_what_is_not_listed_is_not_asked_of_the_feeds(hub: Hub) -> None:
    await hub.publish("market:NOSUCHTHING", price=1)
    assert (await ask(hub, "prices/NOSUCHTHING")).status == 200
    wanted = (await hub.broker.demanded()).names or ()
    assert [name for name in wanted if not name.startswith("instance:")] == []


# -- charts -----------------------------------------------------------------------------------------------------------

TWO_DAYS = [
    *(bar(at(FRIDAY, f"15:{minute}:00"), minute) for minute in range(25, 30)),
    *(bar(at(MONDAY, f"09:{minute}:00"), minute, gap=minute == 15, open_interest=3) for minute in range(15, 20)),
]


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("", [15, 16, 17, 18, 19]),
        ("&days=1", [15, 16, 17, 18, 19]),
        ("&days=2", [25, 26, 27, 28, 29, 15, 16, 17, 18, 19]),
        ("&days=3650", [25, 26, 27, 28, 29, 15, 16, 17, 18, 19]),
        ("&limit=7", [28, 29, 15, 16, 17, 18, 19]),
        ("&days=2&limit=6", [29, 15, 16, 17, 18, 19]),
        ("&days=1&limit=2", [18, 19]),
        ("&to=2024-01-08T09:17:00%2B05:30", [15, 16]),
        (f"&to={at(MONDAY, '09:17:00') // 1000}", [15, 16]),
        ("&to=2024-01-08", [25, 26, 27, 28, 29]),
        ("&to=2024-01-01", []),
        ("&exchange=nse", [15, 16, 17, 18, 19]),
        ("&exchange=BSE", None),
    ],
)
async def test_a_chart_holds_the_last_days_or_the_last_candles(
    hub: Hub, question: str, found: list[int] | None
) -> None:
    await store(hub, TWO_DAYS)
    answer = await ask(hub, f"chart/TCS?tf=1m{question}")
    if found is None:
        assert (answer.status, answer.code) == (404, "INVALID_SYMBOL")
    else:
        assert closes(answer) == found


async def test_a_candle_has_its_figures_in_decimals_and_says_where_something_is_missing(hub: Hub) -> None:
    await store(hub, [msgspec.structs.replace(TWO_DAYS[5], high=scaled(15.55), low=scaled(14.05), volume=None)])
    answer = await ask(hub, "chart/TCS?tf=1m")
    assert answer.data == {
        "exchange": "NSE", "symbol": "TCS", "tf": "1m",
        "candles": [{
            "time": "2024-01-08T09:15:00.000+05:30", "open": 15.0, "high": 15.55, "low": 14.05, "close": 15.0,
            "volume": None, "closed": True, "open_interest": 3, "gap": True,
        }],
    }  # fmt: skip


async def test_the_forming_candle_comes_last(hub: Hub) -> None:
    await store(hub, TWO_DAYS)
    await tell(hub, at(MONDAY, "09:20:00"), 20.5, gap=True)
    candles = (await ask(hub, "chart/TCS?tf=1m")).data["candles"]
    assert [one["closed"] for one in candles] == [True] * 5 + [False]
    assert candles[-1] == {
        "time": "2024-01-08T09:20:00.000+05:30", "open": 20.5, "high": 20.5, "low": 20.5, "close": 20.5,
        "volume": 5, "closed": False, "gap": True,
    }  # fmt: skip
    assert closes(await ask(hub, "chart/TCS?tf=1m&limit=2")) == [19.0, 20.5]
    assert closes(await ask(hub, "chart/TCS?tf=1m&to=2024-01-08T09:21:00")) == [15, 16, 17, 18, 19]


@pytest.mark.parametrize(
    ("clock", "found"),
    [
        ("09:19:00", [18, 99]),  # the stored one is what a process that ended had of it
        ("09:18:00", [18, 19]),  # told before the stored ones closed
        ("09:20:00", [19, 99]),
    ],
)
async def test_of_a_stored_and_a_told_candle_the_newer_counts(hub: Hub, clock: str, found: list[int]) -> None:
    await store(hub, TWO_DAYS)
    await tell(hub, at(MONDAY, clock), 99)
    assert closes(await ask(hub, "chart/TCS?tf=1m&limit=2")) == found


@pytest.mark.parametrize("start", ["yesterday", "2024-01-08T09:20:00", ""])
async def test_a_candle_from_outside_that_has_no_time_is_left_out(hub: Hub, start: str) -> None:
    await store(hub, TWO_DAYS)
    await hub.publish("candles:1m:NSE:TCS", open=1, high=1, low=1, close=1, start=start)
    assert closes(await ask(hub, "chart/TCS?tf=1m&limit=1")) == [19]


async def test_a_candle_that_begins_to_be_told_is_waited_for(hub: Hub) -> None:
    """Feeds tell forming candles only while somebody wants them."""
    await store(hub, TWO_DAYS)
    await hub.publish("market:TCS", price=30, time=ist_text(at(MONDAY, "09:20:05")))
    asking = asyncio.create_task(ask(hub, "chart/TCS?tf=1m&limit=1"), name="asking")
    await wanted(hub, "candles:1m:NSE:TCS")
    await tell(hub, at(MONDAY, "09:20:00"), 30)
    assert closes(await asking) == [30]


async def test_a_chart_of_the_simulated_market_grows(tmp_path: Path) -> None:
    async with running(tmp_path, feeds=True) as hub:
        (last,) = (await in_time(hub, "chart/RELIANCE?tf=1d", lambda data: data["candles"]))["candles"]
        assert last["closed"] is False
        assert last["low"] <= last["close"] <= last["high"]
        (other,) = (await ask(hub, "indicators/RELIANCE?tf=1d&names=vwap")).data["indicators"].values()
        assert other == pytest.approx(last["close"], rel=0.2)


@pytest.mark.parametrize("tf", ["1m", "3m", "5m", "15m", "30m", "1h", "1d"])
async def test_a_listed_symbol_without_candles_has_an_empty_chart(hub: Hub, tf: str) -> None:
    answer = await ask(hub, f"chart/TCS?tf={tf}&days=5")
    assert answer.data == {"exchange": "NSE", "symbol": "TCS", "tf": tf, "candles": []}


# -- indicators -------------------------------------------------------------------------------------------------------


def series() -> list[Bar]:
    def figures(candle: Candle) -> dict[str, Any]:
        return {name: getattr(candle, name) for name in ("open", "high", "low", "close", "volume")}

    candles = walk(7, 900, start_ms=at(FRIDAY, "09:15:00"))
    return [msgspec.structs.replace(bar(one.start_ms, 0, timeframe="15m"), **figures(one)) for one in candles]


@pytest.mark.parametrize(
    "names", ["rsi", "rsi(7),macd(12,26,9),bbands", "sma(200),vwap,RSI( 14 )", "sma(volume,20),ema(high,9)"]
)
async def test_indicators_are_those_of_the_same_candles(hub: Hub, names: str) -> None:
    bars = series()
    await store(hub, bars)
    data = (await ask(hub, f"indicators/TCS?tf=15m&names={quote(names)}")).data
    wanted = parse_all(names)
    most = max(one.lookback for one in wanted.values())
    assert (data["time"], data["closed"]) == (ist_text(bars[-1].start_ms), True)
    assert data["candles"] > 3 * most
    assert data["indicators"] == evaluate(wanted, bars[-data["candles"] :])
    assert data["indicators"].keys() == wanted.keys()
    assert None not in data["indicators"].values()


async def test_a_charts_indicators_have_a_value_for_each_candle_and_count_what_came_before(hub: Hub) -> None:
    bars = series()
    await store(hub, bars)
    asked = quote("sma(20),MACD(12, 26, 9),vwap")
    data = (await ask(hub, f"chart/TCS?tf=15m&limit=30&indicators={asked}")).data
    assert [one["time"] for one in data["candles"]] == [ist_text(one.start_ms) for one in bars[-30:]]
    assert list(data["indicators"]) == ["sma(20)", "macd(12,26,9)", "vwap"]
    sma, macd = data["indicators"]["sma(20)"], data["indicators"]["macd(12,26,9)"]
    assert sma == [evaluate(parse_all("sma(20)"), bars[: end + 1])["sma(20)"] for end in range(870, 900)]
    assert list(macd) == ["macd", "signal", "histogram"]
    assert [len(one) for one in macd.values()] == [30, 30, 30]
    newest = (await ask(hub, "indicators/TCS?tf=15m&names=macd(12,26,9)")).data["indicators"]["macd(12,26,9)"]
    assert {name: line[-1] for name, line in macd.items()} == pytest.approx(newest, rel=1e-4)


async def test_a_charts_vwap_counts_from_the_mornings_first_minute(hub: Hub) -> None:
    morning = at(MONDAY, "09:15:00")
    await store(hub, [bar(morning + number * MINUTE_MS, 100 + number) for number in range(300)])
    data = (await ask(hub, "chart/TCS?tf=1m&limit=1&indicators=vwap")).data
    assert data["indicators"] == {"vwap": [pytest.approx(100 + 299 / 2)]}


async def test_a_charts_indicators_are_null_where_history_is_too_short(hub: Hub) -> None:
    await store(hub, TWO_DAYS)
    data = (await ask(hub, "chart/TCS?tf=1m&days=2&indicators=sma(3),rsi(50)")).data
    count = len(data["candles"])
    assert data["indicators"]["sma(3)"][:2] == [None, None]
    assert None not in data["indicators"]["sma(3)"][2:]
    assert data["indicators"]["rsi(50)"] == [None] * count


async def test_a_chart_has_indicators_only_where_they_are_asked_for(hub: Hub) -> None:
    assert "indicators" not in (await ask(hub, "chart/TCS")).data
    assert (await ask(hub, "chart/TCS?indicators=")).data["indicators"] == {}
    empty = (await ask(hub, "chart/TCS?indicators=rsi,macd")).data["indicators"]
    assert empty == {"rsi": [], "macd": {"macd": [], "signal": [], "histogram": []}}


async def test_a_chart_has_at_most_ten_indicators(hub: Hub) -> None:
    names = [f"sma({period})" for period in range(2, 13)]
    answer = await ask(hub, f"chart/TCS?indicators={','.join(names)}")
    assert (answer.status, answer.code) == (422, "LIMIT_EXCEEDED")
    assert len((await ask(hub, f"chart/TCS?indicators={','.join(names[1:])}")).data["indicators"]) == 10
    answer = await ask(hub, "chart/TCS?indicators=nosuchthing")
    assert (answer.status, answer.code) == (400, "BAD_REQUEST")


@pytest.mark.parametrize("place", ["chart/TCS", "symbols", "search?q=tcs"])
async def test_what_pages_ask_while_somebody_types_is_counted_as_lookups(hub: Hub, place: str) -> None:
    assert (await ask(hub, place)).headers["ratelimit-policy"].startswith('"lookup"')
    assert (await ask(hub, "status")).headers["ratelimit-policy"].startswith('"default"')


async def test_indicators_count_the_forming_candle(hub: Hub) -> None:
    await store(hub, TWO_DAYS)
    await tell(hub, at(MONDAY, "09:20:00"), 21)
    data = (await ask(hub, "indicators/TCS?tf=1m&names=sma(2)")).data
    assert (data["closed"], data["indicators"]) == (False, {"sma(2)": 20.0})


async def test_indicators_need_candles(hub: Hub) -> None:
    await store(hub, [bar(at(MONDAY, "09:15:00"), 1, timeframe="1h")])
    data = (await ask(hub, "indicators/TCS")).data
    assert data["indicators"] == {"rsi": None, "macd": None}
    assert data["candles"] == 1
    assert (await ask(hub, "indicators/INFY?names=rsi")).data == {
        "exchange": "NSE", "symbol": "INFY", "tf": "1h", "candles": 0, "indicators": {"rsi": None},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("names", "status", "code", "word"),
    [
        ("rsl", 400, "BAD_REQUEST", "rsi"),
        ("rsi(0)", 400, "BAD_REQUEST", "period"),
        ("rsi(14", 400, "BAD_REQUEST", "rsi(14"),
        ("macd(26,12,9)", 400, "BAD_REQUEST", "fast"),
        ("", 400, "BAD_REQUEST", "names"),
        (",,", 400, "BAD_REQUEST", "names"),
        (",".join(f"sma({number})" for number in range(2, 23)), 422, "LIMIT_EXCEEDED", "20"),
    ],
)
async def test_a_wrong_indicator_is_refused_with_what_is_wrong(
    hub: Hub, names: str, status: int, code: str, word: str
) -> None:
    answer = await ask(hub, f"indicators/TCS?names={quote(names)}")
    assert (answer.status, answer.code) == (status, code)
    assert word in answer.json["error"]["message"]


# -- symbols and search -----------------------------------------------------------------------------------------------


def contract(symbol: str, kind: Kind, expiry: date, **fields: Any) -> Instrument:
    about = {"exchange": "NFO", "underlying": "NIFTY", "lot_size": 75, "tick_size": PRICE_SCALE // 20}
    return Instrument(symbol=symbol, name="NIFTY", kind=kind, expiry=expiry, **about | fields)


LISTED = [
    Instrument(
        exchange="NSE", symbol="RELIANCE", name="RELIANCE INDUSTRIES", tick_size=PRICE_SCALE // 10, isin="INE002A01018",
        series="EQ", has_derivatives=True, lower_circuit=scaled(1391.4), upper_circuit=scaled(1700.6),
    ),
    Instrument(exchange="NSE", symbol="RELAXO", name="RELAXO FOOTWEARS", tick_size=PRICE_SCALE // 20, series="EQ"),
    Instrument(
        exchange="NSE", symbol="NIFTY 50", name="NIFTY 50", kind=Kind.INDEX, tick_size=PRICE_SCALE // 20,
        has_derivatives=True,
    ),
    Instrument(exchange="BSE", symbol="RELIANCE", name="RELIANCE INDUSTRIES", tick_size=PRICE_SCALE // 20),
    contract("NIFTY26DECFUT", Kind.FUTURE, date(2026, 12, 29)),
    contract(
        "NIFTY26DEC24000CE", Kind.OPTION, date(2026, 12, 29), strike=scaled(24000), option_type="CE",
    ),
    contract(
        "NIFTY26DEC24000PE", Kind.OPTION, date(2026, 12, 29), strike=scaled(24000), option_type="PE",
    ),
]  # fmt: skip


@pytest.fixture
def listed(hub: Hub) -> Hub:
    hub.web.instruments = directory_of(LISTED)
    return hub


def symbols(answer: Answer) -> list[str]:
    return [one["symbol"] for one in answer.data["items"]]


@pytest.mark.parametrize(
    ("question", "found", "total"),
    [
        ("", ["NIFTY 50", "RELAXO", "RELIANCE"], 3),
        ("?exchange=bse", ["RELIANCE"], 1),
        ("?exchange=MCX", [], 0),
        ("?kind=index", ["NIFTY 50"], 1),
        ("?limit=2", ["NIFTY 50", "RELAXO"], 3),
        ("?limit=2&page=2", ["RELIANCE"], 3),
        ("?limit=2&page=3", [], 3),
        ("?sort=symbol&order=desc&limit=1", ["RELIANCE"], 3),
        ("?exchange=NFO&kind=option", ["NIFTY26DEC24000CE", "NIFTY26DEC24000PE"], 2),
        ("?exchange=NFO&underlying=BANKNIFTY", [], 0),
        ("?exchange=NFO&underlying=NIFTY&kind=future", ["NIFTY26DECFUT"], 1),
    ],
)
async def test_symbols_come_a_page_at_a_time(listed: Hub, question: str, found: list[str], total: int) -> None:
    answer = await ask(listed, f"symbols{question}")
    assert symbols(answer) == found
    assert answer.data["total"] == total


async def test_an_instrument_says_what_its_kind_has(listed: Hub) -> None:
    (option,) = (await ask(listed, "search?q=NIFTY26DEC24000CE")).data["items"]
    assert option == {
        "exchange": "NFO", "symbol": "NIFTY26DEC24000CE", "name": "NIFTY", "kind": "option", "tick_size": 0.05,
        "lot_size": 75, "has_derivatives": False, "underlying": "NIFTY", "expiry": "2026-12-29", "strike": 24000.0,
        "option_type": "CE",
    }  # fmt: skip
    share = (await ask(listed, "search?q=INE002A01018")).data["items"][0]
    assert share == {
        "exchange": "NSE", "symbol": "RELIANCE", "name": "RELIANCE INDUSTRIES", "kind": "stock", "tick_size": 0.1,
        "lot_size": 1, "has_derivatives": True, "isin": "INE002A01018", "series": "EQ", "lower_circuit": 1391.4,
        "upper_circuit": 1700.6,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("q=reliance", ["RELIANCE", "RELIANCE"]),
        ("q=rel", ["RELIANCE", "RELAXO", "RELIANCE"]),
        ("q=rel&limit=1", ["RELIANCE"]),
        ("q=rel&exchange=BSE", ["RELIANCE"]),
        ("q=footwear", ["RELAXO"]),
        ("q=INE002A01018", ["RELIANCE"]),
        ("q=NIFTY%2024000%20CE", ["NIFTY26DEC24000CE"]),
        ("q=nifty%20dec%20fut", ["NIFTY26DECFUT"]),
        ("q=nifty&kind=index", ["NIFTY 50"]),
        ("", []),
        ("q=", []),
        ("q=%20%20", []),
        ("q=%00%ff%f0%9f%9a%80", []),
        ("q=*%25_;--", []),
        ("q=zzzz", []),
    ],
)
async def test_instruments_are_found_by_what_people_type(listed: Hub, question: str, found: list[str]) -> None:
    assert symbols(await ask(listed, f"search?{question}")) == found


async def test_the_state_of_markets_and_feeds_is_told(tmp_path: Path) -> None:
    async with running(tmp_path, feeds=True) as hub:
        data = await in_time(hub, "status", lambda data: data["feeds"].get("NSE") == "live")
        assert data["market"]["NSE"]["state"] == "continuous"


async def test_without_feeds_there_is_no_state_to_tell(hub: Hub) -> None:
    assert (await ask(hub, "status")).data == {"market": {}, "feeds": {}}


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "where"),
    [
        ("prices/TCS?exchange=MOON", "`?exchange`"),
        ("prices/TCS?exchange=", "`?exchange`"),
        ("prices/TCS?exchange=NSE&exchange=BSE", "once"),
        ("prices/TCS?currency=usd", "`?currency`"),
        ("prices?symbols=TCS&fields=price", "`?fields`"),
        ("prices", "`symbols`"),
        ("prices?symbols=TC%C3%89", "`?symbols`"),
        ("prices?symbols=" + "A" * 20_001, "`?symbols`"),
        ("chart/TCS?tf=2h", "`?tf`"),
        ("chart/TCS?tf=", "`?tf`"),
        ("chart/TCS?days=0", "`?days`"),
        ("chart/TCS?days=many", "`?days`"),
        ("chart/TCS?limit=5001", "`?limit`"),
        ("chart/TCS?limit=-1", "`?limit`"),
        ("chart/TCS?to=tomorrow", "`?to`"),
        ("chart/TCS?from=2024-01-01", "`?from`"),
        ("indicators/TCS?tf=60", "`?tf`"),
        ("indicators/TCS?names=" + "x" * 1001, "`?names`"),
        ("indicators/TCS?name=rsi", "`?name`"),
        ("symbols?exchange=MOON", "`?exchange`"),
        ("symbols?kind=bond", "`?kind`"),
        ("symbols?page=0", "`?page`"),
        ("symbols?limit=501", "`?limit`"),
        ("symbols?sort=price", "`?sort`"),
        ("symbols?order=up", "`?order`"),
        ("symbols?q=tcs", "`?q`"),
        ("search?q=tcs&exchange=MOON", "`?exchange`"),
        ("search?q=tcs&limit=101", "`?limit`"),
        ("search?q=" + "x" * 201, "`?q`"),
        ("search?query=tcs", "`?query`"),
        ("status?exchange=NSE", "`?exchange`"),
    ],
)
async def test_a_wrong_parameter_is_refused_with_its_place(hub: Hub, place: str, where: str) -> None:
    answer = await ask(hub, place)
    assert (answer.status, answer.code) == (400, "BAD_REQUEST")
    assert where in answer.json["error"]["message"]


ROUTES = ("prices/TCS", "prices?symbols=TCS", "chart/TCS", "indicators/TCS", "symbols", "search?q=tcs", "status")


async def test_without_its_database_prices_go_on_and_charts_say_503(tmp_path: Path) -> None:
    url = f"postgresql://somebody:hush-hush@127.0.0.1:{free_port()}/hub"
    async with running(tmp_path, DATABASE_URL=url) as hub:
        await hub.publish("market:TCS", price=1)
        for place in ROUTES:
            answer = await ask(hub, place)
            if place.startswith(("chart", "indicators")):
                assert (answer.status, answer.code) == (503, "NOT_AVAILABLE")
                assert int(answer.headers["retry-after"]) > 0
                assert b"hush-hush" not in answer.body
            else:
                assert answer.status == 200


# -- plans ------------------------------------------------------------------------------------------------------------


async def test_a_plan_that_is_late_gets_the_prices_of_then_and_waits_for_none(
    planned: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.api.candles.POLLS", 1_000_000)
    now = planned.names.parse("market:NSE:TCS")
    await planned.publish("market:TCS", price=2)
    assert (await ask(planned, "prices/TCS", plan="free")).code == "NOT_FOUND"
    await planned.broker.publish_latest([(now.delayed(900), b'{"price":1.0}')])
    for plan, price in (("free", 1.0), ("basic", 2.0)):
        assert (await ask(planned, "prices/TCS", plan=plan)).data["price"] == price
        assert (await ask(planned, "prices?symbols=TCS", plan=plan)).data["prices"][0]["price"] == price
    assert (await ask(planned, "prices/TCS", plan="free", role="admin")).data["price"] == 2.0


async def test_an_exchange_that_a_plan_has_not_is_refused(planned: Hub) -> None:
    await planned.publish("market:MCX:GOLD26DECFUT", price=1)
    for place in ("prices/MCX:GOLD26DECFUT", "chart/GOLD26DECFUT?exchange=MCX", "indicators/MCX:GOLD26DECFUT"):
        answer = await ask(planned, place, plan="free")
        assert (answer.status, answer.code) == (403, "PERMISSION_DENIED")
    assert (await ask(planned, "prices/MCX:GOLD26DECFUT", plan="basic")).data["price"] == 1.0


async def test_a_chart_ends_where_the_plan_has_it_end(planned: Hub) -> None:
    now_ms = int(time.time() * 1000)
    this_minute_ms = now_ms - now_ms % MINUTE_MS
    starts = [this_minute_ms - ago * MINUTE_MS for ago in range(40, 0, -1)]
    await store(planned, [bar(start_ms, number + 1) for number, start_ms in enumerate(starts)])
    await tell(planned, this_minute_ms, 99)
    assert closes(await ask(planned, "chart/TCS?tf=1m&limit=500", plan="basic"))[-1] == 99.0
    late = (await ask(planned, "chart/TCS?tf=1m&limit=500", plan="free")).data["candles"]
    last_ms = round(datetime.fromisoformat(late[-1]["time"]).astimezone(IST).timestamp() * 1000)
    assert now_ms - 17 * MINUTE_MS < last_ms <= int(time.time() * 1000) - 16 * MINUTE_MS
    counted = (await ask(planned, "indicators/TCS?tf=1m&names=sma(2)", plan="free")).data
    assert counted["time"] == late[-1]["time"]
    forming = planned.names.parse("candles:1m:NSE:TCS").delayed(900)
    told = {"open": 50.0, "high": 50.0, "low": 50.0, "close": 50.0, "start": ist_text(last_ms + MINUTE_MS)}
    await planned.broker.publish_latest([(forming, msgspec.json.encode(told))])
    assert closes(await ask(planned, "chart/TCS?tf=1m&limit=500", plan="free"))[-1] == 50.0
