"""A place in a condition's tokens, and what several rules read there: words, numbers, lengths of time, timeframes."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from types import MappingProxyType

from notifiers.conditions.faults import refused, shown
from notifiers.conditions.lexer import Kind, Token
from notifiers.conditions.tree import Timeframe
from schemas.errors import CommandError
from schemas.phrases import Phrase, translatable

MULTIPLES = MappingProxyType(
    dict.fromkeys(("k", "thousand"), 1e3)
    | dict.fromkeys(("l", "lac", "lacs", "lakh", "lakhs"), 1e5)
    | dict.fromkeys(("mn", "million"), 1e6)
    | dict.fromkeys(("cr", "crore", "crores"), 1e7)
)
"""Words behind a number that make more of it."""

_SECONDS = MappingProxyType(
    dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1)
    | dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60)
    | dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600)
    | dict.fromkeys(("d", "day", "days"), 86_400)
)

_TIMEFRAMES: Mapping[int, Timeframe] = MappingProxyType(
    {60: "1m", 180: "3m", 300: "5m", 900: "15m", 1800: "30m", 3600: "1h", 86_400: "1d"}
)
_MAX_SECONDS = 86_400


class Cursor:
    """Goes over tokens once. `words` are all that the grammar knows, for hints."""

    def __init__(self, tokens: list[Token], words: Collection[str]) -> None:
        self._tokens = tokens
        self._words = words
        self.at = 0
        """How many tokens have been taken."""

    @property
    def token(self) -> Token:
        """The next one."""
        return self._tokens[self.at]

    @property
    def column(self) -> int:
        """Where the next one stands."""
        return self.token.column

    def take(self) -> Token:
        """Go past the next token; END stays."""
        token = self.token
        self.at += token.kind is not Kind.END
        return token

    def sign(self, *signs: str) -> str | None:
        """Take one of these signs if it comes next."""
        return self.take().text if self.token.kind is Kind.SIGN and self.token.text in signs else None

    def word(self, *words: str) -> str | None:
        """Take one of these words if it comes next."""
        return self.take().text if self.token.kind is Kind.WORD and self.token.text in words else None

    def fault(self, expected: Phrase) -> CommandError:
        """That something else was expected here."""
        token = self.token
        if token.kind is Kind.END:
            return refused(Phrase("Expected {expected}, but the text ends", {"expected": expected}), token.column)
        said: dict[str, Phrase | str | int | float | None] = {"expected": expected, "got": shown(token.raw)}
        near = get_close_matches(token.text, sorted(self._words), n=1) if token.kind is Kind.WORD else []
        if not near or near[0] == token.text:
            return refused(Phrase("Expected {expected}, got {got!r}", said), token.column)
        said["near"] = near[0]
        return refused(Phrase("Expected {expected}, got {got!r}; did you mean {near}?", said), token.column)

    def number(self) -> float | None:
        """Take `2,500.50`, `₹2500`, `Rs. 2500`, `1.5k` or `2 lakh` if it comes next."""
        start = self.at
        if self.sign("₹") is None and self.word("rs", "inr") is not None:
            self.sign(".")
        token = self.take()
        if token.kind is not Kind.NUMBER:
            self.at = start
            return None
        multiple = self.word(*MULTIPLES)
        return token.value if multiple is None else round(token.value * MULTIPLES[multiple], 7)

    def count(self, least: int, most: int, *words: str) -> int | None:
        """Take a whole number and one of the words behind it if they come next. Raises CommandError BAD_REQUEST."""
        number, word = self.token, self._tokens[min(self.at + 1, len(self._tokens) - 1)]
        if number.kind is not Kind.NUMBER or word.kind is not Kind.WORD or word.text not in words:
            return None
        if not number.value.is_integer() or not least <= number.value <= most:
            text = translatable("Expected a whole number from {least} to {most}, got {got}")
            raise refused(Phrase(text, {"least": least, "most": most, "got": shown(number.raw)}), number.column)
        self.at += 2
        return int(number.value)

    def seconds(self) -> int:
        """Take a length of time, `10s`, `5m`, `1h 30m`. Raises CommandError BAD_REQUEST."""
        column, total = self.column, self._span()
        if total is None:
            raise self.fault(Phrase("a length of time such as 10s or 5m"))
        while (more := self._span()) is not None:
            total += more
        if not 1 <= total <= _MAX_SECONDS or not float(total).is_integer():
            raise refused(Phrase("A length of time is 1s to 24h, in whole seconds"), column)
        return int(total)

    def _span(self) -> float | None:
        """One number with its unit, if it comes next."""
        first, second = self.token, self._tokens[min(self.at + 1, len(self._tokens) - 1)]
        if first.kind is not Kind.NUMBER or second.kind is not Kind.WORD or second.text not in _SECONDS:
            return None
        self.at += 2
        return first.value * _SECONDS[second.text]

    def timeframe(self) -> Timeframe:
        """Take a timeframe, `5m` or `1 hour`. Raises CommandError BAD_REQUEST."""
        start = self.at
        span = self._span()
        found = _TIMEFRAMES.get(int(span)) if span is not None and span < 1e6 and float(span).is_integer() else None
        if found is None:
            self.at = start
            raise self.fault(Phrase("a timeframe out of 1m 3m 5m 15m 30m 1h 1d"))
        return found
