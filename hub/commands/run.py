"""`python -m hub`, or one role of it: run until told to stop."""

import argparse
import asyncio

import uvloop

from hub.commands.greeting import greeting
from hub.process import Process, faults_of
from hub.terminal import say
from schemas.errors import SettingsError
from schemas.settings import Settings


def add(parser: argparse.ArgumentParser) -> None:
    """No options; `roles` are set by whoever asks."""
    parser.set_defaults(command=run)


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Run the roles. Raises SettingsError, with all that is wrong."""
    if faults := faults_of(settings, options.roles):
        raise SettingsError(faults)

    async def process() -> int:
        process = Process(settings, options.roles)
        return await process.run(ready=lambda: greet(process))

    def greet(process: Process) -> None:
        for line in greeting(settings, options.roles, process.away):
            say(line)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(process())
