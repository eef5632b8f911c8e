"""`python -m hub notifiers`: the role, or with `--redrive` what is dead is sent again."""

import argparse
import asyncio
import time

from hub.commands import run as role
from hub.commands import storage
from hub.exit_codes import EXIT_FAILED, EXIT_OK
from hub.terminal import complain, say
from notifiers.outbox.deliveries import Deliveries, Redrive
from notifiers.way import Way
from schemas.durations import Seconds, parse_duration
from schemas.settings import Settings

REDRIVEN_LIVES_S: Seconds = 6 * 3600.0
"""For how long what is sent again is tried."""


def add(parser: argparse.ArgumentParser) -> None:
    """Options beside the role."""
    parser.set_defaults(command=run)
    parser.add_argument("--redrive", action="store_true", help="send again, instead, what could not be delivered")
    parser.add_argument("--since", metavar="1d", default="1d", help="of those that died within so long; 1d by default")
    parser.add_argument("--reason", metavar="TEXT", help="only those that died for this reason")
    parser.add_argument("--channel", choices=[str(one) for one in Way], help="only those of one channel")
    parser.add_argument("--in-doubt", action="store_true", help="also those that may have arrived")


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Run the role, or send again."""
    if not options.redrive:
        return role.run(settings, options)
    try:
        wanted = _wanted(options)
    except ValueError as exc:
        complain(str(exc))
        return EXIT_FAILED
    count = asyncio.run(_redrive(settings, wanted))
    say(f"{count} will be sent again by whoever runs the role notifiers.")
    return EXIT_OK


def _wanted(options: argparse.Namespace) -> Redrive:
    """Raises ValueError for a duration that is none."""
    return Redrive(
        lives_s=REDRIVEN_LIVES_S,
        died_since_ms=int((time.time() - parse_duration(options.since)) * 1000),
        reason=options.reason,
        way=Way(options.channel) if options.channel else None,
        in_doubt=options.in_doubt,
    )


async def _redrive(settings: Settings, wanted: Redrive) -> int:
    async with storage.migrated(settings) as engine:
        return await Deliveries(engine).redrive(wanted)
