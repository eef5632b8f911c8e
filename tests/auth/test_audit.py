"""The trail keeps what it was told, in chains that hold whoever writes, and shows whatever is done to it."""

import asyncio
import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Integer, cast, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from auth import audit as module
from auth.audit import DRAIN_S, Audit, Event, Level, is_confidential
from auth.audit_chain import Entry
from auth.audit_store import Wanted
from hub.database import engine_for, migrate
from schemas.errors import Unavailable
from schemas.tables import audit as table
from schemas.tables import audit_anchors
from tests.auth.audits import everything, happened, running
from tests.auth.conftest import NOW, Clock
from tests.servers import FaultProxy, PostgresServer

DAY_S = 86_400


@pytest.fixture
def audit(engine: AsyncEngine, clock: Clock) -> Audit:
    return Audit(engine, wall=clock)


async def filled(audit: Audit, count: int = 6) -> list[Entry]:
    """The trail after as many events of each of two levels."""
    async with running(audit):
        for number in range(count):
            await audit.record(happened(actor=f"u_{number}", target="t", address="1.2.3.4", user_agent="ua", risk=3))
            await audit.record(happened("plan.changed", Level.CRITICAL, request_id="r", details={"n": number}))
    return await everything(audit)


async def broken(audit: Audit) -> dict[str, int]:
    return {level: state.broken_id for level, state in (await audit.verify()).items() if state.broken_id is not None}


async def test_what_is_recorded_is_there_with_all_that_was_said(audit: Audit) -> None:
    event = Event(
        level=Level.WARNING,
        action="login.failed",
        actor="u_1",
        target="s_1",
        address="2001:db8::1",
        user_agent="curl",
        request_id="r1",
        risk=35,
        details={"by": "password", "tries": 3, "again": True, "rate": 0.5, "why": None},
    )
    async with running(audit):
        await audit.record(event)
        (entry,), total = await audit.find(Wanted())
    assert total == 1
    assert (entry.at_ms, entry.level, entry.action) == (NOW * 1000, "warning", "login.failed")
    assert (entry.actor, entry.target, entry.address, entry.user_agent) == ("u_1", "s_1", "2001:db8::1", "curl")
    assert (entry.request_id, entry.risk) == ("r1", 35)
    assert json.loads(entry.details) == event.details


async def test_what_is_noted_is_written_soon_without_waiting(audit: Audit) -> None:
    for number in range(1200):
        audit.note(happened("publish", Level.DEBUG, target=f"market:{number}"))
    async with running(audit):
        await audit.record(happened())
    entries = await everything(audit)
    assert [entry.target for entry in entries[:-1]] == [f"market:{number}" for number in range(1200)]
    assert await broken(audit) == {}


async def test_what_no_database_takes_is_written_in_another_form(audit: Audit) -> None:
    async with running(audit):
        await audit.record(happened(actor="a\0b\ud800", user_agent="x" * 999, details={"t": "\0\ud800" + "y" * 999}))
    (entry,) = await everything(audit)
    assert entry.actor == "a\ufffdb?"
    assert entry.user_agent == "x" * 256
    assert json.loads(entry.details) == {"t": "\0\ud800" + "y" * 498}
    assert await broken(audit) == {}


async def test_the_chains_of_levels_are_apart_and_hold(audit: Audit) -> None:
    entries = await filled(audit)
    states = await audit.verify()
    assert {level: (state.count, state.broken_id) for level, state in states.items()} == {
        "debug": (0, None), "info": (6, None), "warning": (0, None), "critical": (6, None)
    }  # fmt: skip
    assert states["info"].last_hash == entries[-2].hash
    assert (states["critical"].last_id, states["critical"].last_hash) == (entries[-1].id, entries[-1].hash)


