"""The brokers that can be a feed, by their names in the settings."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from feeds.brokers.angel import Angel
from feeds.brokers.dhan import Dhan
from feeds.brokers.fyers import Fyers
from feeds.brokers.kite import Kite
from feeds.brokers.shoonya import Shoonya
from feeds.brokers.source import Source
from feeds.brokers.upstox import Upstox

SOURCES: Mapping[str, Callable[[str], Source]] = MappingProxyType(
    {
        "kite": lambda _: Kite(),
        "upstox": Upstox,
        "angel": lambda _: Angel(),
        "dhan": lambda _: Dhan(),
        "fyers": Fyers,
        "shoonya": lambda _: Shoonya(),
    }
)
"""Each is made for a mode: `ltp`, `quote` or `full`."""
