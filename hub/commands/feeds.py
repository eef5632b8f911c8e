"""`python -m hub feeds`: the role, or with `--check` a try of one broker's account."""

import argparse
import asyncio
import time

from hub.commands import run as role
from hub.exit_codes import EXIT_FAILED, EXIT_OK
from hub.feeding.check import check_feed
from hub.feeding.sources import SOURCES
from hub.process import environment
from hub.terminal import say
from schemas.settings import Settings


def add(parser: argparse.ArgumentParser) -> None:
    """Options beside the role."""
    parser.set_defaults(command=run)
    parser.add_argument(
        "--check",
        metavar="BROKER",
        choices=sorted(SOURCES),
        help="try one broker's account instead, and say how",
    )


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Run the role, or try the account."""
    if options.check is None:
        return role.run(settings, options)
    well = asyncio.run(check_feed(settings, options.check, environment, now_s=time.time, say=say))
    return EXIT_OK if well else EXIT_FAILED
