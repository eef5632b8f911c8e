"""Conditions that have no meaning are refused with the place; of the others it is known what they look at."""

import msgspec
import pytest
from hypothesis import given

from notifiers.conditions.checking import Checked, check, check_text, instruments, is_edge, sources, takes_band
from notifiers.conditions.dimensions import dimension_of, meeting
from notifiers.conditions.options import Frequency, Options
from notifiers.conditions.tree import (
    MAX_DEPTH,
    Arithmetic,
    Compare,
    Condition,
    Cross,
    Expression,
    Field,
    Hold,
    Indicator,
    Move,
    Not,
    Number,
    Or,
    decode,
    walk,
)
from schemas.errors import CommandError, ErrorCode
from tests.notifiers.conditions.trees import READER, raw_conditions

PLAIN = Options()
CLOSE = Options(frequency=Frequency.ONCE_PER_BAR_CLOSE, timeframe="15m")
PRICE = Field(name="price")


def checked(said: str, options: Options = PLAIN) -> Checked:
    return check_text(said, "NSE", "RELIANCE", READER, options=options)


def refusal(said: str, options: Options = PLAIN) -> CommandError:
    with pytest.raises(CommandError) as refused:
        checked(said, options)
    assert refused.value.code is ErrorCode.BAD_REQUEST
    return refused.value


@pytest.mark.parametrize(
    ("said", "column", "fault"),
    [
        ("price > volume", 9, "a price can't be compared with a quantity"),
        ("price > change_percent", 9, "a price can't be compared with a percentage"),
        ("volume on 5m > sma(20) on 5m", 16, "a quantity can't be compared with a price"),
        ("price crosses rsi on 5m", 15, "a price can't be compared with a plain number"),
        ("price / prev_close > bid", 22, "a plain number can't be compared with a price"),
        ("price + volume > 5", 9, "a price + a quantity has no meaning"),
        ("5 < bid * (ask + 1)", 12, "a price * a price has no meaning"),
        ("1 / price > 5", 5, "a constant / a price has no meaning"),
        ("price enters 5..volume", 17, "a price can't be compared with a quantity"),
        ("price moves 2% in 5m and price + volume steps 5", 34, "a price + a quantity has no meaning"),
        ("5 > 3", 1, "Only constants are compared here"),
        ("2 + 3 crosses 4", 1, "Only constants are compared here"),
        ("5 inside price..bid", 1, "Only constants are compared here"),
        ("5 moves 2 in 5m", 1, "A constant never moves"),
        ("price > 5 and 5 steps 2", 15, "A constant never moves"),
        ("price enters 2500..2400", 14, "The range 2500..2400 is empty"),
        ("price inside 5..5", 14, "The range 5..5 is empty"),
        ("not price crosses 5", 5, "not takes what holds for a while"),
        ("(price > 5 and new day high) for 10s", 16, "for takes what holds for a while"),
        ("not (price > 5 or (price > 3 then price > 6 within 5m))", 20, "not takes what holds for a while"),
        ("price > 2%", 9, "2% is a percentage, and here stands a price"),
        ("price > prev_close + 2%", 22, "2% is a percentage, and here stands a price"),
        ("price > prev_close * 2%", 22, "2% is a percentage, and here stands a plain number"),
        ("volume on 5m > 2% on 5m", 16, "2% is a percentage, and here stands a quantity"),
    ],
)
def test_what_has_no_meaning_is_refused_with_its_place(said: str, column: int, fault: str) -> None:
    refused = refusal(said)
    assert fault in refused.message
    assert refused.message.endswith(f" - at character {column}")


HIGH = '{"is":"extreme","which":"high"}'
LAST = '{"is":"field","name":"price"}'
BY_ZERO = f'{{"is":"arithmetic","op":"/","left":{LAST},"right":{{"is":"number","value":0}}}}'
RANGE = f'{{"is":"channel","relation":"inside","value":{LAST},"low":{LAST},"high":{BY_ZERO}}}'


