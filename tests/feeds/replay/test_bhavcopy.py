"""Bhavcopies as NSE and BSE publish them, with all 34 columns."""

import zipfile
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from feeds.errors import BadFile
from feeds.instruments import Instrument, Kind
from feeds.replay.price_files import moments, survey
from schemas.market import PRICE_SCALE, MarketState, Tick

HEADER = (
    "TradDt,BizDt,Sgmt,Src,FinInstrmTp,FinInstrmId,ISIN,TckrSymb,SctySrs,XpryDt,FininstrmActlXpryDt,StrkPric,OptnTp,"
    "FinInstrmNm,OpnPric,HghPric,LwPric,ClsPric,LastPric,PrvsClsgPric,UndrlygPric,SttlmPric,OpnIntrst,ChngInOpnIntrst,"
    "TtlTradgVol,TtlTrfVal,TtlNbOfTxsExctd,SsnId,NewBrdLotQty,Rmks,Rsvd1,Rsvd2,Rsvd3,Rsvd4"
)
CLOSE_MS = 1_795_428_000_000
"""Monday 23 November 2026, 15:30 IST."""


def row(**fields: str) -> str:
    given = {"TradDt": "2026-11-23", "BizDt": "2026-11-23", "Sgmt": "CM", "Src": "NSE", "FinInstrmTp": "STK"} | fields
    names = HEADER.split(",")
    assert set(given) <= set(names)
    return ",".join(given.get(name, "") for name in names)


RELIANCE = row(
    FinInstrmId="2885", ISIN="INE002A01018", TckrSymb="RELIANCE", SctySrs="EQ", FinInstrmNm="RELIANCE INDUSTRIES LTD",
    OpnPric="1545.00", HghPric="1560.50", LwPric="1540.10", ClsPric="1551.20", LastPric="1551.00",
    PrvsClsgPric="1546.30", TtlTradgVol="8123456", TtlTrfVal="12601234567.80", TtlNbOfTxsExctd="251234", SsnId="F1",
    NewBrdLotQty="1",
)  # fmt: skip


def contract(kind: str, symbol: str, expiry: str, **fields: str) -> str:
    return row(
        Sgmt="FO", FinInstrmTp=kind, TckrSymb=symbol, XpryDt=expiry, ClsPric="100.05", FinInstrmId="35001",
        NewBrdLotQty="75", OpnIntrst="150000", TtlTradgVol="9000", **fields,
    )  # fmt: skip


def survey_of(tmp_path: Path, *rows: str, name: str = "BhavCopy.csv") -> tuple[Path, tuple[Instrument, ...]]:
    path = tmp_path / name
    path.write_text("\n".join([HEADER, *rows, ""]))
    return path, survey(path)[1]


def ticks(path: Path) -> tuple[list[object], Counter[str]]:
    bad: Counter[str] = Counter()
    return [update for moment in moments(path, bad) for update in moment.updates], bad


def test_a_share_is_one_tick_at_the_close_with_the_days_figures(tmp_path: Path) -> None:
    path, instruments = survey_of(tmp_path, RELIANCE)
    assert survey(path)[0] == CLOSE_MS
    assert ticks(path)[0] == [
        Tick(
            "NSE", "RELIANCE", 15_512_000_000, CLOSE_MS, MarketState.CLOSED, 15_450_000_000, 15_605_000_000,
            15_401_000_000, 15_463_000_000, 8_123_456,
        )
    ]  # fmt: skip
    assert instruments == (
        Instrument(
            exchange="NSE",
            symbol="RELIANCE",
            name="RELIANCE INDUSTRIES LTD",
            tick_size=PRICE_SCALE // 10,
            exchange_token="2885",
            isin="INE002A01018",
            series="EQ",
        ),
    )


def test_a_zip_is_read_as_it_was_downloaded(tmp_path: Path) -> None:
    path = tmp_path / "BhavCopy_NSE_CM_0_0_0_20261123_F_0000.csv.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(path.stem, HEADER + "\r\n" + RELIANCE + "\r\n")
    assert len(ticks(path)[0]) == 1


def test_series_and_exchange_make_the_name(tmp_path: Path) -> None:
    _, instruments = survey_of(
        tmp_path,
        row(TckrSymb="SUZLON", SctySrs="BE", ClsPric="60.10"),
        row(TckrSymb="RELIANCE", SctySrs="A", ClsPric="1551", Src="BSE", FinInstrmId="500325"),
    )
    assert [(one.exchange, one.symbol, one.series) for one in instruments] == [
        ("NSE", "SUZLON-BE", "BE"),
        ("BSE", "RELIANCE", "A"),
    ]


