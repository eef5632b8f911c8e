import asyncio

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine

from schemas.errors import Unavailable
from schemas.storage import begun, database_errors
from schemas.tables import configuration

STATEMENT = "INSERT INTO users VALUES (?)"


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (OperationalError(STATEMENT, ("hunter2secret",), Exception("database or disk is full")), "disk is full"),
        (ProgrammingError(STATEMENT, (), Exception("<class 'x.Error'>: no table\nDETAIL: hunter2secret")), "no table"),
        (OperationalError(STATEMENT, (), Exception("x" * 5000)), "^database is not available: x{200}$"),
        (PoolTimeout("QueuePool limit of size 5 overflow 10 reached"), "in use"),
        (TimeoutError(), "no answer in time"),
        (ConnectionRefusedError(111, "Connect call failed ('10.1.2.3', 5432)"), "connection refused"),
        (ConnectionResetError(104, "peer 10.1.2.3"), "ConnectionResetError"),
    ],
)
def test_a_failing_database_is_told_without_statement_values_or_address(error: Exception, why: str) -> None:
    with pytest.raises(Unavailable, match=why) as caught, database_errors():
        raise error
    assert caught.value.__cause__ is error
    for hidden in (STATEMENT, "hunter2secret", "10.1.2.3", "\n", "<class"):
        assert hidden not in str(caught.value)


def test_a_bug_stays_a_bug() -> None:
    with pytest.raises(ZeroDivisionError), database_errors():
        raise ZeroDivisionError


def test_an_outage_further_down_is_passed_on_as_it_is() -> None:
    below = Unavailable("database", "an option that the driver cannot read")
    with pytest.raises(Unavailable) as caught, database_errors():
        raise below
    assert caught.value is below


async def test_many_writers_at_once_all_get_their_turn(engine: AsyncEngine) -> None:
    order: list[int] = []

    async def write(number: int) -> None:
        async with begun(engine) as connection:
            key = f"k{number}"
            await connection.execute(insert(configuration).values(key=key, value="", updated_at=0, updated_by=""))
            order.append(number)

    await asyncio.gather(*(write(number) for number in range(200)))
    assert sorted(order) == list(range(200))
    if engine.dialect.name == "sqlite":
        assert order == list(range(200))
    async with engine.connect() as connection:
        assert await connection.scalar(select(func.count()).select_from(configuration)) == 200
