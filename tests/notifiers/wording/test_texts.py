"""Texts are filled in with exactly what they name, escaped for HTML, and run nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from jinja2.exceptions import SecurityError

from auth.identity import LANGUAGES
from notifiers.wording.texts import Texts, one_line, texts_of

PLAIN, HTML = Texts(html=False), Texts(html=True)


def test_a_value_is_escaped_for_html_and_only_there() -> None:
    text, given_ = "a {{ value }} b", {"value": "<b>&</b>{{ 7*7 }}"}
    assert PLAIN.text(text, given_) == "a <b>&</b>{{ 7*7 }} b"
    assert HTML.text(text, given_) == "a &lt;b&gt;&amp;&lt;/b&gt;{{ 7*7 }} b"


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        PLAIN.text("{{ nothing }}", {})


@pytest.mark.parametrize("text", ["{{ value.__class__.__mro__ }}", "{{ value.append(1) }}"])
def test_a_text_reaches_nothing_behind_its_values(text: str) -> None:
    with pytest.raises(SecurityError):
        PLAIN.text(text, {"value": []})  # type: ignore[dict-item]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_is_there(language: str) -> None:
    assert {"common", "mail", "sms", "alert"} <= texts_of(language).keys()


@given(st.text(max_size=60))
def test_one_line_is_one_line(text: str) -> None:
    assert len(one_line(text).splitlines()) <= 1


def test_what_joins_letters_is_kept() -> None:
    assert one_line("ಪಾಸ್\u200cವರ್ಡ್\u2028x") == "ಪಾಸ್\u200cವರ್ಡ್ x"
