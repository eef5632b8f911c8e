"""A user's message holds text and placeholders; what looks like more is refused, with its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifiers.wording.placeholders import MAX_MESSAGE, PLACEHOLDERS, check_message, fill
from schemas.errors import CommandError, ErrorCode

VALUES = {name: f"<{name}>" for name in PLACEHOLDERS}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("Buy {{symbol}} {{surprise}}", 16),
        ("{{ price | upper }}", 1),
        ("{{price*2}}", 1),
        ("{{''.__class__}}", 1),
        ("{{}}", 1),
        ("{{symbol", 1),
        ("at {{price} now", 4),
        ("price}}", 6),
        ("{{{symbol}}}", 1),
        ("{% for x in y %}", 1),
        ("a {# b #}", 3),
        ("x %}", 3),
        ("x\x00y", 2),
        ("x\r\ny", 2),
        ("x\u202ey", 2),
        ("x\x1b[31m", 2),
    ],
)
def test_what_is_no_placeholder_is_refused_with_its_place(text: str, place: int) -> None:
    with pytest.raises(CommandError) as caught:
        check_message(text)
    assert caught.value.code is ErrorCode.BAD_REQUEST
    assert caught.value.values["place"] == place
    assert str(place) in caught.value.message


@pytest.mark.parametrize("text", ["", "  \n ", "x" * (MAX_MESSAGE + 1)])
def test_an_empty_or_endless_message_is_refused(text: str) -> None:
    with pytest.raises(CommandError):
        check_message(text)


@pytest.mark.parametrize(
    "text",
    [
        "{{symbol}} is at {{ price }}",
        "two\nlines { with } braces",
        "आता {{symbol}} पाहा",
        "x" * MAX_MESSAGE,
        "ಪಾಸ್\u200cವರ್ಡ್ \U0001f680",
        *(f"{{{{{name}}}}}" for name in PLACEHOLDERS),
    ],
)
def test_text_and_placeholders_are_a_message(text: str) -> None:
    check_message(text)


def test_each_placeholder_is_filled_in() -> None:
    text = " ".join(f"{{{{ {name} }}}}" for name in PLACEHOLDERS)
    assert fill(text, VALUES) == " ".join(VALUES.values())


def test_what_a_value_holds_is_not_looked_at_again() -> None:
    assert fill("{{name}}", {"name": "{{price}}", "price": "1"}) == "{{price}}"


def test_what_is_no_placeholder_stays_as_it_is() -> None:
    assert fill("{{nothing}} {% x %} {{", VALUES) == "{{nothing}} {% x %} {{"


@given(st.text(alphabet="{}%# abprice_symol\n", max_size=60))
def test_a_message_that_was_let_through_leaves_no_braces_behind(text: str) -> None:
    try:
        check_message(text)
    except CommandError:
        return
    filled = fill(text, dict.fromkeys(PLACEHOLDERS, ""))
    assert "{{" not in text or len(filled) < len(text)
    assert not any(mark in text for mark in ("{%", "%}", "{#", "#}"))
