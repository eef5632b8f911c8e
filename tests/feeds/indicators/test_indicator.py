"""Names of indicators are read, refused with a useful text, and written one way."""

from contextlib import suppress

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from feeds.indicators.catalogue import CATALOGUE
from feeds.indicators.indicator import DAY_MINUTES, MAX_INDICATORS, SOURCES, Indicator, history_for, parse, parse_all
from schemas.errors import CommandError, ErrorCode

WANTED = (
    "rsi macd ema sma wma dema tema kama hma vwma zlema bbands atr natr adx plus_di minus_di aroon cci cmo mfi obv "
    "ad adosc stoch stochrsi stochf willr roc mom trix ultosc sar supertrend vwap donchian keltner cmf ppo apo bop "
    "linearreg linearreg_slope linearreg_angle linearreg_intercept stddev var ht_trendline t3 trima"
)


def test_the_usual_names_and_far_more_than_fifty_are_there() -> None:
    assert all(name in CATALOGUE for name in WANTED.split())
    assert len(CATALOGUE) >= 50
    assert all(entry.summary and not entry.summary.endswith(".") for entry in CATALOGUE.values())


def test_a_name_alone_takes_the_defaults() -> None:
    assert parse("macd") == Indicator("macd", (12, 26, 9))
    assert parse("macd").keywords == {"fastperiod": 12, "slowperiod": 26, "signalperiod": 9}


def test_parameters_left_out_keep_their_defaults() -> None:
    assert parse("macd(5)").values == (5, 26, 9)
    assert parse("rsi()").values == (14,)
    assert parse("bbands(10,1.5)").keywords == {"timeperiod": 10, "nbdevup": 1.5, "nbdevdn": 1.5}


def test_spaces_and_case_do_not_matter() -> None:
    assert parse("  RSI ( 7 ) ") == Indicator("rsi", (7,))


def test_the_short_name_stands_for_the_defaults() -> None:
    assert [parse(one).text for one in ("rsi", "rsi(14)", "rsi(7)", "bbands(20,2.5)")] == [
        "rsi", "rsi", "rsi(7)", "bbands(20,2.5)",
    ]  # fmt: skip


def test_another_figure_of_the_candle_may_come_first_where_the_close_is_all_that_is_taken() -> None:
    assert parse("sma(volume,20)") == Indicator("sma", (20,), "volume")
    assert parse("EMA( High , 9 )") == Indicator("ema", (9,), "high")
    assert parse("rsi(open)") == Indicator("rsi", (14,), "open")
    assert parse("ht_trendline(low)") == Indicator("ht_trendline", (), "low")
    assert parse("sma(close,20)") == parse("sma")
    assert parse("sma(volume,20)").inputs == ("volume",)


def test_another_figure_is_written_with_every_parameter() -> None:
    texts = ("sma(volume)", "rsi(open)", "bbands(low,10)", "ht_trendline(high)", "sma(close,50)")
    assert [parse(one).text for one in texts] == [
        "sma(volume,20)", "rsi(open,14)", "bbands(low,10,2)", "ht_trendline(high)", "sma(50)",
    ]  # fmt: skip


def test_a_list_keeps_the_figures_too() -> None:
    assert parse_all("sma(Volume, 20),sma") == {"sma(volume,20)": parse("sma(volume)"), "sma": parse("sma")}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rsy", "did you mean rsi"),
        ("bolinger", "No indicator is called 'bolinger'"),
        ("", "is no indicator"),
        ("rsi(14", "is no indicator"),
        ("rsi(1)", "period lies from 2 to 500, got 1"),
        ("rsi(501)", "period lies from 2 to 500, got 501"),
        ("rsi(-3)", "period lies from 2 to 500"),
        ("rsi(7.5)", "period is a whole number, got 7.5"),
        ("rsi(x)", "period is a number, got 'x'"),
        ("rsi(nan)", "period is a whole number"),
        ("rsi(inf)", "period is a whole number"),
        ("bbands(20,nan)", "deviations lies from 0.1 to 10"),
        ("rsi(14,3)", "rsi takes at most 1 parameters, got 2"),
        ("vwap(3)", "vwap takes at most 0 parameters, got 1"),
        ("macd(26,12)", "fast must be less than slow, got 26 and 12"),
        ("ema(,)", "at most 1 parameters"),
        ("rsi;drop table", "is no indicator"),
        ("atr(volume,14)", "atr is worked out from figures of its own and takes none, got volume"),
        ("vwap(close)", "takes none, got close"),
        ("sma(20,volume)", "at most 1 parameters"),
        ("sma(volume,close,20)", "at most 1 parameters"),
        ("sma(price,20)", "at most 1 parameters"),
        ("sma(bid)", "period is a number, got 'bid'"),
    ],
)
def test_what_is_wrong_is_said(text: str, says: str) -> None:
    with pytest.raises(CommandError) as refused:
        parse(text)
    assert refused.value.code is ErrorCode.BAD_REQUEST
    assert says in refused.value.message


def test_a_list_keeps_the_names_that_were_asked_by() -> None:
    assert parse_all("RSI, macd(12, 26, 9),rsi(7),") == {
        "rsi": parse("rsi"), "macd(12,26,9)": parse("macd"), "rsi(7)": parse("rsi(7)"),
    }  # fmt: skip
    assert parse_all(" ") == {}


def test_a_list_has_a_bound() -> None:
    as_many = [f"ema({period})" for period in range(2, MAX_INDICATORS + 3)]
    assert len(parse_all(",".join(as_many[:-1]))) == MAX_INDICATORS
    with pytest.raises(CommandError) as refused:
        parse_all(",".join(as_many))
    assert refused.value.code is ErrorCode.LIMIT_EXCEEDED
    with pytest.raises(CommandError, match="at most 1000 characters"):
        parse_all("rsi," * 1000)


def test_the_wanted_history_covers_the_longest_lookback_and_settles() -> None:
    assert history_for([]) == 100
    assert history_for([parse("rsi"), parse("ema(200)")]) == 199 * 3 + 100


def test_what_counts_from_the_mornings_first_minute_wants_a_day_of_minutes() -> None:
    assert history_for([parse("vwap"), parse("rsi")]) >= DAY_MINUTES


@st.composite
def written(draw: st.DrawFn) -> str:
    entry = draw(st.sampled_from(list(CATALOGUE.values())))
    values = [
        str(draw(st.integers(int(one.least), int(one.most)) if one.whole else st.floats(one.least, one.most)))
        for one in entry.parameters
    ]
    source = draw(st.sampled_from(SOURCES) | st.none()) if entry.inputs == ("close",) else None
    return f"{entry.name}({','.join([source, *values] if source else values)})"


@given(written())
def test_the_canonical_text_reads_as_the_same_indicator(text: str) -> None:
    try:
        indicator = parse(text)
    except CommandError:
        reject()  # a fast period that is longer than the slow one
    assert parse(indicator.text) == indicator
    assert parse(indicator.text).text == indicator.text


@given(st.text(max_size=60) | st.from_regex(r"[a-z]{2,6}\([0-9.,e-]{0,12}\)"))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (parse, parse_all):
        with suppress(CommandError):
            read(text)
