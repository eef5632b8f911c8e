"""Every letter and text is written in every language, and strangers can't put words into them."""

import re
import string
import tomllib
import unicodedata
from html.parser import HTMLParser
from importlib.resources import files
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from auth.identity import LANGUAGES
from notifiers.wording.letters import (
    MAIL_VALUES,
    SMS_VALUES,
    Letter,
    MailKind,
    SmsKind,
    Writer,
    device_of,
    is_a_name,
    one_line,
)

WRITER = Writer("Acme Markets", "acme.example")
VALUES = {
    "link": "https://acme.example/api/v1/auth/x?token=a&b=<c>",
    "code": "493027",
    "device": "Firefox, Windows",
    "address": "203.0.113.9",
}
SCRIPTS = {"hi": "DEVANAGARI", "mr": "DEVANAGARI", "gu": "GUJARATI", "kn": "KANNADA"}
GSM_7 = set(string.ascii_letters + string.digits + " @$_!\"#%&'()*+,-./:;<=>?\n")
EVERY_LETTER = list(product(MailKind, LANGUAGES))


def letter(kind: MailKind, language: str | None = "en", name: str = "") -> Letter:
    values = {key: VALUES[key] for key in MAIL_VALUES[kind]}
    return WRITER.letter(kind, letter_id="m_1", to="asha@example.com", language=language, name=name, **values)


def texts_of(language: str) -> dict[str, Any]:
    return tomllib.loads(files("notifiers").joinpath("templates", f"{language}.toml").read_text(encoding="utf-8"))


class Page(HTMLParser):
    """What a mail program makes of the HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize(("kind", "language"), EVERY_LETTER)
def test_every_letter_says_all_it_was_told_as_text_and_as_html(kind: MailKind, language: str) -> None:
    written = letter(kind, language)
    page = Page(written.html)
    assert page.open == []
    for key in MAIL_VALUES[kind]:
        assert VALUES[key] in written.text
        assert VALUES[key] in (page.links if key == "link" else page.text)
    assert "Acme Markets" in written.text
    assert not re.search(r"\{\{|\{%|None|undefined", written.text + written.html)
    assert written.subject
    assert "\n" not in written.subject
    assert (written.kind, written.language, written.message_id) == (kind, language, "<m_1@acme.example>")


@pytest.mark.parametrize(("kind", "language"), [pair for pair in EVERY_LETTER if pair[1] != "en"])
def test_a_letter_is_in_its_language_s_script(kind: MailKind, language: str) -> None:
    written = letter(kind, language)
    letters = [char for char in written.subject + written.text.replace(VALUES["link"], "") if ord(char) > 0x7F]
    scripts = {unicodedata.name(char).split()[0] for char in letters if unicodedata.category(char)[0] in "LM"}
    assert scripts == {SCRIPTS[language]}
    assert letter(kind, "en").text.isascii()


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_languages_have_the_same_texts(language: str) -> None:
    def shape(value: Any) -> Any:
        match value:
            case dict():
                return {key: shape(inner) for key, inner in value.items()}
            case list():
                return [shape(inner) for inner in value]
            case _:
                return sorted(re.findall(r"\{\{ (\w+) \}\}", value)) and set(re.findall(r"\{\{ (\w+) \}\}", value))

    assert shape(texts_of(language)) == shape(texts_of("en"))
    assert texts_of(language)["mail"].keys() == set(MailKind)
    assert texts_of(language)["sms"].keys() == set(SmsKind)


@pytest.mark.parametrize("kind", MailKind)
def test_a_letter_wants_exactly_its_values(kind: MailKind) -> None:
    values = {key: VALUES[key] for key in MAIL_VALUES[kind]}
    with pytest.raises(TypeError):
        WRITER.letter(kind, letter_id="m_1", to="a@example.com", language="en", **values, more="x")
    for missing in values:
        rest = {key: value for key, value in values.items() if key != missing}
        with pytest.raises(TypeError):
            WRITER.letter(kind, letter_id="m_1", to="a@example.com", language="en", **rest)


def test_a_text_that_names_an_unknown_value_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        WRITER._plain.text("{{ surprise }}", {})


@pytest.mark.parametrize(("kind", "language"), list(product(SmsKind, LANGUAGES)))
def test_a_text_message_fits_into_one_part(kind: SmsKind, language: str) -> None:
    values = {key: VALUES[key] for key in SMS_VALUES[kind]}
    text = WRITER.sms(kind, sms_id="t_1", to="+919876543210", language=language, **values).text
    assert VALUES["code"] in text
    assert "\u20b9" not in text
    if language == "en":
        assert set(text) <= GSM_7
        assert len(text) <= 160
    else:
        assert len(text.encode("utf-16-le")) // 2 <= 70
        scripts = {unicodedata.name(char).split()[0] for char in text if ord(char) > 0x7F and char.isalpha()}
        assert scripts == {SCRIPTS[language]}


@pytest.mark.parametrize("language", [None, "ta", ""])
def test_an_unknown_language_is_english(language: str | None) -> None:
    assert letter(MailKind.PASSWORD_CHANGED, language).language == "en"
    assert WRITER.sms(SmsKind.LOGIN_CODE, sms_id="t", to="+91", language=language, code="1").language == "en"


def test_a_name_is_greeted_but_not_where_anybody_may_have_given_it() -> None:
    assert letter(MailKind.LOGIN_CODE, name="Asha").text.startswith("Hello Asha,")
    assert letter(MailKind.LOGIN_CODE, "hi", name="आशा पाटील").text.startswith("नमस्ते आशा पाटील,")
    for kind in (MailKind.VERIFY_EMAIL, MailKind.ADDRESS_TAKEN):
        assert letter(kind, name="Asha").text.startswith("Hello,")


@pytest.mark.parametrize("name", ["Asha", "आशा पाटील", "ಮಂಜುನಾಥ", "પ્રીતિ", "J. R. D'Souza", "Anne-Marie", "José"])
def test_people_s_names_are_names(name: str) -> None:
    assert is_a_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "evil.com", "You won www.evil", "http://evil", "call 98765432", "a\nBcc: b@c.d", "<b>x</b>", "x" * 61,
     "click here now to get money", "mail@evil", "{{ code }}", "a\u202eb"],
)  # fmt: skip
def test_an_advertisement_is_no_name(name: str) -> None:
    assert not is_a_name(name)
    assert letter(MailKind.LOGIN_CODE, name=name).text.startswith("Hello,")


def test_html_shows_what_it_was_told_as_it_is() -> None:
    bad = '"><script>alert(1)</script>{{ code }}'
    written = WRITER.letter(
        MailKind.NEW_LOGIN, letter_id="m", to="a@example.com", language="en", device=bad, address=bad
    )
    page = Page(written.html)
    assert "script" not in page.seen
    assert bad in page.text


@given(st.text(max_size=60))
def test_no_text_breaks_out_of_its_line(text: str) -> None:
    assert len(one_line(text).splitlines()) <= 1
    assert one_line(one_line(text)) == one_line(text)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox, Windows"),
        ("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36", "Chrome, Android"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18.0 Safari/605.1.15", "Safari, macOS"),
        ("visit http://evil.example", "?"),
        ("", "?"),
    ],
)
def test_of_a_browser_only_its_name_is_said(said: str, shown: str) -> None:
    assert device_of(said) == shown
