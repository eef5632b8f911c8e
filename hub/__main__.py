"""The command line: `python -m hub`, also installed as `tickhub`."""

import argparse
import asyncio
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.identity import Plan, Role
from auth.sealing import Resealed, Sealer, reseal
from auth.tokens import TokenIssuer
from feeds.errors import BadFile
from hub import checks, database, logs
from hub.alerting.backtest import Asked, backtest, rule_of, stored
from hub.encryption_keys import encryption_keys
from hub.feeding.check import check_feed
from hub.feeding.sources import SOURCES
from hub.post import OUTBOX
from hub.process import EXIT_OK, EXIT_SETTINGS, Process, environment, names_of, secret_of
from hub.roles import ROLES, broker_of
from notifiers.conditions.options import Frequency
from notifiers.outbox.deliveries import Deliveries, Redrive
from notifiers.way import Way
from schemas.durations import parse_duration
from schemas.errors import CommandError, SettingsError, Unavailable
from schemas.settings import Settings, load

EXIT_FAILED = 1
REDRIVEN_LIVES_S = 6 * 3600.0
"""For how long what is sent again is tried."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        settings = load(os.environ, Path(".env"))
        logs.configure(settings.log_level, settings.log_format)
        command: Callable[[Settings, argparse.Namespace], int] = options.command
        return command(settings, options)
    except SettingsError as exc:
        print("The settings are wrong:", *(f"  {fault}" for fault in exc.faults), sep="\n", file=sys.stderr)
        return EXIT_SETTINGS
    except (CommandError, Unavailable) as exc:
        print(exc, file=sys.stderr)
        return EXIT_FAILED


_DESCRIPTIONS = {
    "alerts": "Watches prices and fires alerts. With --backtest: tries conditions on a recording instead.",
    "notifiers": "Delivers what alerts fire. With --redrive: queues dead deliveries again instead.",
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tickhub", description="Real-time market data over WebSocket, and alerts on it."
    )
    parser.set_defaults(command=_run, roles=ROLES)
    commands = parser.add_subparsers(title="commands", metavar="", description="Without one, all roles run.")
    for role, does in (
        ("web", "sockets and HTTP"),
        ("feeds", "prices in"),
        ("alerts", "what prices fire"),
        ("notifiers", "deliveries by mail, SMS, voice, push, webhook and socket"),
    ):
        one = commands.add_parser(role, help=f"run one role: {does}", description=_DESCRIPTIONS.get(role))
        one.set_defaults(command=_run, roles=(role,))
        if role == "feeds":
            one.add_argument(
                "--check",
                metavar="BROKER",
                choices=sorted(SOURCES),
                help="try one broker's account instead, and say how",
            )
        if role == "alerts":
            _add_backtest(one)
        if role == "notifiers":
            _add_redrive(one)
    commands.add_parser("migrate", help="bring the database up to date").set_defaults(command=_migrate)
    commands.add_parser(
        "rotate-keys", help="seal the database's secrets with the first of ENCRYPTION_KEYS"
    ).set_defaults(command=_rotate_keys)
    commands.add_parser("check", help="try the settings and every connection").set_defaults(command=_check)
    token = commands.add_parser("token", help="mint a token")
    token.set_defaults(command=_token)
    token.add_argument("--user", required=True, help="whose it is")
    token.add_argument("--plan", choices=[str(plan) for plan in Plan], default="free")
    token.add_argument("--role", choices=[str(role) for role in Role], default="user")
    token.add_argument("--expires", metavar="15m", help="for how long; JWT_ACCESS_EXPIRY by default")
    publish = commands.add_parser("publish", help="publish one message")
    publish.set_defaults(command=_publish)
    publish.add_argument("channel", help="e.g. market:NSE:RELIANCE")
    publish.add_argument("data", help="a JSON object")
    publish.add_argument("--key", help="publish once, however often this is run with the same key")
    return parser


def _add_backtest(parser: argparse.ArgumentParser) -> None:
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


def _add_redrive(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--redrive", action="store_true", help="send again, instead, what could not be delivered")
    parser.add_argument("--since", metavar="1d", default="1d", help="of those that died within so long; 1d by default")
    parser.add_argument("--reason", metavar="TEXT", help="only those that died for this reason")
    parser.add_argument("--channel", choices=[str(one) for one in Way], help="only those of one channel")
    parser.add_argument("--in-doubt", action="store_true", help="also those that may have arrived")


def _run(settings: Settings, options: argparse.Namespace) -> int:
    if getattr(options, "backtest", None):
        return _backtest(settings, options)
    if getattr(options, "redrive", False):
        return _redrive(settings, options)
    if getattr(options, "check", None):
        well = asyncio.run(check_feed(settings, options.check, environment, now_s=time.time, say=print))
        return EXIT_OK if well else EXIT_FAILED

    async def run() -> int:
        process = Process(settings, options.roles)
        return await process.run(ready=lambda: _greet(settings, options.roles))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


def _greet(settings: Settings, roles: Sequence[str]) -> None:
    """What somebody who has just started it wants to know."""
    if "web" not in roles:
        return
    host = "localhost" if settings.host in ("127.0.0.1", "0.0.0.0", "::") else settings.host  # noqa: S104 - told, not bound
    place = _place(host, settings.port)
    print(f"\n  tickhub     http://{place}")
    print(f"  roles       {', '.join(roles)}")
    print(f"  broker      {settings.redis_url or 'in this process'}")
    print(f"  database    {settings.database_url or settings.data_dir / database.SQLITE_FILE}")
    if "feeds" in roles:
        print(f"  prices      {'; '.join(_prices(settings))}")
    print(f"  alerts      {'; '.join(_ways(settings))}")
    print(f"  docs        http://{place}/docs")
    if settings.redis_url is None and settings.database_url is None:
        token = _issuer(settings).issue("demo", Plan.PRO, expires_in_s=24 * 3600)
        print(f"\n  A token for today: {token}\n")
        print(f"  wscat -c 'ws://{place}/ws?token={token}' \\")
        print("""        -x '{"action":"subscribe","channel":"market:RELIANCE"}' -w 60""")
    print(flush=True)


def _prices(settings: Settings) -> Iterator[str]:
    """Where prices come from, in words."""
    for name in settings.feed:
        match name:
            case "simulator":
                yield f"simulated, {settings.simulator_rate} ticks a second"
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


def _place(host: str, port: int) -> str:
    """Host and port as a URL has them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _issuer(settings: Settings) -> TokenIssuer:
    return TokenIssuer(secret_of(settings), settings.jwt_access_expiry_s)


