"""What goes out is a registered template with something that fits in each of its blanks, or nothing."""

from datetime import datetime, time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifiers.errors import Blame, Refused
from notifiers.providers.dlt import Category, Dlt, Template, shortened
from schemas.market import IST

FILE = """
entity_id = "1101234567890123456"

[templates.alert.mr]
template_id = "1107161234567890123"
header = "TCKHUB"
category = "S"
body = "{#var#} चा अलर्ट: {#alphanumeric#}. किंमत {#var#}. - Tickhub"
variables = ["symbol", "condition", "price"]

[templates.alert.en]
template_id = "1107161234567890124"
header = "TCKHUB"
category = "P"
body = "Alert for {#var#}: {#var#}. Price {#var#}. - Tickhub"
variables = ["symbol", "condition", "price"]

[templates.login_code.en]
template_id = "1107161234567890125"
header = "TCKOTP"
category = "T"
body = "{#numeric#}: your login code."
variables = ["code"]
"""
VALUES = {"symbol": "RELIANCE", "condition": "किंमत ₹2,500 च्या वर", "price": "₹2,510.50"}


@pytest.fixture
def dlt(tmp_path: Path) -> Dlt:
    return loaded(tmp_path, FILE)


def loaded(folder: Path, text: str) -> Dlt:
    path = folder / "dlt.toml"
    path.write_text(text, encoding="utf-8")
    return Dlt.load(path)


def faults(folder: Path, text: str) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - what it says is looked at by whoever asks
        loaded(folder, text)
    return str(caught.value)


def test_a_text_is_its_template_filled_in(dlt: Dlt) -> None:
    text = dlt.text_for("alert", "mr", VALUES)
    assert text.text == "RELIANCE चा अलर्ट: किंमत ₹2,500 च्या वर. किंमत ₹2,510.50. - Tickhub"
    assert (text.template_id, text.header, text.entity_id) == ("1107161234567890123", "TCKHUB", "1101234567890123456")
    assert text.category is Category.SERVICE


def test_a_language_without_a_template_is_served_in_english(dlt: Dlt) -> None:
    text = dlt.text_for("alert", "kn", VALUES | {"condition": "price above ₹2,500"})
    assert text.language == "en"
    assert text.text == "Alert for RELIANCE: price above Rs 2,500. Price Rs 2,510.50. - Tickhub"


def test_an_occasion_without_a_template_is_refused_and_blames_no_other_message(dlt: Dlt) -> None:
    with pytest.raises(Refused) as caught:
        dlt.text_for("digest", "mr", VALUES)
    assert (caught.value.permanent, caught.value.blame) == (True, Blame.MESSAGE)


def test_words_are_shortened_to_their_blank(dlt: Dlt) -> None:
    text = dlt.text_for("alert", "en", VALUES | {"condition": "the price of it crosses above two thousand"})
    assert ": the price of it crosses above. Price" in text.text


@pytest.mark.parametrize(("name", "value"), [("price", "9" * 31), ("symbol", "X" * 31)])
def test_a_price_or_an_instrument_is_never_shortened(dlt: Dlt, name: str, value: str) -> None:
    with pytest.raises(Refused, match=f"DLT value {name}"):
        dlt.text_for("alert", "mr", VALUES | {name: value})


def test_a_blank_takes_only_what_it_is_registered_for(dlt: Dlt) -> None:
    assert dlt.text_for("login_code", "en", {"code": "493027"}).text == "493027: your login code."
    with pytest.raises(Refused):
        dlt.text_for("login_code", "en", {"code": "49x027"})


def test_a_blank_is_never_empty_nor_a_line_break(dlt: Dlt) -> None:
    text = dlt.text_for("alert", "mr", {"symbol": "A\nB", "price": "1"})
    assert text.text == "A B चा अलर्ट: -. किंमत 1. - Tickhub"


def test_a_value_that_looks_like_a_blank_or_a_group_is_only_text(dlt: Dlt) -> None:
    assert dlt.text_for("alert", "en", VALUES | {"condition": r"{#var#} \1"}).text.startswith(
        r"Alert for RELIANCE: {#var#} \1."
    )


def test_a_written_text_is_recognized(dlt: Dlt) -> None:
    found = dlt.matching("login_code", "en", "493027: your login code.")
    assert found is not None
    assert found.header == "TCKOTP"
    assert dlt.matching("login_code", "en", "493027: your login code!") is None
    assert dlt.matching("login_code", "mr", "493027: your login code.") is None


