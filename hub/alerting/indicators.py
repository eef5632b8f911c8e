"""The catalogue of indicators as the conditions of alerts take it."""

from functools import lru_cache

from feeds.indicators.catalogue import CATALOGUE
from feeds.indicators.indicator import parse
from feeds.indicators.units import units_of
from notifiers.conditions.dimensions import Dimension
from notifiers.conditions.indicators import KnownIndicator


class CatalogueReader:
    """A `notifiers.conditions.indicators.IndicatorReader` over `feeds.indicators`."""

    names: frozenset[str] = frozenset(CATALOGUE)

    def __call__(self, text: str) -> KnownIndicator:
        """Read `rsi(7)` or `sma(volume,20)`. Raises CommandError BAD_REQUEST."""
        return _read(text)


@lru_cache(maxsize=4096)
def _read(text: str) -> KnownIndicator:
    indicator = parse(text)
    return KnownIndicator(indicator.text, {line: Dimension(unit) for line, unit in units_of(indicator).items()})
