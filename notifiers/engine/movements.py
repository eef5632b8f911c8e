"""Conditions on how far a value has moved. They are evaluated with every sample of their rule, and remember a lot."""

from collections import deque

from notifiers.engine.figures import Figure, Number
from notifiers.engine.memory import remembered
from notifiers.engine.moment import Moment, Node
from notifiers.engine.operands import Operand
from notifiers.engine.views import View

MOST_ENTRIES = 512
"""Of one window."""
_SLICES = 256
"""Half of that, so that a window is not made coarser with each sample."""

_Window = list[tuple[Number, int]]


class _Moving:
    """What they share: one operand, no conditions below, and an amount, absolute or in percent."""

    __slots__ = ("_amount", "_percent", "_value", "measures_price")

    def __init__(self, value: Operand, amount: Number, *, percent: bool, measures_price: bool) -> None:
        self.measures_price = measures_price
        self._value = value
        self._amount = amount
        self._percent = percent

    def parts(self) -> tuple[Node, ...]:
        """None."""
        return ()

    def figures(self) -> tuple[Figure, ...]:
        """Those of the value."""
        return self._value.figures()

    def _is_enough(self, way: Number, start: Number) -> bool:
        return way * 100 >= self._amount * abs(start) if self._percent and way > 0 else way >= self._amount


