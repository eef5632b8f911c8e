"""The hub's names for instruments, whatever a vendor calls them. They follow Kite's, since most people know those.

RELIANCE, SUZLON-BE                     shares; on NSE the series is added unless it is EQ
NIFTY 50, SENSEX                        indices
NIFTY26DECFUT, USDINR26DECFUT           futures
NIFTY26DEC24000CE, USDINR26DEC84.5CE    options of the last expiry in a month
NIFTY26D0124000CE                       other options: year, month (1-9, O, N, D), day

All functions here are pure, and strikes are in 1/PRICE_SCALE.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from types import MappingProxyType

from schemas.market import PRICE_SCALE

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MONTH_LETTERS = "123456789OND"

INDEX_OF_UNDERLYING: Mapping[str, str] = MappingProxyType(
    {
        "NIFTY": "NIFTY 50",
        "BANKNIFTY": "NIFTY BANK",
        "FINNIFTY": "NIFTY FIN SERVICE",
        "MIDCPNIFTY": "NIFTY MID SELECT",
        "NIFTYNXT50": "NIFTY NEXT 50",
        "SENSEX": "SENSEX",
        "BANKEX": "BANKEX",
        "SENSEX50": "SNSX50",
    }
)
"""The index under a future or an option, where it isn't called as they are."""

_UNDERLYING_OF_INDEX = {index: underlying for underlying, index in INDEX_OF_UNDERLYING.items()}

_INDICES = (
    "NIFTY 50", "NIFTY BANK", "NIFTY FIN SERVICE", "NIFTY MID SELECT", "NIFTY NEXT 50", "INDIA VIX", "NIFTY 100",
    "NIFTY 200", "NIFTY 500", "NIFTY MIDCAP 50", "NIFTY MIDCAP 100", "NIFTY MIDCAP 150", "NIFTY SMLCAP 50",
    "NIFTY SMLCAP 100", "NIFTY SMLCAP 250", "NIFTY MIDSML 400", "NIFTY AUTO", "NIFTY COMMODITIES", "NIFTY CONSUMPTION",
    "NIFTY CPSE", "NIFTY ENERGY", "NIFTY FMCG", "NIFTY INFRA", "NIFTY IT", "NIFTY MEDIA", "NIFTY METAL", "NIFTY MNC",
    "NIFTY PHARMA", "NIFTY PSE", "NIFTY PSU BANK", "NIFTY PVT BANK", "NIFTY REALTY", "NIFTY SERV SECTOR",
    "NIFTY ALPHA 50", "NIFTY DIV OPPS 50", "NIFTY100 EQL WGT", "NIFTY50 EQL WGT", "NIFTY50 VALUE 20", "SENSEX",
    "BANKEX", "SNSX50",
)  # fmt: skip

_OTHER_INDEX_NAMES = {
    "NIFTY": "NIFTY 50",
    "NIFTYINDEX": "NIFTY 50",
    "BANKNIFTY": "NIFTY BANK",
    "FINNIFTY": "NIFTY FIN SERVICE",
    "NIFTYFINANCIALSERVICES": "NIFTY FIN SERVICE",
    "MIDCPNIFTY": "NIFTY MID SELECT",
    "NIFTYMIDCAPSELECT": "NIFTY MID SELECT",
    "NIFTYNXT50": "NIFTY NEXT 50",
    "BSESENSEX": "SENSEX",
    "S&PBSESENSEX": "SENSEX",
    "SENSEX50": "SNSX50",
    "S&PBSEBANKEX": "BANKEX",
    "NIFTYMID50": "NIFTY MIDCAP 50",
    "NIFTYMCAP50": "NIFTY MIDCAP 50",
    "NIFTYSMALLCAP50": "NIFTY SMLCAP 50",
    "NIFTYSMALLCAP100": "NIFTY SMLCAP 100",
    "NIFTYSMALLCAP250": "NIFTY SMLCAP 250",
    "NIFTYMIDSMALLCAP400": "NIFTY MIDSML 400",
}


def _squeezed(text: str) -> str:
    return "".join(text.upper().replace("-", " ").split())


_INDEX_NAMES = {_squeezed(name): name for name in _INDICES} | _OTHER_INDEX_NAMES


def index_name(text: str) -> str:
    """The name of an index, from what any vendor calls it: `Nifty 50`, `NIFTY50`, `NIFTY` are `NIFTY 50`.

    An index that isn't known here keeps the vendor's words, in capitals.
    """
    return _INDEX_NAMES.get(_squeezed(text)) or " ".join(text.upper().split())


def underlying_name(text: str) -> str:
    """What derivatives are made of, as it stands in their names: `NIFTY` for `NIFTY 50`."""
    name = " ".join(text.upper().split())
    return _UNDERLYING_OF_INDEX.get(name, name)


def share_name(symbol: str, series: str) -> str:
    """The name of an NSE share: its series is added unless it is EQ."""
    return symbol if series in ("", "EQ") else f"{symbol}-{series}"


def split_series(symbol: str) -> tuple[str, str]:
    """The inverse of `share_name`: a series is two letters or digits after the last hyphen."""
    head, hyphen, tail = symbol.rpartition("-")
    if hyphen and head and len(tail) == 2 and tail.isalnum():
        return head, tail
    return symbol, "EQ"


def month_ends(expiries: Iterable[date]) -> frozenset[date]:
    """The last expiry of each month: those that are named by the month."""
    last: dict[tuple[int, int], date] = {}
    for expiry in expiries:
        month = (expiry.year, expiry.month)
        last[month] = max(expiry, last.get(month, expiry))
    return frozenset(last.values())


def future_name(underlying: str, expiry: date, *, monthly: bool = True) -> str:
    """`NIFTY26DECFUT`; with the day where another future of the same month expires later."""
    return f"{underlying}{expiry_text(expiry, monthly=monthly)}FUT"


def option_name(underlying: str, expiry: date, strike: int, option_type: str, *, monthly: bool) -> str:
    """`NIFTY26DEC24000CE` or `NIFTY26D0124000CE`. `strike` in 1/PRICE_SCALE, `option_type` CE or PE."""
    return f"{underlying}{expiry_text(expiry, monthly=monthly)}{strike_text(strike)}{option_type}"


def expiry_text(expiry: date, *, monthly: bool) -> str:
    """`26DEC`, or `26D01`."""
    year = f"{expiry.year % 100:02d}"
    if monthly:
        return f"{year}{_MONTHS[expiry.month - 1]}"
    return f"{year}{_MONTH_LETTERS[expiry.month - 1]}{expiry.day:02d}"


def strike_text(strike: int) -> str:
    """A price in 1/PRICE_SCALE as a decimal without trailing zeros: `24000`, `84.25`."""
    whole, rest = divmod(strike, PRICE_SCALE)
    return f"{whole}.{rest:07d}".rstrip("0") if rest else str(whole)
