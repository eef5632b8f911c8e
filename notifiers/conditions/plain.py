"""The platform's plain form of an alert: `{symbol, condition: "price > 500", threshold, notification_type}`.

`condition` is a whole condition, one that lacks only its number (`price >`), or a word for the comparison (`above`);
the number is then `threshold`. Where both say a number, it has to be the same.
"""

import math
import re
from collections.abc import Sequence
from types import MappingProxyType

import msgspec

from notifiers.conditions.indicators import IndicatorReader
from notifiers.conditions.parser import read
from notifiers.conditions.text import number
from notifiers.conditions.tree import Move, Number, Step, Timeframe, walk
from notifiers.way import Way
from schemas.errors import CommandError, ErrorCode

_CROSSES = ("crosses", "cross", "crossing")

_RELATIONS = MappingProxyType(
    dict.fromkeys((">", "above", "over", "greater", "greater_than", "gt", "price_above", "higher"), ">")
    | dict.fromkeys((">=", "greater_than_or_equal", "greater_or_equal", "gte", "ge", "at_least"), ">=")
    | dict.fromkeys(("<", "below", "under", "less", "less_than", "lt", "price_below", "lower"), "<")
    | dict.fromkeys(("<=", "less_than_or_equal", "less_or_equal", "lte", "le", "at_most"), "<=")
    | dict.fromkeys(("==", "=", "equal", "equals", "equal_to", "eq"), "==")
    | dict.fromkeys(_CROSSES, "crosses")
    | {f"{word}_{side}": "crosses above" for word in _CROSSES for side in ("above", "over", "up")}
    | {f"{word}_{side}": "crosses below" for word in _CROSSES for side in ("below", "under", "down")}
)
"""Words for a comparison of the price, as platforms call it."""

_WAYS = MappingProxyType(
    {way.value: (way,) for way in Way}
    | {"mail": (Way.EMAIL,), "e-mail": (Way.EMAIL,), "call": (Way.VOICE,), "phone": (Way.VOICE,)}
    | {"in_app": (Way.WEBSOCKET,), "socket": (Way.WEBSOCKET,), "text": (Way.SMS,)}
    | {"all": (Way.WEBSOCKET, Way.EMAIL, Way.SMS, Way.PUSH)}
)

_SAID = Number | Move | Step
_BETWEEN = re.compile(r"[\s,;|+]+")


class Plain(msgspec.Struct, frozen=True):
    """What a plain form says: a condition's text, not checked yet, and the channels."""

    condition: str
    channels: tuple[Way, ...]


def plain(
    condition: str,
    threshold: float | str | None,
    notification_type: str | Sequence[str] | None,
    indicators: IndicatorReader,
    timeframe: Timeframe | None = None,
) -> Plain:
    """Read a plain form. Without `notification_type` the alert is told on the socket alone.

    Raises:
        CommandError: BAD_REQUEST, saying what is wrong.
    """
    return Plain(condition_of(condition, threshold, indicators, timeframe), channels_of(notification_type))


def condition_of(
    condition: str, threshold: float | str | None, indicators: IndicatorReader, timeframe: Timeframe | None = None
) -> str:
    """The whole condition's text. Raises CommandError BAD_REQUEST."""
    limit = None if threshold is None else _number(threshold)
    relation = _RELATIONS.get(re.sub(r"[\s-]+", "_", condition.strip().lower()))
    if relation is not None:
        if limit is None:
            raise _refused("Expected a number in `threshold`, since {got!r} has none", got=condition.strip())
        return f"price {relation} {number(limit)}"
    try:
        tree = read(condition, indicators.names, timeframe).tree
    except CommandError as fault:
        return _completed(condition, limit, fault, indicators, timeframe)
    said = [node.value if isinstance(node, Number) else node.amount for node in walk(tree) if isinstance(node, _SAID)]
    if limit is not None and said and limit not in said:
        numbers = ", ".join(map(number, said))
        raise _refused("`threshold` is {threshold}, but `condition` says {said}", threshold=number(limit), said=numbers)
    return condition.strip()


def channels_of(said: str | Sequence[str] | None) -> tuple[Way, ...]:
    """The channels that a notification type means, each once. Raises CommandError BAD_REQUEST."""
    words = _BETWEEN.split(said.strip()) if isinstance(said, str) else list(said or [Way.WEBSOCKET])
    found: dict[Way, None] = {}
    for word in words:
        ways = _WAYS.get(word.strip().lower())
        if ways is None:
            known = " ".join([*Way, "all"])
            raise _refused("Expected channels out of {known}, got {got!r}", known=known, got=word[:40])
        found |= dict.fromkeys(ways)
    return tuple(found)


def _completed(
    condition: str, limit: float | None, fault: CommandError, indicators: IndicatorReader, timeframe: Timeframe | None
) -> str:
    """A condition that lacks its number, with it. Where it lacks more than that, the more telling fault is told."""
    if limit is None:
        raise fault
    whole = f"{condition.strip()} {number(limit)}"
    try:
        read(whole, indicators.names, timeframe)
    except CommandError as other:
        ended_there = fault.values.get("column") == len(condition) + 1
        raise (other if ended_there else fault) from None
    return whole


def _number(threshold: float | str) -> float:
    try:
        value = float(threshold.replace(",", "") if isinstance(threshold, str) else threshold)
    except (ValueError, OverflowError):
        value = math.nan
    if not -1e11 <= value <= 1e11:
        raise _refused("Expected a number in `threshold`, got {got!r}", got=str(threshold)[:40])
    return value


def _refused(text: str, /, **values: object) -> CommandError:
    return CommandError(ErrorCode.BAD_REQUEST, text, **values)
