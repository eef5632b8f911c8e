"""Trees of conditions for hypothesis, and the catalogue to read them with."""

from typing import get_args

from hypothesis import assume
from hypothesis import strategies as st

from hub.alerting.indicators import CatalogueReader
from notifiers.conditions.canonical import canonical
from notifiers.conditions.dimensions import BAR_FIELDS, TICK_FIELDS
from notifiers.conditions.faults import json_places
from notifiers.conditions.text import text
from notifiers.conditions.tree import (
    And,
    Arithmetic,
    Channel,
    Compare,
    Condition,
    Cross,
    Expression,
    Extreme,
    Field,
    Hold,
    Indicator,
    Move,
    Not,
    Number,
    Or,
    Step,
    Then,
    Timeframe,
)
from schemas.errors import CommandError

READER = CatalogueReader()
TIMEFRAMES = get_args(Timeframe)

numbers = st.builds(
    Number,
    value=st.integers(-10_000, 10_000).map(float)
    | st.decimals(-1_000_000, 1_000_000, places=4).map(float)
    | st.sampled_from([0.0, 0.0000001, 1e11, -1e11, 123456789.25]),
)
places = st.none() | st.sampled_from(
    [("NSE", "TCS"), ("NSE", "NIFTY 50"), ("NSE", "M&M"), ("BSE", "BAJAJ-AUTO"), ("CDS", "USDINR26D2084.25CE"),
     ("NFO", "NIFTY26DECFUT"), ("NSE", "A.B"), ("MCX", "*X'"), ("NSE", "63MOONS"), ("NSE", "A  B"), ("NSE", "AND")]
)  # fmt: skip
indicator_texts = st.sampled_from(
    [("rsi", None), ("sma(volume,20)", None), ("ema(high,9)", None), ("vwap", None), ("macd", "signal"),
     ("macd(5,20,3)", "macd"), ("supertrend", "trend"), ("bbands(20,2.5)", "upper"), ("heikin_ashi", "close")]
)  # fmt: skip


def _placed(place: tuple[str, str] | None) -> dict[str, str]:
    return {} if place is None else {"exchange": place[0], "symbol": place[1]}


tick_fields = st.builds(
    lambda name, place: Field(name=name, **_placed(place)), st.sampled_from(list(TICK_FIELDS)), places
)


def bar_fields(timeframes: st.SearchStrategy[Timeframe]) -> st.SearchStrategy[Expression]:
    """Figures and indicators of candles."""
    fields = st.builds(
        lambda name, place, timeframe: Field(name=name, timeframe=timeframe, **_placed(place)),
        st.sampled_from(list(BAR_FIELDS)), places, timeframes,
    )  # fmt: skip
    indicators = st.builds(
        lambda one, place, timeframe: Indicator(text=one[0], line=one[1], timeframe=timeframe, **_placed(place)),
        indicator_texts, places, timeframes,
    )  # fmt: skip
    return fields | indicators


def expressions(operands: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    return st.recursive(
        operands | numbers,
        lambda below: st.builds(Arithmetic, op=st.sampled_from(["+", "-", "*", "/"]), left=below, right=below),
        max_leaves=5,
    )


any_expression = expressions(tick_fields | bar_fields(st.sampled_from(TIMEFRAMES)))
amounts = st.integers(1, 100_000).map(float) | st.sampled_from([0.05, 1.5, 2.25, 0.0000001])
directions = st.sampled_from(["up", "down", "any"])


@st.composite
def moves_in_bars(draw: st.DrawFn) -> Move:
    timeframe = draw(st.sampled_from(TIMEFRAMES))
    value = draw(expressions(bar_fields(st.just(timeframe))))
    return Move(
        value=value, amount=draw(amounts), percent=draw(st.booleans()), direction=draw(directions),
        within_bars=draw(st.integers(1, 500)), timeframe=timeframe,
    )  # fmt: skip


relations = st.one_of(
    st.builds(Compare, left=any_expression, op=st.sampled_from([">", ">=", "<", "<=", "=="]), right=any_expression),
    st.builds(
        Cross, left=any_expression, right=any_expression, direction=st.sampled_from(["above", "below", "any"])
    ),
    st.builds(
        Channel, value=any_expression, relation=st.sampled_from(["enters", "exits", "inside", "outside"]),
        low=any_expression, high=any_expression,
    ),
    st.builds(
        Move, value=any_expression, amount=amounts, percent=st.booleans(), direction=directions,
        within_s=st.integers(1, 86_400),
    ),
    moves_in_bars(),
    st.builds(Step, value=any_expression, amount=amounts, percent=st.booleans()),
    st.builds(
        lambda which, of, place: Extreme(which=which, of=of, **_placed(place)),
        st.sampled_from(["high", "low"]), st.sampled_from(["day", "year"]), places,
    ),
)  # fmt: skip


def _compounds(below: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    terms = st.lists(below, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        st.builds(And, terms=terms),
        st.builds(Or, terms=terms),
        st.builds(Not, term=below),
        st.builds(Hold, term=below, seconds=st.integers(1, 86_400)),
        st.builds(Hold, term=below, samples=st.integers(2, 10_000)),
        st.builds(Then, first=below, second=below, within_s=st.integers(1, 86_400)),
    )


raw_conditions: st.SearchStrategy[Condition] = st.recursive(relations, _compounds, max_leaves=6)
"""Any trees; what they say need not have a meaning."""


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    """Canonical trees whose text is not too long; what they say need not have a meaning."""
    tree = draw(raw_conditions)
    try:
        found = canonical(tree, json_places(tree), READER)
    except CommandError:  # a division by zero, a number out of bounds
        assume(False)
        raise
    assume(len(text(found)) <= 2_000)
    return found
