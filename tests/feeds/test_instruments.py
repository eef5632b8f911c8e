import pytest

from feeds.instruments import SIMULATED, Instrument, Instruments, Kind, instruments_of, synthetic, tick_size
from schemas.market import scaled

STOCKS = [row for row in SIMULATED if row.instrument.kind is Kind.STOCK]
DIRECTORY = instruments_of(SIMULATED)


@pytest.mark.parametrize(
    ("close", "tick"),
    [
        (0.05, 0.01),
        (249.99, 0.01),
        (250.0, 0.05),
        (999.95, 0.05),
        (1000.0, 0.1),
        (4999.9, 0.1),
        (5000.0, 0.5),
        (9999.5, 0.5),
        (10000.0, 1.0),
        (19999.0, 1.0),
        (20000.0, 5.0),
        (150000.0, 5.0),
    ],
)
def test_the_tick_follows_the_close(close: float, tick: float) -> None:
    assert tick_size(scaled(close)) == scaled(tick)


def test_the_bundled_list_holds_fifty_stocks_and_three_indices() -> None:
    assert len(STOCKS) == 50
    indices = {(row.instrument.exchange, row.instrument.symbol) for row in SIMULATED} - {
        (row.instrument.exchange, row.instrument.symbol) for row in STOCKS
    }
    assert indices == {("NSE", "NIFTY 50"), ("NSE", "BANK NIFTY"), ("BSE", "SENSEX")}
    assert len(DIRECTORY) == 53


def test_the_weights_make_a_hundred_percent() -> None:
    assert sum(row.weight for row in STOCKS) == pytest.approx(100, abs=2)
    assert all(row.weight > 0 for row in STOCKS)


def test_the_sensex_has_thirty_stocks() -> None:
    assert sum("SENSEX" in row.indices for row in STOCKS) == 30
    assert all("NIFTY 50" in row.indices for row in STOCKS)


@pytest.mark.parametrize("row", SIMULATED + synthetic(200), ids=lambda row: row.instrument.symbol)
def test_closes_lie_on_the_tick_and_within_the_year(row) -> None:
    assert row.close % row.instrument.tick_size == 0
    assert row.year_low <= row.close <= row.year_high
    assert row.instrument.lot_size > 0


def test_synthetic_stocks_have_names_of_their_own() -> None:
    symbols = [row.instrument.symbol for row in synthetic(10_001)]
    assert symbols[0] == "SIM0001"
    assert symbols[-1] == "SIM10001"
    assert len(set(symbols)) == 10_001


def test_an_instrument_is_found_on_its_exchange_only() -> None:
    reliance = DIRECTORY.get("NSE", "RELIANCE")
    assert isinstance(reliance, Instrument)
    assert reliance.name == "Reliance Industries"
    assert DIRECTORY.get("BSE", "RELIANCE") is None


def test_an_exchange_lists_its_instruments_by_symbol() -> None:
    assert [one.symbol for one in DIRECTORY.listed("BSE")] == ["SENSEX"]
    symbols = [one.symbol for one in DIRECTORY.listed("NSE")]
    assert symbols == sorted(symbols)
    assert len(symbols) == 52


def test_search_puts_the_whole_symbol_first_then_beginnings() -> None:
    assert DIRECTORY.search("lt")[0].symbol == "LT"
    assert [one.symbol for one in DIRECTORY.search("bajaj")] == ["BAJAJ-AUTO", "BAJAJFINSV", "BAJFINANCE"]
    assert [one.symbol for one in DIRECTORY.search("reliance")] == ["RELIANCE"]


def test_search_is_bounded_and_finds_nothing_for_nothing() -> None:
    assert len(DIRECTORY.search("a", limit=3)) == 3
    assert DIRECTORY.search("  ") == []
    assert DIRECTORY.search("no such company") == []
    assert len(Instruments([])) == 0