def test_contracts_have_the_names_that_the_hub_gives_them(tmp_path: Path) -> None:
    _, instruments = survey_of(
        tmp_path,
        contract("IDF", "NIFTY", "2026-12-29"),
        contract("STF", "RELIANCE", "2026-12-29"),
        contract("IDO", "NIFTY", "2026-12-29", StrkPric="26000.00", OptnTp="CE"),
        contract("IDO", "NIFTY", "2026-12-01", StrkPric="26050.00", OptnTp="PE"),
        contract("STO", "RELIANCE", "2026-12-29", StrkPric="1552.50", OptnTp="PE"),
        contract("IDO", "SENSEX", "2026-12-31", StrkPric="85000.00", OptnTp="CE", Src="BSE"),
    )
    assert [(one.exchange, one.symbol, one.kind) for one in instruments] == [
        ("NFO", "NIFTY26DECFUT", Kind.FUTURE),
        ("NFO", "RELIANCE26DECFUT", Kind.FUTURE),
        ("NFO", "NIFTY26DEC26000CE", Kind.OPTION),
        ("NFO", "NIFTY26D0126050PE", Kind.OPTION),
        ("NFO", "RELIANCE26DEC1552.5PE", Kind.OPTION),
        ("BFO", "SENSEX26DEC85000CE", Kind.OPTION),
    ]
    option = instruments[4]
    assert (option.underlying, option.expiry, option.strike, option.option_type, option.lot_size) == (
        "RELIANCE",
        date(2026, 12, 29),
        15_525_000_000,
        "PE",
        75,
    )


def test_a_contract_carries_its_open_interest(tmp_path: Path) -> None:
    path, _ = survey_of(tmp_path, contract("IDF", "NIFTY", "2026-12-29", OpnPric="0.00", PrvsClsgPric="99.95"))
    (tick,) = ticks(path)[0]
    assert isinstance(tick, Tick)
    assert (tick.open_interest, tick.volume, tick.open, tick.close) == (150_000, 9_000, None, 999_500_000)


def test_bad_rows_are_counted_and_the_others_played(tmp_path: Path) -> None:
    path, _ = survey_of(
        tmp_path,
        row(TckrSymb="UNTRADED", SctySrs="EQ", ClsPric="0.00"),
        row(TckrSymb="NOWHERE", SctySrs="EQ", ClsPric="10", Src="LSE"),
        row(SctySrs="EQ", ClsPric="10"),
        row(TckrSymb="NEVER", SctySrs="EQ", ClsPric="10", TradDt="23-Nov-2026"),
        row(TckrSymb="WRONG", SctySrs="EQ", ClsPric="10", TtlTradgVol="-5"),
        contract("IDO", "NIFTY", "soon", StrkPric="26000", OptnTp="CE"),
        contract("IDO", "NIFTY", "2026-12-29", StrkPric="26000", OptnTp="XX"),
        contract("IDO", "NIFTY", "2026-12-29", StrkPric="0", OptnTp="CE"),
        contract("???", "NIFTY", "2026-12-29"),
        "2026-11-23,2026-11-23,CM",
        RELIANCE,
    )
    found, bad = ticks(path)
    assert [one.symbol for one in found if isinstance(one, Tick)] == ["RELIANCE"]
    assert bad == {"no_price": 2, "unknown_instrument": 5, "no_time": 1, "no_quantity": 1, "no_expiry": 1}


@pytest.mark.parametrize("missing", ["TradDt", "Sgmt", "Src", "FinInstrmTp", "TckrSymb", "ClsPric"])
def test_a_file_that_lacks_a_column_is_no_bhavcopy(tmp_path: Path, missing: str) -> None:
    path = tmp_path / "BhavCopy.csv"
    path.write_text(f"{HEADER.replace(missing, 'Other')}\n{RELIANCE}\n")
    with pytest.raises(BadFile, match="no bhavcopy"):
        survey(path)


def test_the_page_that_stands_in_for_a_missing_day_is_told(tmp_path: Path) -> None:
    path = tmp_path / "BhavCopy_BSE_CM_0_0_0_20261123_F_0000.CSV"
    path.write_text("<!DOCTYPE html><html><head><title>BSE</title></head></html>")
    with pytest.raises(BadFile, match="is a web page, not a list of prices"):
        survey(path)
