"""An alert speaks all languages, keeps to one line where it must, and says what is known and nothing else."""

import re
import string
import unicodedata
from itertools import product
from typing import Any

import pytest

from auth.identity import LANGUAGES
from notifiers.outbox.delivery import Kind
from notifiers.wording.messages import MAX_LINE, MAX_TITLE, Messages, Said, check_message
from schemas.errors import CommandError
from tests.notifiers.jobs import AT_MS, facts_of, job_of, read

MESSAGES = Messages("Acme Markets", read, wall=lambda: AT_MS / 1000)
SCRIPTS = {"hi": "DEVANAGARI", "mr": "DEVANAGARI", "gu": "GUJARATI", "kn": "KANNADA"}
GSM_7 = set(string.ascii_letters + string.digits + " @$_!\"#%&'()*+,-./:;<=>?\n")
REASONS = ("expired", "instrument_ended", "corporate_action", "adjusted", "misfit", "webhook_disabled", "sms_budget")


def say(kind: Kind = Kind.ALERT, language: str = "en", zone: str = "Asia/Kolkata", **known: Any) -> Said:
    return MESSAGES.say(facts_of(kind, **known), language, zone)


@pytest.mark.parametrize(("kind", "language"), list(product(Kind, LANGUAGES)))
def test_every_kind_speaks_every_language(kind: Kind, language: str) -> None:
    said = say(kind, language)
    assert (said.language, said.wished, said.detail) == (language, language, None)
    for text in (said.title, said.line, said.sms, said.text):
        assert text.strip()
        assert not re.search(r"\{\{|\}\}|\{%|None|undefined", text)
    assert len(said.title) <= MAX_TITLE
    assert len(said.line) <= MAX_LINE
    assert not any(char in said.title + said.line + said.sms for char in "\r\n")
    assert "RELIANCE" in said.title
    assert "RELIANCE" in said.line
    letters = [char for char in said.line if ord(char) > 0x7F and unicodedata.category(char)[0] in "LM"]
    assert {unicodedata.name(char).split()[0] for char in letters} == ({SCRIPTS[language]} if letters else set())
    assert bool(letters) is (language != "en")


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_alert_says_price_time_and_what_it_waited_for(language: str) -> None:
    said = say(language=language)
    assert said.price == "\u20b92,510.50"
    assert said.time == "10:15:02 IST"
    for text in (said.line, said.text):
        assert said.price in text
        assert said.time in text
        assert said.condition in text
    assert said.title == f"{said.condition} (\u20b92,510.50)"
    values = [value for _, value in said.rows]
    assert values == [said.condition, "\u20b92,510.50", "\u20b92,498.00", "\u20b92,500.00", "10:15:02 IST"]


@pytest.mark.parametrize(("reason", "language"), list(product((*REASONS, "no such reason", None), LANGUAGES)))
def test_a_notice_says_what_became_of_the_alert(reason: str | None, language: str) -> None:
    others = {say(Kind.NOTICE, language, reason=one).line for one in (*REASONS, "other") if one != reason}
    line = say(Kind.NOTICE, language, reason=reason).line
    assert (line in others) is (reason not in REASONS)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_notice_about_no_instrument_names_none(language: str) -> None:
    said = say(Kind.NOTICE, language, reason="webhook_disabled", exchange="", symbol="", condition="")
    assert said.title
    assert said.title[-1] not in ": "
    assert said.rows == ()
    assert "()" not in said.line


def test_a_digest_counts() -> None:
    said = say(Kind.DIGEST)
    assert "12" in said.title
    assert "12 times since 10:12:02 IST" in said.line


def test_a_test_says_that_it_is_one() -> None:
    assert say(Kind.TEST).title.startswith("Test")
    said = say(Kind.TEST, message="{{symbol}}\nnow")
    assert said.message == "This is a test of your alert. RELIANCE\nnow"
    assert said.line == said.sms == "This is a test of your alert. RELIANCE now"


@pytest.mark.parametrize("kind", Kind)
def test_an_english_sms_keeps_to_the_gsm_alphabet(kind: Kind) -> None:
    assert set(say(kind).sms) <= GSM_7


def test_an_sms_says_rupees_by_letters_only_where_that_saves_something() -> None:
    assert "Rs 2,510.50" in say().sms
    assert "\u20b92,510.50" in say(language="hi").sms
    assert say(message="\u20b9{{price}}!").sms == "Rs 2,510.50!"
    assert say(message="\u20b9{{price}} आता").sms == "\u20b92,510.50 आता"


def test_an_english_alert_fits_into_one_sms() -> None:
    assert len(say().sms) <= 160


def test_a_long_condition_does_not_fill_an_sms() -> None:
    condition = " or ".join(f"price > {level}" for level in range(2600, 2640))
    said = say(condition=condition)
    assert len(said.sms) < 200
    assert set(said.sms) <= GSM_7
    assert len(said.title) <= MAX_TITLE
    assert said.title.endswith("\u2026 (\u20b92,510.50)")
    assert len(said.line) <= MAX_LINE
    assert said.condition in said.text


