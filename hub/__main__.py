"""The command line: `python -m hub`, also installed as `tickhub`."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from hub import logs, terminal
from hub.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, EXIT_SETTINGS
from schemas.errors import CommandError, SettingsError, Unavailable
from schemas.settings import Settings, load


class _Command(NamedTuple):
    """A word of the command line. Its module's `add` adds the options and says what to run."""

    module: str
    help: str
    description: str | None = None


_ROLES = {
    "web": _Command("run", "run one role: sockets and HTTP"),
    "feeds": _Command("feeds", "run one role: prices in"),
    "alerts": _Command(
        "alerts",
        "run one role: what prices fire",
        "Watches prices and fires alerts. With --backtest: tries conditions on a recording instead.",
    ),
    "notifiers": _Command(
        "notifiers",
        "run one role: deliveries by mail, SMS, voice, push, webhook and socket",
        "Delivers what alerts fire. With --redrive: queues dead deliveries again instead.",
    ),
}

_COMMANDS = {
    **_ROLES,
    "tail": _Command(
        "tail",
        "watch channels in the terminal",
        "Prices as a live table and messages below it; line by line where stdout is no terminal. Ctrl-C ends it.",
    ),
    "migrate": _Command("migrate", "bring the database up to date"),
    "rotate-keys": _Command("rotate_keys", "seal the database's secrets with the first of ENCRYPTION_KEYS"),
    "check": _Command("check", "try the settings and every connection"),
    "token": _Command("token", "mint a token"),
    "publish": _Command("publish", "publish one message"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    terminal.prepare()
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser(words).parse_args(words)
    try:
        settings = load(os.environ, Path(".env"))
        logs.configure(settings.log_level, settings.log_format)
        command: Callable[[Settings, argparse.Namespace], int] = options.command
        return command(settings, options)
    except SettingsError as exc:
        terminal.complain("\n".join(["The settings are wrong:", *(f"  {fault}" for fault in exc.faults)]))
        return EXIT_SETTINGS
    except (CommandError, Unavailable) as exc:
        terminal.complain(str(exc))
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except terminal.NobodyReads:
        terminal.leave_quietly()
        return EXIT_OK


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The options of all commands are named in the help of each; those that were not typed are not looked up."""
    parser = argparse.ArgumentParser(
        prog="tickhub", description="Real-time market data over WebSocket, and alerts on it."
    )
    parser.set_defaults(roles=tuple(_ROLES))
    commands = parser.add_subparsers(title="commands", metavar="", description="Without one, all roles run.")
    for word, command in _COMMANDS.items():
        one = commands.add_parser(word, help=command.help, description=command.description)
        if word in words:
            _module(command.module).add(one)
        if word in _ROLES:
            one.set_defaults(roles=(word,))
    if not set(words) & _COMMANDS.keys():
        _module("run").add(parser)
    return parser


def _module(name: str) -> ModuleType:
    return import_module(f"hub.commands.{name}")


if __name__ == "__main__":
    sys.exit(main())
