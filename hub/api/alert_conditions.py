"""Conditions as they are sent, a text or a tree, read and checked; and the platform's plain form of them."""

from collections.abc import Sequence

from channels.channel import Channel
from notifiers.conditions.checking import Checked, check, check_text
from notifiers.conditions.indicators import IndicatorReader
from notifiers.conditions.options import Options
from notifiers.conditions.plain import channels_of, condition_of
from notifiers.conditions.tree import Condition
from notifiers.way import Way
from schemas.errors import CommandError, ErrorCode

_FIELD = "$.condition"


class ConditionReader:
    """Reads conditions with the catalogue of indicators."""

    def __init__(self, indicators: IndicatorReader) -> None:
        self._indicators = indicators

    def read(
        self,
        said: str | Condition,
        threshold: float | None,
        channel: Channel,
        options: Options,
        *,
        in_bars: bool = False,
    ) -> Checked:
        """What is meant. Raises CommandError BAD_REQUEST, with the character of a text or the path in a tree.

        `in_bars`: the options' timeframe was named, and is meant for indicators which name none.
        """
        exchange, symbol = channel.exchange or "", channel.symbol or ""
        timeframe = options.timeframe if in_bars else None
        if isinstance(said, str):
            text = condition_of(said, threshold, self._indicators, timeframe)
            return check_text(text, exchange, symbol, self._indicators, options=options, timeframe=timeframe)
        if threshold is not None:
            raise CommandError(ErrorCode.BAD_REQUEST, "A tree says its numbers itself - at `$.threshold`")
        try:
            return check(said, exchange, symbol, self._indicators, options=options)
        except CommandError as exc:
            raise _placed(exc) from exc

    def ways(self, channels: Sequence[Way] | None, notification_type: str | Sequence[str] | None) -> tuple[Way, ...]:
        """By which channels an alert is told; without any by the socket. Raises CommandError BAD_REQUEST."""
        if channels is not None and notification_type is not None:
            raise CommandError(
                ErrorCode.BAD_REQUEST, "Expected either channels or notification_type - at `$.notification_type`"
            )
        return channels_of(notification_type) if channels is None else tuple(dict.fromkeys(channels))


def _placed(error: CommandError) -> CommandError:
    """A fault of a tree with its place in the body, of which the tree is but a part."""
    place = error.values.get("place")
    if not isinstance(place, str) or not place.startswith("`$"):
        return error
    return CommandError(error.code, error.text, **error.values | {"place": f"`{_FIELD}{place[2:]}"})
