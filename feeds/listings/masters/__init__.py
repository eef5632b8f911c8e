"""Masters: each broker's own list of instruments, from the bytes of its files to listings with the hub's names."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date
from types import MappingProxyType

import msgspec

from feeds.errors import BadFile
from feeds.instruments import Listing
from feeds.listings.masters import angel, dhan, fyers, kite, shoonya, upstox
from feeds.listings.masters.naming import listings_of
from feeds.listings.masters.row import Format, Row, parsed

EXPIRED = "expired"
_FEWEST_TO_COMPARE = 1000
"""Smaller lists may well halve from one day to the next."""


class Vendor(msgspec.Struct, frozen=True, kw_only=True):
    """Where a broker's master is, by the names of its files, and how it is written."""

    name: str
    urls: Mapping[str, str]
    optional: frozenset[str] = frozenset()
    """Files that may be missing."""
    made_the_day_before: bool = False
    """The list for a day is made, and dated, in the evening before."""
    form: Format


class Master(msgspec.Struct, frozen=True, kw_only=True):
    """What a broker lists on a day."""

    vendor: str
    listings: list[Listing]
    made_on: date | None
    """As the files say. None: they don't."""
    left_out: Mapping[str, int]
    """How many lines were left out, by the reason."""


VENDORS: Mapping[str, Vendor] = MappingProxyType(
    {
        vendor.name: vendor
        for vendor in (
            Vendor(name="kite", urls={kite.FILE: "https://api.kite.trade/instruments"}, form=kite),
            Vendor(
                name="upstox",
                urls={upstox.FILE: f"https://assets.upstox.com/market-quote/instruments/exchange/{upstox.FILE}"},
                form=upstox,
            ),
            Vendor(
                name="angel",
                urls={angel.FILE: f"https://margincalculator.angelbroking.com/OpenAPI_File/files/{angel.FILE}"},
                form=angel,
            ),
            Vendor(name="dhan", urls={dhan.FILE: f"https://images.dhan.co/api-data/{dhan.FILE}"}, form=dhan),
            Vendor(
                name="fyers",
                urls={
                    file: f"https://public.fyers.in/sym_details/{file}" for file in (*fyers.FILES, fyers.INDEX_NAMES)
                },
                optional=frozenset({fyers.INDEX_NAMES, "NSE_COM.csv"}),
                made_the_day_before=True,
                form=fyers,
            ),
            Vendor(
                name="shoonya", urls={file: f"https://api.shoonya.com/{file}" for file in shoonya.FILES}, form=shoonya
            ),
        )
    }
)
"""The brokers whose masters can be read."""


def read_master(vendor: Vendor, files: Mapping[str, bytes], *, today: date) -> Master:
    """The master in these files, by their names; what has expired before `today` is left out.

    A bad line among good ones is left out and counted. Takes seconds for a whole market, so call it in a thread.
    Raises BadFile for files that are missing, empty, damaged, something else, or mostly bad.
    """
    if missing := [name for name in vendor.urls if name not in files and name not in vendor.optional]:
        raise BadFile(f"{vendor.name}: {', '.join(missing)} missing")
    rows: list[Row] = []
    bad: Counter[str] = Counter()
    expired = 0
    for found in parsed(vendor.form.lines(files), vendor.form):
        if isinstance(found, str):
            bad[found] += 1
        elif found.expiry is not None and found.expiry < today:
            expired += 1
        else:
            rows.append(found)
    _check(vendor.name, len(rows), bad)
    listings = listings_of(rows, bad)
    left_out = Counter({EXPIRED: expired}) + bad
    return Master(vendor=vendor.name, listings=listings, made_on=vendor.form.made_on(files), left_out=left_out)


def _check(vendor: str, good: int, bad: Counter[str]) -> None:
    if bad.total() > good:
        reason, count = bad.most_common(1)[0]
        raise BadFile(f"{vendor}: {bad.total()} of {bad.total() + good} lines make no sense ({reason}: {count})")
    if not good:
        raise BadFile(f"{vendor}: no instruments at all")


def check_age(master: Master, *, since: date) -> None:
    """Raises BadFile for a master that says it was made before `since`."""
    if master.made_on is not None and master.made_on < since:
        raise BadFile(f"{master.vendor}: the list is of {master.made_on}, older than {since}")


def check_size(master: Master, before: Mapping[str, int], *, smallest: float = 0.5) -> None:
    """Raises BadFile for a master that holds less than that part of what an exchange had `before`, or of everything."""
    now = counts(master.listings)
    for exchange, had in [*before.items(), ("all exchanges", sum(before.values()))]:
        has = now[exchange] if exchange in before else now.total()
        if had >= _FEWEST_TO_COMPARE and has < smallest * had:
            raise BadFile(f"{master.vendor}: only {has} instruments of {exchange}, after {had} the last time")


def counts(listings: Iterable[Listing]) -> Counter[str]:
    """How many instruments each exchange has."""
    return Counter(listing.instrument.exchange for listing in listings)
