"""The last seconds of ticks, for alerts that are read when the price has moved on.

An alert is made at one moment and read by its engine some hundredths of a second later, or a second where no bell
rings. What the price did in between counts: it is replayed to the new rule alone, before it joins the others.
"""

from collections import deque

from msgspec.structs import replace

from notifiers.engine.engine import Engine
from notifiers.engine.samples import Firing, Rule
from schemas.market import Tick

KEPT_MS = 5_000
MOST = 2_000
"""Ticks of one instrument."""

Sample = tuple[Tick, int, int]
"""A tick, its number, and when it arrived."""


class Recent:
    """What came of each instrument within KEPT_MS."""

    def __init__(self) -> None:
        self._samples: dict[tuple[str, str], deque[Sample]] = {}

    def note(self, tick: Tick, number: int, received_ms: int) -> None:
        """A tick has come."""
        samples = self._samples.get((tick.exchange, tick.symbol))
        if samples is None:
            samples = self._samples[tick.exchange, tick.symbol] = deque(maxlen=MOST)
        samples.append((tick, number, received_ms))
        while samples[0][2] < received_ms - KEPT_MS:
            samples.popleft()

    def since(self, rule: Rule) -> list[Sample]:
        """What came of a new rule's instrument after its baseline."""
        baseline = rule.baseline
        if rule.state is not None or baseline is None or not baseline.number:
            return []
        samples = self._samples.get((rule.exchange, rule.symbol), ())
        return [sample for sample in samples if sample[1] > baseline.number]


def replayed(rule: Rule, samples: list[Sample]) -> tuple[Rule | None, list[Firing], bytes | None]:
    """What a rule has become by those samples, None for one that has ended; what it fired, and its state.

    Raises Unsuitable.
    """
    engine = Engine()
    engine.put(rule)
    firings = [firing for sample in samples for firing in engine.take(*sample)]
    state = engine.kept().rules.get(rule.id)
    if rule.id not in engine:
        return None, firings, state
    fired = [one for one in firings if one.suppressed is None]
    last_ms = fired[-1].at_ms if fired else rule.last_fired_ms
    return replace(rule, state=state, fired=rule.fired + len(fired), last_fired_ms=last_ms), firings, state
