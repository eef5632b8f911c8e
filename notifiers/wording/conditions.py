"""A stored condition in words, and what it measures. Cached: many alerts wait for the same, and fire again."""

from collections.abc import Callable
from functools import lru_cache

from notifiers.conditions.dimensions import Dimension, NoDimension, meeting
from notifiers.conditions.tree import Channel, Compare, Condition, Cross, Extreme, Hold, Move, Not, Step
from notifiers.conditions.words import sentences, words
from schemas.errors import CommandError

MAX_CACHED = 4096


class Conditions:
    """Reads canonical texts by `read`, which raises CommandError for what it can't read."""

    def __init__(self, read: Callable[[str], Condition]) -> None:
        """Reads the sentences of all languages: blocks."""
        sentences()
        self._read = read
        self.in_words = lru_cache(MAX_CACHED)(self._in_words)
        """Of a text, language, exchange and symbol: what it waits for; the text itself where it can't be read."""
        self.dimension = lru_cache(MAX_CACHED)(self._dimension)
        """Of a text: what the values of its firings are measured in."""

    def _in_words(self, text: str, language: str, exchange: str, symbol: str) -> str:
        try:
            return words(self._read(text), language, exchange, symbol)
        except CommandError:  # an indicator that there is no more
            return text

    def _dimension(self, text: str) -> Dimension:
        try:
            return dimension_of_values(self._read(text))
        except (CommandError, NoDimension, KeyError):
            return Dimension.NUMBER


def dimension_of_values(condition: Condition) -> Dimension:
    """What `previous`, `current` and `level` of its firings are measured in: plain numbers where they have none."""
    match condition:
        case Compare() | Cross():
            return meeting(condition.left, condition.right)
        case Channel():
            return meeting(condition.value, condition.low, condition.high)
        case Move() | Step():
            return meeting(condition.value)
        case Extreme():
            return Dimension.PRICE
        case Not() | Hold():
            return dimension_of_values(condition.term)
        case _:
            return Dimension.NUMBER
