import pytest

from feeds.accounts.watch import Finding, Watch
from schemas.market import MarketState

OPEN = [MarketState.CONTINUOUS]
PRE_OPEN = [MarketState.PRE_OPEN]
SHUT = [MarketState.CLOSED]


def watch() -> Watch:
    made = Watch(silence_s=10)
    made.connected(100)
    return made


def test_an_open_market_may_be_silent_for_so_long_and_no_longer() -> None:
    made = watch()
    made.judge(100, OPEN)
    assert made.judge(110, OPEN) is Finding.WELL
    assert made.judge(110.1, OPEN) is Finding.DEAD


def test_any_frame_is_a_sign_of_life() -> None:
    made = watch()
    made.judge(100, OPEN)
    made.heard(109, data=False)
    assert made.judge(119, OPEN) is Finding.WELL


@pytest.mark.parametrize("state", [MarketState.CLOSED, MarketState.POST_CLOSE, MarketState.HALTED])
def test_a_market_at_rest_may_be_silent_for_ever(state: MarketState) -> None:
    made = watch()
    assert made.judge(1e6, [state]) is Finding.AT_REST
    assert made.judge(1e6, []) is Finding.AT_REST


def test_the_silence_of_the_night_does_not_count_at_the_opening() -> None:
    made = watch()
    made.judge(200, SHUT)
    assert made.judge(60_000, OPEN) is Finding.WELL
    assert made.judge(60_010, OPEN) is Finding.WELL
    assert made.judge(60_011, OPEN) is Finding.DEAD


def test_one_open_exchange_is_enough() -> None:
    made = watch()
    made.judge(100, [*SHUT, *OPEN])
    assert made.judge(111, [*SHUT, *OPEN]) is Finding.DEAD


def test_an_auction_may_pause_at_a_vendor_without_heartbeats() -> None:
    made = watch()
    made.judge(100, PRE_OPEN)
    made.heard(101, data=True)
    assert made.judge(400, PRE_OPEN) is Finding.WELL
    assert made.judge(462, PRE_OPEN) is Finding.DEAD


def test_an_auction_may_not_silence_a_vendors_heartbeats() -> None:
    made = watch()
    made.judge(100, PRE_OPEN)
    made.heard(101, data=False, beat=True)
    assert made.judge(112, PRE_OPEN) is Finding.DEAD


def alive_until(made: Watch, start: int, end: int, states: list[MarketState]) -> dict[int, Finding]:
    """Heartbeats only; the findings that aren't WELL, by second."""
    findings = {}
    for second in range(start, end):
        made.heard(second, data=False, beat=True)
        if (finding := made.judge(second, states)) is not Finding.WELL:
            findings[second] = finding
    return findings


def test_heartbeats_without_prices_are_noticed_asked_about_and_then_given_up() -> None:
    findings = alive_until(watch(), 100, 183, OPEN)
    assert findings[161] is Finding.NO_DATA
    assert set(list(findings.values())[1:-1]) == {Finding.WAITING}
    assert (list(findings)[-1], list(findings.values())[-1]) == (182, Finding.MUTE)


def test_an_auction_without_prices_is_right() -> None:
    assert alive_until(watch(), 100, 400, PRE_OPEN) == {}


def test_the_time_before_the_market_opened_is_not_held_against_the_prices() -> None:
    made = watch()
    alive_until(made, 100, 400, PRE_OPEN)
    assert list(alive_until(made, 400, 462, OPEN)) == [461]


def test_a_price_after_asking_again_makes_all_well() -> None:
    made = watch()
    alive_until(made, 100, 162, OPEN)
    made.subscribed(162, first=True)
    made.heard(163, data=True)
    assert made.judge(164, OPEN) is Finding.WELL


def test_the_patience_grows_while_only_last_prices_come_and_shrinks_when_prices_move() -> None:
    made = watch()
    alive_until(made, 100, 162, OPEN)
    made.subscribed(162, first=True)
    made.heard(163, data=True)  # the last price, which comes with every subscription
    assert list(alive_until(made, 164, 285, OPEN)) == [284]
    made.heard(300, data=True)  # a trade
    assert list(alive_until(made, 301, 362, OPEN)) == [361]


def test_more_instruments_do_not_hide_that_no_price_comes() -> None:
    made = watch()
    for second in range(100, 161):
        made.heard(second, data=False, beat=True)
        made.subscribed(second, first=second == 100)
        assert made.judge(second, OPEN) is Finding.WELL
    made.heard(161, data=False)
    assert made.judge(161, OPEN) is Finding.NO_DATA


def test_a_new_connection_begins_anew() -> None:
    made = watch()
    alive_until(made, 100, 170, OPEN)
    made.connected(170)
    assert made.judge(180, OPEN) is Finding.WELL
