"""What each vendor's files come to: one market, whoever tells of it."""

import gzip
import json
from collections.abc import Callable, Mapping
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.errors import BadFile
from feeds.instruments import Instrument, Kind
from feeds.listings.masters import VENDORS, Master, Vendor, check_age, check_size, counts, read_master
from feeds.listings.masters.naming import CLASH
from tests.feeds.listings.masters import samples
from tests.feeds.listings.masters.samples import TODAY

Files = Mapping[str, bytes]

FILES: dict[str, Callable[[], Files]] = {
    "kite": samples.kite,
    "upstox": samples.upstox,
    "angel": samples.angel,
    "dhan": samples.dhan,
    "fyers": samples.fyers,
    "shoonya": samples.shoonya,
}


def read(name: str, files: Files | None = None) -> Master:
    return read_master(VENDORS[name], FILES[name]() if files is None else files, today=TODAY)


def tokens(master: Master) -> dict[str, tuple[str, str]]:
    return {one.token: (one.instrument.exchange, one.instrument.symbol) for one in master.listings}


def by_name(master: Master) -> dict[tuple[str, str], Instrument]:
    return {(one.instrument.exchange, one.instrument.symbol): one.instrument for one in master.listings}


@pytest.mark.parametrize(
    ("vendor", "expected"),
    [
        (
            "kite",
            {
                "738561": ("NSE", "RELIANCE"),
                "3073025": ("NSE", "SUZLON-BE"),
                "4267265": ("NSE", "BAJAJ-AUTO"),
                "128083204": ("BSE", "RELIANCE"),
                "256265": ("NSE", "NIFTY 50"),
                "256266": ("NSE", "94SFL28-YL"),
                "265": ("BSE", "SENSEX"),
                "17512194": ("NFO", "NIFTY26DECFUT"),
                "9069058": ("NFO", "NIFTY26D0124000CE"),
                "8982018": ("NFO", "NIFTY26DEC24000CE"),
                "13906690": ("NFO", "RELIANCE26DEC1400PE"),
                "214510341": ("BFO", "SENSEX26D0385000CE"),
                "214510597": ("BFO", "SENSEX26DEC85000CE"),
                "3660547": ("CDS", "USDINR26DEC84.25CE"),
                "144870663": ("MCX", "CRUDEOIL26DECFUT"),
            },
        ),
        (
            "upstox",
            {
                "NSE_EQ|INE002A01018": ("NSE", "RELIANCE"),
                "NSE_EQ|INE040H01021": ("NSE", "SUZLON-BE"),
                "BSE_EQ|INE002A01018": ("BSE", "RELIANCE"),
                "NSE_INDEX|Nifty 50": ("NSE", "NIFTY 50"),
                "NSE_FO|35426": ("NFO", "NIFTY26D0124000CE"),
                "NSE_FO|35086": ("NFO", "NIFTY26DEC24000CE"),
                "NCD_FO|14299": ("CDS", "USDINR26DEC84.25CE"),
            },
        ),
        (
            "angel",
            {
                "1|2885": ("NSE", "RELIANCE"),
                "1|12004": ("NSE", "SUZLON-BE"),
                "3|500325": ("BSE", "RELIANCE"),
                "1|99926000": ("NSE", "NIFTY 50"),
                "3|99919000": ("BSE", "SENSEX"),
                "2|35426": ("NFO", "NIFTY26D0124000CE"),
                "2|35086": ("NFO", "NIFTY26DEC24000CE"),
                "2|68407": ("NFO", "NIFTY26DECFUT"),
                "13|14299": ("CDS", "USDINR26DEC84.25CE"),
                "13|14300": ("CDS", "USDINR26DEC84.25PE"),
            },
        ),
        (
            "dhan",
            {
                "1|2885": ("NSE", "RELIANCE"),
                "1|12004": ("NSE", "SUZLON-BE"),
                "4|500325": ("BSE", "RELIANCE"),
                "0|13": ("NSE", "NIFTY 50"),
                "0|51": ("BSE", "SENSEX"),
                "2|35426": ("NFO", "NIFTY26D0124000CE"),
                "2|35086": ("NFO", "NIFTY26DEC24000CE"),
                "2|71234": ("NFO", "BAJAJ-AUTO26DECFUT"),
                "8|837931": ("BFO", "SENSEX26DEC85000CE"),
                "3|14299": ("CDS", "USDINR26DEC84.25CE"),
                "5|565901": ("MCX", "CRUDEOIL26DECFUT"),
            },
        ),
        (
            "fyers",
            {
                "nse_cm|2885": ("NSE", "RELIANCE"),
                "nse_cm|12004": ("NSE", "SUZLON-BE"),
                "nse_cm|Nifty 50": ("NSE", "NIFTY 50"),
                "nse_cm|Nifty IT": ("NSE", "NIFTY IT"),
                "bse_cm|500325": ("BSE", "RELIANCE"),
                "nse_fo|35426": ("NFO", "NIFTY26D0124000CE"),
                "nse_fo|35086": ("NFO", "NIFTY26DEC24000CE"),
                "nse_fo|68407": ("NFO", "NIFTY26DECFUT"),
                "bse_fo|837931": ("BFO", "SENSEX26DEC85000CE"),
                "bse_fo|837950": ("BFO", "SENSEX26DECFUT"),
                "cde_fo|14299": ("CDS", "USDINR26DEC84.25CE"),
                "nse_com|777": ("NCO", "GOLD26DECFUT"),
                "mcx_fo|565901": ("MCX", "CRUDEOIL26DECFUT"),
            },
        ),
        (
            "shoonya",
            {
                "NSE|2885": ("NSE", "RELIANCE"),
                "NSE|12004": ("NSE", "SUZLON-BE"),
                "NSE|26000": ("NSE", "NIFTY 50"),
                "BSE|500325": ("BSE", "RELIANCE"),
                "BSE|1": ("BSE", "SENSEX"),
                "NFO|35426": ("NFO", "NIFTY26D0124000CE"),
                "NFO|35086": ("NFO", "NIFTY26DEC24000CE"),
                "NFO|68407": ("NFO", "NIFTY26DECFUT"),
                "BFO|837931": ("BFO", "SENSEX26D0385000CE"),
                "BFO|837932": ("BFO", "SENSEX26DEC85000CE"),
                "BFO|837950": ("BFO", "BANKEX26DECFUT"),
                "CDS|14299": ("CDS", "USDINR26DEC84.25CE"),
                "MCX|565901": ("MCX", "CRUDEOIL26DECFUT"),
            },
        ),
    ],
)
def test_every_token_gets_the_hubs_name(vendor: str, expected: dict[str, tuple[str, str]]) -> None:
    assert tokens(read(vendor)) == expected


