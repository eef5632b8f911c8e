"""What one process adds to a journal every other knows, whatever order it is committed in; held to by revocations."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from auth import journal as module
from auth.identity import Identity
from auth.revocations import Revocations
from auth.transactions import ConstraintBroken
from hub.database import engine_for, migrate
from schemas.tables import revocations as table
from tests.auth.conftest import NOW, Clock
from tests.auth.revoking import revoke_token


def token(token_id: str, expires_at: int = NOW + 900) -> Identity:
    return Identity(user="7", token_id=token_id, issued_at=NOW - 10, expires_at=expires_at)


async def rows(engine: AsyncEngine) -> list[Any]:
    async with engine.connect() as connection:
        return list((await connection.execute(select(table).order_by(table.c.id))).all())


async def test_a_commit_out_of_order_is_heard_too(postgres_url: str, tmp_path: Path, clock: Clock) -> None:
    engine = engine_for(postgres_url, tmp_path)
    await migrate(engine)
    journal = Revocations(engine, clock=clock)
    async with engine.begin() as slow:
        late = {"token_id": "late", "expires_at": NOW + 900, "created_at": NOW}
        late_id = (await slow.execute(insert(table).values(late).returning(table.c.id))).scalar_one()
        await revoke_token(journal, token("early"))
        await journal.poll()
        assert journal._last_id > late_id
        assert not journal.is_revoked(token("late"))
    await journal.poll()
    assert journal.is_revoked(token("late"))
    await engine.dispose()


async def test_a_long_table_is_read_to_its_end(
    engine: AsyncEngine, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAGE", 7)
    monkeypatch.setattr(module, "OVERLAP", 3)
    async with engine.begin() as connection:
        many = [{"token_id": f"t{n}", "expires_at": NOW + 900, "created_at": NOW} for n in range(40)]
        await connection.execute(insert(table), many)
    journal = Revocations(engine, clock=clock)
    await journal.poll()
    assert all(journal.is_revoked(token(f"t{n}")) for n in range(40))
    await journal.poll()
    assert journal._last_id == (await rows(engine))[-1].id


async def test_an_id_is_never_used_again_after_a_purge(engine: AsyncEngine, clock: Clock) -> None:
    journal = Revocations(engine, clock=clock)
    await revoke_token(journal, token("a", NOW + 1))
    (first,) = await rows(engine)
    clock.now += 3600
    await journal.purge()
    await revoke_token(journal, token("b", NOW + 9000))
    (second,) = await rows(engine)
    assert second.id > first.id


async def test_several_entries_are_added_together_or_not_at_all(engine: AsyncEngine, clock: Clock) -> None:
    journal = Revocations(engine, clock=clock)
    with pytest.raises(ConstraintBroken):
        await journal._add([_row("a"), _row("b") | {"expires_at": None}], None)
    assert await rows(engine) == []
    numbers = await journal._add([_row("a"), _row("b")], None)
    assert [row.id for row in await rows(engine)] == numbers


def _row(token_id: str) -> dict[str, Any]:
    return {"token_id": token_id, "expires_at": NOW + 900, "created_at": NOW}
