import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifiers.errors import Blame, OutcomeUnknown, Refused
from notifiers.outbox import retries
from notifiers.outbox.retries import Next, after
from schemas.errors import Unavailable

AWAY = Unavailable("fake", "away")


@given(tries=st.integers(1, 10_000), chance=st.floats(0, 1, exclude_max=True))
def test_pauses_grow_to_a_bound_and_are_spread_over_their_whole_length(tries: int, chance: float) -> None:
    pause_ms = retries.backoff_ms(tries, chance)
    assert 0 <= pause_ms <= retries.LONGEST_PAUSE_MS
    assert retries.backoff_ms(tries, 0) == 0
    assert retries.backoff_ms(tries + 1, chance) >= pause_ms


def test_the_first_pauses_double() -> None:
    longest = [retries.backoff_ms(tries, 1.0) for tries in (1, 2, 3, 4, 7, 8)]
    assert longest == [1_000, 2_000, 4_000, 8_000, 60_000, 60_000]


def test_a_provider_that_says_when_is_not_asked_earlier() -> None:
    refusal = Refused("429", permanent=False, retry_after_s=30)
    assert after(refusal, tries=1, chance=0.5) == Next("again", 30_000)
    assert after(refusal, tries=10, chance=0.9) == Next("again", 54_000)


@pytest.mark.parametrize("blame", [Blame.MESSAGE, Blame.ADDRESS])
def test_what_is_refused_for_good_is_dead_and_for_now_is_not(blame: Blame) -> None:
    assert after(Refused("x", permanent=True, blame=blame), tries=1, chance=0.5).what == "dead"
    assert after(Refused("x", permanent=False, blame=blame), tries=1, chance=0.5).what == "again"


@pytest.mark.parametrize("permanent", [True, False])
def test_a_handset_is_tried_twice_whatever_failed_before(permanent: bool) -> None:
    off = Refused("x", permanent=permanent, blame=Blame.HANDSET)
    assert after(off, tries=7, chance=0.5, unreached=0) == Next("again", retries.HANDSET_PAUSE_MS)
    assert after(off, tries=8, chance=0.5, unreached=1).what == "dead"


@pytest.mark.parametrize("permanent", [True, False])
def test_a_providers_own_trouble_passes_unless_each_try_costs(permanent: bool) -> None:
    trouble = Refused("x", permanent=permanent, blame=Blame.PROVIDER)
    assert after(trouble, tries=1, chance=0.5).what == "again"
    assert after(trouble, tries=1, chance=0.5, reported=True).what == "dead"


def test_who_could_not_be_asked_is_asked_again() -> None:
    assert after(AWAY, tries=3, chance=0.5) == Next("again", 2_000)


def test_an_unknown_outcome_is_a_doubt_unless_it_is_harmless() -> None:
    unknown = OutcomeUnknown("fake", "cut")
    assert after(unknown, tries=1, chance=0.5) == Next("doubt", retries.ASK_AFTER_MS)
    assert after(unknown, tries=1, chance=0.5, harmless=True) == Next("again", 500)


def test_questions_come_ever_more_seldom() -> None:
    assert [retries.ask_again_ms(ms) for ms in (0, 10_000, 10**9)] == [2_000, 10_000, 60_000]
    assert [retries.look_again_ms(ms) for ms in (0, 100_000, 10**9)] == [60_000, 100_000, 900_000]