@pytest.mark.parametrize("vendor", FILES)
def test_every_vendor_means_the_same_figures(vendor: str) -> None:
    found = by_name(read(vendor))
    reliance = found["NSE", "RELIANCE"]
    assert (reliance.exchange_token, reliance.tick_size, reliance.series) == ("2885", 1_000_000, "EQ")
    assert found["NSE", "SUZLON-BE"].tick_size == 100_000
    assert found["NSE", "SUZLON-BE"].series == "BE"
    weekly = found["NFO", "NIFTY26D0124000CE"]
    assert weekly.kind is Kind.OPTION
    assert (weekly.exchange_token, weekly.lot_size, weekly.tick_size) == ("35426", 65, 500_000)
    assert (weekly.expiry, weekly.strike, weekly.option_type) == (date(2026, 12, 1), 24_000 * 10_000_000, "CE")
    assert weekly.underlying == "NIFTY"
    currency = found["CDS", "USDINR26DEC84.25CE"]
    assert (currency.strike, currency.tick_size) == (842_500_000, 25_000)
    index = found["NSE", "NIFTY 50"]
    assert index.kind is Kind.INDEX
    assert (index.exchange_token, index.tick_size) == ("", 500_000)


@pytest.mark.parametrize("vendor", FILES)
def test_what_has_derivatives_carries_their_lot(vendor: str) -> None:
    found = by_name(read(vendor))
    assert found["NSE", "NIFTY 50"].has_derivatives
    assert found["NSE", "NIFTY 50"].lot_size == 65
    assert not found["NSE", "SUZLON-BE"].has_derivatives
    assert not found["BSE", "RELIANCE"].has_derivatives


