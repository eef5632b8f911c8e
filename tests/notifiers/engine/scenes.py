"""A short way to say in a test what comes to an engine and what it fires."""

from datetime import datetime
from typing import Any

from notifiers.conditions import tree as t
from notifiers.conditions.options import Baseline, Frequency, Options
from notifiers.engine.engine import Engine
from notifiers.engine.samples import Bar, Firing, Rule
from schemas.market import IST, PRICE_SCALE, Tick

OPENS_MS = int(datetime(2026, 11, 23, 9, 15, tzinfo=IST).timestamp() * 1000)
DAY_S = 86_400
PRICE = t.Field(name="price")
EVERY = Frequency.EVERY

_PRICES = {
    "open", "high", "low", "close", "bid", "ask", "average_price", "lower_circuit", "upper_circuit", "year_low",
    "year_high",
}  # fmt: skip


def number(value: float) -> t.Number:
    return t.Number(value=value)


def above(level: float, left: t.Expression = PRICE) -> t.Cross:
    return t.Cross(left=left, right=number(level), direction="above")


def below(level: float, left: t.Expression = PRICE) -> t.Cross:
    return t.Cross(left=left, right=number(level), direction="below")


def over(level: float, left: t.Expression = PRICE) -> t.Compare:
    return t.Compare(left=left, op=">", right=number(level))


def under(level: float, left: t.Expression = PRICE) -> t.Compare:
    return t.Compare(left=left, op="<", right=number(level))


def channel(relation: Any, low: float, high: float) -> t.Channel:
    return t.Channel(value=PRICE, relation=relation, low=number(low), high=number(high))


def baseline(price: float, at_s: float = -1, *, counted: int = 0, **marks: float) -> Baseline:
    """What the price was when the alert was made."""
    return Baseline(
        price=scaled(price),
        time_ms=OPENS_MS + round(at_s * 1000),
        number=counted,
        **{name: scaled(value) for name, value in marks.items()},
    )


def scaled(price: float) -> int:
    return round(price * PRICE_SCALE)


class Scene:
    """An engine, and samples of `NSE:A` that come to it, numbered on."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.number = 0
        self.rules: dict[int, Rule] = {}

    def put(self, tree: t.Condition, rule_id: int = 1, *, version: int = 1, **said: Any) -> None:
        """A rule; what is no option of an alert is the rule's own."""
        own = {name: said.pop(name) for name in ("baseline", "expires_at_ms", "state", "created_at_ms") if name in said}
        said.setdefault("frequency", EVERY)
        rule = Rule(
            id=rule_id,
            version=version,
            exchange="NSE",
            symbol="A",
            tree=tree,
            options=Options(**said),
            **{"created_at_ms": OPENS_MS, **own},
        )
        self.rules[rule_id] = rule
        self.engine.put(rule)

    def tick(self, price: float, at_s: float | None = None, **figures: Any) -> list[Firing]:
        """A tick, a second after the one before unless it says when."""
        self.number += 1
        at_s = self.number if at_s is None else at_s
        counted = figures.pop("counted", self.number)
        symbol = figures.pop("symbol", "A")
        told = {name: scaled(value) if name in _PRICES else value for name, value in figures.items()}
        tick = Tick("NSE", symbol, scaled(price), OPENS_MS + round(at_s * 1000), **told)
        return self.engine.take(tick, counted, tick.time_ms + 5)

    def bar(
        self, close: float, start_s: float, *, closed: bool, at_s: float | None = None, **said: Any
    ) -> list[Firing]:
        """A candle of a minute."""
        self.number += 1
        at_s = start_s + (60 if closed else 1) if at_s is None else at_s
        bar = Bar(
            "NSE", "A", said.pop("timeframe", "1m"), OPENS_MS + round(start_s * 1000),
            *[scaled(close)] * 4, closed=closed, time_ms=OPENS_MS + round(at_s * 1000), **said,
        )  # fmt: skip
        return self.engine.take_bar(bar, self.number, bar.time_ms + 5)

    def prices(self, *prices: float, **figures: Any) -> list[int]:
        """Ticks of these prices; gives the places at which something fired."""
        return [place for place, price in enumerate(prices) if fired(self.tick(price, **figures))]

    def advance(self, at_s: float) -> list[Firing]:
        """So much time has gone by."""
        return self.engine.advance(OPENS_MS + round(at_s * 1000))

    def move(self) -> None:
        """Another engine goes on, with what this one said to keep."""
        kept = self.engine.kept()
        self.engine = Engine()
        for text, state in kept.tracks.items():
            self.engine.restore_track(text, state)
        for rule_id, state in kept.rules.items():
            rule = self.rules[rule_id]
            self.engine.put(Rule(**{name: getattr(rule, name) for name in rule.__struct_fields__} | {"state": state}))


def fired(firings: list[Firing]) -> list[Firing]:
    """Without those that were suppressed."""
    return [one for one in firings if one.suppressed is None]


def suppressed(firings: list[Firing]) -> list[str]:
    """Why those that were suppressed were."""
    return [one.suppressed for one in firings if one.suppressed is not None]
