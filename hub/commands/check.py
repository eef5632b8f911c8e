"""`python -m hub check`."""

import argparse
import asyncio

from hub import checks
from hub.exit_codes import EXIT_FAILED, EXIT_OK
from schemas.settings import Settings


def add(parser: argparse.ArgumentParser) -> None:
    """No options."""
    parser.set_defaults(command=run)


def run(settings: Settings, _: argparse.Namespace) -> int:
    """Try everything, and say how it went."""
    return EXIT_OK if asyncio.run(checks.report(settings)) else EXIT_FAILED
