"""Instruments are divided among feeds."""

from collections.abc import Collection

from feeds.allotment import PATIENCE_MS, allot
from feeds.feed import FeedStatus, Health, Publish, Refusal
from feeds.instruments import Instrument

NOW_MS = 1_000_000_000


class ListFeed:
    """A feed that lists some symbols and carries nothing."""

    exchanges: Collection[str] = ()

    def __init__(
        self, name: str, symbols: str, *, limit: int | None = None, health: Health = Health.LIVE, since_ms: int = 0
    ) -> None:
        self.name = name
        self.status = FeedStatus(health=health, since_ms=since_ms, limit=limit)
        self._symbols = symbols

    def find(self, exchange: str, symbol: str) -> Instrument | None:
        if exchange != "NSE" or symbol not in self._symbols:
            return None
        return Instrument(exchange=exchange, symbol=symbol, name=symbol, tick_size=1)

    def want(self, wanted: Collection[tuple[str, str]]) -> None:
        raise NotImplementedError

    def take_refusals(self) -> list[Refusal]:
        raise NotImplementedError

    async def run(self, publish: Publish) -> None:
        raise NotImplementedError


def places(symbols: str) -> list[tuple[str, str]]:
    return [("NSE", symbol) for symbol in symbols]


def test_the_first_feed_that_lists_an_instrument_carries_it() -> None:
    found = allot(places("abc"), [ListFeed("one", "ab"), ListFeed("two", "bc")], NOW_MS)
    assert found.of("one") == places("ab")
    assert found.of("two") == places("c")
    assert found.refusals == ()


def test_what_no_feed_lists_is_told_apart() -> None:
    found = allot(places("ax"), [ListFeed("one", "a")], NOW_MS)
    assert list(found.unlisted) == places("x")
    assert found.refusals == ()


def test_what_does_not_fit_goes_to_the_next_feed_that_lists_it() -> None:
    found = allot(places("abc"), [ListFeed("one", "abc", limit=2), ListFeed("two", "abc")], NOW_MS)
    assert found.of("one") == places("ab")
    assert found.of("two") == places("c")


def test_what_fits_nowhere_is_refused_with_the_limit() -> None:
    found = allot(places("abc"), [ListFeed("kite", "abc", limit=2)], NOW_MS)
    (refusal,) = found.refusals
    assert (refusal.exchange, refusal.symbol, refusal.code) == ("NSE", "c", "LIMIT_EXCEEDED")
    assert str(refusal.reason) == "The feed's account carries at most 2 instruments at kite, and all are taken"


def test_another_feed_stands_in_for_one_whose_token_is_refused() -> None:
    for health in (Health.TOKEN_EXPIRED, Health.REFUSED):
        feeds = [ListFeed("one", "a", health=health, since_ms=NOW_MS), ListFeed("two", "a")]
        assert allot(places("a"), feeds, NOW_MS).of("two") == places("a")


def test_a_feed_that_is_away_for_a_moment_keeps_what_it_has() -> None:
    for health in (Health.CONNECTING, Health.STALE):
        feeds = [ListFeed("one", "a", health=health, since_ms=NOW_MS - PATIENCE_MS), ListFeed("two", "a")]
        assert allot(places("a"), feeds, NOW_MS).of("one") == places("a")
        assert allot(places("a"), feeds, NOW_MS + 1).of("two") == places("a")


def test_a_feed_that_fails_keeps_what_nobody_else_lists() -> None:
    feeds = [ListFeed("one", "a", health=Health.TOKEN_EXPIRED), ListFeed("two", "b")]
    assert allot(places("a"), feeds, NOW_MS).of("one") == places("a")


def test_a_simulator_carries_what_it_is_the_first_to_list_and_stands_in_for_nobody() -> None:
    feeds = [ListFeed("kite", "ab", limit=1, health=Health.TOKEN_EXPIRED), ListFeed("simulator", "abc")]
    found = allot(places("abc"), feeds, NOW_MS)
    assert found.of("simulator") == places("c")
    assert found.of("kite") == places("a")
    assert [one.symbol for one in found.refusals] == ["b"]


def test_who_puts_the_simulator_first_gets_its_prices() -> None:
    found = allot(places("a"), [ListFeed("simulator", "a"), ListFeed("kite", "a")], NOW_MS)
    assert found.of("simulator") == places("a")


def test_nothing_is_simulated_until_the_feeds_before_know_what_they_list() -> None:
    feeds = [ListFeed("kite", ""), ListFeed("dhan", "a"), ListFeed("simulator", "abc")]
    found = allot(places("abc"), feeds, NOW_MS, unready={"kite"})
    assert found.of("dhan") == places("a")
    assert found.of("simulator") == []
    assert list(found.unlisted) == places("bc")


def test_who_took_over_a_moment_ago_gives_its_feeds_time_to_connect() -> None:
    feeds = [ListFeed("one", "a", health=Health.CONNECTING, since_ms=0), ListFeed("two", "a")]
    assert allot(places("a"), feeds, NOW_MS).of("two") == places("a")
    assert allot(places("a"), feeds, NOW_MS, since_ms=NOW_MS - PATIENCE_MS).of("one") == places("a")
