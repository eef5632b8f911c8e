"""The signals that stand, watched tick by tick for their target and their stop. Pure."""

from collections.abc import Iterable, Iterator

import msgspec

from feeds.signals.rules import SignalType
from feeds.signals.signal import Outcome, Signal


class Closing(msgspec.Struct, frozen=True):
    """A signal whose target or stop was reached, at which price (1/PRICE_SCALE) and when (Unix seconds)."""

    signal_id: int
    outcome: Outcome
    price: int
    at_s: int


class Watch:
    """Active signals by instrument. A price of an instrument that has none costs one look-up."""

    def __init__(self, signals: Iterable[Signal] = ()) -> None:
        self._by_instrument: dict[tuple[str, str], dict[int, Signal]] = {}
        for signal in signals:
            self.add(signal)

    def __iter__(self) -> Iterator[Signal]:
        for signals in self._by_instrument.values():
            yield from signals.values()

    def add(self, signal: Signal) -> None:
        """Watches a signal, or the new state of one that is watched."""
        self._by_instrument.setdefault((signal.exchange, signal.symbol), {})[signal.id] = signal

    def drop(self, signal: Signal) -> None:
        """Watches it no longer."""
        self._drop((signal.exchange, signal.symbol), signal.id)

    def standing(self, exchange: str, symbol: str) -> list[Signal]:
        """The active signals of an instrument."""
        return list(self._by_instrument.get((exchange, symbol), {}).values())

    def on_price(self, exchange: str, symbol: str, price: int, time_ms: int) -> list[Closing]:
        """Signals that this trade ends; they are watched no longer. A price beyond a level reaches it as well.

        Prices from before a signal was given, or after its time, leave it alone.
        """
        key = (exchange, symbol)
        signals = self._by_instrument.get(key)
        if signals is None:
            return []
        at_s = time_ms // 1000
        closings = [
            Closing(signal.id, outcome, price, at_s)
            for signal in signals.values()
            if signal.created_at <= at_s < signal.expires_at and (outcome := _reached(signal, price)) is not None
        ]
        for closing in closings:
            self._drop(key, closing.signal_id)
        return closings

    def _drop(self, key: tuple[str, str], signal_id: int) -> None:
        signals = self._by_instrument.get(key, {})
        signals.pop(signal_id, None)
        if not signals:
            self._by_instrument.pop(key, None)


def _reached(signal: Signal, price: int) -> Outcome | None:
    if signal.signal_type is SignalType.HOLD:
        return None
    up = signal.signal_type is SignalType.BUY
    target, stop = signal.target_price, signal.stop_loss
    if stop is not None and (price <= stop if up else price >= stop):
        return Outcome.STOP
    if target is not None and (price >= target if up else price <= target):
        return Outcome.TARGET
    return None
