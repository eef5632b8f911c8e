"""`python -m hub rotate-keys`."""

import argparse
import asyncio

from auth.sealing import Resealed, Sealer, reseal
from hub.commands import storage
from hub.encryption_keys import encryption_keys
from hub.exit_codes import EXIT_FAILED, EXIT_OK
from hub.progress import shown
from hub.terminal import complain, say
from schemas.settings import Settings


def add(parser: argparse.ArgumentParser) -> None:
    """No options."""
    parser.set_defaults(command=run)


def run(settings: Settings, _: argparse.Namespace) -> int:
    """Seal with the first key whatever another has sealed. Raises SettingsError, Unavailable."""

    async def rotate() -> Resealed:
        async with storage.opened(settings) as engine:
            with shown("Sealing the database's secrets") as work:
                return await reseal(engine, sealer, tell=work.tell)

    sealer = Sealer(encryption_keys(settings))
    resealed, unsealable = asyncio.run(rotate())
    say(f"Sealed with the first key now: {resealed}.")
    if unsealable:
        complain(f"No key opens {unsealable}; set the key that sealed them too, and try again.")
        return EXIT_FAILED
    say("All open with the first key alone; the others may go.")
    return EXIT_OK
