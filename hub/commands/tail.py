"""`python -m hub tail`: watch channels of a running hub."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable
from urllib.parse import urlsplit

from rich.console import Console

from auth.identity import Plan
from hub.address import place_of
from hub.commands.token import issuer_of
from hub.exit_codes import EXIT_FAILED, EXIT_OK
from hub.tail.follower import LOOPBACK, Follower, Watcher
from hub.tail.lines import Lines
from hub.tail.subscriptions import Subscriptions
from hub.tail.table import LiveTable
from hub.terminal import complain
from schemas.settings import Settings

TOKEN_VARIABLE = "TICKHUB_TOKEN"  # noqa: S105 - a name
USER = "demo"
TOKEN_LIVES_S = 3600.0
SCREEN_FREQUENCY = 4.0
"""Updates a second and channel that an eye can follow."""


def add(parser: argparse.ArgumentParser) -> None:
    """What to hear, of which hub, and how to show it."""
    parser.set_defaults(command=run)
    parser.add_argument(
        "channels", nargs="+", metavar="CHANNEL", help="e.g. market:RELIANCE, candles:1m:NSE:TCS, signals:generated"
    )
    parser.add_argument(
        "--url", type=_address, metavar="ws://host/ws", help="the socket; by default that of HOST and PORT"
    )
    parser.add_argument(
        "--token", help=f"who asks; by default ${TOKEN_VARIABLE}, else a token made for the user {USER} of this machine"
    )
    parser.add_argument("--plain", action="store_true", help="one line an update, as where stdout is no terminal")
    parser.add_argument("--json", action="store_true", help="one line an update: the message as it came")
    parser.add_argument("--count", type=_count, metavar="N", help="end after so many messages")
    parser.add_argument(
        "--max-frequency",
        type=_frequency,
        metavar="N",
        help=f"at most so many updates a second and channel; {SCREEN_FREQUENCY:g} on a terminal, else all",
    )


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Follow until interrupted, until `--count` have come, or until no channel is left."""
    url = options.url or f"ws://{place_of(settings)}/ws"
    given = options.token or os.environ.get(TOKEN_VARIABLE)
    if given is None and urlsplit(url).hostname not in {urlsplit(f"//{place_of(settings)}").hostname, *LOOPBACK}:
        complain(f"{url} is not this machine's hub, so give a token that it takes: --token or {TOKEN_VARIABLE}")
        return EXIT_FAILED
    return asyncio.run(_follow(url, _token(settings, given), options, renews=given is None))


def _token(settings: Settings, given: str | None) -> Callable[[], str]:
    if given is not None:
        return lambda: given
    issuer = issuer_of(settings)
    return lambda: issuer.issue(USER, Plan.PRO, expires_in_s=TOKEN_LIVES_S)


async def _follow(url: str, token: Callable[[], str], options: argparse.Namespace, *, renews: bool) -> int:
    live = sys.stdout.isatty() and not (options.plain or options.json)
    frequency: float | None = options.max_frequency or (SCREEN_FREQUENCY if live else None)
    subscriptions = Subscriptions(options.channels, max_frequency=frequency)
    table = LiveTable(url, Console(), max_frequency=frequency) if live and frequency else None
    watcher: Watcher = table or Lines(as_json=options.json)
    follower = Follower(url, token, subscriptions, watcher, count=options.count, renews=renews)
    try:
        ended = await _until_told_to_stop(follower, table)
    except asyncio.CancelledError:
        return EXIT_OK
    if ended is not None:
        complain(ended)
        return EXIT_FAILED
    return EXIT_OK


async def _until_told_to_stop(follower: Follower, table: LiveTable | None) -> str | None:
    """As `Follower.run`. SIGINT and SIGTERM cancel it, so that the terminal is left as it was found."""
    me = asyncio.current_task()
    assert me is not None  # noqa: S101 - a coroutine that runs is in a task
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, me.cancel)
    if table is None:
        return await follower.run()
    async with asyncio.TaskGroup() as group:
        painting = group.create_task(table.paint(), name="tail.paint")
        ended = await follower.run()
        painting.cancel()
    return ended


def _count(text: str) -> int:
    if not text.isdecimal() or (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("expected a whole number from 1 up")
    return number


def _frequency(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError("expected a number above 0")
    return number


def _address(text: str) -> str:
    """A WebSocket's address, also where that of the page was given."""
    parts = urlsplit(text if "://" in text else f"ws://{text}")
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if scheme not in ("ws", "wss") or not parts.hostname:
        raise argparse.ArgumentTypeError("expected ws://host:port/ws, or wss:// with TLS")
    return parts._replace(scheme=scheme, path=parts.path.rstrip("/") or "/ws", fragment="").geturl()
