"""All futures and options of one underlying, and what may be asked of them in few words. Pure."""

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date

import msgspec

from feeds.instruments import Instrument, Kind
from feeds.listings.symbols import strike_text

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_LONG_MONTHS = (
    "JANUARY", "FEBRUARY", "MARCH", "APRIL", "MAY", "JUNE", "JULY", "AUGUST", "SEPTEMBER", "OCTOBER", "NOVEMBER",
    "DECEMBER",
)  # fmt: skip
_MONTH = {name: number for names in (_MONTHS, _LONG_MONTHS) for number, name in enumerate(names, 1)}
_TYPE = {"CE": "CE", "CALL": "CE", "PE": "PE", "PUT": "PE", "FUT": "FUT", "FUTURE": "FUT", "FUTURES": "FUT"}
_TYPES = ("FUT", "CE", "PE")
_NUMBER = r"\d+(?:\.\d+)?"
_STRIKE_AND_TYPE = re.compile(rf"({_NUMBER})(CE|PE)")
_DAY_MONTH_YEAR = re.compile(rf"(\d{{0,2}})({'|'.join(_MONTHS)})(\d{{4}}|\d{{2}}|)")
_SHORTEST_BEGINNING = 3
"""So many digits of a strike stand for all strikes that begin with them; fewer are too many."""
_LAST = "\x7f"


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a derivative, but for its underlying."""

    types: Sequence[str] = _TYPES
    months: frozenset[int] = frozenset()
    numbers: tuple[str, ...] = ()
    """A strike, a day or a year each; which one, depends on the strikes that there are."""


def wishes_of(words: Iterable[str], kind: Kind | None) -> tuple[list[str], Wishes]:
    """The words that name an underlying, and what the others ask for."""
    names: list[str] = []
    types = {None: _TYPES, Kind.FUTURE: ("FUT",), Kind.OPTION: ("CE", "PE")}.get(kind, ())
    months: set[int] = set()
    numbers: list[str] = []
    for word in words:
        if (wanted := _TYPE.get(word)) is not None:
            types = (wanted,) if wanted in types else ()
        elif word in _MONTH:
            months.add(_MONTH[word])
        elif re.fullmatch(_NUMBER, word):
            numbers.append(word)
        elif found := _STRIKE_AND_TYPE.fullmatch(word):
            numbers.append(found[1])
            types = (found[2],) if found[2] in types else ()
        elif found := _DAY_MONTH_YEAR.fullmatch(word):
            numbers += [part for part in (found[1], found[3]) if part]
            months.add(_MONTH[found[2]])
        else:
            names.append(word)
    return names, Wishes(types=types, months=frozenset(months), numbers=tuple(numbers))


class Chain:
    """The contracts of one underlying at one exchange. `words` are further ones that people call it by."""

    def __init__(
        self, exchange: str, underlying: str, contracts: Iterable[Instrument], *, words: Iterable[str]
    ) -> None:
        self.exchange = exchange
        self._name = underlying
        self._words = (underlying, *words)
        self._contracts = sorted(contracts, key=_order)
        self._places = sorted(range(len(self._contracts)), key=lambda place: self._contracts[place].symbol)
        self._symbols = [self._contracts[place].symbol for place in self._places]
        self._expiries: defaultdict[date, defaultdict[str, list[Instrument]]] = defaultdict(lambda: defaultdict(list))
        self._by_strike: defaultdict[str, list[Instrument]] = defaultdict(list)
        for one in self._contracts:
            assert one.expiry is not None  # noqa: S101 - what makes it a derivative
            self._expiries[one.expiry][one.option_type or "FUT"].append(one)
            if one.strike is not None:
                self._by_strike[strike_text(one.strike)].append(one)
        self._strikes = sorted(self._by_strike)

    def rank(self, names: Sequence[str]) -> int | None:
        """0 where the names are the underlying's, 1 where it begins so, 2 where each is among its words; else None."""
        name = "".join(names)
        if not name:
            return None
        if name == self._name:
            return 0
        if self._name.startswith(name):
            return 1
        return 2 if all(any(word.startswith(one) for word in self._words) for one in names) else None

    def with_symbol(self, beginning: str) -> Iterator[Instrument]:
        """Those whose symbol begins so, where that says more than the underlying does; by expiry."""
        if len(beginning) <= len(self._name) or not beginning.startswith(self._name):
            return
        start = bisect_left(self._symbols, beginning)
        end = bisect_right(self._symbols, beginning + _LAST)
        yield from (self._contracts[place] for place in sorted(self._places[start:end]))

    def find(self, wishes: Wishes) -> Iterator[Instrument]:
        """Those that are as wished, by expiry and strike."""
        strikes, dates = self._told_apart(wishes.numbers)
        if strikes is None:
            return
        expiries = [day for day in self._expiries if _fits(day, wishes.months, dates)]
        if not strikes:
            yield from (one for day in expiries for kind in wishes.types for one in self._expiries[day].get(kind, ()))
            return
        found = [one for strike in strikes for one in self._by_strike[strike] if one.option_type in wishes.types]
        yield from (one for one in sorted(found, key=_order) if one.expiry in expiries)

    def _told_apart(self, numbers: Sequence[str]) -> tuple[Sequence[str] | None, Sequence[str]]:
        """The strikes that are meant, and the numbers of dates; None where a number makes no sense here."""
        strikes: Sequence[str] = ()
        dates = []
        for number in numbers:
            if not strikes and number in self._by_strike:
                strikes = [number]
            elif len(number) <= 2 or (len(number) == 4 and any(str(day.year) == number for day in self._expiries)):
                dates.append(number)
            elif strikes or not (strikes := self._strikes_from(number)):
                return None, ()
        return strikes, dates

    def _strikes_from(self, beginning: str) -> Sequence[str]:
        if len(beginning) < _SHORTEST_BEGINNING:
            return ()
        return self._strikes[bisect_left(self._strikes, beginning) : bisect_right(self._strikes, beginning + _LAST)]


def _order(one: Instrument) -> tuple[date, bool, int, str]:
    return one.expiry or date.max, one.strike is not None, one.strike or 0, one.option_type


def _fits(day: date, months: frozenset[int], dates: Sequence[str]) -> bool:
    if months and day.month not in months:
        return False
    texts = (str(day.day), f"{day.day:02d}", f"{day.year % 100:02d}", str(day.year))
    return all(number in texts for number in dates)
