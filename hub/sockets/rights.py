"""Whose rights have changed while their socket was open: they are applied again, soon, and without a stop.

Applying them may have to ask the broker, so it is not done where the change is heard. One user's change goes before
the thousands that a new table of plans concerns, and of these only a few are looked at between two turns of the loop.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import NoReturn

from hub.sockets.session import Session
from schemas.durations import Seconds

log = logging.getLogger("tickhub.hub.sockets.rights")

AT_ONCE = 8
TIMEOUT_S: Seconds = 10.0


class Rights:
    """Sessions whose rights are to be applied again, each once however often it is put here. `run` applies them."""

    def __init__(self) -> None:
        self._urgent: dict[Session, None] = {}
        self._others: dict[Session, None] = {}
        self._work = asyncio.Event()

    def __len__(self) -> int:
        return len(self._urgent) + len(self._others)

    def put(self, sessions: Iterable[Session], *, urgent: bool = False) -> None:
        """Have the rights of these applied; urgent ones before the others."""
        (self._urgent if urgent else self._others).update(dict.fromkeys(sessions))
        if self:
            self._work.set()

    async def run(self) -> NoReturn:
        """Apply until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(AT_ONCE):
                tasks.create_task(self._apply_all(), name=f"rights.{number}")
        raise AssertionError("the tasks never end by themselves")

    async def _apply_all(self) -> NoReturn:
        while True:
            await self._work.wait()
            session = self._next()
            if session is None:
                self._work.clear()
                continue
            await self._apply(session)
            await asyncio.sleep(0)  # where nothing had to be asked of the broker, nobody else has had a turn

    def _next(self) -> Session | None:
        """The session that has waited longest."""
        for waiting in (self._urgent, self._others):
            for session in waiting:
                del waiting[session]
                return session
        return None

    @staticmethod
    async def _apply(session: Session) -> None:
        """See `Session.apply_rights`, which ends a session where it fails."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await session.apply_rights()
        except Exception:  # the top of a session: a bug here must end that session, and nobody else's
            log.exception("rights.unapplied", extra={"client": session.client})
