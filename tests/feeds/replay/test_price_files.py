"""Price files: ticks and candles as CSV, however people write them."""

import gzip
import io
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.errors import BadFile
from feeds.feed import Update
from feeds.instruments import Kind
from feeds.replay.price_files import Moment, moments, survey
from schemas.market import PRICE_SCALE, Tick

TEN = 1_795_408_200_000
"""Monday 23 November 2026, 10:00 IST."""
DAY_MS = 86_400_000


def rupees(price: float) -> int:
    return round(price * PRICE_SCALE)


class Files:
    """Files of one test's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, text: str | bytes, name: str = "prices.csv") -> Path:
        path = self.folder / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path


@pytest.fixture
def file(tmp_path: Path) -> Files:
    return Files(tmp_path)


def ticks(path: Path) -> tuple[list[Tick], Counter[str]]:
    bad: Counter[str] = Counter()
    found: list[Update] = [update for moment in moments(path, bad) for update in moment.updates]
    return [one for one in found if isinstance(one, Tick)], bad


def zipped(**files: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name.replace("_csv", ".csv"), text)
    return data.getvalue()


# -- ticks ---------------------------------------------------------------------------------------------------------

TICKS = """\
time,exchange,symbol,price,volume,open,high,low,close,bid,ask,last_quantity,open_interest
2026-11-23T10:00:00.250,NSE,RELIANCE,2500.05,1000,2490,2510,2480.5,2488.1,2500,2500.1,25,
2026-11-23T10:00:01,NFO,NIFTY26NOVFUT,26000.5,,,,,,0,0,,123456
"""


def test_a_tick_has_all_that_its_row_says(file: Files) -> None:
    path = file(TICKS)
    assert ticks(path) == (
        [
            Tick(
                "NSE", "RELIANCE", rupees(2500.05), TEN + 250, None, rupees(2490), rupees(2510), rupees(2480.5),
                rupees(2488.1), 1000, rupees(2500), rupees(2500.1), last_quantity=25,
            ),
            Tick("NFO", "NIFTY26NOVFUT", rupees(26000.5), TEN + 1000, open_interest=123_456),
        ],
        {},
    )  # fmt: skip
    first_ms, instruments = survey(path)
    assert first_ms == TEN + 250
    assert [(one.exchange, one.symbol, one.kind, one.has_derivatives) for one in instruments] == [
        ("NSE", "RELIANCE", Kind.STOCK, True),
        ("NFO", "NIFTY26NOVFUT", Kind.FUTURE, False),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "time,symbol,price\n2026-11-23T10:00:00,RELIANCE,2500\n",
        "\ufeffTime , Symbol,LTP\r\n2026-11-23 10:00:00 , reliance , 2500.00 \r\n\r\n",
        "ltp,timestamp,tradingsymbol\n2500,1795408200,NSE:RELIANCE\n",
        "last_price,datetime,symbol\n2500,1795408200000,nse:reliance",
        "LastPrice,Date,Time,Symbol\n2500,2026-11-23,10:00:00,RELIANCE\n",
        '"time","price","symbol","remark"\n"2026-11-23T04:30:00Z","2500","RELIANCE","a, b"\n',
        "time,symbol,price\n2026-11-23T10:00:00,RELIANCE,2500,more,and more\n",
    ],
)
def test_a_tick_is_understood_however_it_is_written(file: Files, text: str) -> None:
    assert ticks(file(text)) == ([Tick("NSE", "RELIANCE", rupees(2500), TEN)], {})


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("RELIANCE.csv", ("NSE", "RELIANCE")),
        ("reliance.CSV", ("NSE", "RELIANCE")),
        ("BSE_RELIANCE.csv", ("BSE", "RELIANCE")),
        ("NIFTY 50.csv", ("NSE", "NIFTY 50")),
        ("NSE_BAJAJ-AUTO.csv.gz", ("NSE", "BAJAJ-AUTO")),
        ("CDS_USDINR26DEC84.5CE.csv", ("CDS", "USDINR26DEC84.5CE")),
        ("M&M.txt", ("NSE", "M&M")),
        ("MY_STOCK.csv", ("NSE", "MY_STOCK")),
    ],
)
def test_a_file_without_symbols_is_of_what_its_name_says(file: Files, name: str, place: tuple[str, str]) -> None:
    text = b"time,price\n1795408200,10\n"
    found, _ = ticks(file(gzip.compress(text) if name.endswith(".gz") else text, name))
    assert [(one.exchange, one.symbol) for one in found] == [place]


def test_a_file_without_symbols_may_name_exchanges(file: Files) -> None:
    found, _ = ticks(file("time,price,exchange\n1795408200,10,BSE\n1795408200,11,\n", "RELIANCE.csv"))
    assert [one.exchange for one in found] == ["BSE", "NSE"]


@pytest.mark.parametrize(
    ("exchange", "symbol", "kind"),
    [
        ("NSE", "NIFTY 50", Kind.INDEX),
        ("NSE", "INDIA VIX", Kind.INDEX),
        ("NSE", "SOMETHING", Kind.STOCK),
        ("MCX", "GOLD26DECFUT", Kind.FUTURE),
        ("NFO", "NIFTY26DEC26000PE", Kind.OPTION),
    ],
)
def test_an_instrument_is_of_the_kind_that_its_name_tells(file: Files, exchange: str, symbol: str, kind: Kind) -> None:
    _, instruments = survey(file(f"time,symbol,exchange,price\n1795408200,{symbol},{exchange},10\n"))
    assert [(one.exchange, one.symbol, one.kind) for one in instruments] == [(exchange, symbol, kind)]


def test_bad_rows_are_counted_and_the_good_ones_among_them_played(file: Files) -> None:
    text = """\
