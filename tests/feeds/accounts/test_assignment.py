from hypothesis import given
from hypothesis import strategies as st

from feeds.accounts.assignment import Assignment, Key
from feeds.brokers.source import Limits
from feeds.listings.directory import Directory
from schemas.errors import ErrorCode
from tests.feeds.clockwork import listing

KEYS = [("NSE", f"S{number}") for number in range(12)]
DIRECTORY = Directory(listing(symbol, symbol.removeprefix("S")) for _, symbol in KEYS)


def assignment(connections: int = 2, each: int = 3) -> Assignment:
    return Assignment(Limits(connections=connections, instruments_per_connection=each))


def places(made: Assignment, sockets: int = 2) -> dict[str, int]:
    return {token: socket for socket in range(sockets) for token in made.on(socket)}


def test_the_first_socket_is_filled_first() -> None:
    made = assignment()
    made.update(KEYS[:4], DIRECTORY)
    assert places(made) == {"0": 0, "1": 0, "2": 0, "3": 1}
    assert (len(made), made.capacity) == (4, 6)


def test_who_has_a_place_keeps_it_and_a_free_one_is_filled() -> None:
    made = assignment()
    made.update(KEYS[:5], DIRECTORY)
    made.update([KEYS[4], KEYS[2], KEYS[7]], DIRECTORY)
    assert places(made) == {"4": 1, "2": 0, "7": 0}


def test_the_first_of_a_sequence_go_before_those_that_were_there() -> None:
    made = assignment(1, 2)
    made.update(KEYS[:2], DIRECTORY)
    made.update([KEYS[5], KEYS[1], KEYS[0]], DIRECTORY)
    assert places(made, 1) == {"5": 0, "1": 0}


def test_those_of_a_set_that_were_there_go_before_new_ones() -> None:
    made = assignment(1, 2)
    made.update(KEYS[:2], DIRECTORY)
    made.update(set(KEYS), DIRECTORY)
    assert places(made, 1) == {"0": 0, "1": 0}
    assert len(made.take_refusals()) == 10


def test_a_refusal_is_told_again_when_it_ended_in_between_or_changed() -> None:
    made = assignment(1, 1)
    made.update(KEYS[:2], DIRECTORY)
    assert [one.symbol for one in made.take_refusals()] == ["S1"]
    made.update(KEYS[:1], DIRECTORY)
    made.update(KEYS[:2], DIRECTORY)
    assert [one.code for one in made.take_refusals()] == [ErrorCode.LIMIT_EXCEEDED]
    made.update(KEYS[:2], Directory([listing("S0", "0")]))
    assert [one.code for one in made.take_refusals()] == [ErrorCode.INVALID_SYMBOL]


def test_a_refusal_that_is_over_before_anybody_asked_is_not_told() -> None:
    made = assignment(1, 1)
    made.update(KEYS[:2], DIRECTORY)
    made.update(KEYS[1:2], DIRECTORY)
    assert made.take_refusals() == []


def test_what_the_vendor_does_not_carry_stays_out_until_forgiven() -> None:
    made = assignment()
    made.update(KEYS[:2], DIRECTORY)
    assert made.refuse("0", "delisted")
    assert not made.refuse("0", "delisted")
    assert [(one.symbol, str(one.reason)) for one in made.take_refusals()] == [("S0", "delisted")]
    made.update(KEYS[:2], DIRECTORY)
    assert (places(made), made.take_refusals()) == ({"1": 0}, [])
    made.forgive()
    made.update(KEYS[:2], DIRECTORY)
    assert places(made) == {"1": 0, "0": 0}


@given(st.lists(st.lists(st.sampled_from([*KEYS, ("NSE", "NOSUCH")]), unique=True), max_size=6))
def test_everything_is_either_carried_once_or_refused_and_never_moves(wishes: list[list[Key]]) -> None:
    made = assignment()
    before: dict[str, int] = {}
    refused: dict[str, str] = {}
    for wish in wishes:
        made.update(wish, DIRECTORY)
        refused = {symbol: code for symbol, code in refused.items() if ("NSE", symbol) in wish}
        refused |= {one.symbol: one.code for one in made.take_refusals()}
        now = places(made)
        carried = {f"S{token}" for token in now}
        refused = {symbol: code for symbol, code in refused.items() if symbol not in carried}
        assert carried | refused.keys() == {symbol for _, symbol in wish}
        assert all(len(made.on(socket)) <= 3 for socket in range(2))
        assert len(carried) == min(6, len([key for key in wish if key[1] != "NOSUCH"]))
        assert all(now[token] == before[token] for token in now.keys() & before.keys())
        before = now
