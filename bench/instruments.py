"""A made-up market as large as the real one, and Kite's file of it."""

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import cycle, islice

TODAY = date(2026, 11, 23)

_HEADER = (
    "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,"
    "instrument_type,segment,exchange"
)
_INDICES = {"NIFTY": "NIFTY 50", "BANKNIFTY": "NIFTY BANK", "FINNIFTY": "NIFTY FIN SERVICE"}
_FIRST = ("BHARAT", "SHREE", "TATA", "GUJARAT", "INDO", "SUN", "NATIONAL", "ORIENT", "RAJ", "STAR", "UNITED", "VIJAY")
_SECOND = ("STEEL", "BANK", "POWER", "PHARMA", "CEMENT", "FINANCE", "MOTORS", "FOODS", "TEXTILES", "CHEMICALS")
_THIRD = ("INDUSTRIES", "LIMITED", "CORPORATION", "ENTERPRISES", "HOLDINGS")
_SHARES = 9_000
_UNDERLYINGS = 200
_WEEKLIES = 8
_MONTHS = (date(2026, 12, 29), date(2027, 1, 26), date(2027, 2, 23))


def kite_file(count: int) -> bytes:
    """Kite's master with so many instruments: 18,000 shares on two exchanges, indices, and options for the rest."""
    lines = (f"{token << 8},{token},{rest}" for token, rest in enumerate(_lines(), 1))
    return "\n".join([_HEADER, *islice(lines, count)]).encode()


def share(number: int) -> tuple[str, str]:
    """Symbol and name of one of the shares."""
    words = _FIRST[number % 12], _SECOND[number // 12 % 10], _THIRD[number // 120 % 5]
    return f"{words[0][:4]}{words[1][:4]}{number:04d}", " ".join(words)


def _lines() -> Iterator[str]:
    yield "RELIANCE,RELIANCE INDUSTRIES,0,,0,0.1,1,EQ,NSE,NSE"
    yield "HDFCBANK,HDFC BANK,0,,0,0.05,1,EQ,NSE,NSE"
    for name in _INDICES.values():
        yield f"{name},{name},0,,0,0,0,EQ,INDICES,NSE"
    for exchange in ("NSE", "BSE"):
        for number in range(_SHARES):
            symbol, name = share(number)
            yield f"{symbol},{name},0,,0,0.05,1,EQ,{exchange},{exchange}"
    weeks = [TODAY + timedelta(days=1 + 7 * week) for week in range(_WEEKLIES)]
    for underlying in _INDICES:
        yield from _options(underlying, sorted({*weeks, *_MONTHS}), range(15_000, 35_000, 50))
    for number in cycle(range(_UNDERLYINGS)):
        strikes = range(1_000 + 400 * (number % 3), 3_000, 20)
        yield from _options(("RELIANCE", "HDFCBANK")[number] if number < 2 else share(number)[0], _MONTHS, strikes)
        if number == _UNDERLYINGS - 1:
            return


def _options(underlying: str, expiries: "list[date] | tuple[date, ...]", strikes: range) -> Iterator[str]:
    for expiry in expiries:
        if expiry in _MONTHS:
            yield f"X,{underlying},0,{expiry},0,0.1,65,FUT,NFO-FUT,NFO"
        for strike in strikes:
            for kind in ("CE", "PE"):
                yield f"X,{underlying},0,{expiry},{strike},0.05,65,{kind},NFO-OPT,NFO"
