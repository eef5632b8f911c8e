"""Alerts of plans that have prices late are evaluated on late prices, as if those were another exchange's.

A rule whose owner has NSE 15 minutes late looks at `NSE@900`. What comes of it is what was published of NSE 15 minutes
ago, with times moved on by as much: so its time goes by with everybody's, and its firings are told at once and early
for nobody. What is stored and told of a firing has the times and names of the market itself. Pure.
"""

from collections.abc import Callable
from typing import Any

from msgspec import structs

from notifiers.alerts.alert import Alert
from notifiers.conditions.options import Baseline
from notifiers.conditions.tree import Extreme, Field, Indicator, Node, walk
from notifiers.engine.samples import Firing, Rule

_AT = "@"


def late_exchange(exchange: str, delay_s: int) -> str:
    """The exchange as rules know it whose prices are so late."""
    return f"{exchange}{_AT}{delay_s}" if delay_s else exchange


def parted(exchange: str) -> tuple[str, int]:
    """The exchange itself, and how late its prices are in seconds: the inverse of `late_exchange`."""
    plain, _, delay_s = exchange.partition(_AT)
    return plain, int(delay_s or 0)


def delay_for(alert: Alert, delay_of: Callable[[str], int | None]) -> int:
    """How late an alert's prices are to be: as those of the latest of its exchanges are.

    As they were, where `delay_of` says None of one: there are no prices of it for the alert's owner.
    """
    named = {one.exchange for one in walk(alert.tree) if isinstance(one, Field | Indicator | Extreme)}
    delays = [delay_of(exchange or alert.exchange) for exchange in (*named, None)]
    known = [delay_s for delay_s in delays if delay_s is not None]
    return max(known) if len(known) == len(delays) else alert.delay_s


def as_late(rule: Rule, delay_s: int) -> Rule:
    """The rule as the engine takes it whose owner has prices so late."""
    if not delay_s:
        return rule
    return structs.replace(
        rule,
        exchange=late_exchange(rule.exchange, delay_s),
        tree=_tree(rule.tree, delay_s),
        baseline=None if rule.baseline is None else _baseline(rule.baseline, delay_s),
        last_fired_ms=None if rule.last_fired_ms is None else rule.last_fired_ms + delay_s * 1000,
    )


def as_plain(firing: Firing, delay_s: int) -> Firing:
    """A firing of such a rule with the market's own times and names."""
    if not delay_s:
        return firing
    late_ms, named = delay_s * 1000, f"{_AT}{delay_s}:"
    return structs.replace(
        firing,
        at_ms=firing.at_ms - late_ms,
        previous_ms=None if firing.previous_ms is None else firing.previous_ms - late_ms,
        source=firing.source.replace(named, ":", 1),
        inputs={text.replace(named, ":", 1): value for text, value in firing.inputs.items()},
    )


def _baseline(baseline: Baseline, delay_s: int) -> Baseline:
    return structs.replace(baseline, time_ms=baseline.time_ms + delay_s * 1000)


def _tree(node: Any, delay_s: int) -> Any:
    """The node, each exchange that is named in it late."""
    changed: dict[str, Any] = {}
    if isinstance(node, Field | Indicator | Extreme) and node.exchange is not None:
        changed["exchange"] = late_exchange(node.exchange, delay_s)
    for name in node.__struct_fields__:
        value = getattr(node, name)
        if isinstance(value, Node):
            changed[name] = _tree(value, delay_s)
        elif isinstance(value, tuple):
            changed[name] = tuple(_tree(one, delay_s) for one in value)
    return structs.replace(node, **changed) if changed else node
