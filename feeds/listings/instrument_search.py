"""Finding instruments by what people type: `reliance`, `NIFTY 24000 CE`, `bank nifty dec fut`, an ISIN.

What trades for cash and what derives from it are searched apart. A share or an index is found by the beginnings of its
words; a future or an option by its underlying, and then by strike, type, month, day and year. So tens of thousands of
options cost no more than their few hundred underlyings.

Pure. Building takes about a second for a hundred thousand instruments, so do it in a thread; nothing big is sorted in
one go, since sorting keeps all other threads waiting.
"""

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from feeds.instruments import Instrument, Kind
from feeds.listings.derivative_chain import Chain, wishes_of
from feeds.listings.symbols import INDEX_OF_UNDERLYING

MAX_TEXT = 100
"""Longer texts are cut off."""
MAX_WORDS = 8
"""Further words are left out."""
MAX_LIMIT = 1000

Fits = Callable[[Instrument], bool]

_WORD = re.compile(r"[A-Z0-9&.]+")
_RUN = re.compile(r"[A-Z&]+|[0-9.]+")
_COMMA = re.compile(r"(?<=\d),(?=\d)")
_LAST = "\x7f"
"""Comes after every sign that a word may have."""
_EXCHANGES = {"NSE": 0, "BSE": 1}
_UNDERLYING_OF = {index: underlying for underlying, index in INDEX_OF_UNDERLYING.items()}


class InstrumentSearch:
    """An index over instruments that don't change. Any text may be asked; what makes no sense finds nothing."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        cash: list[Instrument] = []
        contracts: defaultdict[tuple[str, str], list[Instrument]] = defaultdict(list)
        for one in instruments:
            (cash if one.expiry is None else contracts[one.exchange, one.underlying]).append(one)
        self._cash = _Cash(cash)
        names = {(one.exchange, _underlying(one)): _words(one) for one in cash if one.has_derivatives}
        self._chains = [
            Chain(exchange, underlying, listed, words=names.get((_cash_of(exchange), underlying), ()))
            for (exchange, underlying), listed in sorted(contracts.items(), key=lambda item: item[0])
        ]

    def find(
        self, asked: str, *, limit: int = 20, exchange: str | None = None, kind: Kind | None = None
    ) -> list[Instrument]:
        """The best first: whole symbols, shares and indices by symbol, then by name, derivatives by expiry."""
        words = _WORD.findall(_COMMA.sub("", asked[:MAX_TEXT]).upper())[:MAX_WORDS]
        if not words or limit <= 0:
            return []

        def fits(one: Instrument) -> bool:
            return exchange in (None, one.exchange) and kind in (None, one.kind)

        chains = [chain for chain in self._chains if exchange in (None, chain.exchange)]
        found = filter(fits, _once(self._found(words, chains, kind)))
        return list(islice(found, min(limit, MAX_LIMIT)))

    def _found(self, words: Sequence[str], chains: Sequence[Chain], kind: Kind | None) -> Iterator[Instrument]:
        with_cash = kind in (None, Kind.STOCK, Kind.INDEX)
        if kind in (Kind.STOCK, Kind.INDEX):
            chains = ()
        if with_cash:
            yield from self._cash.called(words)
            yield from self._cash.beginning_with(words)
            yield from self._cash.with_words(words)
        if len(words) == 1:
            for chain in chains:
                yield from chain.with_symbol(words[0])
        yield from _derivatives(words, chains, kind)


def _derivatives(words: Sequence[str], chains: Sequence[Chain], kind: Kind | None) -> Iterator[Instrument]:
    """By underlying; where none is called so, `NIFTY24000CE` is taken to mean `NIFTY 24000 CE`."""
    for written in (words, [run for word in words for run in _RUN.findall(word)]):
        names, wishes = wishes_of(written, kind)
        if ranked := _ranked(names, chains):
            for chain in ranked:
                yield from chain.find(wishes)
            return


def _ranked(names: Sequence[str], chains: Iterable[Chain]) -> list[Chain]:
    ranks = [(rank, chain) for chain in chains if (rank := chain.rank(names)) is not None]
    return [chain for _, chain in sorted(ranks, key=lambda pair: pair[0])]


class _Cash:
    """Shares and indices, by symbol and by the beginnings of their words."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._all = _in_order(instruments)
        symbols: defaultdict[str, list[int]] = defaultdict(list)
        words: defaultdict[str, list[int]] = defaultdict(list)
        for place, one in enumerate(self._all):
            symbols[_plain(one.symbol)].append(place)
            for word in dict.fromkeys((*_words(one), one.isin)):
                words[word].append(place)
        self._symbols = _Alphabet(symbols)
        self._words = _Alphabet(words)

    def called(self, words: Sequence[str]) -> Iterator[Instrument]:
        """Those of exactly this symbol."""
        return (self._all[place] for place in self._symbols.places_of("".join(words)))

    def beginning_with(self, words: Sequence[str]) -> Iterator[Instrument]:
        """Those whose symbol begins so."""
        return (self._all[place] for place in sorted(self._symbols.places_from("".join(words))))

    def with_words(self, words: Sequence[str]) -> Iterator[Instrument]:
        """Those that have a word with each of these beginnings, in symbol, name or ISIN."""
        places = set(self._words.places_from(words[0]))
        for word in words[1:]:
            places.intersection_update(self._words.places_from(word))
        return (self._all[place] for place in sorted(places))


