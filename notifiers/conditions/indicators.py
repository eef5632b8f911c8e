"""What conditions have to know of indicators: a port, since their catalogue lives in another package."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from notifiers.conditions.dimensions import Dimension


class KnownIndicator(msgspec.Struct, frozen=True):
    """An indicator that was read: its canonical text, and what each of its lines measures.

    `gives` has an empty name alone where an indicator's value is a single number.
    """

    text: str
    gives: Mapping[str, Dimension]


class IndicatorReader(Protocol):
    """The catalogue of indicators."""

    @property
    def names(self) -> frozenset[str]:
        """What indicators are called, without parameters."""

    def __call__(self, text: str) -> KnownIndicator:
        """Read `rsi(7)` or `sma(volume,20)`. Raises CommandError BAD_REQUEST, saying what is wrong."""
