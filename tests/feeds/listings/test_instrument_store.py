import asyncio
from datetime import date

import msgspec
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from feeds.instruments import Instrument, Kind, Listing
from feeds.listings.instrument_store import InstrumentStore
from schemas.errors import Unavailable
from schemas.tables import instruments

MONDAY, TUESDAY, WEDNESDAY = date(2026, 11, 23), date(2026, 11, 25), date(2026, 11, 26)
EXPIRY = date(2026, 12, 29)


@pytest.fixture
def store(engine: AsyncEngine) -> InstrumentStore:
    return InstrumentStore(engine, clock=lambda: 1_795_000_000.0)


def share(symbol: str, token: str, **fields: object) -> Listing:
    known: dict[str, object] = {"exchange": "NSE", "symbol": symbol, "name": symbol, "tick_size": 500_000}
    return Listing(instrument=Instrument(**known | {"exchange_token": token} | fields), token=f"t{token}")  # type: ignore[arg-type]


def option(strike: int, token: str, expiry: date = EXPIRY) -> Listing:
    symbol = f"NIFTY{expiry:%y%b}".upper() + f"{strike}CE"
    fields = {"kind": Kind.OPTION, "underlying": "NIFTY", "expiry": expiry, "option_type": "CE", "lot_size": 65}
    return share(symbol, token, exchange="NFO", strike=strike * 10_000_000, **fields)


INDEX = Listing(
    instrument=Instrument(exchange="NSE", symbol="NIFTY 50", name="Nifty 50", kind=Kind.INDEX, tick_size=500_000),
    token="i1",
)


def at(listing: Listing, day: date, **fields: object) -> Listing:
    """The listing as the store gives it back."""
    return msgspec.structs.replace(
        listing, instrument=msgspec.structs.replace(listing.instrument, listed_on=day, **fields)
    )


async def history(engine: AsyncEngine, token: str) -> list[tuple[str, date, date | None]]:
    table = instruments.c
    query = select(table.symbol, table.listed_on, table.delisted_on).where(table.exchange_token == token)
    async with engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(query.order_by(table.id))]


async def test_what_is_stored_comes_back_whole(store: InstrumentStore) -> None:
    full = share("RELIANCE", "2885", isin="INE002A01018", series="EQ", lot_size=500, has_derivatives=True,
                 lower_circuit=10, upper_circuit=2**60)  # fmt: skip
    listings = [full, INDEX, option(24_000, "35086")]
    expected = [at(one, MONDAY) for one in listings]
    assert await store.update("kite", listings, MONDAY) == expected
    assert await store.by_vendor("kite") == expected
    assert await store.live() == [one.instrument for one in expected]
    assert await store.counts("kite") == {"NSE": 2, "NFO": 1}
    assert await store.loaded_for("kite") == MONDAY
    assert await store.by_vendor("dhan") == []
    assert await store.loaded_for("dhan") is None


async def test_an_instrument_that_goes_on_keeps_its_day(store: InstrumentStore, engine: AsyncEngine) -> None:
    await store.update("kite", [share("RELIANCE", "2885"), INDEX], MONDAY)
    changed = share("RELIANCE", "2885", tick_size=1_000_000)
    assert await store.update("kite", [changed, INDEX], TUESDAY) == [at(changed, MONDAY), at(INDEX, MONDAY)]
    assert await store.by_vendor("kite") == [at(changed, MONDAY), at(INDEX, MONDAY)]
    assert await history(engine, "2885") == [("RELIANCE", MONDAY, None)]
    assert await store.loaded_for("kite") == TUESDAY


@pytest.mark.parametrize(
    "other",
    [
        share("OTHER", "35086"),
        option(24_100, "35086"),
        option(24_000, "35086", date(2027, 1, 26)),
    ],
    ids=["kind", "strike", "expiry"],
)
async def test_a_token_used_again_never_means_the_old_instrument(
    store: InstrumentStore, engine: AsyncEngine, other: Listing
) -> None:
    other = msgspec.structs.replace(other, instrument=msgspec.structs.replace(other.instrument, exchange="NFO"))
    before = option(24_000, "35086")
    await store.update("kite", [before], MONDAY)
    assert await store.update("kite", [other], TUESDAY) == [at(other, TUESDAY)]
    assert await store.by_vendor("kite") == [at(other, TUESDAY)]
    assert await history(engine, "35086") == [
        (before.instrument.symbol, MONDAY, TUESDAY),
        (other.instrument.symbol, TUESDAY, None),
    ]


