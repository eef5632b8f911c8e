"""A rule that is read late knows what came between its baseline and now."""

from notifiers.alerts.recent import KEPT_MS, MOST, Recent, replayed
from notifiers.conditions.options import Baseline, Frequency, Options
from notifiers.conditions.tree import Cross, Field, Number
from notifiers.engine.samples import Rule
from schemas.market import Tick, scaled
from tests.notifiers.alerts.stored import NOW_MS


def tick(price: float, number: int, symbol: str = "TCS") -> tuple[Tick, int, int]:
    at_ms = NOW_MS + number
    return Tick("NSE", symbol, scaled(price), at_ms), number, at_ms


def rule(
    *, baseline: float = 99, counted: int = 1, frequency: Frequency = Frequency.EVERY, state: bytes | None = None
) -> Rule:
    return Rule(
        id=7,
        version=1,
        exchange="NSE",
        symbol="TCS",
        tree=Cross(left=Field(name="price"), right=Number(value=100), direction="above"),
        options=Options(frequency=frequency),
        baseline=Baseline(price=scaled(baseline), time_ms=NOW_MS, number=counted),
        created_at_ms=NOW_MS,
        state=state,
    )


def test_only_what_is_newer_than_the_baseline_counts_and_only_for_a_new_rule() -> None:
    recent = Recent()
    for number, price in enumerate((99, 101, 99), 1):
        recent.note(*tick(price, number))
        recent.note(*tick(price, number, "INFY"))
    assert [number for _, number, _ in recent.since(rule())] == [2, 3]
    assert recent.since(rule(counted=3)) == []
    assert recent.since(rule(counted=0)) == []
    assert recent.since(rule(state=b"known")) == []


def test_what_is_old_is_forgotten() -> None:
    recent = Recent()
    for number in (1, 2, KEPT_MS + 2):
        recent.note(*tick(100, number))
    assert [number for _, number, _ in recent.since(rule(counted=1))] == [2, KEPT_MS + 2]
    for number in range(KEPT_MS + 3, KEPT_MS + 3 + MOST + 10):
        recent.note(*tick(100, number))
    assert len(recent.since(rule(counted=1))) == MOST


def test_a_wick_before_the_rule_was_read_fires_once_and_never_again() -> None:
    now, firings, state = replayed(rule(), [tick(101, 2), tick(99, 3)])
    assert [(one.number, one.sample) for one in firings] == [(1, 2)]
    assert now is not None
    assert (now.state, now.fired, now.last_fired_ms) == (state, 1, NOW_MS + 2)
    again, firings, _ = replayed(rule(frequency=Frequency.ONCE), [tick(101, 2), tick(99, 3), tick(101, 4)])
    assert again is None
    assert [one.ended for one in firings] == [True]


def test_without_a_crossing_it_goes_on_from_the_last_price() -> None:
    now, firings, _ = replayed(rule(), [tick(98, 2), tick(97, 3)])
    assert firings == []
    assert now is not None
    assert now.state is not None
