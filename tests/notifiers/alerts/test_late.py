"""Rules of plans with late prices look at late exchanges; what they fire says the market's own times and names."""

import pytest
from msgspec import structs

from notifiers.alerts.late import as_late, as_plain, late_exchange, parted
from notifiers.conditions.options import Baseline, Options
from notifiers.conditions.tree import And, Arithmetic, Compare, Condition, Extreme, Field, Indicator, Move, Number, Then
from notifiers.engine.engine import Engine
from notifiers.engine.samples import Firing, Rule, Source
from schemas.market import Tick, scaled
from tests.notifiers.alerts.stored import NOW_MS, crossing

DELAY_S = 900
LATE_MS = DELAY_S * 1000


def rule(tree: Condition, **fields: object) -> Rule:
    made = Rule(id=1, version=1, exchange="NSE", symbol="TCS", tree=tree, options=Options(), created_at_ms=NOW_MS)
    return structs.replace(made, **fields)


@pytest.mark.parametrize(("exchange", "delay_s", "late"), [("NSE", 0, "NSE"), ("MCX", 900, "MCX@900")])
def test_an_exchange_and_its_delay_are_told_apart_again(exchange: str, delay_s: int, late: str) -> None:
    assert late_exchange(exchange, delay_s) == late
    assert parted(late) == (exchange, delay_s)


def test_all_instruments_of_a_condition_are_heard_late() -> None:
    spread = Arithmetic(op="-", left=Field(name="price"), right=Field(name="price", exchange="BSE", symbol="TCS"))
    rsi = Indicator(text="rsi(14)", timeframe="5m", exchange="NFO", symbol="TCS26DECFUT")
    tree = Then(
        first=And(
            terms=(
                Compare(left=spread, op=">", right=Number(value=1)),
                Compare(left=rsi, op="<", right=Number(value=30)),
            )
        ),
        second=Move(value=Field(name="price", symbol="INFY"), amount=1, within_s=60),
        within_s=60,
    )
    day_high = Extreme(which="high", exchange="MCX", symbol="GOLD")
    engine = Engine()
    engine.put(as_late(rule(tree), DELAY_S))
    engine.put(as_late(rule(day_high, id=2), DELAY_S))
    places = {(one.exchange, one.symbol) for one in engine.sources}
    late = {("BSE", "TCS"), ("MCX", "GOLD"), ("NFO", "TCS26DECFUT"), ("NSE", "INFY"), ("NSE", "TCS")}
    assert places == {(f"{exchange}@900", symbol) for exchange, symbol in late}


def test_who_has_prices_in_real_time_has_rules_and_firings_as_they_are() -> None:
    plain = rule(crossing(2500), baseline=Baseline(price=1, time_ms=NOW_MS))
    assert as_late(plain, 0) is plain
    (firing,) = _fired(plain, "NSE", NOW_MS)
    assert as_plain(firing, 0) is firing


def test_a_late_rule_fires_as_the_same_rule_did_in_real_time() -> None:
    baseline = Baseline(price=scaled(2490), time_ms=NOW_MS)
    plain = rule(crossing(2500), baseline=baseline, last_fired_ms=NOW_MS - 60_000)
    late = as_late(plain, DELAY_S)
    assert late.last_fired_ms == NOW_MS - 60_000 + LATE_MS
    (expected,) = _fired(plain, "NSE", NOW_MS)
    (firing,) = _fired(late, "NSE@900", NOW_MS + LATE_MS)
    assert firing.source == "NSE@900:TCS"
    assert as_plain(firing, DELAY_S) == expected


def test_what_came_in_real_time_is_nothing_to_a_late_rule() -> None:
    late = as_late(rule(crossing(2500)), DELAY_S)
    assert _fired(late, "NSE", NOW_MS) == []


def _fired(rule: Rule, exchange: str, since_ms: int) -> list[Firing]:
    engine = Engine()
    engine.put(rule)
    ticks = [Tick(exchange, "TCS", scaled(price), since_ms + 1000 * at) for at, price in enumerate((2490, 2501), 1)]
    return [one for number, tick in enumerate(ticks, 1) for one in engine.take(tick, number, 7)]


def test_sources_of_candles_lose_the_delay_too() -> None:
    plain = rule(crossing(2500))
    (firing,) = _fired(plain, "NSE", NOW_MS)
    bar = structs.replace(firing, source=Source("NSE@900", "TCS", "5m").text, previous_ms=None)
    told = as_plain(bar, DELAY_S)
    assert (told.source, told.previous_ms) == ("5m:NSE:TCS", None)
