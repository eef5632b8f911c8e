"""Reads a condition's text.

    then      or ("then" or "within" time)*
    or        and ("or" and)*
    and       not ("and" not)*
    not       "not"* hold
    hold      relation ("for" (time | count "ticks"))*
    relation  sum [comparison | crossing | range | move | step | "makes" new] ["on" timeframe]  |  new
    new       "new" ("day" | "52w") ("high" | "low")
    sum       product (("+" | "-") product)*
    product   unary (("*" | "/") unary)*
    unary     ("+" | "-")* atom
    atom      number ["%"]  |  [instrument "."] name ["(" parameters ")"] ["." line] ["on" timeframe]  |  "(" then ")"

What stands in brackets may be a condition or an expression: the rules hand up either, and each says what it needs. So
there is one way through a text, and its cost grows with its length alone.
"""

from collections.abc import Callable

import msgspec

from notifiers.conditions.canonical import canonical
from notifiers.conditions.cursor import Cursor
from notifiers.conditions.drafts import Settling
from notifiers.conditions.faults import Places, refused
from notifiers.conditions.indicators import IndicatorReader
from notifiers.conditions.lexer import BEFORE_BRACKETS, Kind, tokens
from notifiers.conditions.relations import WORDS, Relations
from notifiers.conditions.sums import Part, Sums, too_many
from notifiers.conditions.tree import (
    MAX_DEPTH,
    MAX_NODES,
    And,
    Condition,
    Hold,
    Not,
    Or,
    Then,
    Timeframe,
)
from schemas.phrases import Phrase

_WORDS = WORDS | BEFORE_BRACKETS | {"within", "for", "in", "on"}


class Reading(msgspec.Struct, frozen=True):
    """A text that was read: its tree, still in its own words, and where each node stands."""

    tree: Condition
    places: Places


def parse(text: str, indicators: IndicatorReader, timeframe: Timeframe | None = None) -> Condition:
    """The canonical tree of a text; `timeframe` is that of indicators which name none.

    What the text puts together may still have no meaning: `checking.check_text` looks at that too.

    Raises:
        CommandError: BAD_REQUEST, with the place of what is wrong.
    """
    reading = read(text, indicators.names, timeframe)
    return canonical(reading.tree, reading.places, indicators, timeframe)


def read(text: str, indicators: frozenset[str], timeframe: Timeframe | None = None) -> Reading:
    """The tree of a text as its words say it. Raises CommandError BAD_REQUEST."""
    places = Places()
    tree = _Parser(text, indicators, Settling(places, indicators, timeframe), places).condition()
    return Reading(tree, places)


class _Parser:
    """Goes over a text once."""

    def __init__(self, text: str, indicators: frozenset[str], settling: Settling, places: Places) -> None:
        self._cursor = Cursor(tokens(text), _WORDS)
        sums = Sums(self._cursor, indicators, self._group)
        self._relations = Relations(self._cursor, sums, settling.settle, self._put)
        self._places = places
        self._made = 0
        self._open = 0

    def condition(self) -> Condition:
        """The whole text."""
        tree = self._needed(self._then())
        if self._cursor.token.kind is not Kind.END:
            raise self._cursor.fault(Phrase("and, or, then, or the end"))
        return tree

    def _needed(self, part: Part) -> Condition:
        """The part as a condition; at the next token something was expected that makes it one."""
        if isinstance(part, Condition):
            return part
        raise self._cursor.fault(Phrase("a comparison such as > or crosses above"))

    def _is_next(self, word: str) -> bool:
        token = self._cursor.token
        return token.kind is Kind.WORD and token.text == word

    def _put(self, node: Condition, column: int) -> Condition:
        self._made += 1
        if self._made > MAX_NODES:
            raise too_many(column)
        self._places.put(node, column)
        return node

    def _group(self) -> Part:
        """What stands in brackets; the opening one has been taken."""
        self._open += 1
        if self._open > MAX_DEPTH:
            raise refused(Phrase("At most {most} brackets within each other", {"most": MAX_DEPTH}), self._cursor.column)
        part = self._then()
        if not self._cursor.sign(")"):
            raise self._cursor.fault(Phrase("a closing bracket"))
        self._open -= 1
        return part

    def _then(self) -> Part:
        column, found = self._cursor.column, self._or()
        while self._is_next("then"):
            first = self._needed(found)
            self._cursor.take()
            second = self._needed(self._or())
            if not self._cursor.word("within"):
                raise self._cursor.fault(Phrase("within and a length of time"))
            within_s = self._cursor.seconds()
            found = self._put(Then(first=first, second=second, within_s=within_s), column)
        return found

    def _or(self) -> Part:
        return self._chain("or", self._and, Or)

    def _and(self) -> Part:
        return self._chain("and", self._not, And)

    def _chain(self, word: str, term: Callable[[], Part], kind: type[And] | type[Or]) -> Part:
        column, found = self._cursor.column, term()
        if not self._is_next(word):
            return found
        terms = [self._needed(found)]
        while self._cursor.word(word):
            terms.append(self._needed(term()))
        return self._put(kind(terms=tuple(terms)), column)

    def _not(self) -> Part:
        columns: list[int] = []
        while self._cursor.word("not"):
            columns.append(self._cursor.column)
        found = self._hold()
        for column in reversed(columns):
            found = self._put(Not(term=self._needed(found)), column)
        return found

    def _hold(self) -> Part:
        column, found = self._cursor.column, self._relations.relation()
        while self._is_next("for"):
            term = self._needed(found)
            self._cursor.take()
            samples = self._cursor.count(2, 10_000, "tick", "ticks", "sample", "samples", "updates")
            if samples is None:
                found = self._put(Hold(term=term, seconds=self._cursor.seconds()), column)
            else:
                found = self._put(Hold(term=term, samples=samples), column)
        return found
