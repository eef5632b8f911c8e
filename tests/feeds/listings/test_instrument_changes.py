from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from feeds.instruments import Instrument, Kind, Listing
from feeds.listings.instrument_changes import Known, changes, token_changes
from feeds.listings.masters.naming import key_of

DAY = date(2026, 11, 23)


@st.composite
def listings(draw: st.DrawFn) -> list[Listing]:
    """A master: each token once, each meaning one of few instruments."""
    tokens = draw(st.lists(st.integers(1, 6), unique=True))
    return [
        Listing(
            instrument=Instrument(
                exchange="NFO", symbol=f"N{strike}", name="N", kind=Kind.OPTION, tick_size=draw(st.integers(1, 2)),
                exchange_token=str(token), expiry=date(2026, 11, draw(st.integers(20, 26))), strike=strike,
            ),
            token=f"t{token}",
        )
        for token in tokens
        for strike in [draw(st.integers(1, 3))]
    ]  # fmt: skip


@given(st.lists(listings(), min_size=1, max_size=6))
def test_a_key_never_means_two_instruments(masters: list[list[Listing]]) -> None:
    """However masters follow each other, rows that are live have one token each, and what they meant never changes."""
    live: dict[str, Known] = {}
    meant: dict[int, Instrument] = {}
    for days, master in enumerate(masters):
        day = date(2026, 11, 20 + days)
        current = [one for one in master if one.instrument.expiry is None or one.instrument.expiry >= day]
        todo = changes(live, current, day)
        assert len(set(todo.closed)) == len(todo.closed)
        live = {key: row for key, row in live.items() if row.id not in todo.closed}
        for row in todo.changed:
            assert live[key_of(row.instrument)].id == row.id
            live[key_of(row.instrument)] = row
        for one in todo.opened:
            assert key_of(one) not in live
            assert one.listed_on == day
            meant[len(meant)] = one
            live[key_of(one)] = Known(len(meant) - 1, one)
        for row in live.values():
            first = meant[row.id]
            assert (row.instrument.symbol, row.instrument.expiry, row.instrument.listed_on) == (
                first.symbol, first.expiry, first.listed_on,
            )  # fmt: skip
        assert [one.instrument for one in todo.listings] == [live[key_of(one.instrument)].instrument for one in current]
        assert [one.token for one in todo.listings] == [one.token for one in current]


@given(listings())
def test_the_same_master_again_changes_nothing(master: list[Listing]) -> None:
    current = [one for one in master if one.instrument.expiry is None or one.instrument.expiry >= DAY]
    first = changes({}, current, DAY)
    live = {key_of(one): Known(number, one) for number, one in enumerate(first.opened)}
    again = changes(live, current, date(2026, 11, 23))
    assert (again.closed, again.changed, again.opened) == ([], [], [])
    assert again.listings == first.listings


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 3)), st.lists(st.sampled_from("abcdef"), unique=True))
def test_tokens_become_those_of_the_listings(before: dict[str, int], now: list[str]) -> None:
    index = Instrument(exchange="NSE", symbol="I", name="I", kind=Kind.INDEX, tick_size=1)
    gone, new = token_changes(before, [Listing(instrument=index, token=token) for token in now], {key_of(index): 2})
    after = {token: row_id for token, row_id in before.items() if token not in gone}
    assert not after.keys() & new.keys()
    assert after | new == dict.fromkeys(now, 2)