def test_a_share_with_derivatives_is_told_from_one_without() -> None:
    found = by_name(read("kite"))
    assert (found["NSE", "RELIANCE"].has_derivatives, found["NSE", "RELIANCE"].lot_size) == (True, 500)
    assert (found["NSE", "BAJAJ-AUTO"].has_derivatives, found["NSE", "BAJAJ-AUTO"].lot_size) == (False, 1)
    assert found["BSE", "SENSEX"].lot_size == 20


def test_both_units_of_angels_currency_ticks_are_understood() -> None:
    found = by_name(read("angel"))
    assert found["CDS", "USDINR26DEC84.25CE"].tick_size == found["CDS", "USDINR26DEC84.25PE"].tick_size == 25_000


def test_an_underlying_that_cannot_be_told_is_a_bad_line() -> None:
    assert read("shoonya").left_out == {"no underlying": 1}


def test_fyers_indices_go_by_their_ticker_without_the_table_of_names() -> None:
    files = {name: data for name, data in samples.fyers().items() if name != "index_hsm_mapping.json"}
    assert tokens(read("fyers", files))["nse_cm|NIFTYIT"] == ("NSE", "NIFTY IT")
    assert tokens(read("fyers", files))["nse_cm|Nifty 50"] == ("NSE", "NIFTY 50")


def test_only_fyers_says_when_the_list_was_made() -> None:
    assert read("fyers").made_on == date(2026, 11, 23)
    assert [read(name).made_on for name in FILES if name != "fyers"] == [None] * 5


# -- lines that make no sense --------------------------------------------------------------------------------------


def test_a_bad_line_among_good_ones_is_left_out_and_counted() -> None:
    files = samples.kite(
        *samples.KITE_LINES,
        "1793,7,ZEROTICK,ZERO,0,,0,0,1,EQ,NSE,NSE",
        "2049,8,NOTICK,NONE,0,,0,abc,1,EQ,NSE,NSE",
        "2305,9,NIFTY26DEC1CE,NIFTY,0,someday,24000,0.05,65,CE,NFO-OPT,NFO",
        "2561,10,NIFTY26DEC2CE,NIFTY,0,2026-12-29,0,0.05,65,CE,NFO-OPT,NFO",
        "x,11,BADTOKEN,BAD,0,,0,0.05,1,EQ,NSE,NSE",
        "3073,12,CUT",
        "3329,13,HUGE,HUGE,0,,0,1e300,1,EQ,NSE,NSE",
        "3585,14,HUGER,HUGER,0,,0,0.05,1e30,EQ,NSE,NSE",
        "3841,15,NOLOT,NOLOT,0,,0,0.05,nan,EQ,NSE,NSE",
        "4097,16,INF,INF,0,,0,inf,1,EQ,NSE,NSE",
    )
    master = read("kite", files)
    assert len(master.listings) == 15
    assert master.left_out == {
        "the tick size is 0": 1,
        "a price is no number": 2,
        "a lot size is no number": 1,
        "a number is too large": 2,
        "no expiry": 1,
        "an option without a strike": 1,
        "a token is no number": 1,
    }


def test_what_has_expired_is_left_out() -> None:
    old = "2305,9,NIFTY26NOV24000CE,NIFTY,0,2026-11-17,24000,0.05,65,CE,NFO-OPT,NFO"
    today = "2561,10,NIFTY26NOV24100CE,NIFTY,0,2026-11-23,24100,0.05,65,CE,NFO-OPT,NFO"
    master = read("kite", samples.kite(old, today))
    assert tokens(master) == {"2561": ("NFO", "NIFTY26NOV24100CE")}
    assert master.left_out == {"expired": 1}


