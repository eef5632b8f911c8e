"""A small market as each vendor's files tell it: written by hand, from the vendors' own columns and units."""

import gzip
import io
import json
import zipfile
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone

TODAY = date(2026, 11, 23)

KITE_HEADER = (
    "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,"
    "instrument_type,segment,exchange"
)
KITE_LINES = (
    "738561,2885,RELIANCE,RELIANCE INDUSTRIES,0,,0,0.1,1,EQ,NSE,NSE",
    "3073025,12004,SUZLON-BE,SUZLON ENERGY,0,,0,0.01,1,EQ,NSE,NSE",
    "4267265,16669,BAJAJ-AUTO,BAJAJ AUTO,0,,0,0.5,1,EQ,NSE,NSE",
    "128083204,500325,RELIANCE,RELIANCE INDUSTRIES,0,,0,0.05,1,EQ,BSE,BSE",
    "256265,1001,NIFTY 50,NIFTY 50,0,,0,0,0,EQ,INDICES,NSE",
    "256266,1001,94SFL28-YL,94SFL28,0,,0,0.01,1,EQ,NSE,NSE",
    "265,1,SENSEX,SENSEX,0,,0,0,0,EQ,INDICES,BSE",
    "17512194,68407,NIFTY26DECFUT,NIFTY,0,2026-12-29,0,0.1,65,FUT,NFO-FUT,NFO",
    "9069058,35426,NIFTY26D0124000CE,NIFTY,0,2026-12-01,24000,0.05,65,CE,NFO-OPT,NFO",
    "8982018,35086,NIFTY26DEC24000CE,NIFTY,0,2026-12-29,24000,0.05,65,CE,NFO-OPT,NFO",
    "13906690,54323,RELIANCE26DEC1400PE,RELIANCE,0,2026-12-29,1400,0.05,500,PE,NFO-OPT,NFO",
    "214510341,837931,SENSEX26D0385000CE,SENSEX,0,2026-12-03,85000,0.05,20,CE,BFO-OPT,BFO",
    "214510597,837932,SENSEX26D3185000CE,SENSEX,0,2026-12-31,85000,0.05,20,CE,BFO-OPT,BFO",
    "3660547,14299,USDINR26DEC84.25CE,USDINR,0,2026-12-29,84.25,0.0025,1,CE,CDS-OPT,CDS",
    "144870663,565901,CRUDEOIL26DECFUT,CRUDEOIL,0,2026-12-18,0,1,100,FUT,MCX-FUT,MCX",
    "1,1,GIFT NIFTY,GIFT NIFTY,0,,0,0,0,EQ,INDICES,NSEIX",
)


def kite(*lines: str) -> Mapping[str, bytes]:
    return {"instruments": "\n".join((KITE_HEADER, *(lines or KITE_LINES))).encode()}


