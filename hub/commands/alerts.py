"""`python -m hub alerts`: the role, or with `--backtest` what would have fired over a recording."""

import argparse
import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path

from feeds.errors import BadFile
from hub.alerting.backtest import Asked, backtest, rule_of, stored
from hub.commands import run as role
from hub.commands import storage
from hub.exit_codes import EXIT_FAILED, EXIT_OK
from hub.process import names_of
from hub.progress import shown
from hub.terminal import complain, say
from notifiers.conditions.options import Frequency
from notifiers.engine.samples import Rule
from schemas.settings import Settings


def add(parser: argparse.ArgumentParser) -> None:
    """Options beside the role."""
    parser.set_defaults(command=run)
    parser.add_argument(
        "--backtest",
        metavar="FILE",
        type=Path,
        help="say instead what would have fired over a recording or a CSV of prices (see FEED=replay)",
    )
    parser.add_argument("--symbol", metavar="NSE:TCS", help="the instrument of the conditions to try")
    parser.add_argument(
        "--condition",
        metavar="TEXT",
        action="append",
        default=[],
        help='what to try, such as "price crosses above 2500"; may be given several times; '
        "without any, all active alerts of the database are tried",
    )
    parser.add_argument(
        "--frequency",
        choices=[str(one) for one in Frequency],
        default="every",
        help="how often it may fire; every time by default",
    )


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Run the role, or try conditions. Raises CommandError for a condition that makes no sense."""
    if options.backtest is None:
        return role.run(settings, options)
    if options.condition and not options.symbol:
        complain("--condition needs --symbol, such as --symbol NSE:TCS")
        return EXIT_FAILED
    rules = {number: rule_of(number, one) for number, one in enumerate(_asked(settings, options), 1)}
    try:
        asyncio.run(_backtest(settings, options.backtest, rules))
    except (BadFile, OSError) as exc:
        complain(f"{options.backtest}: {exc.strerror if isinstance(exc, OSError) else exc}")
        return EXIT_FAILED
    return EXIT_OK


async def _backtest(settings: Settings, path: Path, rules: Mapping[int, tuple[Rule, str]]) -> None:
    """Try the rules, or where there are none those of the database."""
    if not rules:
        async with storage.migrated(settings) as engine:
            rules = await stored(engine)
    with shown(f"Playing {path.name}") as work:
        await backtest(path, rules, say=say, tell=work.tell)


def _asked(settings: Settings, options: argparse.Namespace) -> Iterator[Asked]:
    """The conditions of the command line. Raises CommandError for a symbol that can be none."""
    for text in options.condition:
        place = names_of(settings).parse(f"market:{options.symbol}")
        yield Asked(
            exchange=place.exchange or "",
            symbol=place.symbol or "",
            condition=text,
            frequency=Frequency(options.frequency),
        )