@pytest.mark.parametrize(
    "other",
    [
        "738561,9999,OTHER,OTHER,0,,0,0.05,1,EQ,NSE,NSE",
        "999999,2885,OTHER,OTHER,0,,0,0.05,1,EQ,NSE,NSE",
        "999999,9999,RELIANCE,OTHER,0,,0,0.05,1,EQ,NSE,NSE",
    ],
    ids=["vendor's token", "exchange's token", "name"],
)
def test_two_that_cannot_be_told_apart_are_both_refused(other: str) -> None:
    master = read("kite", samples.kite(*samples.KITE_LINES, other))
    assert ("NSE", "RELIANCE") not in by_name(master)
    assert "738561" not in tokens(master)
    assert master.left_out == {CLASH: 2}
    assert len(master.listings) == 14


def test_a_line_that_is_there_twice_counts_once() -> None:
    assert tokens(read("kite", samples.kite(*samples.KITE_LINES, samples.KITE_LINES[0]))) == tokens(read("kite"))


def test_a_text_that_no_table_could_hold_is_a_bad_line() -> None:
    endless = f"999999,9999,{'A' * 65},OTHER,0,,0,0.05,1,EQ,NSE,NSE"
    left_out = read("kite", samples.kite(*samples.KITE_LINES, endless)).left_out
    assert left_out == {"a text is too long or not printable": 1}


# -- files that make no sense --------------------------------------------------------------------------------------


def swapped(vendor: Vendor, data: bytes) -> Files:
    """The vendor's files, the first of them replaced."""
    files = dict(FILES[vendor.name]())
    files[next(iter(files))] = data
    return files


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=VENDORS)
@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf \r\n", "is empty"),
        (b"<!DOCTYPE html><html><body>Access denied</body></html>", "is a web page"),
        (gzip.compress(b"<html>no such file</html>"), "is a web page"),
        (gzip.compress(b"a,b,c\n" * 1000)[:-20], "cut off"),
        (b"\x1f\x8b" + b"nonsense" * 4, "damaged"),
        (b"PK\x03\x04" + b"nonsense" * 4, "damaged"),
        (samples.zipped("a.txt", "a,b\n" * 1000)[:-30], "damaged"),
        (b"\xff\xfe\x00\x01" * 20, "no text|no CSV file|no column|make no sense"),
    ],
    ids=["empty", "blank", "page", "gzipped page", "cut gzip", "bad gzip", "bad zip", "cut zip", "binary"],
)
def test_a_file_that_is_something_else_is_refused_with_a_sentence(vendor: Vendor, data: bytes, why: str) -> None:
    with pytest.raises(BadFile, match=why):
        read_master(vendor, swapped(vendor, data), today=TODAY)


@pytest.mark.parametrize("name", ["kite", "dhan", "shoonya"])
def test_missing_columns_are_named(name: str) -> None:
    data = b"token,symbol\n1,RELIANCE\n"
    with pytest.raises(BadFile, match=r"has no column \w+, \w+"):
        read_master(VENDORS[name], swapped(VENDORS[name], data), today=TODAY)


@pytest.mark.parametrize("name", ["angel", "upstox"])
@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b'[{"a": 1}]', r"has no field \w+"),
        (b'{"error": "not found"}', "is no list"),
        (b"[1, 2, 3]", "is no list of objects"),
        (b"null", "is no list"),
        (b"[]", "no instruments at all"),
        (b"[" * 100_000, "after 0 instruments"),
        (
            json.dumps([*samples.ANGEL_LINES, *samples.UPSTOX_LINES]).encode()[:-9],
            r"has no field|after \d+ instruments",
        ),
    ],
    ids=["fields", "object", "numbers", "null", "none", "deep", "cut"],
)
def test_json_that_is_no_list_of_instruments_is_refused(name: str, data: bytes, why: str) -> None:
    with pytest.raises(BadFile, match=why):
        read_master(VENDORS[name], swapped(VENDORS[name], data), today=TODAY)


