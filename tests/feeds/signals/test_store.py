"""Signals are kept, found, changed, closed and counted, on both engines alike."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from feeds.signals.rules import SignalType
from feeds.signals.signal import Draft, Outcome, Signal, Source, Status
from feeds.signals.statistics import Day, daily
from feeds.signals.store import Changes, SignalStore, Wanted
from hub.database import engine_for, migrate
from schemas.errors import CommandError, ErrorCode, Unavailable
from schemas.market import PRICE_SCALE
from schemas.tables import signals
from tests.servers import PostgresServer

NOW_S = 1_795_405_500
"""Monday 23 November 2026, 09:15 in India."""
HOUR_S, DAY_S = 3_600, 86_400
RUPEES = PRICE_SCALE


def draft(**fields: Any) -> Draft:
    values: dict[str, Any] = {
        "exchange": "NSE", "symbol": "RELIANCE", "timeframe": "15m", "signal_type": SignalType.BUY, "confidence": 65.0,
        "entry_price": 2_500 * RUPEES, "target_price": 2_530 * RUPEES, "stop_loss": 2_485 * RUPEES,
        "source": Source.RULES, "expires_at": NOW_S + DAY_S, "reason": {"en": "up", "hi": "ऊपर"},
    }  # fmt: skip
    return Draft(**values | fields)


def short(**fields: Any) -> Draft:
    values: dict[str, Any] = {
        "signal_type": SignalType.SELL, "target_price": 2_470 * RUPEES, "stop_loss": 2_515 * RUPEES,
    }  # fmt: skip
    return draft(**values | fields)


def by_hand(**fields: Any) -> Draft:
    return draft(**{"source": Source.API, "created_by": "7", "timeframe": None} | fields)


@pytest.fixture
def store(engine: AsyncEngine) -> SignalStore:
    return SignalStore(engine)


async def refused(code: ErrorCode, doing: Any) -> str:
    with pytest.raises(CommandError) as refusal:
        await doing
    assert refusal.value.code is code
    return refusal.value.message


async def test_a_signal_is_kept_as_it_was_given(store: SignalStore) -> None:
    given = draft(ml_score=0.61, confidence=72.5)
    signal = await store.create(given, now_s=NOW_S)
    assert await store.get(signal.id) == signal
    assert {name: getattr(signal, name) for name in Draft.__struct_fields__} == msgspec.structs.asdict(given)
    assert (signal.status, signal.created_at, signal.updated_at) == (Status.ACTIVE, NOW_S, NOW_S)
    assert (signal.outcome, signal.closed_at, signal.announced_at) == (None, None, None)


async def test_a_signal_needs_little(store: SignalStore) -> None:
    bare = Draft(exchange="NSE", symbol="TCS", signal_type=SignalType.HOLD, confidence=50, expires_at=NOW_S + 1)
    signal = await store.create(bare, now_s=NOW_S)
    assert (signal.reason, signal.entry_price, signal.source) == (None, None, Source.API)


@pytest.mark.parametrize(
    "wrong",
    [
        draft(stop_loss=2_500 * RUPEES),
        draft(target_price=2_400 * RUPEES),
        draft(entry_price=None, stop_loss=2_600 * RUPEES),
        short(target_price=2_600 * RUPEES),
        draft(entry_price=0, stop_loss=None),
        draft(target_price=2**62),
        draft(confidence=100.1),
        draft(confidence=float("nan")),
        draft(ml_score=float("inf")),
        draft(symbol="S" * 65),
        draft(symbol="RELI\0ANCE"),
        draft(symbol=""),
        draft(created_by="x" * 129),
        draft(reason="x" * 4_001),
        draft(reason={"en": "x" * 40_000}),
        draft(expires_at=2**63),
    ],
)
async def test_what_makes_no_sense_is_refused(store: SignalStore, wrong: Draft) -> None:
    await refused(ErrorCode.BAD_REQUEST, store.create(wrong, now_s=NOW_S))
    assert await store.active() == []


async def test_the_rules_have_one_active_signal_for_an_instrument_and_timeframe(store: SignalStore) -> None:
    first = await store.issue(draft(), now_s=NOW_S)
    assert first is not None
    assert await store.issue(draft(confidence=90), now_s=NOW_S + 1) is None
    await refused(ErrorCode.CONFLICT, store.create(draft(), now_s=NOW_S + 1))
    for other in (draft(timeframe="1h"), draft(exchange="BSE"), draft(symbol="TCS")):
        assert await store.issue(other, now_s=NOW_S + 1) is not None
    assert await store.close(first.id, outcome=Outcome.TARGET, price=2_530 * RUPEES, now_s=NOW_S + 2)
    assert await store.issue(draft(), now_s=NOW_S + 3) is not None


async def test_an_opposite_signal_closes_the_one_before(store: SignalStore) -> None:
    first = await store.issue(draft(), now_s=NOW_S)
    second = await store.issue(short(entry_price=2_510 * RUPEES), now_s=NOW_S + 900)
    assert first is not None
    assert second is not None
    closed = await store.get(first.id)
    assert (closed.status, closed.outcome, closed.close_price, closed.closed_at) == (
        Status.CLOSED, Outcome.REVERSAL, 2_510 * RUPEES, NOW_S + 900,
    )  # fmt: skip
    assert [one.id for one in await store.active()] == [second.id]


async def test_signals_of_people_stand_beside_one_another_and_beside_the_rules(store: SignalStore) -> None:
    for _ in range(2):
        await store.create(by_hand(timeframe="15m"), now_s=NOW_S)
    assert await store.issue(short(), now_s=NOW_S) is not None
    assert len(await store.active()) == 3


async def many(store: SignalStore) -> list[Signal]:
    drafts = [
        by_hand(symbol="TCS", confidence=40.0),
        by_hand(symbol="INFY", confidence=90.0, exchange="BSE"),
        by_hand(signal_type=SignalType.SELL, target_price=None, stop_loss=None, confidence=55.0),
        by_hand(symbol="TCS", confidence=70.0),
        draft(symbol="TCS", confidence=70.0),
    ]
    return [await store.create(one, now_s=NOW_S + place * HOUR_S) for place, one in enumerate(drafts)]


async def test_lists_are_filtered(store: SignalStore) -> None:
    given = await many(store)
    await store.close(given[0].id, outcome=Outcome.STOP, price=RUPEES, now_s=NOW_S)

    async def places(**wanted: Any) -> list[int]:
        found, total = await store.find(Wanted(**wanted), sort="id", descending=False)
        assert total == len(found)
        return [[one.id for one in given].index(signal.id) for signal in found]

    assert await places() == [0, 1, 2, 3, 4]
    assert await places(symbol="TCS") == [0, 3, 4]
    assert await places(symbol="TCS", exchange="BSE") == []
    assert await places(exchange="BSE") == [1]
    assert await places(signal_type=SignalType.SELL) == [2]
    assert await places(status=Status.CLOSED) == [0]
    assert await places(source=Source.RULES) == [4]
    assert await places(timeframe="15m") == [4]
    assert await places(min_confidence=70.0) == [1, 3, 4]
    assert await places(from_s=NOW_S + HOUR_S, to_s=NOW_S + 3 * HOUR_S) == [1, 2]
    assert await places(symbol="tcs' OR 1=1 --") == []


async def test_lists_come_in_pages_and_in_order(store: SignalStore) -> None:
    given = [one.id for one in await many(store)]
    pages = [await store.find(Wanted(), page=page, limit=2) for page in (1, 2, 3, 4)]
    assert [[one.id for one in found] for found, _ in pages] == [
        [given[4], given[3]], [given[2], given[1]], [given[0]], [],
    ]  # fmt: skip
    assert {total for _, total in pages} == {5}
    found, _ = await store.find(Wanted(), sort="confidence", descending=False)
    assert [one.confidence for one in found] == [40.0, 55.0, 70.0, 70.0, 90.0]
    await store.close(given[2], outcome=Outcome.STOP, price=RUPEES, now_s=NOW_S)
    for descending in (True, False):
        found, _ = await store.find(Wanted(), sort="closed_at", descending=descending)
        assert found[0].id == given[2]


async def test_a_list_is_asked_for_sensibly(store: SignalStore) -> None:
    await refused(ErrorCode.BAD_REQUEST, store.find(Wanted(), sort="reason; DROP TABLE signals"))
    for page, limit in ((0, 10), (1, 0), (1, 501)):
        await refused(ErrorCode.BAD_REQUEST, store.find(Wanted(), page=page, limit=limit))


async def test_an_active_signal_changes_in_what_is_told_only(store: SignalStore) -> None:
    signal = await store.create(by_hand(), now_s=NOW_S)
    changes = Changes(target_price=2_600 * RUPEES, stop_loss=None)
    changed = await store.update(signal.id, changes, by="9", now_s=NOW_S + 5)
    assert changed == msgspec.structs.replace(
        signal, target_price=2_600 * RUPEES, stop_loss=None, updated_at=NOW_S + 5, updated_by="9"
    )
    assert await store.get(signal.id) == changed
    await refused(ErrorCode.BAD_REQUEST, store.update(signal.id, Changes(target_price=RUPEES), by="9", now_s=NOW_S))
    await refused(ErrorCode.BAD_REQUEST, store.update(signal.id, Changes(close_price=RUPEES), by="9", now_s=NOW_S))
    await refused(ErrorCode.NOT_FOUND, store.update(10**9, changes, by="9", now_s=NOW_S))
    assert await store.get(signal.id) == changed


async def test_a_signal_is_closed_by_hand_once(store: SignalStore) -> None:
    signal = await store.create(by_hand(), now_s=NOW_S)
    closing = Changes(status=Status.CLOSED, close_price=2_520 * RUPEES)
    closed = await store.update(signal.id, closing, by="9", now_s=NOW_S + 60)
    assert (closed.status, closed.outcome, closed.close_price, closed.closed_at) == (
        Status.CLOSED, Outcome.MANUAL, 2_520 * RUPEES, NOW_S + 60,
    )  # fmt: skip
    await refused(ErrorCode.CONFLICT, store.update(signal.id, closing, by="9", now_s=NOW_S + 61))
    assert not await store.close(signal.id, outcome=Outcome.STOP, price=RUPEES, now_s=NOW_S + 61)
    assert await store.get(signal.id) == closed


async def test_a_deleted_signal_is_seen_no_more_but_kept(store: SignalStore, engine: AsyncEngine) -> None:
    signal = await store.create(draft(), now_s=NOW_S)
    await store.delete(signal.id, by="9", now_s=NOW_S + 5)
    await refused(ErrorCode.NOT_FOUND, store.get(signal.id))
    await refused(ErrorCode.NOT_FOUND, store.delete(signal.id, by="9", now_s=NOW_S + 6))
    assert await store.active() == []
    assert await store.unannounced(0) == []
    assert (await store.find(Wanted()))[1] == 0
    assert await store.issue(draft(), now_s=NOW_S + 7) is not None
    async with engine.begin() as connection:
        row = (await connection.execute(select(signals).where(signals.c.id == signal.id))).one()
    assert (row.symbol, row.deleted_at, row.deleted_by) == ("RELIANCE", NOW_S + 5, "9")


async def test_a_signal_from_the_future_ends_as_when_a_replay_is_played_again(store: SignalStore) -> None:
    ahead = await store.create(by_hand(expires_at=NOW_S + 2 * DAY_S), now_s=NOW_S + 301)
    await store.create(by_hand(expires_at=NOW_S + DAY_S), now_s=NOW_S + 300)
    assert await store.expire(NOW_S) == [ahead.id]


async def test_signals_end_when_their_time_is_over(store: SignalStore) -> None:
    short_lived = await store.create(by_hand(expires_at=NOW_S + 60), now_s=NOW_S)
    await store.create(by_hand(expires_at=NOW_S + 61), now_s=NOW_S)
    assert await store.expire(NOW_S + 59) == []
    assert await store.expire(NOW_S + 60) == [short_lived.id]
    ended = await store.get(short_lived.id)
    assert (ended.status, ended.outcome, ended.closed_at) == (Status.EXPIRED, None, NOW_S + 60)


async def test_what_ended_lately_is_known_for_the_rules(store: SignalStore) -> None:
    signal = await store.create(draft(), now_s=NOW_S)
    person = await store.create(by_hand(), now_s=NOW_S)
    for one in (signal, person):
        await store.close(one.id, outcome=Outcome.STOP, price=RUPEES, now_s=NOW_S + 10)
    assert [one.id for one in await store.ended_since(NOW_S + 10)] == [signal.id]
    assert await store.ended_since(NOW_S + 11) == []


async def test_who_was_not_told_of_yet_is_remembered(store: SignalStore) -> None:
    given = [await store.create(by_hand(), now_s=NOW_S + place) for place in range(3)]
    assert [one.id for one in await store.unannounced(NOW_S, limit=2)] == [given[0].id, given[1].id]
    await store.announced([given[0].id, given[2].id], now_s=NOW_S + 9)
    assert [one.id for one in await store.unannounced(NOW_S)] == [given[1].id]
    assert await store.unannounced(NOW_S + 2) == []
    assert (await store.get(given[2].id)).announced_at == NOW_S + 9


async def test_days_are_counted_as_they_are_in_india(store: SignalStore, engine: AsyncEngine) -> None:
    midnight_s = NOW_S - 9 * HOUR_S - 15 * 60
    last_second = await store.create(by_hand(symbol="TCS"), now_s=midnight_s - 1)
    won = await store.create(by_hand(), now_s=midnight_s)
    lost = await store.create(
        by_hand(signal_type=SignalType.SELL, target_price=None, stop_loss=None), now_s=midnight_s + 1
    )
    await store.create(by_hand(signal_type=SignalType.HOLD), now_s=midnight_s + 2)
    await store.create(by_hand(expires_at=midnight_s + 4), now_s=midnight_s + 3)
    gone = await store.create(by_hand(), now_s=midnight_s + 4)
    await store.close(last_second.id, outcome=Outcome.STOP, price=2_485 * RUPEES, now_s=NOW_S)
    await store.close(won.id, outcome=Outcome.TARGET, price=2_550 * RUPEES, now_s=NOW_S)
    await store.close(lost.id, outcome=Outcome.STOP, price=2_525 * RUPEES, now_s=NOW_S)
    await store.expire(midnight_s + 4)
    await store.delete(gone.id, by=None, now_s=NOW_S)
    days = await daily(engine, from_s=0, to_s=NOW_S)
    assert [msgspec.to_builtins(day) for day in days] == [
        {
            "day": "2026-11-23", "total": 4, "buy": 2, "sell": 1, "hold": 1, "active": 1, "expired": 1, "closed": 2,
            "targets": 1, "stops": 1, "hit_rate": 50.0, "average_move": 0.5,
        },
        {
            "day": "2026-11-22", "total": 1, "buy": 1, "sell": 0, "hold": 0, "active": 0, "expired": 0, "closed": 1,
            "targets": 0, "stops": 1, "hit_rate": 0.0, "average_move": -0.6,
        },
    ]  # fmt: skip
    assert [type(day) for day in days] == [Day, Day]
    assert [day.total for day in await daily(engine, from_s=midnight_s, to_s=NOW_S, symbol="TCS")] == []
    assert [day.total for day in await daily(engine, from_s=0, to_s=NOW_S, exchange="NSE", symbol="TCS")] == [1]


async def test_a_database_that_is_away_is_told_as_such(own_postgres: PostgresServer, tmp_path: Path) -> None:
    engine = engine_for(own_postgres.url, tmp_path)
    await migrate(engine)
    store = SignalStore(engine)
    own_postgres.close()
    for doing in (
        store.create(draft(), now_s=NOW_S), store.issue(draft(), now_s=NOW_S), store.get(1), store.find(Wanted()),
        store.expire(NOW_S), store.active(), daily(engine, from_s=0, to_s=NOW_S),
    ):  # fmt: skip
        with pytest.raises(Unavailable):
            await doing
    await engine.dispose()
