"""What has been heard so far, as a live table needs it. Pure but for the times that it is handed."""

from collections import deque
from collections.abc import Mapping
from typing import Any

import msgspec

from hub.tail.subscriptions import Message
from hub.tail.words import said, time_of
from hub.terminal import printable
from schemas.durations import Seconds

FLASH_S: Seconds = 0.7
RATE_OVER_S: Seconds = 3.0
LINES_KEPT = 200


class Row(msgspec.Struct, kw_only=True):
    """The newest value of one channel. `text` stands for what has no price."""

    name: str
    price: float | None = None
    change: float | None = None
    percent: float | None = None
    bid: float | None = None
    ask: float | None = None
    volume: float | None = None
    time: str = "-"
    text: str = ""
    direction: int = 0
    """Whether the price went up or down last; 0 before it has moved."""
    moved_s: Seconds = float("-inf")

    def flashes(self, now_s: Seconds) -> int:
        """1 or -1 for a moment after the price has moved."""
        return self.direction if now_s - self.moved_s < FLASH_S else 0


class Board:
    """Rows of `latest` channels and lines of the others."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.lines: deque[tuple[str, str, str]] = deque(maxlen=LINES_KEPT)
        """Time, channel and text; the newest last."""
        self.missed = 0
        self._heard: deque[Seconds] = deque()

    def take(self, message: Message, now_s: Seconds, came_ms: int) -> None:
        """One publication; `now_s` is monotonic, `came_ms` is Unix time."""
        self._heard.append(now_s)
        self.missed += message.get("missed", 0)
        if "seq" in message:
            self._take_latest(message, now_s, came_ms)
        else:
            self.lines.append((time_of(message, came_ms)[:8], printable(message["channel"]), said(message)))

    def rate(self, now_s: Seconds) -> float:
        """Updates a second, over the last few."""
        while self._heard and now_s - self._heard[0] > RATE_OVER_S:
            self._heard.popleft()
        return len(self._heard) / RATE_OVER_S

    def _take_latest(self, message: Message, now_s: Seconds, came_ms: int) -> None:
        channel = message["channel"]
        row = self.rows.setdefault(channel, Row(name=_name(channel)))
        values = _values(message)
        price = values.get("price", row.price)
        if row.price is not None and price is not None and price != row.price:
            row.direction, row.moved_s = (1 if price > row.price else -1), now_s
        for field, value in values.items():
            setattr(row, field, value)
        row.time = time_of(message, came_ms)[:8]


def _name(channel: str) -> str:
    """`NSE:RELIANCE`, `NSE:RELIANCE 1m`, `NSE:RELIANCE depth`; others as they are."""
    namespace, _, name = printable(channel).partition(":")
    match namespace:
        case "market":
            return name
        case "depth":
            return f"{name} depth"
        case "candles":
            timeframe, _, place = name.partition(":")
            return f"{place} {timeframe}"
        case _:
            return printable(channel)


def _values(message: Message) -> dict[str, Any]:
    """What of the row is known by a message."""
    match message["type"].partition(":")[0]:
        case "market":
            figures = ("price", "change", "bid", "ask", "volume")
            return {name: message.get(name) for name in figures} | {"percent": message.get("change_percent")}
        case "candles":
            return {"price": message.get("close"), "volume": message.get("volume")}
        case "depth":
            return {"bid": _best(message.get("bids")), "ask": _best(message.get("asks"))}
        case _:
            return {"text": said(message)}


def _best(levels: list[Mapping[str, Any]] | None) -> float | None:
    return levels[0].get("price") if levels else None
