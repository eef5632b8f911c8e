from feeds.instruments import SIMULATED, Kind
from feeds.listings.directory import Directory, directory_of
from feeds.listings.masters import VENDORS, read_master
from tests.feeds.listings.masters import samples

KITE = Directory(read_master(VENDORS["kite"], samples.kite(), today=samples.TODAY).listings)


def test_a_listing_is_found_by_name_and_an_instrument_by_token() -> None:
    listing = KITE.find("NFO", "NIFTY26D0124000CE")
    assert listing is not None
    assert listing.token == "9069058"
    assert KITE.by_token["9069058"] is listing.instrument is KITE.get("NFO", "NIFTY26D0124000CE")
    assert KITE.find("NFO", "NIFTY26D0124000PE") is None
    assert KITE.find("XYZ", "RELIANCE") is None
    assert "1" not in KITE.by_token
    assert len(KITE) == len(KITE.by_token) == 15


def test_an_empty_directory_knows_nothing() -> None:
    nothing = Directory()
    assert len(nothing) == 0
    assert nothing.search("reliance") == nothing.listed("NSE") == []
    assert nothing.find("NSE", "RELIANCE") is None


def test_an_exchange_is_listed_by_symbol() -> None:
    assert [one.symbol for one in KITE.listed("NFO")] == [
        "NIFTY26D0124000CE", "NIFTY26DEC24000CE", "NIFTY26DECFUT", "RELIANCE26DEC1400PE",
    ]  # fmt: skip
    assert [one.symbol for one in KITE.listed("BSE")] == ["RELIANCE", "SENSEX"]
    assert KITE.listed("BCD") == []


def test_a_list_that_is_handed_out_is_the_callers() -> None:
    KITE.listed("BSE").clear()
    assert len(KITE.listed("BSE")) == 2


def test_a_search_takes_filters() -> None:
    assert [one.symbol for one in KITE.search("nifty 24000 ce", limit=1)] == ["NIFTY26D0124000CE"]
    assert [one.exchange for one in KITE.search("reliance", exchange="BSE")] == ["BSE"]
    assert [one.symbol for one in KITE.search("nifty", kind=Kind.FUTURE)] == ["NIFTY26DECFUT"]


def test_the_bundled_list_can_be_searched_as_well() -> None:
    bundled = directory_of(row.instrument for row in SIMULATED)
    assert [one.symbol for one in bundled.search("bajaj")][:2] == ["BAJAJ-AUTO", "BAJAJFINSV"]