def test_a_cut_off_list_says_how_far_it_went() -> None:
    data = json.dumps(samples.ANGEL_LINES).encode()
    with pytest.raises(BadFile, match="cut off or damaged after 10 instruments"):
        read("angel", {"OpenAPIScripMaster.json": data[:-20]})
    with pytest.raises(BadFile, match="cut off or damaged after 11 instruments"):
        read("angel", {"OpenAPIScripMaster.json": data[:-1]})


def test_a_headless_file_of_another_kind_is_refused() -> None:
    with pytest.raises(BadFile, match=r"lines make no sense \(a line is too short: 30\)"):
        read("fyers", samples.fyers(NSE_CM=("a,b,c",) * 30))


def test_a_missing_file_is_refused_unless_it_may_be_missing() -> None:
    files = dict(samples.fyers())
    del files["NSE_COM.csv"]
    assert ("NCO", "GOLD26DECFUT") not in by_name(read("fyers", files))
    del files["NSE_FO.csv"]
    with pytest.raises(BadFile, match=r"fyers: NSE_FO.csv missing"):
        read("fyers", files)


def test_an_unpacked_file_is_read_as_well() -> None:
    assert tokens(read("upstox", {"complete.json.gz": json.dumps(samples.UPSTOX_LINES).encode()})) == tokens(
        read("upstox")
    )
    assert tokens(read("kite", {"instruments": gzip.compress(samples.kite()["instruments"])})) == tokens(read("kite"))


@pytest.mark.parametrize("vendor", FILES)
@given(st.binary(max_size=400))
def test_random_bytes_never_raise_anything_else(vendor: str, data: bytes) -> None:
    with pytest.raises(BadFile):
        read_master(VENDORS[vendor], dict.fromkeys(VENDORS[vendor].urls, data), today=TODAY)


@pytest.mark.parametrize("vendor", ["kite", "angel", "dhan"])
@given(st.data())
def test_a_file_with_a_hole_gives_no_instrument_another_token(vendor: str, data: st.DataObject) -> None:
    """Whatever is left of a damaged file, a token means what it means in the whole one, or nothing."""
    [(name, whole)] = FILES[vendor]().items()
    line_starts = [0, *(place + 1 for place, sign in enumerate(whole) if sign == ord("\n"))]
    start = data.draw(st.sampled_from(line_starts))
    end = data.draw(st.sampled_from([place for place in line_starts if place >= start] + [len(whole)]))
    try:
        left = read(vendor, {name: whole[:start] + whole[end:]})
    except BadFile:
        return
    before = {one.token: one.instrument.exchange_token for one in read(vendor).listings}
    assert {one.token: one.instrument.exchange_token for one in left.listings}.items() <= before.items()


# -- lists that are suspicious -------------------------------------------------------------------------------------


def test_a_list_of_yesterday_is_refused() -> None:
    master = read("fyers")
    check_age(master, since=date(2026, 11, 23))
    with pytest.raises(BadFile, match="fyers: the list is of 2026-11-23, older than 2026-11-24"):
        check_age(master, since=date(2026, 11, 24))


def test_a_list_that_does_not_say_its_age_is_taken() -> None:
    check_age(read("kite"), since=date(2030, 1, 1))


def test_a_list_of_less_than_half_is_refused() -> None:
    master = read("kite")
    assert counts(master.listings) == {"NSE": 5, "BSE": 2, "NFO": 4, "BFO": 2, "CDS": 1, "MCX": 1}
    check_size(master, {})
    check_size(master, {"NSE": 999})
    with pytest.raises(BadFile, match="only 5 instruments of NSE, after 1000 the last time"):
        check_size(master, {"NSE": 1000})
    with pytest.raises(BadFile, match="only 15 instruments of all exchanges, after 1998 the last time"):
        check_size(master, {"NSE": 999, "NFO": 999})
    check_size(master, {"NSE": 1000}, smallest=0.001)