time,symbol,price,volume
1795408200,A,10,5
,A,10,5
yesterday,A,10,5
1795408201,A,,5
1795408201,A,NaN,5
1795408201,A,1e999999999,5
1795408201,A,-10,5
1795408202,A,11,-5
1795408202,A,11,9999999999999999999999
1795408203,NYSE:A,11,5
1795408203,NSE:,11,5
1795408203
1795408204,A,12,6
"""
    found, bad = ticks(file(text))
    assert [one.price for one in found] == [rupees(10), rupees(12)]
    assert bad == {"no_time": 2, "no_price": 5, "no_quantity": 2, "unknown_exchange": 1, "no_symbol": 1}
    assert survey(file(text))[0] == TEN


def test_rows_are_played_by_time_and_those_of_one_time_in_their_order(file: Files) -> None:
    text = "time,symbol,price\n1795408202,A,3\n1795408200,A,1\n1795408201,B,2\n1795408202,A,4\n1795408202,B,5\n"
    path = file(text)
    bad: Counter[str] = Counter()
    assert [(moment.time_ms - TEN, len(moment.updates)) for moment in moments(path, bad)] == [
        (0, 1),
        (1000, 1),
        (2000, 3),
    ]
    assert [one.price // PRICE_SCALE for one in ticks(path)[0]] == [1, 2, 3, 4, 5]
    assert survey(path)[0] == TEN


def test_a_crowd_of_one_time_is_played_in_parts(file: Files) -> None:
    rows = "".join(f"1795408200,S{number},{number + 1}\n" for number in range(2500))
    found: list[Moment] = list(moments(file("time,symbol,price\n" + rows), Counter()))
    assert [(moment.time_ms, len(moment.updates)) for moment in found] == [(TEN, 1000), (TEN, 1000), (TEN, 500)]


# -- candles -------------------------------------------------------------------------------------------------------


def test_a_candle_is_played_as_four_ticks_over_its_length(file: Files) -> None:
    text = """\
