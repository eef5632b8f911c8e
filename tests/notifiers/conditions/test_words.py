"""Conditions are said in five languages, completely and with Indian numbers."""

import re
import string
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.identity import LANGUAGES
from notifiers.conditions.checking import check, check_text
from notifiers.conditions.dimensions import Dimension
from notifiers.conditions.tree import Condition
from notifiers.conditions.words import FIGURES, Sentences, amount_in_words, indian, is_index, sentences, words
from schemas.errors import CommandError
from tests.notifiers.conditions.test_parser import FORMS
from tests.notifiers.conditions.trees import READER, raw_conditions

OTHERS = [language for language in LANGUAGES if language != "en"]
SCRIPTS = {"hi": "\u0900-\u097f", "mr": "\u0900-\u097f", "gu": "\u0a80-\u0aff", "kn": "\u0c80-\u0cff"}


def said(condition: str, language: str = "en", symbol: str = "RELIANCE") -> str:
    return words(check_text(condition, "NSE", symbol, READER).tree, language, "NSE", symbol)


@pytest.mark.parametrize(
    ("condition", "sentence"),
    [
        ("price crosses above 2500", "RELIANCE crosses above ₹2,500"),
        ("price > 1234567.5", "RELIANCE is above ₹12,34,567.50"),
        ("price - prev_close <= -5", "RELIANCE − previous close is at or below -₹5"),  # noqa: RUF001 - a minus sign
        ("change_percent <= -3", "RELIANCE change is at or below -3%"),
        ("volume > 2 * sma(volume,20) on 5m", "RELIANCE volume (5m) is above 2 × SMA(volume,20) (5m)"),  # noqa: RUF001
        ("rsi on 15m crosses below 30", "RELIANCE RSI (15m) crosses below 30"),
        ("price moves up 2% in 5m", "RELIANCE rises 2% within 5 minutes"),
        ("price moves 2% in 3 bars on 5m", "RELIANCE close (5m) moves 2% within 3 candles of 5m"),
        ("price enters 2400..2500", "RELIANCE enters the range from ₹2,400 to ₹2,500"),
        ("NFO:X26DECFUT.price - NSE:X.price > 80", "X26DECFUT − X is above ₹80"),  # noqa: RUF001
        ("BSE:RELIANCE.price > price", "BSE:RELIANCE is above RELIANCE"),
        ("new 52w high", "RELIANCE makes a new 52-week high"),
        ("price steps 50", "RELIANCE moves another ₹50"),
        ("price > 5 for 1m", "RELIANCE is above ₹5 for 1 minute"),
        ("price > 5 for 3 ticks", "RELIANCE is above ₹5 for 3 ticks in a row"),
        ("not price > 5", "it is not so that RELIANCE is above ₹5"),
        (
            "(price > 5 or price < 3) and volume > 100000",
            "(RELIANCE is above ₹5 or RELIANCE is below ₹3) and RELIANCE volume is above 1,00,000",
        ),
        ("price > 5 then price > 6 within 2h", "RELIANCE is above ₹5, then within 2 hours RELIANCE is above ₹6"),
        ("(price + 2) * 3 > 5", "(RELIANCE + ₹2) × 3 is above ₹5"),  # noqa: RUF001
        ("macd(5,20,3).signal on 1h > 5", "RELIANCE MACD(5,20,3) signal (1h) is above ₹5"),
    ],
)
def test_in_english(condition: str, sentence: str) -> None:
    assert said(condition) == sentence


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("hi", "RELIANCE ₹2,500 के ऊपर जाता है"),
        ("mr", "RELIANCE ₹2,500 च्या वर जातो"),
        ("gu", "RELIANCE ₹2,500 થી ઉપર જાય છે"),
        ("kn", "RELIANCE ₹2,500 ಕ್ಕಿಂತ ಮೇಲೆ ಹೋಗುತ್ತದೆ"),
        ("xx", "RELIANCE crosses above ₹2,500"),
    ],
)
def test_in_other_languages(language: str, sentence: str) -> None:
    assert said("price crosses above 2500", language) == sentence


