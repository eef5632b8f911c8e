"""Letters about alerts hold all there is to say and all links, and nothing that a user wrote becomes markup."""

import re
from itertools import product
from typing import Any

import msgspec
import pytest

from auth.identity import LANGUAGES
from notifiers.outbox.delivery import Kind
from notifiers.wording.alert_letters import AlertWriter, message_id_of
from notifiers.wording.letters import Letter
from notifiers.wording.messages import Messages
from tests.notifiers.jobs import AT_MS, delivery_of, facts_of, job_of, read
from tests.notifiers.wording.test_letters import Page

HOME = "https://acme.example/"
WRITER = AlertWriter(
    Messages("Acme Markets", read, wall=lambda: AT_MS / 1000),
    "acme.example",
    home=HOME,
    unsubscribe_url=lambda user, kind: f"https://acme.example/u/{user}/{kind}?a=1&b=2",
    acknowledge_url=lambda user, trigger: f"https://acme.example/a/{user}/{trigger}?a=1&b=2",
)


def letter(kind: Kind = Kind.ALERT, language: str = "en", **known: Any) -> Letter:
    return WRITER.letter(job_of(facts_of(kind, **known), language=language), "asha@example.com")[0]


@pytest.mark.parametrize(("kind", "language"), list(product(Kind, LANGUAGES)))
def test_every_letter_says_all_it_knows_as_text_and_as_html(kind: Kind, language: str) -> None:
    written, said = WRITER.letter(job_of(facts_of(kind), language=language), "asha@example.com")
    page = Page(written.html)
    assert page.open == []
    assert (written.language, written.subject, written.kind) == (language, said.title, kind)
    for told in (said.line, "Acme Markets", *(part for row in said.rows for part in row), *said.why):
        assert told in written.text
        assert told in page.text
    assert not re.search(r"\{\{|\{%|None|undefined", written.text + written.html)
    acknowledge = ["https://acme.example/a/u1/9?a=1&b=2"] if kind is Kind.ALERT else []
    assert page.links == [HOME, *acknowledge, f"https://acme.example/u/u1/{kind}?a=1&b=2"]
    for link in page.links:
        assert link in written.text


def test_a_letter_can_be_unsubscribed_from_with_one_click() -> None:
    assert letter().headers == (
        ("List-Unsubscribe", "<https://acme.example/u/u1/alert?a=1&b=2>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
    )


def test_every_copy_of_a_letter_has_the_same_id_and_no_other_letter_has_it() -> None:
    delivery = delivery_of(facts_of())
    again = msgspec.structs.replace(delivery, attempts=5)
    later = msgspec.structs.replace(delivery, created_at_ms=delivery.created_at_ms + 1)
    other = msgspec.structs.replace(delivery, id=42)
    assert message_id_of(delivery, "acme.example") == message_id_of(again, "acme.example") == letter().message_id
    assert len({message_id_of(one, "acme.example") for one in (delivery, later, other)}) == 3
    assert re.fullmatch(r"<[a-z0-9_.]+@acme\.example>", letter().message_id)


BAD = '"><script>alert(1)</script><a href="https://evil.example">{{ 7*7 }}</a>'


@pytest.mark.parametrize("field", ["name", "message", "symbol", "condition"])
def test_what_a_user_wrote_is_shown_as_it_is(field: str) -> None:
    written = letter(**{field: BAD})
    page = Page(written.html)
    assert "script" not in page.seen
    assert not any("evil" in link for link in page.links)
    assert BAD in page.text
    assert "{{ 7*7 }}" in written.text
    assert "49</a>" not in written.html


def test_no_name_breaks_into_the_subject() -> None:
    assert "\n" not in letter(name="a\r\nBcc: evil@example.com").subject


def test_a_message_keeps_its_lines() -> None:
    written = letter(message="first {{symbol}}\nsecond")
    assert "first RELIANCE\nsecond" in written.text
    assert "first RELIANCE\nsecond" in Page(written.html).text