async def test_processes_that_write_at_once_keep_one_chain(
    engine: AsyncEngine, other_engine: AsyncEngine, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BATCH", 7)
    monkeypatch.setattr(module, "RECORD_TIMEOUT_S", 30)
    audits = [Audit(engine, wall=clock), Audit(other_engine, wall=clock)]
    levels = list(Level)
    async with running(*audits), asyncio.TaskGroup() as tasks:
        for number in range(200):
            event = happened("publish", levels[number // 2 % 4], target=str(number))
            tasks.create_task(audits[number % 2].record(event))
    entries = await everything(audits[0])
    assert sorted(int(entry.target or "") for entry in entries) == list(range(200))
    states = await audits[1].verify()
    assert {(state.count, state.broken_id) for state in states.values()} == {(50, None)}


CHANGES: dict[str, Any] = {
    "id": cast(table.c.id + 1000, Integer),
    "at_ms": table.c.at_ms + 1,
    "level": "debug",
    "action": "login.failed",
    "actor": "u_x",
    "target": None,
    "address": "6.6.6.6",
    "user_agent": "",
    "request_id": "r_x",
    "risk": 0,
    "details": '{"x":1}',
    "previous_hash": "1" * 64,
    "hash": "1" * 64,
}


async def test_any_change_of_any_entry_shows(audit: Audit, engine: AsyncEngine) -> None:
    entries = [entry for entry in await filled(audit, 3) if entry.level == "info"]
    assert CHANGES.keys() == set(Entry.__struct_fields__)
    for entry, (column, value) in itertools.product(entries, CHANGES.items()):
        async with engine.begin() as connection:
            await connection.execute(update(table).where(table.c.id == entry.id).values({column: value}))
        assert await broken(audit), (entry.id, column)
        moved = entry.id + (1000 if column == "id" else 0)
        async with engine.begin() as connection:
            old = {column: getattr(entry, column)}
            await connection.execute(update(table).where(table.c.id == moved).values(old))
        assert await broken(audit) == {}, (entry.id, column)


async def test_the_trail_goes_on_after_a_hash_that_is_none(audit: Audit, engine: AsyncEngine) -> None:
    last = (await filled(audit, 2))[-2]
    async with engine.begin() as connection:
        await connection.execute(update(table).where(table.c.id == last.id).values(hash="ÿ\u20b9"))
    again = Audit(engine, wall=audit._wall)
    async with running(again):
        await again.record(happened())
    assert await broken(again) == {"info": last.id}


async def test_an_entry_moved_to_a_level_that_there_is_not_shows(audit: Audit, engine: AsyncEngine) -> None:
    entries = await filled(audit, 2)
    for level in ("", "other"):
        async with engine.begin() as connection:
            await connection.execute(update(table).where(table.c.id == entries[-1].id).values(level=level))
        assert await broken(audit) == {level: entries[-1].id}


async def test_an_entry_taken_out_or_put_in_shows(audit: Audit, engine: AsyncEngine) -> None:
    info = [entry for entry in await filled(audit) if entry.level == "info"]
    async with engine.begin() as connection:
        await connection.execute(delete(table).where(table.c.id == info[2].id))
    assert await broken(audit) == {"info": info[3].id}
    async with engine.begin() as connection:
        forged = msgspec.structs.asdict(info[2])
        await connection.execute(insert(table).values(forged))
    assert await broken(audit) == {}
    async with engine.begin() as connection:
        await connection.execute(insert(table).values(forged | {"id": info[-1].id + 100}))
    assert await broken(audit) == {"info": info[-1].id + 100}


async def test_the_first_entries_taken_off_show(audit: Audit, engine: AsyncEngine) -> None:
    info = [entry for entry in await filled(audit) if entry.level == "info"]
    async with engine.begin() as connection:
        await connection.execute(delete(table).where(table.c.id <= info[1].id))
    assert (await broken(audit))["info"] == info[2].id


async def test_entries_that_changed_places_show(audit: Audit, engine: AsyncEngine) -> None:
    info = [entry for entry in await filled(audit) if entry.level == "info"]
    one, other = info[1].id, info[2].id
    async with engine.begin() as connection:
        for old, new in [(one, 0), (other, one), (0, other)]:
            await connection.execute(update(table).where(table.c.id == old).values(id=new))
    assert await broken(audit) == {"info": one}


async def test_long_chains_are_checked_in_parts(
    audit: Audit, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auth.audit_store.PAGE", 4)
    info = [entry for entry in await filled(audit, 10) if entry.level == "info"]
    assert (await audit.verify())["info"].count == 10
    async with engine.begin() as connection:
        await connection.execute(update(table).where(table.c.id == info[6].id).values(actor="u_x"))
    state = (await audit.verify())["info"]
    assert (state.count, state.broken_id) == (6, info[6].id)
    assert (state.last_id, state.last_hash) == (info[5].id, info[5].hash)


# -- pruning ----------------------------------------------------------------------------------------------------------


async def test_each_level_is_pruned_by_its_retention_and_the_rest_still_verifies(
    audit: Audit, engine: AsyncEngine, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auth.audit_store.PAGE", 4)
    async with running(audit):
        for _ in range(10):
            for level in Level:
                await audit.record(happened("publish", level))
            clock.now += DAY_S
    clock.now = NOW + 90 * DAY_S + 5 * DAY_S
    assert await audit.prune() == {Level.DEBUG: 10, Level.INFO: 5, Level.WARNING: 0, Level.CRITICAL: 0}
    assert {level: state.count for level, state in (await audit.verify()).items()} == {
        "debug": 0, "info": 5, "warning": 10, "critical": 10
    }  # fmt: skip
    assert await broken(audit) == {}
    async with engine.begin() as connection:
        await connection.execute(update(audit_anchors).where(audit_anchors.c.level == "info").values(hash="1" * 64))
    assert set(await broken(audit)) == {"info"}


async def test_a_chain_goes_on_after_all_of_it_was_pruned(audit: Audit, clock: Clock) -> None:
    before = await filled(audit, 2)
    clock.now += 400 * DAY_S
    assert sum((await audit.prune()).values()) == 4
    assert await everything(audit) == []
    again = Audit(audit._store._engine, wall=clock)
    async with running(again):
        await again.record(happened())
    (entry,) = await everything(again)
    assert entry.id > before[-1].id
    assert entry.previous_hash == before[-2].hash
    assert await broken(again) == {}
    clock.now += 400 * DAY_S
    assert sum((await again.prune()).values()) == 1
    assert await broken(again) == {}


async def test_two_processes_that_prune_at_once_prune_once(
    engine: AsyncEngine, other_engine: AsyncEngine, clock: Clock
) -> None:
    one, other = Audit(engine, wall=clock), Audit(other_engine, wall=clock)
    await filled(one)
    clock.now += 400 * DAY_S
    pruned = await asyncio.gather(one.prune(), other.prune())
    assert sum(sum(counts.values()) for counts in pruned) == 12
    assert await broken(one) == {}


async def test_a_chain_that_is_pruned_while_it_is_checked_is_checked_again(
    audit: Audit, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auth.audit_store.PAGE", 2)
    await filled(audit)
    clock.now += 100 * DAY_S
    read = audit._store.chain
    pruned: list[Any] = []

    async def chain(level: str, after: int = 0) -> Any:
        if after and not pruned:
            pruned.append(True)
            await audit.prune()
        return await read(level, after)

    monkeypatch.setattr(audit._store, "chain", chain)
    state = (await audit.verify())["info"]
    assert (state.count, state.broken_id) == (0, None)


async def test_what_was_changed_is_not_pruned_in_silence(audit: Audit, engine: AsyncEngine, clock: Clock) -> None:
    info = [entry for entry in await filled(audit) if entry.level == "info"]
    async with engine.begin() as connection:
        await connection.execute(update(table).where(table.c.id == info[2].id).values(actor="u_x"))
    clock.now += 100 * DAY_S
    again = Audit(engine, wall=clock)
    assert (await again.prune())[Level.INFO] == 6
    async with running(again):
        await again.record(happened())
    (entry,), _ = await again.find(Wanted(action="audit.broken"))
    assert (entry.level, entry.target, json.loads(entry.details)) == ("critical", "info", {"entry_id": info[2].id})
    assert await broken(again) == {}


async def test_the_running_trail_prunes_by_itself(audit: Audit, clock: Clock) -> None:
    await filled(audit)
    clock.now += 400 * DAY_S
    again = Audit(audit._store._engine, wall=clock)
    async with running(again), asyncio.timeout(10):
        while await everything(again):  # noqa: ASYNC110 - the trail tells nobody that it has pruned
            await asyncio.sleep(0.01)


# -- looking ----------------------------------------------------------------------------------------------------------


@pytest.fixture
async def varied(audit: Audit, clock: Clock) -> Audit:
    async with running(audit):
        for number in range(30):
            clock.now = NOW + number
            await audit.record(
                happened(
                    ["login.failed", "login.succeeded", "login_x"][number % 3],
                    [Level.INFO, Level.WARNING][number % 2],
                    actor=f"u_{number % 5}",
                    target=f"50%_{number}",
                    address=f"10.0.0.{number % 4}",
                    risk=None if number % 3 else number,
                    details={"by": "Password" if number == 7 else "key"},
                )
            )
    return audit


FILTERS: list[tuple[Wanted, Iterable[int]]] = [
    (Wanted(level="info"), range(0, 30, 2)),
    (Wanted(action="login."), [n for n in range(30) if n % 3 < 2]),
    (Wanted(action="login_"), range(2, 30, 3)),
    (Wanted(actor="u_3"), range(3, 30, 5)),
    (Wanted(target="50%_7"), [7]),
    (Wanted(address="10.0.0.1"), range(1, 30, 4)),
    (Wanted(min_risk=20), [21, 24, 27]),
    (Wanted(min_risk=0), range(0, 30, 3)),
    (Wanted(from_ms=(NOW + 10) * 1000, to_ms=(NOW + 12) * 1000), [10, 11]),
    (Wanted(words="pASSWORD"), [7]),
    (Wanted(words="0%_1"), [1, *range(10, 20)]),
    (Wanted(words="'; DROP TABLE audit; --"), []),
    (Wanted(actor="u_3", level="warning", action="login"), [3, 13, 23]),
]


async def test_filters_find_what_they_say(varied: Audit) -> None:
    for wanted, numbers in FILTERS:
        entries, total = await varied.find(wanted)
        assert [(entry.at_ms // 1000) - NOW for entry in entries] == sorted(numbers, reverse=True), wanted
        assert total == len(entries)


async def test_pages_and_streams_have_the_order_that_is_asked_for(
    varied: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auth.audit_store.PAGE", 7)
    everyone = await everything(varied)
    risks: dict[int, int] = {entry.id: -1 if entry.risk is None else entry.risk for entry in everyone}
    by_time = sorted(everyone, key=lambda entry: (entry.at_ms, entry.id))
    by_risk = sorted(everyone, key=lambda entry: (risks[entry.id], entry.id))
    orders: list[tuple[Literal["at", "risk"], list[Entry]]] = [("at", by_time), ("risk", by_risk)]
    for sort, ascending in orders:
        for descending in (False, True):
            expected = ascending[::-1] if descending else ascending
            wanted = Wanted(sort=sort, descending=descending, limit=4, offset=2)
            assert await varied.find(wanted) == (expected[2:6], 30)
            assert [entry async for page in varied.stream(wanted) for entry in page] == expected


async def test_a_stream_ends_with_what_was_there_when_it_began(varied: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auth.audit_store.PAGE", 10)
    again = Audit(varied._store._engine, wall=varied._wall)
    seen = 0
    async with running(again):
        async for page in again.stream(Wanted(descending=False)):
            seen += len(page)
            await again.record(happened())
    assert seen == 30


async def test_counting_ends_where_it_would_take_too_long(varied: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auth.audit_store.MAX_TOTAL", 12)
    entries, total = await varied.find(Wanted())
    assert (len(entries), total) == (30, 12)


# -- bounds and faults ------------------------------------------------------------------------------------------------


async def test_what_is_dropped_is_counted_and_recorded(engine: AsyncEngine, clock: Clock) -> None:
    audit = Audit(engine, wall=clock, max_notes=5)
    for number in range(8):
        audit.note(happened("publish", Level.DEBUG, target=str(number)))
    assert audit.waiting == 5
    async with running(audit):
        await audit.record(happened())
    entries = await everything(audit)
    assert [entry.action for entry in entries] == ["audit.dropped", *["publish"] * 5, "login.succeeded"]
    assert (entries[0].level, json.loads(entries[0].details)) == ("warning", {"count": 3})


async def test_a_flood_of_notes_does_not_keep_others_from_being_recorded(
    engine: AsyncEngine, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RESERVED", 1)
    audit = Audit(engine, wall=clock, max_notes=2)
    for _ in range(3):
        audit.note(happened("publish", Level.DEBUG))
    recording = asyncio.create_task(audit.record(happened()))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="too much waits"):
        await audit.record(happened())
    async with running(audit):
        await recording
    assert len(await everything(audit)) == 4


def through(proxy: FaultProxy, url: str) -> str:
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}{at}{proxy.host}:{proxy.port}"))


def proxy_for(url: str) -> FaultProxy:
    parts = urlsplit(url)
    return FaultProxy(parts.hostname or "", parts.port or 5432)


async def test_events_outlast_a_database_that_is_cut_off(
    postgres_url: str, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxy_for(postgres_url) as proxy:
        engine = engine_for(through(proxy, postgres_url), tmp_path)
        await migrate(engine)
        audit = Audit(engine, wall=clock)
        async with running(audit):
            await audit.record(happened("publish", target="before"))
            proxy.refuse()
            proxy.cut()
            monkeypatch.setattr(module, "RECORD_TIMEOUT_S", 0.3)
            with pytest.raises(Unavailable, match="in time"):
                await audit.record(happened("publish", target="during"))
            audit.note(happened("publish", target="noted"))
            with pytest.raises(Unavailable):
                await audit.find(Wanted())
            await proxy.accept()
            monkeypatch.undo()
            await audit.record(happened("publish", target="after"))
        assert [entry.target for entry in await everything(audit)] == ["before", "during", "noted", "after"]
        assert await broken(audit) == {}
        await engine.dispose()


async def test_a_commit_of_which_no_answer_came_is_not_written_twice(
    postgres_url: str, tmp_path: Path, clock: Clock
) -> None:
    async with proxy_for(postgres_url) as proxy:
        engine = engine_for(through(proxy, postgres_url), tmp_path)
        await migrate(engine)
        audit = Audit(engine, wall=clock)
        async with running(audit):
            await audit.record(happened("publish", target="before"))
            proxy.swallow_next_reply(after=b"COMMIT;")
            await audit.record(happened("publish", target="unanswered"))
            assert proxy.swallowed.is_set()
            await audit.record(happened("publish", target="after"))
        assert [entry.target for entry in await everything(audit)] == ["before", "unanswered", "after"]
        assert await broken(audit) == {}
        await engine.dispose()


async def test_a_server_that_is_killed_and_started_again_gets_all_events(
    own_postgres: PostgresServer, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RECORD_TIMEOUT_S", 30)
    engine = engine_for(own_postgres.url, tmp_path)
    await migrate(engine)
    audit = Audit(engine, wall=clock)
    async with running(audit), asyncio.TaskGroup() as tasks:
        for number in range(50):
            tasks.create_task(audit.record(happened("publish", target=str(number))))
        await asyncio.to_thread(own_postgres.kill)
        for number in range(50, 100):
            tasks.create_task(audit.record(happened("publish", target=str(number))))
        await asyncio.to_thread(own_postgres.start)
    assert [entry.target for entry in await everything(audit)] == [str(number) for number in range(100)]
    assert await broken(audit) == {}
    await engine.dispose()


async def test_a_trail_that_is_cancelled_writes_what_waits(audit: Audit) -> None:
    async with running(audit):
        for number in range(1000):
            audit.note(happened("publish", Level.DEBUG, target=str(number)))
        await asyncio.sleep(0)
    assert len(await everything(audit)) == 1000
    assert await broken(audit) == {}


async def test_a_trail_that_is_cancelled_does_not_wait_for_a_database_that_is_away(
    postgres_url: str, tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async with proxy_for(postgres_url) as proxy:
        engine = engine_for(through(proxy, postgres_url), tmp_path)
        await migrate(engine)
        proxy.refuse()
        proxy.cut()
        audit = Audit(engine, wall=clock)
        async with asyncio.timeout(DRAIN_S + 3), running(audit):
            audit.note(happened())
        assert "audit.lost" in caplog.messages
        await engine.dispose()


async def test_a_record_that_is_cancelled_is_written_all_the_same(audit: Audit) -> None:
    recording = asyncio.create_task(audit.record(happened()))
    await asyncio.sleep(0)
    recording.cancel()
    await asyncio.wait([recording])
    assert recording.cancelled()
    async with running(audit):
        await audit.record(happened())
    assert len(await everything(audit)) == 2


async def test_ids_never_come_back(audit: Audit, engine: AsyncEngine) -> None:
    entries = await filled(audit, 2)
    async with engine.begin() as connection:
        await connection.execute(delete(table))
    again = Audit(engine, wall=audit._wall)
    async with running(again):
        await again.record(happened())
    async with engine.connect() as connection:
        assert (await connection.scalar(select(func.min(table.c.id))) or 0) > entries[-1].id


# -- events -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["password", "new_password", "Token", "access_token", "otp", "code", "recovery_codes", "api_key",
     "apikey", "client-secret", "Authorization", "set_cookie", "pin", "jwt", "private_key", "totp"],
)  # fmt: skip
def test_a_detail_that_may_be_a_secret_is_refused(name: str) -> None:
    assert is_confidential(name)
    with pytest.raises(ValueError, match="secret"):
        happened(details={name: "x"})


@pytest.mark.parametrize("name", ["token_id", "key_id", "by", "channel", "key", "monkey", "compass", "encoder", "plan"])
def test_other_details_are_taken(name: str) -> None:
    assert happened(details={name: "x"}).details == {name: "x"}


@given(st.one_of(st.text(max_size=5), st.just("a" * 49), st.sampled_from(["a..b", ".a", "a.", "A.b", "a b"])))
def test_an_action_is_a_dotted_word(text: str) -> None:
    parts = text.split(".")
    fine = len(text) <= 48 and all(
        part[:1].isalpha() and part.isascii() and part == part.lower() and part.replace("_", "a").isalnum()
        for part in parts
    )
    if fine:
        assert happened(text).action == text
    else:
        with pytest.raises(ValueError, match="dotted word"):
            happened(text)


@pytest.mark.parametrize("fields", [{"risk": -1}, {"risk": 101}, {"details": {str(n): n for n in range(17)}}])
def test_what_is_out_of_bounds_is_no_event(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"risk|details"):
        happened(**fields)
