"""A condition's text in tokens, each with its place. Words keep their case here; the grammar doesn't look at it."""

import re
import unicodedata
from enum import StrEnum

import msgspec

from notifiers.conditions.faults import refused, shown
from schemas.phrases import Phrase

MAX_TEXT = 2_000
"""Characters of a condition's text."""


class Kind(StrEnum):
    """What a token is."""

    NUMBER = "number"
    WORD = "word"
    CALL = "call"
    """An indicator with its parameters, brackets and all: they hold no expressions."""
    INSTRUMENT = "instrument"
    """`NSE:NIFTY 50` and the dot behind it; what comes next is a figure of it."""
    SIGN = "sign"
    END = "end"


class Token(msgspec.Struct, frozen=True, gc=False):
    """One token: `text` in lower case for words and as the grammar writes it for signs. `column` counts from 1."""

    kind: Kind
    text: str
    column: int
    raw: str = ""
    value: float = 0.0
    exchange: str = ""
    symbol: str = ""


SYMBOL = r"[A-Za-z0-9](?:[A-Za-z0-9 &_-]|\.(?=[0-9]))*?"
"""A symbol as it stands in a text; any other one stands in quotes."""

_SPACE = re.compile(r"\s+")
_EXCHANGE = re.compile(r"[A-Za-z]{2,8}:")
_INSTRUMENT = re.compile(rf"""([A-Za-z]{{2,8}}):(?:"([^":]{{1,64}})"|({SYMBOL}))\.(?=[A-Za-z])""")
_NUMBER = re.compile(r"(?:[0-9]{1,3}(?:,[0-9]{2,3})*,[0-9]{3}(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PARAMETERS = re.compile(r"\s*\([^()]*\)")
_OPENING = re.compile(r"\s*\(")
_SIGN = re.compile(r"\.\.|>=|<=|==|!=|<>|[-+*/()<>=%.,≥≤−–×÷₹]")  # noqa: RUF001 - as people type them
_SAME = {"≥": ">=", "≤": "<=", "=": "==", "−": "-", "–": "-", "×": "*", "÷": "/", "<>": "!="}  # noqa: RUF001

BEFORE_BRACKETS = frozenset(
    {
        "and", "or", "not", "then", "crosses", "cross", "crossing", "crossed", "above", "below", "over", "under", "up",
        "down", "enters", "exits", "leaves", "inside", "outside", "between", "to", "is", "than", "equals",
    }
)  # fmt: skip
"""Words behind which a bracket opens a group; behind any other one it holds parameters."""


def tokens(text: str) -> list[Token]:
    """The tokens of a text, closed by one of kind END. Raises CommandError BAD_REQUEST."""
    if len(text) > MAX_TEXT:
        fault = Phrase("A condition has at most {most} characters, got {got}", {"most": MAX_TEXT, "got": len(text)})
        raise refused(fault, MAX_TEXT + 1)
    plain = "".join(str(unicodedata.decimal(one)) if one.isdecimal() else one for one in text)
    found: list[Token] = []
    at = 0
    while at < len(plain):
        if space := _SPACE.match(plain, at):
            at = space.end()
        else:
            token, at = _next(plain, at)
            found.append(token)
    found.append(Token(Kind.END, "", len(plain) + 1))
    return found


def _next(text: str, at: int) -> tuple[Token, int]:
    """The token at a place that is no space, and where it ends."""
    if found := _EXCHANGE.match(text, at):
        return _instrument(text, at, found.end())
    if found := _NUMBER.match(text, at):
        value = float(found[0].replace(",", ""))
        return Token(Kind.NUMBER, found[0], at + 1, found[0], value), found.end()
    if found := _WORD.match(text, at):
        return _word(text, at, found)
    if found := _SIGN.match(text, at):
        return Token(Kind.SIGN, _SAME.get(found[0], found[0]), at + 1, found[0]), found.end()
    raise refused(Phrase("Unexpected {got!r}", {"got": text[at]}), at + 1)


def _instrument(text: str, at: int, after_colon: int) -> tuple[Token, int]:
    found = _INSTRUMENT.match(text, at)
    if found is None:
        got = shown(text[at : after_colon + _SHOWN])
        fault = Phrase("Expected exchange, symbol and figure as in NSE:TCS.price, got {got!r}", {"got": got})
        raise refused(fault, at + 1)
    exchange, symbol = found[1].upper(), (found[2] or found[3]).strip().upper()
    return Token(Kind.INSTRUMENT, found[0], at + 1, found[0], 0.0, exchange, symbol), found.end()


_SHOWN = 20


def _word(text: str, at: int, found: re.Match[str]) -> tuple[Token, int]:
    word = found[0].lower()
    if word in BEFORE_BRACKETS or not _OPENING.match(text, found.end()):
        return Token(Kind.WORD, word, at + 1, found[0]), found.end()
    parameters = _PARAMETERS.match(text, found.end())
    if parameters is None:
        raise refused(Phrase("The bracket behind {got!r} is not closed", {"got": shown(found[0])}), found.end() + 1)
    call = text[at : parameters.end()]
    return Token(Kind.CALL, call.lower(), at + 1, call), parameters.end()
