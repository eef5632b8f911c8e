"""The command line: `python -m hub`, also installed as `tickhub`."""

import argparse
import asyncio
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import uvloop

from auth.identity import Plan, Role
from auth.sealing import Resealed, Sealer, reseal
from auth.tokens import TokenIssuer
from hub import checks, database, logs
from hub.encryption_keys import encryption_keys
from hub.feeding.check import check_feed
from hub.feeding.sources import SOURCES
from hub.post import OUTBOX
from hub.process import EXIT_OK, EXIT_SETTINGS, Process, environment, names_of, secret_of
from hub.roles import ROLES, broker_of
from schemas.durations import parse_duration
from schemas.errors import CommandError, SettingsError, Unavailable
from schemas.settings import Settings, load

EXIT_FAILED = 1


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tickhub", description="Real-time market data over WebSocket.")
    parser.set_defaults(command=_run, roles=ROLES)
    commands = parser.add_subparsers(title="commands", metavar="", description="Without one, all roles run.")
    for role, does in (
        ("web", "sockets and HTTP"),
        ("feeds", "prices in"),
        ("alerts", "the alert engine (nothing to do in this release)"),
        ("notifiers", "deliveries (nothing to do in this release)"),
    ):
        one = commands.add_parser(role, help=f"run one role: {does}")
        one.set_defaults(command=_run, roles=(role,))
        if role == "feeds":
            one.add_argument(
                "--check",
                metavar="BROKER",
                choices=sorted(SOURCES),
                help="try one broker's account instead, and say how",
            )
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


def _run(settings: Settings, options: argparse.Namespace) -> int:
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
    if settings.smtp_host is None:
        print(f"  mail        written to {settings.data_dir / OUTBOX}")
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


def _migrate(settings: Settings, _: argparse.Namespace) -> int:
    async def migrate() -> None:
        url = settings.database_url.reveal() if settings.database_url else ""
        engine = database.engine_for(url, settings.data_dir)
        try:
            await database.migrate(engine)
        finally:
            await engine.dispose()

    asyncio.run(migrate())
    print("The database is up to date.")
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