def _token(settings: Settings, options: argparse.Namespace) -> int:
    try:
        expires_in_s = parse_duration(options.expires) if options.expires else None
        token = _issuer(settings).issue(options.user, Plan(options.plan), Role(options.role), expires_in_s)
    except ValueError as exc:
        print(exc, file=sys.stderr)
        return EXIT_FAILED
    print(token)
    return EXIT_OK


def _backtest(settings: Settings, options: argparse.Namespace) -> int:
    async def run() -> None:
        rules = asked
        if not options.condition:
            async with _database(settings) as engine:
                rules = await stored(engine)
        await backtest(options.backtest, rules, say=print)

    if options.condition and not options.symbol:
        print("--condition needs --symbol, such as --symbol NSE:TCS", file=sys.stderr)
        return EXIT_FAILED
    asked = {number: rule_of(number, one) for number, one in enumerate(_asked(settings, options), 1)}
    try:
        asyncio.run(run())
    except (BadFile, OSError) as exc:
        print(f"{options.backtest}: {exc.strerror if isinstance(exc, OSError) else exc}", file=sys.stderr)
        return EXIT_FAILED
    return EXIT_OK


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


def _redrive(settings: Settings, options: argparse.Namespace) -> int:
    async def run() -> int:
        since_ms = int((time.time() - parse_duration(options.since)) * 1000)
        wanted = Redrive(
            lives_s=REDRIVEN_LIVES_S,
            died_since_ms=since_ms,
            reason=options.reason,
            way=Way(options.channel) if options.channel else None,
            in_doubt=options.in_doubt,
        )
        async with _database(settings) as engine:
            return await Deliveries(engine).redrive(wanted)

    try:
        count = asyncio.run(run())
    except ValueError as exc:
        print(exc, file=sys.stderr)
        return EXIT_FAILED
    print(f"{count} will be sent again by whoever runs the role notifiers.")
    return EXIT_OK


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """The database, up to date."""
    url = settings.database_url.reveal() if settings.database_url else ""
    engine = database.engine_for(url, settings.data_dir)
    try:
        await database.migrate(engine)
        yield engine
    finally:
        await engine.dispose()


def _migrate(settings: Settings, _: argparse.Namespace) -> int:
    async def migrate() -> None:
        async with _database(settings):
            print("The database is up to date.")

    asyncio.run(migrate())
    return EXIT_OK


def _rotate_keys(settings: Settings, _: argparse.Namespace) -> int:
    async def rotate() -> Resealed:
        url = settings.database_url.reveal() if settings.database_url else ""
        engine = database.engine_for(url, settings.data_dir)
        try:
            return await reseal(engine, sealer)
        finally:
            await engine.dispose()

    sealer = Sealer(encryption_keys(settings))
    resealed, unsealable = asyncio.run(rotate())
    print(f"Sealed with the first key now: {resealed}.")
    if unsealable:
        print(f"No key opens {unsealable}; set the key that sealed them too, and try again.", file=sys.stderr)
        return EXIT_FAILED
    print("All open with the first key alone; the others may go.")
    return EXIT_OK


def _check(settings: Settings, _: argparse.Namespace) -> int:
    return EXIT_OK if asyncio.run(checks.report(settings)) else EXIT_FAILED


def _publish(settings: Settings, options: argparse.Namespace) -> int:
    names = names_of(settings)
    channel = names.parse(options.channel)
    payload = channel.namespace.normalise(options.data.encode())
    if settings.redis_url is None:
        return _publish_over_http(settings, channel.name, payload, options.key)

    async def publish() -> str:
        broker = broker_of(settings, names)
        try:
            receipt = await broker.publish(channel, payload, key=options.key)
        finally:
            await broker.close()
        place = f" {receipt.epoch}:{receipt.offset}" if receipt.epoch else ""
        return f"{'already published' if receipt.duplicate else 'published'} {channel.name}{place}"

    print(asyncio.run(publish()))
    return EXIT_OK


def _publish_over_http(settings: Settings, channel: str, payload: bytes, key: str | None) -> int:
    """Without Redis the broker is inside the running hub, so it is asked."""
    body = {"channel": channel, "data": json.loads(payload)} | ({"idempotency_key": key} if key else {})
    token = _issuer(settings).issue("cli", role=Role.PUBLISHER, expires_in_s=60)
    request = urllib.request.Request(
        f"http://{_place(settings.host, settings.port)}/api/v1/publish",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - always http
            data = json.load(answer)["data"]
    except urllib.error.HTTPError as exc:
        print(exc.read().decode(errors="replace"), file=sys.stderr)
        return EXIT_FAILED
    except OSError as exc:
        print(f"No hub answers at {settings.host}:{settings.port}: {exc}", file=sys.stderr)
        return EXIT_FAILED
    print(f"{'already published' if data['duplicate'] else 'published'} {channel}")
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
