"""The hub as the benchmarks run it: the real process, with a feed of settable rate in the simulator's place.

    python -m bench.hub_process --port P --symbols 500            the role web and the load feed, in-process broker
    python -m bench.hub_process --port P --redis redis://…        the role web alone, prices through Redis
    python -m bench.hub_process --port P --simulator              web and the simulator, also with --redis

With `--database postgresql://…` the accounts and all else are kept there, else in an SQLite file that goes with it.
Says `{"token": …}` on stdout once it runs, then answers the control protocol of `peers/publisher.py`.
"""

import argparse
import asyncio
import json
import sys
import tempfile

import uvloop

from auth.identity import Plan
from auth.tokens import TokenIssuer
from bench.market_load import load_feed
from bench.peers.publisher import TOKEN
from hub import logs
from hub.process import Process
from hub.roles import Roles
from schemas.settings import Settings, load

_A_DAY_S = 24 * 3600.0

_UNLIMITED = str(10**9)
"""Requests are limited, and counted, but never too many."""


class LoadedRoles(Roles):
    """The hub's roles with the load feed instead of the simulator."""

    symbols = 500

    def _add_feeds(self) -> None:
        shared = self._shared
        feed = load_feed(shared.broker, shared.names, symbols=self.symbols)
        self.parts.append(("feeds.load", feed.run))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.hub_process", description="The hub under load.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--redis", metavar="URL", default="")
    parser.add_argument("--database", metavar="URL", default="")
    parser.add_argument("--simulator", action="store_true")
    return parser.parse_args()


def _say_token() -> None:
    print(json.dumps({"token": TokenIssuer(TOKEN, _A_DAY_S).issue("bench", Plan.PRO)}), flush=True)


async def _run(settings: Settings, arguments: argparse.Namespace) -> int:
    if arguments.simulator:
        process = Process(settings, ("web", "feeds"))
    elif arguments.redis:
        process = Process(settings, ("web",))
    else:
        LoadedRoles.symbols = arguments.symbols
        process = Process(settings, ("web", "feeds"), make=LoadedRoles)
    return await process.run(ready=_say_token)


def _environ(arguments: argparse.Namespace, data_dir: str) -> dict[str, str]:
    return {
        "PORT": str(arguments.port),
        "DATA_DIR": data_dir,
        "DATABASE_URL": arguments.database,
        "REDIS_URL": arguments.redis,
        "JWT_SECRET": TOKEN,
        "RATE_LIMIT_MAX": _UNLIMITED,
        "LOGIN_RATE_LIMIT_MAX": _UNLIMITED,
    }


def main() -> int:
    """Run until told to stop."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="bench-hub-") as data_dir:
        settings = load(_environ(arguments, data_dir))
        logs.configure("WARNING", settings.log_format)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_run(settings, arguments))


if __name__ == "__main__":
    sys.exit(main())
