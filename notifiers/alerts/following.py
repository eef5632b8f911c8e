"""What has become of alerts since an engine read them: the table of changes, read again and again."""

from collections.abc import Collection

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.transactions import reading, writing
from notifiers.alerts.rules import newest_change
from schemas.tables import alert_changes

OVERLAP = 256
"""How many ids are read again: PostgreSQL hands ids out in order, but commits may come in another."""
KEPT_MS = 3_600_000
_PAGE = 5000


class Following:
    """Reads what is new. Raises Unavailable; cancelling is safe."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._last_id: int | None = None
        self._seen: set[int] = set()

    async def begin(self) -> None:
        """What is there before this is of no interest: whoever loads alerts after it reads them as they are."""
        if self._last_id is None:
            self._last_id = await newest_change(self._engine)

    async def news(self, shards: Collection[int]) -> dict[int, set[int]]:
        """The alerts that have changed since the last time, by shard."""
        await self.begin()
        changed: dict[int, set[int]] = {}
        last = self._last_id or 0
        after = max(0, last - OVERLAP)
        self._seen = {one for one in self._seen if one > after}
        rows = alert_changes.c
        while True:
            query = select(rows.id, rows.shard, rows.alert_id).where(rows.id > after).order_by(rows.id).limit(_PAGE)
            async with reading(self._engine) as connection:
                page = list(await connection.execute(query))
            for row in page:
                if row.id not in self._seen and row.shard in shards:
                    changed.setdefault(row.shard, set()).add(row.alert_id)
            self._seen |= {row.id for row in page}
            if page:
                after = page[-1].id
                self._last_id = max(self._last_id or 0, after)
            if len(page) < _PAGE:
                return changed

    async def prune(self) -> None:
        """Forgets what every engine has read long ago, by the times of the changes themselves."""
        rows = alert_changes.c
        newest = select(func.max(rows.at_ms)).scalar_subquery()
        is_old = (rows.at_ms < newest - KEPT_MS, rows.id <= (self._last_id or 0) - OVERLAP)
        async with reading(self._engine) as connection:
            if await connection.scalar(select(rows.id).where(*is_old).limit(1)) is None:
                return
        old = delete(alert_changes).where(*is_old)
        async with writing(self._engine) as connection:
            await connection.execute(old)
