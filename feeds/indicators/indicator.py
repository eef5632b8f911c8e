"""An indicator as it is asked for: `rsi`, `rsi(7)`, `macd(12,26,9)`, `sma(volume,20)`, read against the catalogue."""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import lru_cache

import msgspec
from talib import abstract

from feeds.indicators.catalogue import CATALOGUE, Entry, Parameter
from schemas.errors import CommandError, ErrorCode

MAX_INDICATORS = 20
"""How many one request may ask for."""

SOURCES = ("open", "high", "low", "close", "volume")
"""The figures of a candle that may come first among the parameters of an indicator of the close."""

DAY_MINUTES = 1440
"""The candles of a day of the shortest timeframe, with which `vwap` begins."""

_TEXT = re.compile(r"\s*([A-Za-z][A-Za-z0-9_]*)\s*(?:\(([^()]*)\))?\s*")
_BETWEEN = re.compile(r",(?![^()]*\))")  # a comma that stands in no brackets
_MAX_TEXT = 1000


class Indicator(msgspec.Struct, frozen=True):
    """An indicator of the catalogue with a value for each of its parameters.

    `source` is the figure of a candle that stands in for the close, where the catalogue's entry takes the close alone.
    """

    name: str
    values: tuple[float, ...] = ()
    source: str = "close"

    @property
    def entry(self) -> Entry:
        """What the catalogue says of it."""
        return CATALOGUE[self.name]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The figures of a candle that it is worked out from."""
        return self.entry.inputs if self.source == "close" else (self.source,)

    @property
    def text(self) -> str:
        """The one way to write it: `rsi` where all is default, else every parameter, `rsi(7)`, `sma(volume,20)`."""
        values = [_number(value) for value in self.values]
        if self.source != "close":
            return f"{self.name}({','.join([self.source, *values])})"
        if all(value == one.default for value, one in zip(self.values, self.entry.parameters, strict=True)):
            return self.name
        return f"{self.name}({','.join(values)})"

    @property
    def keywords(self) -> dict[str, float]:
        """The parameters as TA-Lib takes them."""
        return {
            keyword: int(value) if one.whole else float(value)
            for value, one in zip(self.values, self.entry.parameters, strict=True)
            for keyword in one.keywords
        }

    @property
    def lookback(self) -> int:
        """How many candles must come before the first one that has a value."""
        return _lookback(self)


@lru_cache(maxsize=4096)
def _lookback(indicator: Indicator) -> int:
    """TA-Lib's own word takes some 50 µs, and thousands of instruments begin with the same few indicators."""
    if indicator.name == "vwap":
        return 0
    return int(abstract.Function(indicator.entry.function, **indicator.keywords).lookback)  # type: ignore[attr-defined]


def parse(text: str) -> Indicator:
    """Reads `rsi`, `rsi(7)`, `macd(12,26,9)` or `sma(volume,20)`, in any case.

    Raises CommandError BAD_REQUEST, with a text that says what is wrong.
    """
    match = _TEXT.fullmatch(text)
    if match is None:
        raise _refused("{text!r} is no indicator; write rsi, rsi(14) or macd(12,26,9)", text=text.strip()[:80])
    name = match[1].lower()
    entry = CATALOGUE.get(name)
    if entry is None:
        near = get_close_matches(name, CATALOGUE, n=3, cutoff=0.5)
        if not near:
            raise _refused("No indicator is called {name!r}; the list is in the documentation", name=name[:80])
        raise _refused("No indicator is called {name!r}; did you mean {near}?", name=name[:80], near=", ".join(near))
    given = [one.strip() for one in match[2].split(",")] if match[2] and match[2].strip() else []
    source = _take_source(entry, given)
    if len(given) > len(entry.parameters):
        most = len(entry.parameters)
        raise _refused("{name} takes at most {most} parameters, got {got}", name=name, most=most, got=len(given))
    values = [_read(name, one, value) for one, value in zip(entry.parameters, given, strict=False)]
    values += [one.default for one in entry.parameters[len(values) :]]
    _check_order(entry, values)
    return Indicator(name, tuple(values), source)


def parse_all(text: str, *, most: int = MAX_INDICATORS) -> dict[str, Indicator]:
    """Reads a list, `rsi,macd(12,26,9)`: each indicator under the name that it was asked by.

    Raises CommandError: BAD_REQUEST for one that is wrong, LIMIT_EXCEEDED for more than `most`.
    """
    if len(text) > _MAX_TEXT:
        raise _refused("A list of indicators has at most {most} characters", most=_MAX_TEXT)
    asked = [one for one in _BETWEEN.split(text) if one.strip()]
    found = {re.sub(r"\s", "", one).lower(): parse(one) for one in asked}
    if len(found) > most:
        raise CommandError(ErrorCode.LIMIT_EXCEEDED, "At most {most} indicators, got {got}", most=most, got=len(found))
    return found


def history_for(indicators: Iterable[Indicator]) -> int:
    """How many candles to hand over, so that averages that never forget their beginning have settled on their value.

    `vwap` counts from the day's beginning, wherever in the day the first candle lies.
    """
    return max((DAY_MINUTES if one.name == "vwap" else one.lookback * 3 for one in indicators), default=0) + 100


def _take_source(entry: Entry, given: list[str]) -> str:
    """Takes the figure off the parameters where it comes first."""
    source = given[0].lower() if given else ""
    if source not in SOURCES:
        return "close"
    if entry.inputs != ("close",):
        raise _refused(
            "{name} is worked out from figures of its own and takes none, got {got}", name=entry.name, got=source
        )
    del given[0]
    return source


def _read(name: str, parameter: Parameter, text: str) -> float:
    said = {"name": name, "parameter": parameter.name, "got": text[:40]}
    try:
        value = float(text)
    except ValueError:
        raise _refused("{name}: {parameter} is a number, got {got!r}", **said) from None
    if parameter.whole and not value.is_integer():
        raise _refused("{name}: {parameter} is a whole number, got {got}", **said)
    if not parameter.least <= value <= parameter.most:
        bounds = {"least": f"{parameter.least:g}", "most": f"{parameter.most:g}"}
        raise _refused("{name}: {parameter} lies from {least} to {most}, got {got}", **said, **bounds)
    return value


def _check_order(entry: Entry, values: Sequence[float]) -> None:
    """TA-Lib exchanges a fast and a slow period given the wrong way round; whoever asked ought to know."""
    named = dict(zip((one.name for one in entry.parameters), values, strict=True))
    fast, slow = named.get("fast"), named.get("slow")
    if entry.name != "mama" and fast is not None and slow is not None and fast >= slow:
        got = {"fast": f"{fast:g}", "slow": f"{slow:g}"}
        raise _refused("{name}: fast must be less than slow, got {fast} and {slow}", name=entry.name, **got)


def _refused(text: str, /, **values: object) -> CommandError:
    return CommandError(ErrorCode.BAD_REQUEST, text, **values)


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
