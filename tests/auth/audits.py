"""Audit trails that run for as long as a test needs them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from auth.audit import Audit, Event, Level
from auth.audit_chain import Entry
from auth.audit_store import Wanted


@asynccontextmanager
async def running(*audits: Audit) -> AsyncIterator[None]:
    """They write inside the block; at its end they are cancelled, and have ended."""
    tasks = [asyncio.create_task(audit.run(), name="audit") for audit in audits]
    await asyncio.sleep(0)  # a task that is cancelled before its first step never takes it
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def happened(action: str = "login.succeeded", level: Level = Level.INFO, **fields: object) -> Event:
    """Some event."""
    return Event(level=level, action=action, **fields)  # type: ignore[arg-type]


async def everything(audit: Audit) -> list[Entry]:
    """All entries, in the order in which they happened."""
    return [entry async for page in audit.stream(Wanted(descending=False)) for entry in page]
