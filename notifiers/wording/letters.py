"""What is said to people by mail and SMS, in their language; pure, once the texts have been read.

The texts of a language stand in one file, `templates/<language>.toml`; how a letter looks, in `letter.html.j2` and
`letter.txt.j2`. Names that people give themselves and what their browsers say come from strangers too, and could carry
an advertisement or a link into somebody else's mailbox: only what looks like a name is repeated, never to an address
that nobody has verified, and of a browser only which one it is.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from auth.identity import LANGUAGES
from notifiers.wording.texts import DEFAULT, Texts, one_line, texts_of


class MailKind(StrEnum):
    """The occasions for a letter."""

    VERIFY_EMAIL = "verify_email"
    RESET_PASSWORD = "reset_password"  # noqa: S105 - an occasion, no password
    PASSWORD_CHANGED = "password_changed"  # noqa: S105
    LOGIN_CODE = "login_code"
    NEW_LOGIN = "new_login"
    SECOND_FACTOR_ON = "second_factor_on"
    SECOND_FACTOR_OFF = "second_factor_off"
    ADDRESS_TAKEN = "address_taken"
    ADDRESS_CHANGED = "address_changed"
    """To the address that was the account's until then."""


class SmsKind(StrEnum):
    """The occasions for an SMS."""

    PHONE_CODE = "phone_code"
    LOGIN_CODE = "login_code"


MAIL_VALUES: Mapping[MailKind, frozenset[str]] = {
    MailKind.VERIFY_EMAIL: frozenset({"link"}),
    MailKind.RESET_PASSWORD: frozenset({"link"}),
    MailKind.PASSWORD_CHANGED: frozenset(),
    MailKind.LOGIN_CODE: frozenset({"code"}),
    MailKind.NEW_LOGIN: frozenset({"device", "address"}),
    MailKind.SECOND_FACTOR_ON: frozenset(),
    MailKind.SECOND_FACTOR_OFF: frozenset(),
    MailKind.ADDRESS_TAKEN: frozenset(),
    MailKind.ADDRESS_CHANGED: frozenset(),
}
"""What each letter needs to be told."""

SMS_VALUES: Mapping[SmsKind, frozenset[str]] = dict.fromkeys(SmsKind, frozenset({"code"}))
"""What each SMS needs to be told."""

_TO_STRANGERS = frozenset({MailKind.VERIFY_EMAIL, MailKind.ADDRESS_TAKEN})
"""Letters to an address that somebody has typed, maybe not its owner."""

_NAME = re.compile(r"[^\W\d_](?:[^\W_]|[ .'\u2019\-\u200c\u200d\u0900-\u0dff])*")
_DOMAIN = re.compile(r"\.\S|\d{4}|(?i:www|http)")

_BROWSERS = (("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A letter as it goes out. `message_id` stays the same however often it is sent."""

    id: str
    kind: str
    to: str
    subject: str
    text: str
    html: str
    language: str
    message_id: str
    headers: tuple[tuple[str, str], ...] = ()
    """Further ones, such as `List-Unsubscribe`."""


class Sms(msgspec.Struct, frozen=True, kw_only=True):
    """A text message as it goes out; `to` is a number in E.164."""

    id: str
    kind: str
    to: str
    text: str
    language: str


class Writer:
    """Writes letters and texts for one service: `product` is its name, `domain` stands in the letters' ids."""

    def __init__(self, product: str, domain: str) -> None:
        """Reads the texts of all languages; blocks for some milliseconds."""
        self._product = one_line(product)
        self._domain = domain
        self._plain = Texts(html=False)
        self._html = Texts(html=True)
        self._layout_text = self._plain.layout("letter.txt.j2")
        self._layout_html = self._html.layout("letter.html.j2")
        self._texts = {language: texts_of(language) for language in LANGUAGES}

    def letter(
        self, kind: MailKind, *, letter_id: str, to: str, language: str | None, name: str = "", **values: str
    ) -> Letter:
        """The letter for an occasion. Raises TypeError for a value that is missing or too many."""
        check(MAIL_VALUES[kind], values)
        language = language if language in self._texts else DEFAULT
        greeted = name if kind not in _TO_STRANGERS and is_a_name(name) else ""
        given = {key: one_line(value) for key, value in values.items()} | {"name": greeted, "product": self._product}
        texts = self._texts[language]
        subject = one_line(self._plain.text(texts["mail"][kind]["subject"], given))
        parts = {"language": language, "subject": subject, "product": self._product}
        return Letter(
            id=letter_id,
            kind=kind,
            to=to,
            subject=subject,
            text=self._layout_text.render(parts | _parts(self._plain, texts, kind, given)),
            html=self._layout_html.render(parts | _parts(self._html, texts, kind, given)),
            language=language,
            message_id=f"<{letter_id}@{self._domain}>",
        )

    def sms(self, kind: SmsKind, *, sms_id: str, to: str, language: str | None, **values: str) -> Sms:
        """The text message for an occasion. Raises TypeError for a value that is missing or too many."""
        check(SMS_VALUES[kind], values)
        language = language if language in self._texts else DEFAULT
        given = {key: one_line(value) for key, value in values.items()} | {"product": self._product}
        text = self._plain.text(self._texts[language]["sms"][kind], given)
        return Sms(id=sms_id, kind=kind, to=to, text=one_line(text), language=language)


def _parts(renderer: Texts, texts: Mapping[str, Any], kind: MailKind, given: Mapping[str, str]) -> dict[str, Any]:
    own, common = texts["mail"][kind], texts["common"]

    def say(text: str) -> str:
        return renderer.text(text, given)

    return {
        "greeting": say(common["greeting_by_name" if given["name"] else "greeting"]),
        "before": [say(text) for text in own["before"]],
        "code": say(own.get("code", "")),
        "link": given.get("link", ""),
        "button": say(own.get("button", "")),
        "link_hint": say(common["link_hint"]),
        "after": [say(text) for text in own["after"]],
        "footer": say(common["footer"]),
    }


def check(wanted: frozenset[str], values: Mapping[str, str]) -> None:
    """Raises TypeError unless exactly these values are given."""
    if values.keys() != wanted:
        raise TypeError(f"expected the values {sorted(wanted)}, got {sorted(values)}")


def is_a_name(text: str) -> bool:
    """Whether it may be repeated as a person's name: short, and neither an address nor a number nor a sentence."""
    return len(text) <= 60 and text.count(" ") <= 4 and bool(_NAME.fullmatch(text)) and not _DOMAIN.search(text)


def device_of(user_agent: str) -> str:
    """What a browser calls itself, in a word or two of ours: `Firefox, Windows`; nothing of its own words."""
    browser = next((name for mark, name in _BROWSERS if mark in user_agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    return ", ".join(part for part in (browser, system) if part) or "?"