time,symbol,open,high,low,close,volume,oi
2026-11-23T10:00:00,RELIANCE,100,110,98,105,400,7
2026-11-23T10:01:00,RELIANCE,105,106,90,91,10,8
"""
    found, bad = ticks(file(text))
    assert [(one.price // PRICE_SCALE, one.time_ms - TEN, one.volume, one.open_interest) for one in found] == [
        (100, 0, 100, 7),
        (98, 19_999, 200, 7),
        (110, 39_999, 300, 7),
        (105, 59_999, 400, 7),
        (105, 60_000, 402, 8),
        (106, 79_999, 405, 8),
        (90, 99_999, 407, 8),
        (91, 119_999, 410, 8),
    ]
    assert bad == {}


def test_candles_in_any_order_make_volumes_that_only_grow_within_a_day(file: Files) -> None:
    rows = [
        f"2026-11-{day:02d} {9 + hour:02d}:15,{symbol},10,10,10,10,100"
        for day in (24, 23)
        for hour in (3, 1, 2, 0)
        for symbol in ("A", "B")
    ]
    found, _ = ticks(file("date,symbol,open,high,low,close,volume\n" + "\n".join(rows)))
    for symbol in ("A", "B"):
        volumes = [one.volume for one in found if one.symbol == symbol]
        assert volumes == [*range(25, 401, 25), *range(25, 401, 25)]


@pytest.mark.parametrize(
    ("first", "second"),
    [("2026-11-20", "2026-11-23"), ("2026-11-20T00:00:00+0530", "2026-11-23T00:00:00+0530"), ("20261120", "20261123"),
     ("1795113000", "1795372200"), ("2026-11-20T03:45:00Z", "2026-11-23T03:45:00Z")],
)  # fmt: skip
def test_a_days_candle_is_played_while_the_market_is_open(file: Files, first: str, second: str) -> None:
    found, _ = ticks(file(f"date,open,high,low,close\n{second},1,2,1,2\n{first},1,2,1,2\n", "X.csv"))
    opens_ms = TEN - 45 * 60_000
    assert [one.time_ms for one in found[4:]] == [opens_ms + ms for ms in (0, 7_499_999, 14_999_999, 22_499_999)]
    assert [one.time_ms + 3 * DAY_MS for one in found[:4]] == [one.time_ms for one in found[4:]]


def test_a_lone_candle_lasts_a_minute(file: Files) -> None:
    found, _ = ticks(file("time,open,high,low,close\n1795408200,1,2,1,2\n", "X.csv"))
    assert [one.time_ms - TEN for one in found] == [0, 19_999, 39_999, 59_999]
    assert {one.volume for one in found} == {None}


@pytest.mark.parametrize(
    ("ohlc", "reason"),
    [
        ("10,9,8,9", "impossible_candle"),
        ("10,12,11,11", "impossible_candle"),
        ("10,12,9,13", "impossible_candle"),
        ("10,8,12,11", "impossible_candle"),
        ("10,12,0,11", "no_price"),
        ("10,12,,11", "no_price"),
        ("NaN,NaN,NaN,NaN", "no_price"),
        ("1e12,1e12,1e12,1e12", "no_price"),
    ],
)
def test_an_impossible_candle_is_counted_and_left_out(file: Files, ohlc: str, reason: str) -> None:
    found, bad = ticks(file(f"time,open,high,low,close\n1795408200,{ohlc}\n1795408260,10,12,9,11\n", "X.csv"))
    assert bad == {reason: 1}
    assert [one.price // PRICE_SCALE for one in found] == [10, 9, 12, 11]


def test_bad_times_and_volumes_cost_their_candle(file: Files) -> None:
    rows = "x,1,1,1,1,1\n1795408200,1,1,1,1,-1\n1795408200,1,1,1,1,1e300\n1795408260,1,1,1,1,1\n"
    found, bad = ticks(file("time,open,high,low,close,volume\n" + rows, "X.csv"))
    assert (len(found), bad) == (4, {"no_time": 1, "no_quantity": 2})


# -- files ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [TICKS.encode(), zipped(ticks_csv=TICKS), gzip.compress(TICKS.encode()), b"\xef\xbb\xbf" + TICKS.encode()],
)
def test_a_file_may_be_packed(file: Files, data: bytes) -> None:
    assert len(ticks(file(data))[0]) == 2


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "prices.csv is empty"),
        (b"\n \r\n", "prices.csv is empty"),
        (b"<!DOCTYPE html>\n<html><body>Access denied</body></html>", "is a web page, not a list of prices"),
        (zipped(page_csv="<html></html>"), "is a web page"),
        (zipped(a_csv=TICKS, b_csv=TICKS), "holds 2 files instead of one"),
        (zipped(), "holds 0 files"),
        (zipped(a_csv=TICKS)[:-30], "is damaged"),
        (gzip.compress(TICKS.encode())[:-12], "is cut off"),
        (b"PK\x03\x04", "is damaged"),
        (b"time,symbol\n1795408200,A\n", "has no columns time and price"),
        (b"symbol,price\nA,10\n", "has no columns time and price"),
        (b"time,open,high,close\n1795408200,1,1,1\n", "none of candles, and is no bhavcopy"),
        (b"time;symbol;price\n1795408200;A;10\n", "has no columns"),
        (b"\x00\x01\x02\xff" * 50, "has no columns"),
        (TICKS.encode("utf-16"), "has no columns"),
        (b"time,symbol,price\n", "has no row that makes a price"),
        (b"time,symbol,price\nx,A,10\n1795408200,A,0\n", r"no row that makes a price \(no_price: 1, no_time: 1\)"),
        (b'time,symbol,price\n1795408200,A,"' + b"9" * 200_000, "is no CSV"),
        (b"t" * 200_000, "is no CSV"),
    ],
)
def test_what_is_no_price_file_is_told(file: Files, data: bytes, told: str) -> None:
    with pytest.raises(BadFile, match=told):
        survey(file(data))


def test_a_file_beyond_all_measure_is_not_read(file: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feeds.replay.price_files.MAX_BYTES", 10)
    with pytest.raises(BadFile, match="larger than"):
        survey(file(TICKS))


def test_a_file_that_isnt_there_or_is_a_folder_is_an_os_error(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.csv", tmp_path):
        with pytest.raises(OSError, match=path.name):
            survey(path)


CELLS = st.text(max_size=12) | st.sampled_from(
    ["time", "price", "open", "high", "low", "close", "symbol", "1795408200", "2026-11-23", "10", "0", "NaN", "1e400"]
)
HEADERS = st.sampled_from(
    ["", "time,price\n", "time,symbol,price,volume\n", "date,time,open,high,low,close\n", '"time","price\n',
     "time,open,high,low,close,volume,oi,exchange,symbol\n", "TradDt,Sgmt,Src,FinInstrmTp,TckrSymb,ClsPric,XpryDt\n"]
)  # fmt: skip


@given(
    text=st.tuples(
        HEADERS, st.lists(st.lists(CELLS, max_size=9).map(",".join), max_size=8).map("\n".join) | st.text(max_size=200)
    ).map("".join)
)
def test_any_text_is_played_or_is_a_bad_file(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = Files(tmp_path_factory.mktemp("t"))(text.encode("utf-8", "surrogatepass"))
    try:
        first_ms, instruments = survey(path)
    except BadFile:
        return
    found, _ = ticks(path)
    assert found[0].time_ms == first_ms
    assert sorted(found, key=lambda one: one.time_ms) == found
    assert {(one.exchange, one.symbol) for one in found} == {(one.exchange, one.symbol) for one in instruments}
    assert all(0 < one.price <= 10**16 for one in found)