class _Lowest:
    """The lowest value of a time window, where each value holds until the next one.

    A value that is not below a later one can't be the lowest any more, so only a rising sequence is kept. Where that
    grows beyond MOST_ENTRIES, the values that ceased to hold in the same 256th part of the window become one, the
    lowest of them: then a value may count for longer than the window, by less than that part.
    """

    __slots__ = ("entries",)

    def __init__(self) -> None:
        self.entries: deque[tuple[Number, int]] = deque()
        """The value and until when it held, oldest first; the last one still does."""

    def add(self, value: Number, time_ms: int, window_ms: int) -> Number:
        """Take the newest value; gives the lowest one after time_ms - window_ms."""
        entries = self.entries
        if entries:
            entries[-1] = (entries[-1][0], time_ms)
        while entries and entries[-1][0] >= value:
            entries.pop()
        while entries and entries[0][1] <= time_ms - window_ms:
            entries.popleft()
        entries.append((value, 0))
        if len(entries) > MOST_ENTRIES:
            self._coarsen(-(-window_ms // _SLICES))
        return entries[0][0]

    def _coarsen(self, slice_ms: int) -> None:
        """Keep one entry for each slice of time, and the newest. Slices lie fixed, so no entry moves out of its own."""
        *old, newest = self.entries
        self.entries.clear()
        for value, until_ms in old:
            last = self.entries[-1] if self.entries else None
            if last is not None and until_ms // slice_ms <= last[1] // slice_ms:
                self.entries[-1] = (last[0], max(last[1], until_ms))
            else:
                self.entries.append((value, until_ms))
        self.entries.append(newest)


class MoveInTime(_Moving):
    """Edge: the value has moved by the amount within so many seconds."""

    __slots__ = ("_falls", "_has_moved", "_highest", "_last_ms", "_lowest", "_rises", "_window_ms")

    def __init__(
        self,
        value: Operand,
        amount: Number,
        *,
        percent: bool,
        measures_price: bool,
        rises: bool,
        falls: bool,
        window_ms: int,
    ) -> None:
        super().__init__(value, amount, percent=percent, measures_price=measures_price)
        self._rises = rises
        self._falls = falls
        self._window_ms = window_ms
        self._lowest = _Lowest()
        self._highest = _Lowest()
        """Of the values with their signs turned."""
        self._has_moved = False
        self._last_ms: int | None = None

    def evaluate(self, moment: Moment) -> bool | None:
        """Whether it has moved so far now, and hadn't before."""
        value = self._value.value(moment)
        if value is None:
            return None
        if moment.is_clock:
            return False
        if moment.begins_day_after(self._last_ms):
            self._forget()
        low = self._lowest.add(value, moment.time_ms, self._window_ms)
        high = -self._highest.add(-value, moment.time_ms, self._window_ms)
        had_moved, last_ms, self._last_ms = self._has_moved, self._last_ms, moment.time_ms
        up = self._rises and self._is_enough(value - low, low)
        down = self._falls and self._is_enough(high - value, high)
        self._has_moved = up or down
        if not self._has_moved or had_moved:
            return False
        moment.find(low if up else high, last_ms, value, None, gap=False)
        return True

    def _forget(self) -> None:
        self._lowest.entries.clear()
        self._highest.entries.clear()
        self._has_moved = False

    def keep(self) -> list[object]:
        """The window, and whether it had moved."""
        return [list(self._lowest.entries), list(self._highest.entries), self._has_moved, self._last_ms]

    def restore(self, kept: list[object]) -> None:
        """The same."""
        lowest, highest, self._has_moved, self._last_ms = remembered(kept, tuple[_Window, _Window, bool, int | None])
        self._lowest.entries.extend(lowest)
        self._highest.entries.extend(highest)


class MoveInBars(_Moving):
    """Edge: the value has moved by the amount within so many closed candles and the one that forms."""

    __slots__ = ("_bars", "_closed", "_falls", "_has_moved", "_last_ms", "_rises", "_view")

    def __init__(
        self,
        value: Operand,
        amount: Number,
        *,
        percent: bool,
        measures_price: bool,
        rises: bool,
        falls: bool,
        bars: int,
        view: View,
    ) -> None:
        super().__init__(value, amount, percent=percent, measures_price=measures_price)
        self._rises = rises
        self._falls = falls
        self._bars = bars
        self._view = view
        self._closed: deque[tuple[int, Number]] = deque(maxlen=bars)
        """When each of the last closed candles began, and the value at its end."""
        self._has_moved = False
        self._last_ms: int | None = None

    def evaluate(self, moment: Moment) -> bool | None:
        """Whether it has moved so far now, and hadn't before."""
        value = self._value.value(moment)
        if value is None:
            return None
        if moment.view is not self._view:
            return False
        if moment.begins_day_after(self._last_ms):
            self._closed.clear()
            self._has_moved = False
        values = [value, *(closed for start_ms, closed in self._closed if start_ms != self._view.bar_start_ms)]
        self._remember(value)
        low, high = min(values), max(values)
        had_moved, last_ms, self._last_ms = self._has_moved, self._last_ms, moment.time_ms
        up = self._rises and self._is_enough(value - low, low)
        down = self._falls and self._is_enough(high - value, high)
        self._has_moved = up or down
        if not self._has_moved or had_moved:
            return False
        moment.find(low if up else high, last_ms, value, None, gap=False)
        return True

    def _remember(self, value: Number) -> None:
        start_ms = self._view.bar_start_ms
        if self._view.bar_closed:
            if self._closed and self._closed[-1][0] == start_ms:
                self._closed.pop()
            self._closed.append((start_ms, value))

    def keep(self) -> list[object]:
        """The closed candles, and whether it had moved."""
        return [list(self._closed), self._has_moved, self._last_ms]

    def restore(self, kept: list[object]) -> None:
        """The same."""
        closed, self._has_moved, self._last_ms = remembered(kept, tuple[list[tuple[int, Number]], bool, int | None])
        self._closed.extend(closed)


class Stepping(_Moving):
    """Edge: the value is a whole step away from where it last was, counted from its first value."""

    __slots__ = ("_last_ms", "_reference")

    def __init__(self, value: Operand, amount: Number, *, percent: bool, measures_price: bool) -> None:
        super().__init__(value, amount, percent=percent, measures_price=measures_price)
        self._reference: Number | None = None
        self._last_ms: int | None = None

    def evaluate(self, moment: Moment) -> bool | None:
        """Whether it has come a step further; the reference then follows by whole steps."""
        value = self._value.value(moment)
        if value is None:
            return None
        if moment.is_clock:
            return False
        last_ms, self._last_ms = self._last_ms, moment.time_ms
        reference = self._reference
        if reference is None or moment.begins_day_after(last_ms):
            self._reference = value
            return False
        step = abs(reference) * self._amount / 100 if self._percent else self._amount
        if step == 0:
            self._reference = value
            return False
        steps = abs(value - reference) // step
        if steps < 1:
            return False
        self._reference = reference + steps * step * (1 if value > reference else -1)
        moment.find(reference, last_ms, value, self._reference, gap=False)
        return True

    def keep(self) -> list[object]:
        """Where it last was."""
        return [self._reference, self._last_ms]

    def restore(self, kept: list[object]) -> None:
        """The same."""
        self._reference, self._last_ms = remembered(kept, tuple[Number | None, int | None])
