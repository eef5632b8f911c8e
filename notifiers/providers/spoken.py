"""Figures as they are said, in five languages: numbers, prices, percentages, times and dates, in lakhs and crores.

A voice that is given figures reads some of them wrongly, western groups in some languages and years as digits; so it is
given words. They stand in `templates/speech`.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date, time
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files
from typing import Any

import msgspec
from babel.dates import get_month_names

CRORE, LAKH, THOUSAND = 10_000_000, 100_000, 1_000
MAX_DIGITS = 15
"""Longer figures are said digit by digit: nobody follows such a number."""

_NUMBER = r"\d+(?:,\d+)*(?:\.\d+)?"
_FIGURES = re.compile(
    rf"(?<![\w,:\-])(?<!(?<!\.)\.)"  # after two points there is another number: 2400..2500
    rf"(?:(?P<date>\d\d-\d\d-\d{{4}})"
    rf"|(?P<time>\d?\d:\d\d)(?::\d\d)?(?: IST\b)?"
    rf"|(?P<sign>[-+\u2212]?)(?:(?P<money>\u20b9|Rs\.?) ?)?(?P<number>{_NUMBER})(?P<percent> ?%)?)"
    rf"(?![\w:%]|[.,\-]\d)"
)

Forms = tuple[str, str]
"""A word of which one form stands alone and another before more of the number; or for one and for many."""


class Numbers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The words for numbers in a language. `joins` are words that make one with what follows: both, and that one."""

    joins: tuple[tuple[str, str], ...]
    below_hundred: str
    hundreds_alone: tuple[str, ...]
    hundreds_before: tuple[str, ...]
    thousand: Forms
    lakh: Forms
    crore: Forms
    point: str
    minus: str
    plus: str
    percent: str
    rupee: Forms
    paisa: Forms
    both: str


class Times(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The words for times. `parts` are the parts of the day, each with the hour at which it begins."""

    clock: str
    clock_minutes: str
    small_minute: str
    day: str
    parts: tuple[tuple[int, str], ...]


class Speech:
    """How a language says figures. Reads its file: blocks."""

    def __init__(self, language: str) -> None:
        read = _read(language)
        self._numbers = msgspec.convert(read["numbers"], Numbers)
        self._times = msgspec.convert(read["times"], Times)
        self._below_hundred = self._numbers.below_hundred.split()
        self._months: Mapping[int, str] = dict(get_month_names("wide", locale=f"{language}_IN"))
        self.call: dict[str, str] = read["call"]
        """What calls say in that language."""

    def integer(self, value: int) -> str:
        """A whole number, zero or more."""
        return " ".join(self._integer(value))

    def number(self, value: Decimal) -> str:
        """Any number: what stands behind the point is said digit by digit."""
        words = self.integer(int(abs(value)))
        fraction = f"{abs(value):f}".partition(".")[2].rstrip("0")
        if fraction:
            words = " ".join([words, self._numbers.point, *map(self._digit, fraction)])
        return f"{self._numbers.minus} {words}" if value < 0 else words

    def money(self, value: Decimal) -> str:
        """An amount in rupees, and in paise where they are whole."""
        words = self._numbers
        rupees, paise = int(abs(value)), abs(value) % 1 * 100
        if paise != int(paise):
            return f"{self.number(value)} {words.rupee[1]}"
        said = self._of(rupees, words.rupee)
        if paise:
            paise_said = self._of(int(paise), words.paisa)
            said = words.both.format(rupees=said, paise=paise_said) if rupees else paise_said
        return f"{words.minus} {said}" if value < 0 else said

    def percent(self, value: Decimal) -> str:
        """A percentage."""
        return self._numbers.percent.format(number=self.number(value))

    def clock(self, at: time) -> str:
        """A time of day, in hours of twelve and minutes."""
        times = self._times
        hour, minute = self.integer(at.hour % 12 or 12), self.integer(at.minute)
        part = [name for begins, name in times.parts if begins <= at.hour][-1]
        if not at.minute:
            return times.clock.format(hour=hour, part=part)
        minute = times.small_minute.format(minute=minute) if at.minute < 10 else minute
        return times.clock_minutes.format(hour=hour, minute=minute, part=part)

    def day(self, at: date) -> str:
        """A day of a year that everybody knows."""
        return self._times.day.format(day=self.integer(at.day), month=self._months[at.month])

    def text(self, text: str) -> str:
        """The text with words for all figures that stand by themselves: `NIFTY26DECFUT` and `5m` stay as they are."""
        said = _FIGURES.sub(self._figure, text)
        for apart, together in self._numbers.joins:
            said = said.replace(apart, together)
        return said

    def _figure(self, found: re.Match[str]) -> str:
        try:
            if found["date"]:
                day, month, year = map(int, found["date"].split("-"))
                return self.day(date(year, month, day))
            if found["time"]:
                hour, minute = map(int, found["time"].split(":"))
                return self.clock(time(hour, minute))
        except ValueError:  # the 40th, or 25:00
            return found.group()
        return self._said(found["number"].replace(",", ""), found)

    def _said(self, figures: str, found: re.Match[str]) -> str:
        whole = figures.partition(".")[0]
        if len(whole) > MAX_DIGITS or (len(whole) > 1 and whole.startswith("0")):
            return " ".join(self._digit(char) if char.isdigit() else self._numbers.point for char in figures)
        value = Decimal(figures)
        say = self.money if found["money"] else self.percent if found["percent"] else self.number
        sign = {"": "", "+": f"{self._numbers.plus} "}.get(found["sign"], f"{self._numbers.minus} ")
        return sign + say(value)

    def _of(self, count: int, unit: Forms) -> str:
        return f"{self.integer(count)} {unit[count != 1]}"

    def _digit(self, char: str) -> str:
        return self._below_hundred[int(char)]

    def _integer(self, value: int) -> Iterator[str]:
        words = self._numbers
        for size, scale in ((CRORE, words.crore), (LAKH, words.lakh), (THOUSAND, words.thousand)):
            count, rest = divmod(value, size)
            if count:
                yield from self._integer(count)
                yield scale[rest > 0]
                if not rest:
                    return
            value = rest
        yield from self._below_thousand(value)

    def _below_thousand(self, value: int) -> Iterator[str]:
        hundreds, rest = divmod(value, 100)
        if hundreds:
            yield (self._numbers.hundreds_before if rest else self._numbers.hundreds_alone)[hundreds - 1]
        if rest or not hundreds:
            yield self._below_hundred[rest]


@lru_cache
def speech(language: str) -> Speech:
    """How a language says figures; raises FileNotFoundError for one that none is written for. Blocks the first time."""
    return Speech(language)


def _read(language: str) -> dict[str, Any]:
    path = files("notifiers").joinpath("templates", "speech", f"{language}.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))