@pytest.mark.parametrize(
    ("tree", "place", "fault"),
    [
        (
            '{"is":"compare","left":{"is":"field","name":"pric"},"op":">","right":{"is":"number","value":5}}',
            "$.left",
            "No figure or indicator is called 'pric'; did you mean price",
        ),
        (
            f'{{"is":"and","terms":[{HIGH},{{"is":"compare","left":{LAST},"op":">","right":{{"is":"field","name":"oi"}}}}]}}',
            "$.terms[1].right",
            "a price can't be compared with a quantity",
        ),
        (
            f'{{"is":"then","within_s":5,"first":{HIGH},"second":{RANGE}}}',
            "$.second.high.right",
            "Nothing can be divided by zero",
        ),
        (
            f'{{"is":"not","term":{{"is":"hold","seconds":5,"term":{HIGH}}}}}',
            "$.term.term",
            "for takes what holds for a while",
        ),
        (f'{{"is":"hold","term":{HIGH}}}', "$", "Expected one of seconds and samples"),
        (f'{{"is":"move","value":{LAST},"amount":2}}', "$", "Expected one of within_s and within_bars"),
        (f'{{"is":"step","value":{LAST},"amount":1e-9}}', "$", "An amount is more than 0"),
        ('{"is":"extreme","which":"low","exchange":"XYZ","symbol":"TCS"}', "$", "Expected an exchange out of"),
        ('{"is":"extreme","which":"low","exchange":"NSE"}', "$", "'' is no symbol"),
        ('{"is":"extreme","which":"low","symbol":"TCS"}', "$", "Expected an exchange out of"),
        ('{"is":"extreme","which":"low","exchange":"NSE","symbol":"A\\"B"}', "$", "is no symbol"),
        ('{"is":"extreme","which":"low","exchange":"NSE","symbol":"A\\nB"}', "$", "is no symbol"),
        (
            '{"is":"step","amount":1,"value":{"is":"indicator","text":"bbands","timeframe":"5m"}}',
            "$.value",
            "bbands has the lines",
        ),
        (
            '{"is":"step","amount":1,"value":{"is":"indicator","text":"oracle(5)","timeframe":"5m"}}',
            "$.value",
            "No indicator is called 'oracle'",
        ),
    ],
)
def test_a_tree_is_refused_with_the_path(tree: str, place: str, fault: str) -> None:
    with pytest.raises(CommandError) as refused:
        check(decode(tree), "NSE", "RELIANCE", READER)
    assert fault in refused.value.message
    assert refused.value.message.endswith(f" - at `{place}`")


@pytest.mark.parametrize("depth", [MAX_DEPTH, 5_000])
def test_a_tree_that_is_too_deep_is_refused_without_recursion(depth: int) -> None:
    tree: Condition = Compare(left=PRICE, op=">", right=Number(value=5.0))
    for _ in range(depth):
        tree = Not(term=tree)
    with pytest.raises(CommandError, match=f"at most {MAX_DEPTH} levels deep"):
        check(tree, "NSE", "TCS", READER)


def test_a_tree_with_too_many_parts_is_refused() -> None:
    one = Compare(left=PRICE, op=">", right=Number(value=5.0))
    with pytest.raises(CommandError, match="at most 200 parts"):
        check(Or(terms=(one,) * 100), "NSE", "TCS", READER)


def test_a_tree_whose_text_would_be_too_long_is_refused() -> None:
    far = Field(name="lower_circuit_distance_percent", exchange="NSE", symbol="A" * 64)
    one = Compare(left=far, op=">", right=far)
    with pytest.raises(CommandError, match="at most 2000 characters"):
        check(Or(terms=(one,) * 12), "NSE", "TCS", READER)


def test_what_json_says_comes_out_in_canonical_form() -> None:
    tree = Compare(
        left=Number(value=2.0),
        op="<",
        right=Arithmetic(
            op="*",
            left=Indicator(text=" MACD( 12,26, 9) ", timeframe="5m", gives="quantity"),
            right=Field(name="LTP", exchange="nse", symbol=" tcs "),
        ),
    )
    with pytest.raises(CommandError, match="a price \\* a price has no meaning"):
        check(tree, "NSE", "TCS", READER)
    found = check(msgspec.structs.replace(tree, right=tree.right.right), "NSE", "TCS", READER)  # type: ignore[union-attr]
    assert found.tree == Compare(left=PRICE, op=">", right=Number(value=2.0))
    assert found.text == "price > 2"
    indicator = check(msgspec.structs.replace(tree, right=tree.right.left), "NSE", "TCS", READER)  # type: ignore[union-attr]
    assert indicator.text == "macd.macd on 5m > 2"


def test_percentages_are_compared_with_percentages() -> None:
    assert checked("change_percent > 3%").text == "change_percent > 3"
    assert checked("change_percent - 1% > 2 * 3%").text == "change_percent - 1 > 6"


