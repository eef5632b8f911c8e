"""The database's own clock, in SQL: the one clock that all processes share."""

from typing import Any

from sqlalchemy import BigInteger
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class NowMs(FunctionElement[int]):
    """Unix milliseconds when the statement began."""

    type = BigInteger()
    inherit_cache = True


@compiles(NowMs, "postgresql")
def _on_postgresql(*_: Any, **__: Any) -> str:
    return "CAST(FLOOR(EXTRACT(EPOCH FROM statement_timestamp()) * 1000) AS BIGINT)"


@compiles(NowMs, "sqlite")
def _on_sqlite(*_: Any, **__: Any) -> str:
    """The Julian day of the Unix epoch is 2440587.5."""
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