async def test_another_vendor_that_still_lists_the_old_one_gets_nothing_wrong(store: InstrumentStore) -> None:
    before, after = option(24_000, "35086"), option(25_000, "35086")
    await store.update("kite", [before], MONDAY)
    await store.update("dhan", [msgspec.structs.replace(before, token="d1")], MONDAY)
    await store.update("kite", [after], TUESDAY)
    assert await store.by_vendor("dhan") == []
    assert [one.instrument for one in await store.by_vendor("kite")] == [at(after, TUESDAY).instrument]


async def test_what_has_expired_is_closed(store: InstrumentStore, engine: AsyncEngine) -> None:
    await store.update("kite", [option(24_000, "1", TUESDAY), option(24_000, "2")], MONDAY)
    await store.update("dhan", [share("RELIANCE", "2885")], TUESDAY)
    assert len(await store.live()) == 3
    await store.update("dhan", [share("RELIANCE", "2885")], WEDNESDAY)
    assert [one.symbol for one in await store.live()] == ["NIFTY26DEC24000CE", "RELIANCE"]
    assert await history(engine, "1") == [("NIFTY26NOV24000CE", MONDAY, WEDNESDAY)]


async def test_what_no_vendor_lists_any_more_is_closed_and_may_return(
    store: InstrumentStore, engine: AsyncEngine
) -> None:
    gone = share("GONE", "1")
    await store.update("kite", [gone, INDEX], MONDAY)
    await store.update("dhan", [gone], MONDAY)
    await store.update("kite", [INDEX], TUESDAY)
    assert await history(engine, "1") == [("GONE", MONDAY, None)]
    await store.update("dhan", [INDEX], TUESDAY)
    assert await history(engine, "1") == [("GONE", MONDAY, TUESDAY)]
    await store.update("dhan", [gone, INDEX], WEDNESDAY)
    assert await history(engine, "1") == [("GONE", MONDAY, TUESDAY), ("GONE", WEDNESDAY, None)]


async def test_a_vendors_tokens_are_replaced(store: InstrumentStore) -> None:
    reliance = share("RELIANCE", "2885")
    await store.update("upstox", [reliance, INDEX], MONDAY)
    moved = [msgspec.structs.replace(reliance, token="new"), msgspec.structs.replace(INDEX, token=reliance.token)]
    await store.update("upstox", moved, TUESDAY)
    assert await store.by_vendor("upstox") == [at(one, MONDAY) for one in moved]


async def test_what_one_vendor_knows_is_not_forgotten_for_another(store: InstrumentStore) -> None:
    known = share("RELIANCE", "2885", name="Reliance Industries", isin="INE002A01018", series="EQ", lot_size=500)
    await store.update("upstox", [known], MONDAY)
    await store.update("angel", [share("RELIANCE", "2885", tick_size=1_000_000)], MONDAY)
    assert await store.live() == [at(known, MONDAY, tick_size=1_000_000).instrument]


async def test_two_rows_of_one_symbol_give_the_newer_one(store: InstrumentStore) -> None:
    old, new = share("RELIANCE", "2885"), share("RELIANCE", "9999")
    await store.update("kite", [old], MONDAY)
    await store.update("dhan", [new], TUESDAY)
    assert await store.live() == [at(new, TUESDAY).instrument]
    assert await store.by_vendor("kite") == [at(old, MONDAY)]


async def test_pages_are_put_together(store: InstrumentStore) -> None:
    listings = [share(f"S{number:05d}", str(number)) for number in range(2_500)]
    await store.update("kite", listings, MONDAY)
    await store.update("kite", listings[500:], TUESDAY)
    assert await store.by_vendor("kite") == [at(one, MONDAY) for one in listings[500:]]
    assert len(await store.live()) == 2_000


async def test_an_update_that_fails_changes_nothing(store: InstrumentStore) -> None:
    await store.update("kite", [share("RELIANCE", "2885")], MONDAY)
    twice = [share("A", "1"), share("B", "1")]  # readers of masters refuse these; the table does so too
    with pytest.raises(Unavailable):
        await store.update("kite", twice, TUESDAY)
    assert await store.by_vendor("kite") == [at(share("RELIANCE", "2885"), MONDAY)]
    assert await store.loaded_for("kite") == MONDAY


async def test_two_updates_at_once_are_one_after_the_other(store: InstrumentStore) -> None:
    listings = [share(f"S{number:05d}", str(number)) for number in range(300)]
    async with asyncio.TaskGroup() as group:
        for vendor in ("kite", "dhan"):
            group.create_task(store.update(vendor, listings, MONDAY), name=vendor)
    assert len(await store.live()) == 300
    assert await store.by_vendor("kite") == await store.by_vendor("dhan")
