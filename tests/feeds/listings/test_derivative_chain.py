from datetime import date

import pytest

from feeds.instruments import Instrument, Kind
from feeds.listings.derivative_chain import Chain, Wishes, wishes_of

ALL = ("FUT", "CE", "PE")
DECEMBER, JANUARY = date(2026, 12, 29), date(2027, 1, 26)


def option(expiry: date, strike: float, kind: str) -> Instrument:
    return Instrument(
        exchange="CDS", symbol=f"USDINR{expiry:%y%b}{strike:g}{kind}".upper(), name="USDINR", kind=Kind.OPTION,
        tick_size=25_000, underlying="USDINR", expiry=expiry, strike=round(strike * 10_000_000), option_type=kind,
    )  # fmt: skip


CHAIN = Chain(
    "CDS",
    "USDINR",
    [option(day, strike, kind) for day in (JANUARY, DECEMBER) for strike in (85, 84.5, 29) for kind in ("PE", "CE")],
    words=("DOLLAR", "RUPEE"),
)


@pytest.mark.parametrize(
    ("words", "names", "wishes"),
    [
        ("NIFTY", ["NIFTY"], Wishes()),
        ("NIFTY 24000 CE", ["NIFTY"], Wishes(types=("CE",), numbers=("24000",))),
        ("NIFTY 24000PE", ["NIFTY"], Wishes(types=("PE",), numbers=("24000",))),
        ("BANK NIFTY DEC FUTURES", ["BANK", "NIFTY"], Wishes(types=("FUT",), months=frozenset({12}))),
        ("NIFTY 29DEC26", ["NIFTY"], Wishes(months=frozenset({12}), numbers=("29", "26"))),
        ("NIFTY DEC2026", ["NIFTY"], Wishes(months=frozenset({12}), numbers=("2026",))),
        ("NIFTY JANUARY MAR", ["NIFTY"], Wishes(months=frozenset({1, 3}))),
        ("NIFTY CE PE", ["NIFTY"], Wishes(types=())),
        ("24000 CE", [], Wishes(types=("CE",), numbers=("24000",))),
    ],
)
def test_words_are_told_apart(words: str, names: list[str], wishes: Wishes) -> None:
    assert wishes_of(words.split(), None) == (names, wishes)


def test_a_kind_that_is_asked_for_limits_the_types() -> None:
    assert wishes_of(["NIFTY"], Kind.FUTURE)[1].types == ("FUT",)
    assert wishes_of(["NIFTY", "PUT"], Kind.OPTION)[1].types == ("PE",)
    assert wishes_of(["NIFTY", "PUT"], Kind.FUTURE)[1].types == ()
    assert wishes_of(["NIFTY"], Kind.STOCK)[1].types == ()


@pytest.mark.parametrize(
    ("names", "rank"),
    [
        (["USDINR"], 0),
        (["USD", "INR"], 0),
        (["USD"], 1),
        (["DOL"], 2),
        (["RUP", "DOLL"], 2),
        (["RUP", "EURO"], None),
        (["INR"], None),
        ([], None),
    ],
)
def test_an_underlying_has_a_rank(names: list[str], rank: int | None) -> None:
    assert CHAIN.rank(names) == rank


@pytest.mark.parametrize(
    ("numbers", "found"),
    [
        (("84.5",), ["USDINR26DEC84.5CE", "USDINR27JAN84.5CE"]),
        (("85", "27"), ["USDINR27JAN85CE"]),
        (("85", "29"), ["USDINR26DEC85CE"]),
        (("29",), ["USDINR26DEC29CE", "USDINR27JAN29CE"]),
        (("29", "29"), ["USDINR26DEC29CE"]),
        (("2027", "85"), ["USDINR27JAN85CE"]),
        (("84.",), ["USDINR26DEC84.5CE", "USDINR27JAN84.5CE"]),
        (("2028",), []),
        (("86",), []),
        (("84.5", "85.25"), []),
    ],
)
def test_a_number_is_a_strike_if_there_is_such_a_strike_else_part_of_a_date(
    numbers: tuple[str, ...], found: list[str]
) -> None:
    assert [one.symbol for one in CHAIN.find(Wishes(types=("CE",), numbers=numbers))] == found


def test_all_come_by_expiry_then_strike() -> None:
    calls = [(one.expiry, one.strike) for one in CHAIN.find(Wishes(types=("CE",)))]
    assert calls == sorted(calls, key=str)
    assert len(list(CHAIN.find(Wishes(types=ALL)))) == 12


def test_a_symbol_is_found_by_its_beginning() -> None:
    assert [one.symbol for one in CHAIN.with_symbol("USDINR27JAN84")] == ["USDINR27JAN84.5CE", "USDINR27JAN84.5PE"]
    assert list(CHAIN.with_symbol("USDINR")) == list(CHAIN.with_symbol("EURINR26DEC")) == []
