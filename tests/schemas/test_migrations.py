"""The migrations lead to the tables, and back."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect
from sqlalchemy.ext.asyncio import AsyncEngine

from hub.database import _read_script, downgrade, engine_for, migrate
from schemas.tables import metadata


@pytest.fixture
async def engine(database_url: str, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = engine_for(database_url, tmp_path)
    yield engine
    await engine.dispose()


def differences(connection: Connection) -> object:
    return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)


def tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names()) - {"alembic_version"}


def shape(connection: Connection) -> dict[str, object]:
    """What the database says of every table, constraints and all, which Alembic compares only in part."""
    seen = inspect(connection)
    return {
        table: {
            "columns": [
                (column["name"], str(column["type"]), column["nullable"]) for column in seen.get_columns(table)
            ],
            "keys": seen.get_pk_constraint(table),
            "checks": [check["name"] for check in seen.get_check_constraints(table)],
            "indexes": sorted((str(index["name"]), str(index["column_names"])) for index in seen.get_indexes(table)),
            "foreign": seen.get_foreign_keys(table),
        }
        for table in sorted(tables(connection))
    }


async def test_the_last_step_is_what_the_tables_say(engine: AsyncEngine) -> None:
    await migrate(engine)
    async with engine.begin() as connection:
        assert await connection.run_sync(differences) == []
        migrated = await connection.run_sync(shape)
    await downgrade(engine, "base")
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
        assert await connection.run_sync(shape) == migrated
    assert set(migrated) == set(metadata.tables)


async def test_a_column_that_no_migration_adds_is_noticed(engine: AsyncEngine) -> None:
    await migrate(engine)
    async with engine.begin() as connection:
        await connection.exec_driver_sql("ALTER TABLE revocations DROP COLUMN created_at")
        assert await connection.run_sync(differences) != []


async def test_every_step_can_be_taken_back_and_again(engine: AsyncEngine) -> None:
    await migrate(engine)
    script = await asyncio.to_thread(_read_script)
    for revision in [step.down_revision or "base" for step in script.walk_revisions()]:
        await downgrade(engine, str(revision))
    async with engine.connect() as connection:
        assert await connection.run_sync(tables) == set()
    await migrate(engine)
    await migrate(engine)
    async with engine.connect() as connection:
        assert await connection.run_sync(tables) == set(metadata.tables)
