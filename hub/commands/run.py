"""`python -m hub`, or one role of it: run until told to stop."""

import argparse
import asyncio
import logging
import os
import sys

import uvloop

from hub.commands.greeting import greeting
from hub.process import Process, faults_of
from hub.terminal import say
from schemas.durations import Seconds
from schemas.errors import SettingsError
from schemas.settings import Settings

log = logging.getLogger("tickhub.hub.run")

LEFT_S: Seconds = 2.0
"""How long what is left running has to end, first by itself and then cancelled."""


def add(parser: argparse.ArgumentParser) -> None:
    """No options; `roles` are set by whoever asks."""
    parser.set_defaults(command=run)


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Run the roles. Raises SettingsError, with all that is wrong."""
    if faults := faults_of(settings, options.roles):
        raise SettingsError(faults)

    async def process() -> int:
        process = Process(settings, options.roles)
        code = await process.run(ready=lambda: greet(process))
        await let_go(code)
        return code

    def greet(process: Process) -> None:
        for line in greeting(settings, options.roles, process.away):
            say(line)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(process())


async def let_go(code: int) -> None:
    """End what is still running, or the process where something can't be ended.

    A driver whose connection was cut while it wrote closes it in a task of its own, and may wait for a thread that has
    ended already; `asyncio.Runner` would wait with it for ever.
    """
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        _, left = await asyncio.wait(left, timeout=LEFT_S)
    for task in left:
        task.cancel()
    if left:
        _, left = await asyncio.wait(left, timeout=LEFT_S)
    if left:
        log.warning("process.tasks_left", extra={"tasks": sorted(task.get_name() for task in left)})
        logging.shutdown()
        sys.stdout.flush()
        os._exit(code)
