"""What the tests of this package have in common: drafts, firings, a clock that is set."""

from typing import Any

from notifiers.alerts.store import Draft
from notifiers.conditions.tree import Condition, Cross, Field, Number
from notifiers.engine.samples import Firing
from notifiers.way import Way

NOW_MS = 1_795_401_900_000
"""Monday 23 November 2026, 09:15 in India."""


def now_s() -> float:
    """A clock that stands."""
    return NOW_MS / 1000


def crossing(level: float) -> Condition:
    """`price crosses above …`."""
    return Cross(left=Field(name="price"), right=Number(value=level), direction="above")


def draft(**values: Any) -> Draft:
    """An alert of user 7 on TCS, but for what is said."""
    given: dict[str, Any] = {
        "user": "7",
        "exchange": "NSE",
        "symbol": "TCS",
        "condition": "price crosses above 2500",
        "tree": crossing(2500),
        "channels": (Way.EMAIL,),
    }
    return Draft(**given | values)


def firing(rule: int, number: int = 1, **values: Any) -> Firing:
    """A firing of a rule's first version, but for what is said."""
    given: dict[str, Any] = {
        "rule": rule,
        "version": 1,
        "number": number,
        "suppressed": None,
        "at_ms": NOW_MS,
        "received_ms": NOW_MS + 1,
        "source": "NSE:TCS",
        "sample": 17,
        "previous": 2499.0,
        "previous_ms": NOW_MS - 500,
        "current": 2501.0,
        "level": 2500.0,
        "price": 2501.0,
        "via": "tick",
        "gap": True,
        "inputs": {"price": 2501.0},
        "ended": True,
    }
    return Firing(**given | values)
