import pytest
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from schemas.errors import Unavailable
from schemas.storage import database_errors

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
