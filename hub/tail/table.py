"""The live table: prices that flash, the newest messages below them, and how the connection fares."""

import asyncio
import time
from typing import NoReturn

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hub.tail.board import Board, Row
from hub.tail.subscriptions import Message
from hub.terminal import printable
from notifiers.wording import numbers
from schemas.durations import Seconds

PAINT_EVERY_S: Seconds = 0.1
_COLOURS = {1: "green", -1: "red", 0: ""}
_OPTIONAL = (("volume", 12, 72), ("bid", 10, 96), ("ask", 10, 96))
"""Columns that a narrow terminal does without: name, width, and how wide the terminal must be."""
_ROWS_BESIDE = 6
"""Lines of the screen that are neither a price nor a message."""


class LiveTable:
    """A watcher that keeps the terminal up to date. `paint` must run."""

    def __init__(self, url: str, console: Console, *, max_frequency: float) -> None:
        self._url = url
        self._pace = f" at {max_frequency:g} a second each"
        self._console = console
        self._board = Board()
        self._notes: dict[str, None] = {}
        self._why = "connecting"
        self._again_s: Seconds | None = None
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")

    def connected(self) -> None:
        """See `Watcher`."""
        self._why, self._again_s = "", None

    def waiting(self, pause_s: Seconds, why: str) -> None:
        """See `Watcher`."""
        self._why, self._again_s = why, time.monotonic() + pause_s

    def heard(self, message: Message, raw: str) -> None:
        """See `Watcher`."""
        self._board.take(message, time.monotonic(), int(time.time() * 1000))

    def told(self, line: str) -> None:
        """See `Watcher`."""
        self._notes[printable(line)] = None

    async def paint(self) -> NoReturn:
        """Draw again and again until cancelled; the last state stays on the screen."""
        await asyncio.to_thread(numbers.load)
        with self._live:
            try:
                while True:
                    self._live.update(self.picture(time.monotonic()), refresh=True)
                    await asyncio.sleep(PAINT_EVERY_S)
            finally:
                self._live.update(self.picture(time.monotonic()), refresh=True)

    def picture(self, now_s: Seconds) -> RenderableType:
        """All of it, as large as the terminal is."""
        room = max(2, self._console.height - _ROWS_BESIDE - len(self._notes))
        rows = sorted(self._board.rows.values(), key=lambda row: bool(row.text))
        lines = min(len(self._board.lines), max(room - len(rows), room // 3))
        shown = rows[: room - lines]
        prices = [row for row in shown if not row.text]
        parts: list[RenderableType] = [self._prices(prices, now_s)] if prices else []
        if texts := [(row.time, row.name, row.text) for row in shown if row.text]:
            parts.append(_texts(texts))
        if len(rows) > len(shown):
            parts.append(Text(f" and {len(rows) - len(shown)} more: the terminal is too small", style="dim"))
        if lines:
            parts += [Text(), _texts(list(self._board.lines)[-lines:])]
        parts += [Text(f" {note}", style="yellow", no_wrap=True, overflow="ellipsis") for note in self._notes]
        return Group(*parts, self._status(now_s))

    def _prices(self, rows: list[Row], now_s: Seconds) -> Table:
        wide = self._console.width
        columns = [name for name, _, needed in _OPTIONAL if wide >= needed]
        table = Table(box=None, header_style="dim", padding=(0, 1), pad_edge=True)
        table.add_column("symbol", no_wrap=True, min_width=12, max_width=30)
        for name, width in (("price", 10), ("change", 8), ("%", 7)):
            table.add_column(name, justify="right", no_wrap=True, min_width=width)
        for name, width, needed in _OPTIONAL:
            if wide >= needed:
                table.add_column(name, justify="right", no_wrap=True, min_width=width)
        table.add_column("time", no_wrap=True, min_width=8)
        for row in rows:
            table.add_row(*_cells(row, columns, now_s))
        return table

    def _status(self, now_s: Seconds) -> Text:
        if self._again_s is not None:
            left = max(0, round(self._again_s - now_s))
            state = (f"reconnecting in {left} s: {self._why}" if left else f"reconnecting: {self._why}", "yellow")
        else:
            state = (self._why or "connected", "yellow" if self._why else "green")
        missed = f"{self._board.missed:,} missed{self._pace}"
        figures = f"   {self._board.rate(now_s):.1f} updates a second   {missed}   {self._url}"
        return Text.assemble("\n ", state, (figures, "dim"), no_wrap=True, overflow="ellipsis")


def _texts(entries: list[tuple[str, str, str]]) -> Table:
    """What has no price: times, channels and texts."""
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=True)
    table.add_column(no_wrap=True, style="dim", min_width=8)
    table.add_column(no_wrap=True, style="cyan", min_width=14, max_width=28)
    table.add_column(no_wrap=True, overflow="ellipsis")
    for at, channel, text in entries:
        table.add_row(at, Text(channel), Text(text))
    return table


def _cells(row: Row, columns: list[str], now_s: Seconds) -> list[Text]:
    flash = row.flashes(now_s)
    optional = {"volume": numbers.number(row.volume), "bid": numbers.price(row.bid), "ask": numbers.price(row.ask)}
    change = row.change or 0
    trend = _COLOURS[(change > 0) - (change < 0)]
    return [
        Text(row.name),
        Text(numbers.price(row.price), style=f"bold {_COLOURS[flash]} reverse" if flash else "bold"),
        Text(_signed(row.change), style=trend),
        Text(numbers.change(row.percent), style=trend),
        *[Text(optional[name]) for name in columns],
        Text(row.time, style="dim"),
    ]


def _signed(change: float | None) -> str:
    text = numbers.price(change)
    return f"+{text}" if change is not None and change > 0 else text
