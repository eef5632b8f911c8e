"""The constant prices of a condition, for whoever draws it over a chart."""

from notifiers.conditions.tree import Channel, Compare, Condition, Cross, Expression, Field, Number, walk

PRICES = frozenset({"price", "open", "high", "low", "close", "average_price", "bid", "ask"})
"""The figures of an instrument, and of its candles, that lie on the scale of its price."""


def levels(tree: Condition) -> list[float]:
    """With what a canonical tree compares its own instrument's price, each once, the lowest first."""
    found: set[float] = set()
    for node in walk(tree):
        match node:
            case Compare() | Cross():
                found |= _constants(node.left, node.right)
            case Channel():
                found |= _constants(node.value, node.low, node.high)
            case _:
                pass
    return sorted(found)


def _constants(*sides: Expression) -> set[float]:
    if not any(_is_own_price(one) for one in sides):
        return set()
    return {one.value for one in sides if isinstance(one, Number)}


def _is_own_price(node: Expression) -> bool:
    return isinstance(node, Field) and node.symbol is None and node.name in PRICES