letters = st.text(st.sampled_from("ab. मराठी₹क्ष😀\u200d"), min_size=0, max_size=60)


@given(st.dictionaries(st.sampled_from(["symbol", "condition", "price"]), letters), st.sampled_from(["mr", "en"]))
def test_whatever_is_told_matches_its_template_or_is_refused(values: dict[str, str], language: str) -> None:
    body = {"mr": "{#var#} चा: {#var#}{#var#}.", "en": "{#var#}: {#alphanumeric#} {#var#}."}
    templates = {
        ("alert", one): Template(
            template_id="1", header="TCKHUB", category=Category.SERVICE, body=text,
            variables=("symbol", "condition", "price"),
        )
        for one, text in body.items()
    }  # fmt: skip
    dlt = Dlt("1", templates)
    try:
        text = dlt.text_for("alert", language, values).text
    except Refused:
        assert any(len(value) > 30 for value in values.values())
        return
    first, _, rest = text.partition(" चा: " if language == "mr" else ": ")
    assert 1 <= len(first) <= 30
    assert 1 <= len(rest) <= 62
    assert rest.endswith(".")


def test_many_blanks_are_compared_in_no_time() -> None:
    template = Template(
        template_id="1",
        header="TCKHUB",
        category=Category.SERVICE,
        body="{#var#} " * 12 + "end",
        variables=("line",) * 12,
    )
    assert not template.matches("a " * 150 + "no", 30)
    assert template.matches("a b " * 12 + "end", 30)


@given(st.text(st.sampled_from("abc क्षत्रिय\u200d\u200cमराठीಕ್ಷ"), max_size=60), st.integers(4, 40))
def test_what_is_shortened_is_a_beginning_that_tears_no_letter(text: str, longest: int) -> None:
    short = shortened(text, longest)
    assert len(short) <= longest
    assert text.startswith(short)


@pytest.mark.parametrize(
    ("text", "longest", "short"),
    [
        ("one two three", 9, "one two"),
        ("abcdefghij", 4, "abcd"),
        ("एक\u0924्र", 3, "एक"),  # the virama joins what follows
        ("किमी", 3, "कि"),  # the vowel sign belongs to its letter
        ("short", 30, "short"),
    ],
)
def test_how_it_is_shortened(text: str, longest: int, short: str) -> None:
    assert shortened(text, longest) == short


@pytest.mark.parametrize(
    ("day", "at", "held_s"),
    [(22, "09:59:59", 1.0), (22, "10:00:00", 0.0), (22, "20:59:59", 0.0), (22, "21:00:00", 13 * 3600.0),
     (22, "00:00:00", 10 * 3600.0), (30, "23:00:00", 11 * 3600.0)],
)  # fmt: skip
def test_promotion_waits_for_its_hours_in_india(dlt: Dlt, day: int, at: str, held_s: float) -> None:
    now = datetime.combine(datetime(2026, 11, day, tzinfo=IST).date(), time.fromisoformat(at), IST)
    assert dlt.held_s(Category.PROMOTIONAL, now) == held_s
    assert dlt.held_s(Category.SERVICE, now) == 0


def test_all_faults_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    told = faults(
        tmp_path,
        """
entity_id = "1"
promotional_hours = ["21:00", "10:00"]
[templates.alert.xx]
template_id = "one"
header = "TCKHUB"
category = "S"
body = "x"
[templates.rumour.en]
template_id = "1"
header = "TCKHUB"
category = "S"
body = "x"
[templates.alert.ta]
template_id = "1"
header = "TCKHUB"
category = "S"
body = "{#var#} {#zip#}"
variables = ["symbol", "password", "price"]
""",
    )
    assert "promotional_hours: expected two times" in told
    assert "templates.alert.xx: Expected `str` matching regex" in told
    assert "templates.rumour.en: there is no occasion 'rumour'" in told
    assert "templates.alert.ta: there is no language 'ta'" in told
    assert "nothing is known of password" in told
    assert "2 blanks, and there are 3 variables" in told
    assert "there is no blank {#zip#}" in told


@pytest.mark.parametrize(
    "text",
    ["entity_id = ", "", 'entity_id = "x"\n[templates]', 'entity_id = "1"\nunknown = 1\n[templates]',
     'entity_id = "1"\ntemplates = 3', 'entity_id = "1"\n[templates.alert]\nen = 3',
     FILE.replace("{#numeric#}", "{#numeric}"), FILE.replace('["code"]', '["price"]')],
)  # fmt: skip
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    assert faults(tmp_path, text)
