"""What somebody who has just started it wants to know, in a few lines."""

import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.text import Text

from auth.identity import Plan
from hub import database
from hub.address import page_of
from hub.commands.token import issuer_of
from hub.post import OUTBOX
from schemas.settings import Settings

TOKEN_LIVES_S = 24 * 3600
_INLINE = ("HOST", "PORT", "DATA_DIR")
"""Settings that are often given on the command line alone; without them the next command would not find this hub."""

_SETTING = {"broker": "REDIS_URL", "database": "DATABASE_URL"}


def greeting(settings: Settings, roles: Sequence[str], away: Mapping[str, str]) -> Iterator[Text]:
    """Line by line. `away` is what doesn't answer just now, and why; see `Process.away`. Reads the signing secret."""
    yield Text()
    for label, value in _facts(settings, roles):
        yield Text.assemble("  ", (f"{label:<12}", "dim"), (value, "bold" if label in ("tickhub", "docs") else ""))
        if why := away.get(label):
            fault = f"does not answer: {why}. Is {_SETTING[label]} right? It is tried again all the time."
            yield Text.assemble(" " * 14, (fault, "yellow"))
    if "web" in roles and settings.redis_url is None and settings.database_url is None:
        yield from _first_steps(settings)
    yield Text()


def _facts(settings: Settings, roles: Sequence[str]) -> Iterator[tuple[str, str]]:
    page = page_of(settings)
    if "web" in roles:
        yield "tickhub", page
    yield "roles", ", ".join(roles)
    yield "broker", str(settings.redis_url or "in this process")
    yield "database", str(settings.database_url or settings.data_dir / database.SQLITE_FILE)
    if "feeds" in roles:
        yield "prices", "; ".join(prices(settings))
    if {"web", "notifiers"}.intersection(roles):
        yield "alerts", "; ".join(_ways(settings))
    if "web" in roles:
        yield "docs", f"{page}/docs"


def prices(settings: Settings) -> Iterator[str]:
    """Where prices come from, in words."""
    for name in settings.feed:
        match name:
            case "simulator":
                yield f"simulated, {settings.simulator_rate} ticks a second: all figures are invented"
            case "replay":
                speed = (
                    f"at {settings.replay_speed:g} times its speed" if settings.replay_speed else "as fast as it goes"
                )
                yield f"{settings.replay_file}, {speed}"
            case _:
                yield f"{name}, what somebody subscribes to"


def _ways(settings: Settings) -> Iterator[str]:
    """How people are reached, in words."""
    outbox = settings.data_dir / OUTBOX
    if settings.smtp_host is None and settings.twilio_account_sid is None:
        yield f"mail, SMS and calls written to {outbox}"
        return
    yield f"mail through {settings.smtp_host}" if settings.smtp_host else f"mail written to {outbox}"
    yield "SMS and calls through Twilio" if settings.twilio_account_sid else f"SMS and calls written to {outbox}"


def _first_steps(settings: Settings) -> Iterator[Text]:
    """What to type next. Only where nothing is shared, as a token that is printed is a token in a log."""
    token = issuer_of(settings).issue("demo", Plan.PRO, expires_in_s=TOKEN_LIVES_S)
    socket = page_of(settings).replace("http", "ws", 1)
    yield Text("\n  Watch prices and signals from another terminal:\n")
    yield Text(f"    {_command('tail market:RELIANCE signals:generated')}")
    yield Text("\n  Or with a token of today, of a user demo with the plan pro:\n")
    yield Text.assemble("    ", (f"TOKEN={token}", "dim"))
    yield Text(f'    wscat -c "{socket}/ws?token=$TOKEN" -w 60 \\')
    yield Text("""        -x '{"action":"subscribe","channel":"market:RELIANCE"}'""")
    yield Text("\n  A link into the dashboard as administrator:\n")
    yield Text(f"    {_command('token --user admin --role admin --link')}")
    yield Text("\n  Ctrl-C ends it.")


def _command(words: str) -> str:
    """A command as it can be pasted into a shell in the same folder."""
    inline = [f"{name}={shlex.quote(value)}" for name in _INLINE if (value := os.environ.get(name))]
    return " ".join([*inline, _program(), words])


def _program() -> str:
    if Path(sys.argv[0]).name == "tickhub":
        return "tickhub"
    python, here = Path(sys.executable), Path.cwd()
    return f"{python.relative_to(here) if python.is_relative_to(here) else 'python'} -m hub"