def test_the_price_of_an_instrument_that_is_not_looked_at_is_named() -> None:
    said = say(condition="NFO:NIFTY26DECFUT.price - NSE:NIFTY 50.price > 80")
    assert said.title.endswith(" (RELIANCE \u20b92,510.50)")
    assert set(said.sms) <= GSM_7


# -- the user's own words ---------------------------------------------------------------------------------------------


def test_the_user_s_message_takes_the_place_of_ours() -> None:
    said = say(message="{{name}}: {{symbol}}@{{exchange}} {{ltp}}={{price}}\n{{prev}} {{level}} {{time}}", name="Buy")
    assert said.message == "Buy: RELIANCE@NSE 2,510.50=2,510.50\n2,498.00 2,500.00 10:15:02 IST"
    assert said.line == said.message.replace("\n", " ")
    assert said.text.startswith(said.message)
    assert said.title == "Buy (RELIANCE \u20b92,510.50)"


@pytest.mark.parametrize("kind", [Kind.DIGEST, Kind.NOTICE])
def test_the_user_s_message_is_for_what_fired_only(kind: Kind) -> None:
    assert say(kind, message="Sell {{symbol}}!") == say(kind)


def test_a_change_comes_from_what_is_known() -> None:
    message = "{{change_percent}} {{change_pct}}"
    assert say(message=message, change_percent=-1.234).message == "-1.23 -1.23"
    assert say(message=message, inputs={"change_percent": 2.0}).message == "2.00 2.00"
    assert say(message=message).message == "- -"


def test_a_rule_without_a_name_is_its_condition() -> None:
    said = say(message="{{rule}}|{{condition}}|{{name}}")
    assert said.message == f"{said.condition}|{said.condition}|RELIANCE"
    assert say(message="{{rule}}", name="Buy").message == "Buy"


def test_values_bring_no_placeholders_lines_or_templates_in() -> None:
    said = say(message="{{name}}", name="{{price}}\r\nBcc: x {{ 7*7 }} {% raw %}")
    assert said.message == "{{price}} Bcc: x {{ 7*7 }} {% raw %}"
    assert say(name="{{ product }}").title.startswith("{{ product }} (")


def test_the_checker_is_at_hand() -> None:
    with pytest.raises(CommandError):
        check_message("{{nothing}}")


# -- what is known ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "values"),
    [
        ("change_percent <= -3", ["-3.20%", "-2.90%", "-3.00%"]),
        ("volume > 100000", ["1,20,000", "90,000", "1,00,000"]),
        ("rsi(14) on 15m crosses below 30", ["29.5", "31.25", "30"]),
        ("price enters 2400..2500", ["\u20b92,450.00", "\u20b92,510.00", "\u20b92,500.00"]),
        ("not (price inside 2400..2500)", ["\u20b92,450.00", "\u20b92,510.00", "\u20b92,500.00"]),
    ],
)
def test_values_are_written_in_their_unit(condition: str, values: list[str]) -> None:
    figures = {
        "change_percent": (-3.2, -2.9, -3.0),
        "volume": (120_000.0, 90_000.0, 100_000.0),
        "rsi(14)": (29.5, 31.25, 30.0),
    }.get(condition.split(" ", maxsplit=1)[0], (2450.0, 2510.0, 2500.0))
    current, previous, level = figures
    said = say(condition=condition, current=current, previous=previous, level=level)
    assert [value for _, value in said.rows[2:5]] == values


def test_what_nobody_knows_is_left_out() -> None:
    said = say(price=None, current=None, previous=None, level=None)
    assert said.price == ""
    assert said.line.startswith("RELIANCE (NSE), 10:15:02 IST.")
    assert said.title == said.condition
    assert len(said.rows) == 2


def test_an_index_has_no_currency() -> None:
    assert say(symbol="NIFTY 50", price=24500.0).title == "NIFTY 50 crosses above 2,500 (24,500.00)"


@pytest.mark.parametrize("language", LANGUAGES)
def test_why_it_fired_is_explained(language: str) -> None:
    assert say(language=language).why == ()
    for via in ("session_extreme", "bar", "clock"):
        (sentence,) = say(language=language, via=via).why
        assert sentence in say(language=language, via=via).text
    assert len(say(language=language, via="session_extreme", gap=True).why) == 2


def test_a_condition_that_nobody_can_read_any_more_stands_for_itself() -> None:
    said = say(condition="gone(5) on 5m > 3")
    assert said.condition == "gone(5) on 5m > 3"
    assert dict(said.rows)["Level"] == "2,500"


# -- whose language and clock -----------------------------------------------------------------------------------------


def test_the_alert_s_language_goes_before_the_user_s() -> None:
    assert MESSAGES.of(job_of(facts_of(language="mr"), language="hi")).language == "mr"
    assert MESSAGES.of(job_of(facts_of(), language="hi")).language == "hi"


def test_a_language_without_texts_is_english_and_says_so() -> None:
    said = MESSAGES.of(job_of(facts_of(language="ta"), language="hi"))
    assert (said.language, said.wished, said.detail) == ("en", "ta", "language ta: en")


def test_times_are_by_the_user_s_clock() -> None:
    assert MESSAGES.of(job_of(facts_of(), timezone="Asia/Dubai")).time == "08:45:02 UTC+04"
