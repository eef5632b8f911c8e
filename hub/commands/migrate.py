"""`python -m hub migrate`."""

import argparse
import asyncio

from hub.commands import storage
from hub.exit_codes import EXIT_OK
from hub.terminal import say
from schemas.settings import Settings


def add(parser: argparse.ArgumentParser) -> None:
    """No options."""
    parser.set_defaults(command=run)


def run(settings: Settings, _: argparse.Namespace) -> int:
    """Bring the database up to date. Raises Unavailable."""

    async def migrate() -> str:
        async with storage.opened(settings) as engine:
            return (await storage.migrate(engine)).note

    way = asyncio.run(migrate())
    say(f"The database is up to date{f': {way}' if way else ''}.")
    return EXIT_OK