@pytest.mark.parametrize(
    ("said", "edge"),
    [
        ("price > 5", False),
        ("price inside 5..6", False),
        ("not price > 5", False),
        ("price > 5 for 10s", False),
        ("price > 5 and price < 6 or price > 9", False),
        ("price enters 5..6", True),
        ("price exits 5..6", True),
        ("price crosses 5", True),
        ("price moves 5 in 5m", True),
        ("price steps 5", True),
        ("new day high", True),
        ("price > 5 then price > 6 within 5m", True),
        ("price > 5 and price crosses 6", True),
        ("price > 5 or price crosses 6", True),
    ],
)
def test_edges_and_levels_are_told_apart(said: str, edge: bool) -> None:
    assert checked(said).edge is edge
    assert is_edge(checked(said).tree) is edge


def test_the_instruments_and_sources_are_named() -> None:
    found = checked(
        "NSE:TCS.price > 5 and volume > sma(volume,5) on 5m and NSE:RELIANCE.rsi on 5m > 5 and new day high"
    )
    assert found.instruments == (("NSE", "RELIANCE"), ("NSE", "TCS"))
    assert found.sources == {
        ("NSE", "RELIANCE", ""): frozenset(),
        ("NSE", "RELIANCE", "5m"): {"sma(volume,5)", "rsi"},
        ("NSE", "TCS", ""): frozenset(),
    }
    assert "NSE:RELIANCE" not in found.text


def test_an_alert_on_others_alone_does_not_look_at_its_own() -> None:
    assert checked("BSE:RELIANCE.price > 5").instruments == (("BSE", "RELIANCE"),)


def test_once_per_bar_close_looks_at_candles_alone() -> None:
    found = checked("price > 2500 and volume > 5 and rsi on 1h > 5", CLOSE)
    assert found.sources == {("NSE", "RELIANCE", "15m"): frozenset(), ("NSE", "RELIANCE", "1h"): {"rsi"}}
    assert found.text == "price > 2500 and volume > 5 and rsi on 1h > 5"


@pytest.mark.parametrize(
    ("said", "column", "name"),
    [
        ("bid > 5", 1, "bid"),
        ("price > prev_close", 9, "prev_close"),
        ("price > 5 and change_percent > 3", 15, "change_percent"),
        ("new day high", 1, "new day high"),
        ("price > 5 or new 52w low", 14, "new 52w low"),
    ],
)
def test_what_candles_lack_is_refused_once_per_bar_close(said: str, column: int, name: str) -> None:
    refused = refusal(said, CLOSE)
    assert refused.message.startswith(f"Once per bar close looks at candles alone, which have no {name} - at")
    assert refused.message.endswith(f" - at character {column}")


@pytest.mark.parametrize("said", ["price > 5", "price crosses 5", "5 < price", "price - bid >= 5", "rsi on 5m < 30"])
def test_a_band_is_taken_by_a_comparison_with_a_constant(said: str) -> None:
    assert takes_band(checked(said, Options(band=2.0)).tree)


@pytest.mark.parametrize(
    "said",
    ["price > bid", "price == 5", "price > 5 and price > 6", "price enters 5..6", "price > 5 for 10s", "new day low"],
)
def test_a_band_is_refused_by_all_else(said: str) -> None:
    assert "A band needs a single comparison" in refusal(said, Options(band=2.0)).message


@given(raw_conditions)
def test_every_tree_is_checked_or_refused_and_what_is_checked_stays(tree: Condition) -> None:
    try:
        found = check(tree, "NSE", "RELIANCE", READER)
    except CommandError as refused:
        code, message = refused.code, refused.message
        assert (code, bool(message)) == (ErrorCode.BAD_REQUEST, True)
        return
    assert check(found.tree, "NSE", "RELIANCE", READER) == found
    assert checked(found.text) == found
    assert sources(found.tree, "NSE", "RELIANCE") == found.sources
    assert instruments(found.tree, "NSE", "RELIANCE") == found.instruments
    for node in walk(found.tree):
        _measure(node)


def _measure(node: Condition | Expression) -> None:
    """What was checked has a dimension wherever the engine asks for one."""
    if isinstance(node, Compare | Cross):
        assert meeting(node.left, node.right)
    elif isinstance(node, Move):
        assert meeting(node.value)
    elif isinstance(node, Arithmetic):
        assert dimension_of(node) is not None
    assert not isinstance(node, Hold) or (node.seconds is None) != (node.samples is None)
