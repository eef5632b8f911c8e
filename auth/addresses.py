"""How people are called and reached: names, mail addresses and telephone numbers as they are given, checked."""

import re
import unicodedata

import msgspec
from email_validator import EmailNotValidError, validate_email

from schemas.errors import CommandError, ErrorCode

MAX_EMAIL = 254
"""Characters; RFC 5321 has no room for more."""
MAX_NAME = 100

_NUMBER = re.compile(r"\+[1-9][0-9]{7,14}")
_INDIAN = re.compile(r"[6-9][0-9]{9}")
_JOINERS = "\u200c\u200d"
"""Invisible, but Indian scripts need them to write some letters."""
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode's categories of what a name can't hold: controls, what turns the writing's direction, unpaired surrogates."""


class Email(msgspec.Struct, frozen=True, kw_only=True):
    """A mail address: as its owner writes it, and what is the same for all spellings of it."""

    shown: str
    key: str


def read_email(text: str, place: str = "$.email") -> Email:
    """A mail address. Raises CommandError BAD_REQUEST, naming `place`.

    Before the @ only ASCII is taken, since letters of other scripts look the same; a domain of other letters stands in
    its ASCII form (`xn--…`), so that it can't pass for another either. Nobody is asked whether the domain exists.
    """
    text = text.strip(" ")
    if len(text) > MAX_EMAIL:
        raise CommandError(
            ErrorCode.BAD_REQUEST, "Expected at most {most} characters - at `{place}`", most=MAX_EMAIL, place=place
        )
    if not text.rpartition("@")[0].isascii():
        raise CommandError(
            ErrorCode.BAD_REQUEST,
            "Expected only letters a to z, digits and signs before the @ - at `{place}`",
            place=place,
        )
    try:
        read = validate_email(
            text, strict=True, allow_smtputf8=False, check_deliverability=False, test_environment=True
        )
    except (EmailNotValidError, UnicodeError):
        raise CommandError(
            ErrorCode.BAD_REQUEST, "Expected a mail address such as name@example.com - at `{place}`", place=place
        ) from None
    shown = f"{read.local_part}@{read.ascii_domain.lower()}"
    return Email(shown=shown, key=shown.casefold())


def read_phone(text: str, place: str = "$.phone") -> str:
    """A telephone number in the form E.164: `+` and 8 to 15 digits. Raises CommandError BAD_REQUEST, naming `place`.

    Spaces and dashes may stand between. Ten digits from 6 to 9 on are an Indian mobile number.
    """
    number = text.replace(" ", "").replace("-", "")
    if _INDIAN.fullmatch(number):
        return f"+91{number}"
    if _NUMBER.fullmatch(number):
        return number
    raise CommandError(
        ErrorCode.BAD_REQUEST, "Expected a telephone number such as +919876543210 - at `{place}`", place=place
    )


def read_name(text: str, place: str = "$.name") -> str:
    """A person's name, at most 100 characters, maybe none. Raises CommandError BAD_REQUEST, naming `place`.

    Spaces around it go, and it is composed (NFC); nothing else changes. Whoever shows it escapes it.
    """
    name = unicodedata.normalize("NFC", text[: 4 * MAX_NAME].strip())
    if len(name) > MAX_NAME or len(text) > 4 * MAX_NAME:
        raise CommandError(
            ErrorCode.BAD_REQUEST, "Expected at most {most} characters - at `{place}`", most=MAX_NAME, place=place
        )
    if any(unicodedata.category(character) in _INVISIBLE and character not in _JOINERS for character in name):
        raise CommandError(
            ErrorCode.BAD_REQUEST, "Expected a name without control characters - at `{place}`", place=place
        )
    return name
