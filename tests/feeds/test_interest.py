"""Interest tells which instruments somebody wants, and which candles."""

from feeds.interest import LINGER_S, Interest


def test_every_channel_of_an_instrument_wants_it() -> None:
    interest = Interest()
    interest.take(frozenset({"market:NSE:TCS", "depth:NFO:NIFTY26DECFUT", "candles:5m:MCX:GOLD26DECFUT#rsi(14)"}), 0)
    assert set(interest.instruments(0)) == {("NSE", "TCS"), ("NFO", "NIFTY26DECFUT"), ("MCX", "GOLD26DECFUT")}


def test_an_index_may_have_a_space() -> None:
    interest = Interest()
    interest.take(frozenset({"market:NSE:NIFTY 50"}), 0)
    assert interest.instruments(0) == [("NSE", "NIFTY 50")]


def test_what_makes_no_sense_is_passed_over() -> None:
    interest = Interest()
    interest.take(frozenset({"", "market", "market:TCS", "candles:NSE:TCS", "a:b:c:d:e", "#"}), 0)
    assert interest.instruments(0) == []
    assert interest.candles == {}


def test_what_is_always_wanted_comes_first_and_stays() -> None:
    interest = Interest([("NSE", "ZEEL"), ("NSE", "TCS")])
    interest.take(frozenset({"market:NSE:ACC", "market:NSE:TCS"}), 0)
    assert interest.instruments(0) == [("NSE", "ZEEL"), ("NSE", "TCS"), ("NSE", "ACC")]
    interest.take(frozenset(), 1)
    assert interest.instruments(100) == [("NSE", "ZEEL"), ("NSE", "TCS")]


def test_who_asked_first_comes_first() -> None:
    interest = Interest()
    interest.take(frozenset({"market:NSE:ZEEL"}), 0)
    interest.take(frozenset({"market:NSE:ZEEL", "market:NSE:ACC"}), 1)
    assert interest.instruments(1) == [("NSE", "ZEEL"), ("NSE", "ACC")]


def test_an_instrument_is_given_up_some_seconds_after_the_last_want() -> None:
    interest = Interest()
    interest.take(frozenset({"market:NSE:TCS"}), 0)
    interest.take(frozenset(), 1)
    assert interest.instruments(LINGER_S) == [("NSE", "TCS")]
    assert interest.instruments(LINGER_S + 0.1) == []


def test_wanting_again_in_time_changes_nothing() -> None:
    interest = Interest()
    names = frozenset({"market:NSE:TCS"})
    interest.take(names, 0)
    interest.take(frozenset(), 5)
    interest.take(names, 9)
    interest.take(names, 30)
    assert interest.instruments(30 + LINGER_S) == [("NSE", "TCS")]


def test_candles_have_the_indicators_that_anybody_asks_for() -> None:
    interest = Interest()
    interest.take(
        frozenset(
            {
                "candles:5m:NSE:TCS",
                "candles:5m:NSE:TCS#rsi(14)",
                "candles:5m:NSE:TCS#sma(volume,20)",
                "candles:1d:NSE:ACC",
            }
        ),
        0,
    )
    assert interest.candles == {("NSE", "TCS", "5m"): {"rsi(14)", "sma(volume,20)"}, ("NSE", "ACC", "1d"): frozenset()}
