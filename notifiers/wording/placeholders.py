"""A user's own message: text with placeholders, `{{symbol}} is at {{price}}`, and nothing else that looks like code.

Filled in at one go: what a value holds is never looked at again. Prices and times stand for themselves, in figures; the
currency is up to whoever writes the message.
"""

import re
from collections.abc import Mapping

from schemas.errors import CommandError, ErrorCode

MAX_MESSAGE = 500
"""Characters."""

PLACEHOLDERS = (
    "symbol", "exchange", "price", "ltp", "prev", "level", "change_percent", "change_pct", "time", "rule", "condition",
    "name",
)  # fmt: skip
"""`ltp` and `price` are the same, and so are `change_pct` and `change_percent`; `rule` is the alert's name, or else its
condition in words, and `name` the alert's name, or else the symbol."""

_PART = re.compile(r"\{\{(?P<name>[^{}]*)\}\}|\{\{|\}\}|\{%|%\}|\{#|#\}")
_ALLOWED = "\n\u200c\u200d"
"""Beside what can be printed: lines, and what joins and parts letters in India's scripts."""


def check_message(text: str) -> None:
    """Raises CommandError BAD_REQUEST for a text that can't be a message, with the place: characters from 1."""
    if len(text) > MAX_MESSAGE:
        raise CommandError(ErrorCode.BAD_REQUEST, "A message has at most {count} characters", count=MAX_MESSAGE)
    for place, char in enumerate(text, 1):
        if not (char.isprintable() or char in _ALLOWED):
            raise CommandError(ErrorCode.BAD_REQUEST, "The message has a control character at {place}", place=place)
    if not text.strip():
        raise CommandError(ErrorCode.BAD_REQUEST, "The message is empty")
    for part in _PART.finditer(text):
        _check_part(part)


def _check_part(part: re.Match[str]) -> None:
    place, name = part.start() + 1, part["name"]
    if name is None:
        raise CommandError(
            ErrorCode.BAD_REQUEST,
            "The message has {part} at {place}, which opens or closes no placeholder",
            part=part.group(),
            place=place,
        )
    if name.strip() not in PLACEHOLDERS:
        raise CommandError(
            ErrorCode.BAD_REQUEST,
            "The message has no placeholder {name} (at {place}); there are {names}",
            name=part.group(),
            place=place,
            names=", ".join(PLACEHOLDERS),
        )


def fill(text: str, values: Mapping[str, str]) -> str:
    """The message with its values. What was never checked stays as it is where it is no placeholder."""

    def value(part: re.Match[str]) -> str:
        return values.get((part["name"] or "").strip(), part.group())

    return _PART.sub(value, text)