@pytest.mark.parametrize(
    ("language", "condition", "sentence"),
    [
        ("mr", "price crosses above vwap", "RELIANCE सरासरी भावाच्या वर जातो"),
        ("mr", "price < year_low", "RELIANCE 52 आठवड्यांतील नीचांकाच्या खाली आहे"),
        ("gu", "price inside low..high", "RELIANCE લોથી હાઈની રેન્જમાં છે"),
        ("kn", "price crosses vwap", "RELIANCE ಸರಾಸರಿ ಬೆಲೆಯನ್ನು ದಾಟುತ್ತದೆ"),
    ],
)
def test_nouns_and_their_endings_are_one_word(language: str, condition: str, sentence: str) -> None:
    assert said(condition, language) == sentence


def test_indices_are_in_points() -> None:
    assert said("price > 24000", symbol="NIFTY 50") == "NIFTY 50 is above 24,000"
    assert said("NFO:NIFTY26DECFUT.price - NSE:NIFTY 50.price > 80").endswith("is above 80")
    assert is_index("BSE", "SENSEX")
    assert not is_index("NSE", "M&M")


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def leaves(language: Sentences) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in set(Sentences.__struct_fields__) - {"joins"}:
        value = getattr(language, name)
        entries = value.items() if isinstance(value, dict) else [("", value)]
        for key, one in entries:
            forms = one if isinstance(one, tuple) else (one,)
            found |= {f"{name}.{key}.{number}": form for number, form in enumerate(forms)}
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_everything_with_the_same_parts(language: str) -> None:
    english, other = leaves(sentences()["en"]), leaves(sentences()[language])
    assert other.keys() == english.keys()
    for name, sentence in english.items():
        assert placeholders(other[name]) == placeholders(sentence), name
        assert other[name].strip() == other[name]
    assert sentences()[language].figures.keys() == FIGURES


def test_every_kind_has_a_sentence() -> None:
    hints = Sentences.__annotations__
    for name in ("compare", "cross", "channel", "move", "extreme", "for_", "within"):
        wanted = set(get_args(get_args(hints[name])[0]))
        assert sentences()["en"].__getattribute__(name).keys() == wanted, name


@pytest.mark.parametrize("language", OTHERS)
def test_every_sentence_is_in_its_script(language: str) -> None:
    for name, sentence in leaves(sentences()[language]).items():
        plain = re.sub(r"\{\w+\}", "", sentence)
        assert not re.search(r"[A-Za-z]", plain), name
        assert not re.search(rf"[^\x00-\x7f\u200c\u200d\u0964{SCRIPTS[language]}]", plain), name
        if name.startswith("figures"):
            assert re.search(f"[{SCRIPTS[language]}]", plain), name


@pytest.mark.parametrize("language", OTHERS)
def test_every_join_is_of_a_noun_that_is_said_and_makes_fewer_words(language: str) -> None:
    figures = sentences()[language].figures.values()
    for apart, joined in sentences()[language].joins:
        noun, _, ending = apart.strip().rpartition(" ")
        assert any(figure.endswith(noun) for figure in figures), apart
        assert ending
        assert joined.count(" ") < apart.count(" "), apart


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("condition", [one for one, _ in FORMS])
def test_every_form_is_said(condition: str, language: str) -> None:
    sentence = said(condition, language)
    assert "{" not in sentence
    assert "RELIANCE" in sentence or "NIFTY" in sentence


@given(raw_conditions, st.sampled_from(LANGUAGES))
def test_whatever_was_checked_can_be_said(tree: Condition, language: str) -> None:
    try:
        found = check(tree, "NSE", "RELIANCE", READER)
    except CommandError:
        return
    assert words(found.tree, language, "NSE", "RELIANCE")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (7, "7"), (999, "999"), (1000, "1,000"), (99999, "99,999"), (100000, "1,00,000"),
        (1234567.5, "12,34,567.50"), (-1234.25, "-1,234.25"), (0.05, "0.05"), (1e12, "10,00,00,00,00,000"),
        (83.1275, "83.1275"), (1e-7, "0.0000001"),
    ],
)  # fmt: skip
def test_numbers_are_grouped_the_indian_way(value: float, text: str) -> None:
    assert indian(value) == text


def test_amounts_have_their_unit() -> None:
    assert amount_in_words(-5.5, Dimension.PRICE) == "-₹5.50"
    assert amount_in_words(5.5, Dimension.PRICE, index=True) == "5.50"
    assert amount_in_words(2.0, Dimension.PERCENT) == "2%"
    assert amount_in_words(150000, Dimension.QUANTITY) == "1,50,000"
