"""The bhavcopy of NSE and BSE in the format UDiFF, in use since 8 July 2024: the figures of a day, one row each."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from feeds.instruments import Instrument, Kind, tick_size
from feeds.listings.symbols import future_name, month_ends, option_name, share_name, underlying_name
from feeds.replay.price_fields import BadRow, Row, optional_price, optional_quantity, price_of, time_ms_of
from schemas.market import PRICE_SCALE, MarketState, Tick

COLUMNS = frozenset({"traddt", "sgmt", "src", "fininstrmtp", "tckrsymb", "clspric"})
"""By these, in lower case, such a file is known."""

_EXCHANGES = {("NSE", "CM"): "NSE", ("NSE", "FO"): "NFO", ("BSE", "CM"): "BSE", ("BSE", "FO"): "BFO"}
_FUTURES = frozenset({"IDF", "STF"})
_OPTIONS = frozenset({"IDO", "STO"})
_CLOSE = "15:30:00"
_PAISE_5 = PRICE_SCALE // 20


def closings(rows: Sequence[Row], bad: Counter[str]) -> Iterator[tuple[Tick, Instrument]]:
    """Each row as one tick at the day's close; `bad` counts those that make no sense."""
    monthly = _monthly(rows)
    for row in rows:
        try:
            yield _closing(row, monthly)
        except BadRow as exc:
            bad[exc.reason] += 1


def _monthly(rows: Sequence[Row]) -> dict[str, frozenset[date]]:
    """The options' expiries that are named by their month, by underlying."""
    expiries: dict[str, set[date]] = {}
    for row in rows:
        if row.get("fininstrmtp") in _OPTIONS:
            try:
                expiries.setdefault(row.get("tckrsymb", "").upper(), set()).add(_expiry(row))
            except BadRow:
                continue  # it is counted when its turn comes
    return {underlying: month_ends(days) for underlying, days in expiries.items()}


def _closing(row: Row, monthly: Mapping[str, frozenset[date]]) -> tuple[Tick, Instrument]:
    instrument = _listed(row, monthly)
    tick = Tick(
        exchange=instrument.exchange,
        symbol=instrument.symbol,
        price=price_of(row.get("clspric", "")),
        time_ms=time_ms_of(f"{row.get('traddt', '')}T{_CLOSE}"),
        state=MarketState.CLOSED,
        open=optional_price(row.get("opnpric", "")),
        high=optional_price(row.get("hghpric", "")),
        low=optional_price(row.get("lwpric", "")),
        close=optional_price(row.get("prvsclsgpric", "")),
        volume=optional_quantity(row.get("ttltradgvol", "")),
        open_interest=optional_quantity(row.get("opnintrst", "")),
    )
    return tick, instrument


def _listed(row: Row, monthly: Mapping[str, frozenset[date]]) -> Instrument:
    place = _EXCHANGES.get((row.get("src", "").upper(), row.get("sgmt", "").upper()))
    symbol = row.get("tckrsymb", "").upper()
    if not symbol or place is None:
        raise BadRow("unknown_instrument")
    return _share(row, place, symbol) if place in ("NSE", "BSE") else _contract(row, place, symbol, monthly)


def _share(row: Row, exchange: str, symbol: str) -> Instrument:
    series = row.get("sctysrs", "").upper()
    return Instrument(
        exchange=exchange,
        symbol=share_name(symbol, series) if exchange == "NSE" else symbol,
        name=row.get("fininstrmnm", symbol),
        tick_size=tick_size(price_of(row.get("clspric", ""))),
        exchange_token=row.get("fininstrmid", ""),
        isin=row.get("isin", ""),
        series=series,
    )


def _contract(row: Row, exchange: str, symbol: str, monthly: Mapping[str, frozenset[date]]) -> Instrument:
    kind, underlying, expiry = row.get("fininstrmtp", ""), underlying_name(symbol), _expiry(row)
    option, strike = "", None
    if kind in _FUTURES:
        name = future_name(underlying, expiry)
    elif kind in _OPTIONS and (option := row.get("optntp", "").upper()) in ("CE", "PE"):
        strike = price_of(row.get("strkpric", ""))
        name = option_name(underlying, expiry, strike, option, monthly=expiry in monthly.get(symbol, ()))
    else:
        raise BadRow("unknown_instrument")
    return Instrument(
        exchange=exchange,
        symbol=name,
        name=row.get("fininstrmnm", name),
        kind=Kind.FUTURE if kind in _FUTURES else Kind.OPTION,
        tick_size=_PAISE_5,
        lot_size=optional_quantity(row.get("newbrdlotqty", "")) or 1,
        exchange_token=row.get("fininstrmid", ""),
        underlying=underlying,
        expiry=expiry,
        strike=strike,
        option_type=option,
    )


def _expiry(row: Row) -> date:
    try:
        return date.fromisoformat(row.get("xprydt", ""))
    except ValueError:
        raise BadRow("no_expiry") from None