class _Alphabet:
    """Words in order, each as often as it has places; by their first sign, so that no sort is a long one.

    Plain lists of texts and numbers: the garbage collector has nothing to go through.
    """

    def __init__(self, places: Mapping[str, Sequence[int]]) -> None:
        self._words: defaultdict[str, list[str]] = defaultdict(list)
        self._places: defaultdict[str, list[int]] = defaultdict(list)
        groups: defaultdict[str, list[str]] = defaultdict(list)
        for word in filter(None, places):
            groups[word[0]].append(word)
        for first, group in groups.items():
            for word in sorted(group):
                self._words[first] += [word] * len(places[word])
                self._places[first] += places[word]

    def places_of(self, word: str) -> Sequence[int]:
        """The places of a whole word."""
        return self._between(word, word)

    def places_from(self, beginning: str) -> Sequence[int]:
        """The places of all words that begin so."""
        return self._between(beginning, beginning + _LAST)

    def _between(self, low: str, high: str) -> Sequence[int]:
        words = self._words.get(low[:1], [])
        return self._places.get(low[:1], [])[bisect_left(words, low) : bisect_right(words, high)]


def _in_order(instruments: Iterable[Instrument]) -> list[Instrument]:
    """Those with derivatives first, since they trade most; NSE before BSE; short symbols before long ones."""
    groups: defaultdict[tuple[bool, int], list[Instrument]] = defaultdict(list)
    for one in instruments:
        groups[not one.has_derivatives, _EXCHANGES.get(one.exchange, len(_EXCHANGES))].append(one)
    return [
        one
        for _, group in sorted(groups.items(), key=lambda item: item[0])
        for one in sorted(group, key=lambda one: (len(one.symbol), one.symbol))
    ]


def _words(one: Instrument) -> tuple[str, ...]:
    return (*_WORD.findall(f"{one.symbol} {one.name}".upper()), _plain(one.symbol), _underlying(one))


def _plain(symbol: str) -> str:
    return "".join(_WORD.findall(symbol.upper()))


def _underlying(one: Instrument) -> str:
    """What a share's or an index's derivatives are named after."""
    return _UNDERLYING_OF.get(one.symbol, one.symbol) if one.kind is Kind.INDEX else one.symbol


def _cash_of(exchange: str) -> str:
    return {"NFO": "NSE", "BFO": "BSE"}.get(exchange, exchange)


def _once(found: Iterable[Instrument]) -> Iterator[Instrument]:
    seen: set[tuple[str, str]] = set()
    for one in found:
        key = (one.exchange, one.symbol)
        if key not in seen:
            seen.add(key)
            yield one
