"""The bhavcopy of NSE and BSE in the format UDiFF, in use since 8 July 2024: the figures of a day, one row each."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from feeds.instruments import Instrument, Kind, tick_size
from feeds.listings.symbols import future_name, month_ends, option_name, share_name, underlying_name
from feeds.price_fields import BadRow, Row, price_of, quantity_of, time_ms_of
from schemas.market import PRICE_SCALE, MarketState, Tick

COLUMNS = frozenset({"traddt", "sgmt", "src", "fininstrmtp", "tckrsymb", "clspric"})
"""By these, in lower case, such a file is known."""

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
        if row.get("fininstrmtp") in ("IDO", "STO"):
            try:
                expiries.setdefault(row["tckrsymb"], set()).add(date.fromisoformat(row["xprydt"]))
            except (KeyError, ValueError):
                continue
    return {underlying: month_ends(days) for underlying, days in expiries.items()}


def _closing(row: Row, monthly: Mapping[str, frozenset[date]]) -> tuple[Tick, Instrument]:
    instrument = _listed(row, monthly)
    traded_on = row.get("traddt", "")
    tick = Tick(
        exchange=instrument.exchange,
        symbol=instrument.symbol,
        price=price_of(row.get("clspric", "")),
        time_ms=time_ms_of(f"{traded_on}T{_CLOSE}"),
        state=MarketState.CLOSED,
        open=_optional_price(row, "opnpric"),
        high=_optional_price(row, "hghpric"),
        low=_optional_price(row, "lwpric"),
        close=_optional_price(row, "prvsclsgpric"),
        volume=quantity_of(row.get("ttltradgvol", "0") or "0"),
        open_interest=quantity_of(row["opnintrst"]) if row.get("opnintrst") else None,
    )
    return tick, instrument


def _listed(row: Row, monthly: Mapping[str, frozenset[date]]) -> Instrument:
    exchange, segment = row.get("src", "NSE").upper(), row.get("sgmt", "").upper()
    kind, symbol = row.get("fininstrmtp", "").upper(), row.get("tckrsymb", "").upper()
    if not symbol or (exchange, segment) not in _EXCHANGES:
        raise BadRow("unknown_instrument")
    place = _EXCHANGES[exchange, segment]
    token, name = row.get("fininstrmid", ""), row.get("fininstrmnm", symbol)
    if segment == "CM":
        series = row.get("sctysrs", "").upper()
        return Instrument(
            exchange=place,
            symbol=share_name(symbol, series) if exchange == "NSE" else symbol,
            name=name,
            tick_size=tick_size(price_of(row.get("clspric", ""))),
            exchange_token=token,
            isin=row.get("isin", ""),
            series=series,
        )
    try:
        expiry = date.fromisoformat(row.get("xprydt", ""))
    except ValueError:
        raise BadRow("no_expiry") from None
    underlying = underlying_name(symbol)
    option = row.get("optntp", "").upper()
    if kind.endswith("O") and option in ("CE", "PE"):
        strike = price_of(row.get("strkpric", ""))
        text = option_name(underlying, expiry, strike, option, monthly=expiry in monthly.get(symbol, frozenset()))
        return Instrument(
            exchange=place,
            symbol=text,
            name=name,
            kind=Kind.OPTION,
            tick_size=_PAISE_5,
            exchange_token=token,
            underlying=underlying,
            expiry=expiry,
            strike=strike,
            option_type=option,
        )
    return Instrument(
        exchange=place,
        symbol=future_name(underlying, expiry),
        name=name,
        kind=Kind.FUTURE,
        tick_size=_PAISE_5,
        exchange_token=token,
        underlying=underlying,
        expiry=expiry,
    )


_EXCHANGES = {("NSE", "CM"): "NSE", ("NSE", "FO"): "NFO", ("BSE", "CM"): "BSE", ("BSE", "FO"): "BFO"}


def _optional_price(row: Row, name: str) -> int | None:
    text = row.get(name, "")
    return price_of(text) if text and text.strip("0.") else None
