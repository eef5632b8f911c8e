"""How what engines remember is written: thousands of rows of `alerts` and `alert_tracks` in one statement each.

PostgreSQL takes the columns as arrays, for a round of its protocol with each row costs more than the row; SQLite is
told row by row, which is its quickest way.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, Integer, LargeBinary, String, bindparam, func, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.types import TypeEngine

from notifiers.alerts.alert import Status
from schemas.tables import alert_tracks, alerts

_rows = alerts.c

Types = Mapping[str, TypeEngine[Any]]

_STATES: Types = {"id": BigInteger(), "version": Integer(), "state": LargeBinary()}
_FIRED: Types = {
    "id": BigInteger(),
    "fired": Integer(),
    "last_fired_ms": BigInteger(),
    "status": String(),
    "state": LargeBinary(),
}


async def keep_states(connection: AsyncConnection, states: Mapping[int, tuple[int, bytes]]) -> None:
    """Keeps what the engine remembers of rules that are still the ones it knows, by id with their version."""
    rows = [{"id": one, "version": version, "state": state} for one, (version, state) in sorted(states.items())]

    def kept(given: Any) -> Any:
        same = (_rows.version == given.version, _rows.status == Status.ACTIVE.value)
        return update(alerts).where(_rows.id == given.id, *same).values(state=given.state)

    await _write(connection, kept, _STATES, rows)


async def settle(connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes what has become of alerts by firing: id, fired, last_fired_ms, status, and state, None for as it was."""

    def settled(given: Any) -> Any:
        values = {
            "fired": given.fired,
            "last_fired_ms": given.last_fired_ms,
            "status": given.status,
            "state": func.coalesce(given.state, _rows.state),
        }
        return update(alerts).where(_rows.id == given.id).values(values)

    await _write(connection, settled, _FIRED, rows)


async def keep_tracks(connection: AsyncConnection, tracks: Mapping[tuple[int, str], bytes], now_ms: int) -> None:
    """Keeps how far engines have come with sources, by shard and source."""
    if not tracks:
        return
    rows = [
        {"shard": shard, "source": source, "state": state, "updated_at_ms": now_ms}
        for (shard, source), state in sorted(tracks.items())
    ]
    statement = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(alert_tracks)
    news = {"state": statement.excluded.state, "updated_at_ms": statement.excluded.updated_at_ms}
    unique = [alert_tracks.c.shard, alert_tracks.c.source]
    await connection.execute(statement.on_conflict_do_update(index_elements=unique, set_=news), rows)


async def _write(connection: AsyncConnection, statement: Any, types: Types, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        columns = {f"a_{name}": [row[name] for row in rows] for name in types}
        await connection.execute(statement(_arrays(types)), columns)
    else:
        await connection.execute(statement(_Bound(types)), [{f"a_{name}": row[name] for name in types} for row in rows])


def _arrays(types: Types) -> ReadOnlyColumnCollection[str, Any]:
    """The rows as a table that is made of one array for each column."""
    arrays = [bindparam(f"a_{name}", type_=postgresql.ARRAY(kind)) for name, kind in types.items()]
    given = func.unnest(*arrays).table_valued(*types, name="given").render_derived()
    return given.c


class _Bound:
    """The columns of one row, as parameters."""

    def __init__(self, types: Types) -> None:
        for name, kind in types.items():
            setattr(self, name, bindparam(f"a_{name}", type_=kind))
