"""Which engine has which shard: leases in the database, by the database's own clock alone.

An engine that lives says so every few seconds. The shards are shared out among those that do, each gets at most its
fair share, and gives back what is above it once another engine comes. Every change of hands raises the shard's fence;
who writes for a shard compares it within the transaction that writes (`notifiers.alerts.writing.held`). So neither a
process whose clock jumps nor one that was stopped and wakes up late can write what is another's to say.
"""

from typing import NamedTuple

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from auth.transactions import writing
from notifiers.alerts.alert import SHARDS
from schemas.database_clock import NowMs
from schemas.errors import TickhubError
from schemas.tables import alert_engines, alert_shards

LEASE_MS = 10_000
"""For how long a shard is an engine's own without another word of it."""
FORGET_MS = 60_000
"""After how long an engine that says nothing is forgotten."""


class Tenure(NamedTuple):
    """A shard, as one engine has it."""

    shard: int
    fence: int


class Lost(TickhubError):
    """A shard belongs to another engine by now, or has to be begun anew; nothing was written."""

    def __init__(self, tenure: Tenure) -> None:
        super().__init__(tenure)
        self.tenure = tenure

    def __str__(self) -> str:
        return f"shard {self.tenure.shard} is no longer ours"


class Turn(NamedTuple):
    """What an engine has after one look: shards that are its own, and how many of them it should give back."""

    held: frozenset[Tenure]
    surplus: int


class Shards:
    """The leases of one engine. Raises Unavailable; cancelling is safe: each method is one transaction."""

    def __init__(self, engine: AsyncEngine, *, owner: str, lease_ms: int = LEASE_MS) -> None:
        self._engine = engine
        self.owner = owner
        self._lease_ms = lease_ms
        self._now = NowMs()

    async def turn(self) -> Turn:
        """Says that this engine lives, prolongs what it has, and takes of what is free up to its fair share."""
        async with writing(self._engine) as connection:
            engines = await self._beat(connection)
            share = -(-SHARDS // engines)
            held = await self._renew(connection)
            if len(held) < share:
                held |= await self._claim(connection, share - len(held))
        return Turn(frozenset(held), max(0, len(held) - share))

    async def release(self, tenure: Tenure) -> None:
        """Gives a shard to whoever wants it, if it is still this engine's."""
        row = alert_shards.c
        free = update(alert_shards).where(row.shard == tenure.shard, row.fence == tenure.fence)
        async with writing(self._engine) as connection:
            await connection.execute(free.values(owner=None, lease_until_ms=0))

    async def leave(self) -> None:
        """Gives all shards back, and counts as an engine no more."""
        async with writing(self._engine) as connection:
            mine = update(alert_shards).where(alert_shards.c.owner == self.owner)
            await connection.execute(mine.values(owner=None, lease_until_ms=0))
            await connection.execute(delete(alert_engines).where(alert_engines.c.id == self.owner))

    async def _beat(self, connection: AsyncConnection) -> int:
        """How many engines live, this one among them."""
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        seen = dialect.insert(alert_engines).values(id=self.owner, seen_at_ms=self._now)
        anew = {"seen_at_ms": seen.excluded.seen_at_ms}
        await connection.execute(seen.on_conflict_do_update(index_elements=[alert_engines.c.id], set_=anew))
        rows = alert_engines.c
        await connection.execute(delete(alert_engines).where(rows.seen_at_ms < self._now - FORGET_MS))
        # A time that lies ahead is of before the database's clock was set back.
        alive = rows.seen_at_ms.between(self._now - self._lease_ms, self._now + self._lease_ms)
        return max(1, await connection.scalar(select(func.count()).select_from(alert_engines).where(alive)) or 0)

    async def _renew(self, connection: AsyncConnection) -> set[Tenure]:
        row = alert_shards.c
        # In the order in which commits hold them, lest the two wait for each other.
        await connection.execute(select(row.shard).where(row.owner == self.owner).order_by(row.shard).with_for_update())
        mine = update(alert_shards).where(row.owner == self.owner).values(lease_until_ms=self._now + self._lease_ms)
        return {Tenure(*one) for one in await connection.execute(mine.returning(row.shard, row.fence))}

    async def _claim(self, connection: AsyncConnection, most: int) -> set[Tenure]:
        row = alert_shards.c
        await self._make_shards(connection)
        free = or_(
            row.owner.is_(None),
            row.lease_until_ms < self._now,
            row.lease_until_ms > self._now + 2 * self._lease_ms,  # of before the database's clock was set back
        )
        query = select(row.shard).where(free).order_by(row.shard).limit(most).with_for_update(skip_locked=True)
        found = list(await connection.scalars(query))
        taken = (
            update(alert_shards)
            .where(row.shard.in_(found))
            .values(owner=self.owner, fence=row.fence + 1, lease_until_ms=self._now + self._lease_ms)
        )
        return {Tenure(*one) for one in await connection.execute(taken.returning(row.shard, row.fence))}

    async def _make_shards(self, connection: AsyncConnection) -> None:
        """The first engine of all finds no rows."""
        if await connection.scalar(select(func.count()).select_from(alert_shards)) == SHARDS:
            return
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        rows = [{"shard": shard, "fence": 0, "lease_until_ms": 0} for shard in range(SHARDS)]
        await connection.execute(dialect.insert(alert_shards).on_conflict_do_nothing(), rows)


async def evict(connection: AsyncConnection, shard: int) -> None:
    """Has a shard begun anew from what is stored, by whichever engine takes it next: its present one loses it.

    In the transaction that changes what an engine would otherwise write over.
    """
    row = alert_shards.c
    gone = update(alert_shards).where(row.shard == shard)
    await connection.execute(gone.values(owner=None, fence=row.fence + 1, lease_until_ms=0))