def ist_ms(year: int, month: int, day: int, hour: int = 15, minute: int = 30) -> int:
    moment = datetime(year, month, day, hour, minute, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    return int(moment.timestamp() * 1000)


UPSTOX_LINES: tuple[dict[str, object], ...] = (
    {
        "segment": "NSE_EQ", "name": "RELIANCE INDUSTRIES LTD", "exchange": "NSE", "isin": "INE002A01018",
        "instrument_type": "EQ", "instrument_key": "NSE_EQ|INE002A01018", "lot_size": 1, "exchange_token": "2885",
        "tick_size": 10.0, "trading_symbol": "RELIANCE", "short_name": "Reliance",
    },
    {
        "segment": "NSE_EQ", "name": "SUZLON ENERGY LTD", "exchange": "NSE", "isin": "INE040H01021",
        "instrument_type": "BE", "instrument_key": "NSE_EQ|INE040H01021", "lot_size": 1, "exchange_token": "12004",
        "tick_size": 1.0, "trading_symbol": "SUZLON",
    },
    {
        "segment": "BSE_EQ", "name": "RELIANCE INDUSTRIES", "exchange": "BSE", "isin": "INE002A01018",
        "instrument_type": "A", "instrument_key": "BSE_EQ|INE002A01018", "lot_size": 1, "exchange_token": "500325",
        "tick_size": 5.0, "trading_symbol": "RELIANCE",
    },
    {
        "segment": "NSE_INDEX", "name": "Nifty 50", "exchange": "NSE", "instrument_type": "INDEX",
        "instrument_key": "NSE_INDEX|Nifty 50", "exchange_token": "26000", "trading_symbol": "NIFTY",
    },
    {
        "segment": "NSE_FO", "name": "NIFTY", "exchange": "NSE", "expiry": ist_ms(2026, 12, 1, 23, 59),
        "instrument_type": "CE", "asset_symbol": "NIFTY", "underlying_symbol": "NIFTY", "weekly": True,
        "instrument_key": "NSE_FO|35426", "lot_size": 65, "exchange_token": "35426", "tick_size": 5.0,
        "trading_symbol": "NIFTY 24000 CE 01 DEC 26", "strike_price": 24000.0,
    },
    {
        "segment": "NSE_FO", "name": "NIFTY", "exchange": "NSE", "expiry": ist_ms(2026, 12, 29, 23, 59),
        "instrument_type": "CE", "asset_symbol": "NIFTY", "underlying_symbol": "NIFTY", "weekly": False,
        "instrument_key": "NSE_FO|35086", "lot_size": 65, "exchange_token": "35086", "tick_size": 5.0,
        "trading_symbol": "NIFTY 24000 CE 29 DEC 26", "strike_price": 24000.0,
    },
    {
        "segment": "NCD_FO", "name": "USDINR", "exchange": "NSE", "expiry": ist_ms(2026, 12, 29, 23, 59),
        "instrument_type": "CE", "asset_symbol": "USDINR", "underlying_symbol": "USDINR", "lot_size": 1,
        "instrument_key": "NCD_FO|14299", "exchange_token": "14299", "tick_size": 0.25, "strike_price": 84.25,
        "trading_symbol": "USDINR 84.25 CE 29 DEC 26",
    },
    {"segment": "NSE_COM", "instrument_type": "COM", "instrument_key": "NSE_COM|1", "trading_symbol": "SILVERMIC"},
    {"segment": "GLOBAL_INDEX", "instrument_type": "INDEX", "instrument_key": "GLOBAL_INDEX|^DJI"},
)  # fmt: skip


def upstox(*lines: object) -> Mapping[str, bytes]:
    return {"complete.json.gz": gzip.compress(json.dumps(lines or UPSTOX_LINES).encode())}


def angel_line(token: str, symbol: str, exchange: str, **fields: str) -> dict[str, str]:
    return {
        "token": token, "symbol": symbol, "name": symbol.removesuffix("-EQ"), "expiry": "", "strike": "-1.000000",
        "lotsize": "1", "instrumenttype": "", "exch_seg": exchange, "tick_size": "5.000000",
    } | fields  # fmt: skip


ANGEL_LINES = (
    angel_line("2885", "RELIANCE-EQ", "NSE", tick_size="10.000000"),
    angel_line("12004", "SUZLON-BE", "NSE", name="SUZLON", tick_size="1.000000"),
    angel_line("500325", "RELIANCE", "BSE"),
    angel_line("99926000", "Nifty 50", "NSE", name="NIFTY", instrumenttype="AMXIDX", tick_size="0.000000"),
    angel_line("99919000", "SENSEX", "BSE", instrumenttype="AMXIDX", strike="0.000000", tick_size="0.000000"),
    angel_line(
        "35426", "NIFTY01DEC2624000CE", "NFO", name="NIFTY", expiry="01DEC2026", strike="2400000.000000",
        lotsize="65", instrumenttype="OPTIDX",
    ),
    angel_line(
        "35086", "NIFTY29DEC2624000CE", "NFO", name="NIFTY", expiry="29DEC2026", strike="2400000.000000",
        lotsize="65", instrumenttype="OPTIDX",
    ),
    angel_line("68407", "NIFTY29DEC26FUT", "NFO", name="NIFTY", expiry="29DEC2026", lotsize="65",
               instrumenttype="FUTIDX", tick_size="10.000000"),
    angel_line(
        "14299", "USDINR26DEC84.25CE", "CDS", name="USDINR", expiry="29DEC2026", strike="842500000.000000",
        instrumenttype="OPTCUR", tick_size="25000.000000",
    ),
    angel_line(
        "14300", "USDINR26DEC84.25PE", "CDS", name="USDINR", expiry="29DEC2026", strike="842500000.000000",
        instrumenttype="OPTCUR", tick_size="0.250000",
    ),
    angel_line("249862", "CRUDEOIL24NOV6000CE", "NCO", instrumenttype="OPTCOM"),
)  # fmt: skip


def angel(*lines: object) -> Mapping[str, bytes]:
    return {"OpenAPIScripMaster.json": json.dumps(lines or ANGEL_LINES).encode()}


DHAN_HEADER = (
    "SEM_EXM_EXCH_ID,SEM_SEGMENT,SEM_SMST_SECURITY_ID,SEM_INSTRUMENT_NAME,SEM_EXPIRY_CODE,SEM_TRADING_SYMBOL,"
    "SEM_LOT_UNITS,SEM_CUSTOM_SYMBOL,SEM_EXPIRY_DATE,SEM_STRIKE_PRICE,SEM_OPTION_TYPE,SEM_TICK_SIZE,SEM_EXPIRY_FLAG,"
    "SEM_EXCH_INSTRUMENT_TYPE,SEM_SERIES,SM_SYMBOL_NAME"
)
DHAN_LINES = (
    "NSE,E,2885,EQUITY,0,RELIANCE,1.0,Reliance Industries,,,,10.0000,NA,ES,EQ,RELIANCE INDUSTRIES LTD",
    "NSE,E,12004,EQUITY,0,SUZLON,1.0,Suzlon Energy,,,,1.0000,NA,ES,BE,SUZLON ENERGY LTD",
    "BSE,E,500325,EQUITY,0,RELIANCE,1.0,Reliance Industries,,,,5.0000,NA,ES,A,RELIANCE INDUSTRIES",
    "NSE,I,13,INDEX,0,NIFTY,1.0,Nifty 50,0001-01-01,,XX,0.0500,,INDEX,X,NIFTY",
    "BSE,I,51,INDEX,0,SENSEX,1.0,Sensex,0001-01-01,,XX,0.0500,,INDEX,X,SENSEX",
    ("NSE,D,35426,OPTIDX,0,NIFTY-Dec2026-24000-CE,65.0,NIFTY CALL,2026-12-01 14:30:00,24000.00000,CE,5.0000,W,OP,XX,"),
    (
        "NSE,D,35086,OPTIDX,0,NIFTY-Dec2026-24000-CE,65.0,NIFTY 29 DEC 24000 CALL,2026-12-29 14:30:00,24000.00000,CE,"
        "5.0000,M,OP,XX,"
    ),
    ("NSE,D,71234,FUTSTK,0,BAJAJ-AUTO-Dec2026-FUT,75.0,AUTO DEC FUT,2026-12-29 14:30:00,-0.01000,XX,50.0000,M,FUT,XX,"),
    (
        "BSE,D,837931,OPTIDX,0,SENSEX-Dec2026-85000-CE,20.0,SENSEX CALL,2026-12-03 15:30:00,85000.00000,CE,"
        "5.0000,W,OP,XX,BSXOPT"
    ),
    (
        "NSE,C,14299,OPTCUR,0,USDINR-Dec2026-84.25-CE,1.0,USDINR CALL,2026-12-29 12:30:00,84.25000,CE,0.2500,"
        "M,OP,XX,USDINR"
    ),
    (
        "MCX,M,565901,FUTCOM,0,CRUDEOIL-18Dec2026-FUT,100.0,CRUDEOIL DEC FUT,2026-12-18 23:30:00,0.00000,XX,100.0000,M,"
        "FUT,XX,CRUDEOIL"
    ),
    "NSE,M,1,FUTCOM,0,GOLD-Dec2026-FUT,1.0,GOLD DEC FUT,2026-12-04 23:30:00,0.0,XX,100.0,M,FUT,XX,GOLD",
)


def dhan(*lines: str) -> Mapping[str, bytes]:
    return {"api-scrip-master.csv": "\n".join((DHAN_HEADER, *(lines or DHAN_LINES))).encode()}


def epoch(year: int, month: int, day: int) -> int:
    return int(datetime(year, month, day, 10, tzinfo=UTC).timestamp())  # 15:30 in India


FYERS_LINES: Mapping[str, tuple[str, ...]] = {
    "NSE_CM.csv": (
        (
            "10100000002885,RELIANCE INDUSTRIES LTD,0,1,0.1,INE002A01018,0915-1530|1815-1915:,2026-11-20,,"
            "NSE:RELIANCE-EQ,10,10,2885,RELIANCE,2885,-1.0,XX,10100000002885,None,1,3.7"
        ),
        (
            "101000000012004,SUZLON ENERGY LTD,0,1,0.01,INE040H01021,0915-1530|1815-1915:,2026-11-23,,"
            "NSE:SUZLON-BE,10,10,12004,SUZLON,12004,-1.0,XX,101000000012004,None,1,3.7"
        ),
        (
            "101000000026000,NIFTY50-INDEX,10,0,0.05,,0915-1530|1815-1915:,2026-11-20,,"
            "NSE:NIFTY50-INDEX,10,10,26000,NIFTY,26000,-1.0,XX,101000000026000,None,None,None"
        ),
        (
            "101000000026008,NIFTYIT-INDEX,10,0,0.05,,0915-1530|1815-1915:,2026-11-20,,"
            "NSE:NIFTYIT-INDEX,10,10,26008,NIFTYIT,26008,-1.0,XX,101000000026008,None,None,None"
        ),
    ),
    "BSE_CM.csv": (
        (
            "12100000500325,RELIANCE INDUSTRIES LTD,50,1,0.05,INE002A01018,0915-1530|1815-1915:,2026-11-20,,"
            "BSE:RELIANCE-A,12,10,500325,RELIANCE,500325,-1.0,XX,12100000500325,None,0,0.0"
        ),
    ),
    "NSE_FO.csv": (
        (
            f"101126120135426,NIFTY 01 Dec 26 24000 CE,14,65,0.05,,0915-1540:,2026-11-20,{epoch(2026, 12, 1)},"
            "NSE:NIFTY26D0124000CE,10,11,35426,NIFTY,26000,24000.0,CE,101000000026000,None,0,0.0"
        ),
        (
            f"101126122935086,NIFTY 29 Dec 26 24000 CE,14,65,0.05,,0915-1540:,2026-11-20,{epoch(2026, 12, 29)},"
            "NSE:NIFTY26DEC24000CE,10,11,35086,NIFTY,26000,24000.0,CE,101000000026000,None,0,0.0"
        ),
        (
            f"101126122968407,NIFTY 29 Dec 26 FUT,11,65,0.1,,0915-1540:,2026-11-20,{epoch(2026, 12, 29)},"
            "NSE:NIFTY26DECFUT,10,11,68407,NIFTY,26000,-1.0,XX,101000000026000,None,0,0.0"
        ),
    ),
    "BSE_FO.csv": (
        (
            f"1211261203837931,SENSEX 03 Dec 26 85000 CE,14,20,0.05,,0915-1540:,2026-11-20,{epoch(2026, 12, 3)},"
            "BSE:SENSEX26D0385000CE,12,11,837931,SENSEX,1,85000.0,CE,1210000000001,None,0,0.0"
        ),
        (
            f"1211261231837950,SENSEX 31 Dec 26 FUT,11,20,0.05,,0915-1540:,2026-11-20,{epoch(2026, 12, 31)},"
            "BSE:SENSEX26DECFUT,12,11,837950,SENSEX,1,-1.0,,1210000000001,None,0,0.0"
        ),
    ),
    "NSE_CD.csv": (
        (
            f"101226122914299,USDINR 29 Dec 26 84.25 CE,18,1,0.0025,,0900-1700:,2026-11-20,{epoch(2026, 12, 29)},"
            "NSE:USDINR26DEC84.25CE,10,12,14299,USDINR,1,84.25,CE,101200000000001,None,0,0.0"
        ),
    ),
    "NSE_COM.csv": (
        (
            f"102026120400777,GOLD 04 Dec 26 FUT,30,1,1.0,,0900-2330:,2026-11-20,{epoch(2026, 12, 4)},"
            "NSE:GOLD26DECFUT,10,20,777,GOLD,1,-1.0,XX,102000000000001,None,0,0.0"
        ),
    ),
    "MCX_COM.csv": (
        (
            f"1120261218565901,CRUDEOIL 18 Dec 26 FUT,30,1,1.0,,0900-2330:,2026-11-20,{epoch(2026, 12, 18)},"
            "MCX:CRUDEOIL26DECFUT,11,20,565901,CRUDEOIL,294,-1.0,XX,1120000000294,None,0,0.0"
        ),
    ),
}
FYERS_INDEX_NAMES = {"NSE:NIFTY50-INDEX": "Nifty 50", "NSE:NIFTYIT-INDEX": "Nifty IT"}


def fyers(**changed: tuple[str, ...]) -> Mapping[str, bytes]:
    """`NSE_CM=(…)` stands for other lines of NSE_CM.csv."""
    lines = {**FYERS_LINES, **{f"{name}.csv": rows for name, rows in changed.items()}}
    files = {name: "\n".join(rows).encode() for name, rows in lines.items()}
    return files | {"index_hsm_mapping.json": json.dumps(FYERS_INDEX_NAMES).encode()}


_NOREN_FO = "Exchange,Token,LotSize,Symbol,TradingSymbol,Expiry,Instrument,OptionType,StrikePrice,TickSize,"
SHOONYA_LINES: Mapping[str, tuple[str, ...]] = {
    "NSE": (
        "Exchange,Token,LotSize,Symbol,TradingSymbol,Instrument,TickSize,",
        "NSE,2885,1,RELIANCE,RELIANCE-EQ,EQ,0.10,",
        "NSE,12004,1,SUZLON,SUZLON-BE,BE,0.01,",
        "NSE,26000,1,Nifty 50,NIFTY INDEX,INDEX,0,",
    ),
    "BSE": (
        "Exchange,Token,LotSize,Symbol,TradingSymbol,Instrument,TickSize,",
        "BSE,500325,1,RELIANCE,RELIANCE,A,0.05,",
        "BSE,1,1,SENSEX,SENSEX,UNDIND,0,",
    ),
    "NFO": (
        _NOREN_FO,
        "NFO,35426,65,NIFTY,NIFTY01DEC26C24000,01-DEC-2026,OPTIDX,CE,24000,0.05,",
        "NFO,35086,65,NIFTY,NIFTY29DEC26C24000,29-DEC-2026,OPTIDX,CE,24000,0.05,",
        "NFO,68407,65,NIFTY,NIFTY29DEC26F,29-DEC-2026,FUTIDX,XX,-0.01,0.10,",
    ),
    "BFO": (
        _NOREN_FO,
        "BFO,837931,20,BSXOPT,SENSEX26D0385000CE,03-DEC-2026,OPTIDX,CE,85000,0.05,",
        "BFO,837932,20,BSXOPT,SENSEX26DEC85000CE,31-DEC-2026,OPTIDX,CE,85000,0.05,",
        "BFO,837950,30,BKXFUT,something else,31-DEC-2026,FUTIDX,XX,0,0.05,",
        "BFO,837999,500,BRITOPT,neither,31-DEC-2026,OPTSTK,CE,5500,0.05,",
    ),
    "CDS": (
        "Exchange,Token,LotSize,Precision,Multiplier,Symbol,TradingSymbol,Expiry,Instrument,OptionType,StrikePrice,TickSize,",
        "CDS,14299,1,4,1000,USDINR,USDINR29DEC26C84.25,29-DEC-2026,OPTCUR,CE,84.25,0.0025,",
        "CDS,1,1,4,1000,USDINR,USDINR,,UNDCUR,,,0,",
    ),
    "MCX": (
        "Exchange,Token,LotSize,GNGD,Symbol,TradingSymbol,Expiry,Instrument,OptionType,StrikePrice,TickSize,",
        "MCX,565901,100,1,CRUDEOIL,CRUDEOIL18DEC26,18-DEC-2026,FUTCOM,XX,0,1.00,",
    ),
}  # fmt: skip


def zipped(name: str, text: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return packed.getvalue()


def shoonya() -> Mapping[str, bytes]:
    return {
        f"{exchange}_symbols.txt.zip": zipped(f"{exchange}_symbols.txt", "\n".join(lines))
        for exchange, lines in SHOONYA_LINES.items()
    }
