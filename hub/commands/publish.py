"""`python -m hub publish`."""

import argparse
import asyncio
import json
import urllib.error
import urllib.request

from auth.identity import Role
from hub.address import place_of
from hub.commands.token import issuer_of
from hub.exit_codes import EXIT_FAILED, EXIT_OK
from hub.process import names_of
from hub.roles import broker_of
from hub.terminal import complain, say
from schemas.settings import Settings


def add(parser: argparse.ArgumentParser) -> None:
    """What, and where to."""
    parser.set_defaults(command=run)
    parser.add_argument("channel", help="e.g. market:NSE:RELIANCE")
    parser.add_argument("data", help="a JSON object")
    parser.add_argument("--key", help="publish once, however often this is run with the same key")


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Publish through Redis, or the running hub where there is none. Raises CommandError, Unavailable."""
    names = names_of(settings)
    channel = names.parse(options.channel)
    payload = channel.namespace.normalise(options.data.encode())
    if settings.redis_url is None:
        return _over_http(settings, channel.name, payload, options.key)

    async def publish() -> str:
        broker = broker_of(settings, names)
        try:
            receipt = await broker.publish(channel, payload, key=options.key)
        finally:
            await broker.close()
        place = f" {receipt.epoch}:{receipt.offset}" if receipt.epoch else ""
        return f"{_done(receipt.duplicate)} {channel.name}{place}"

    say(asyncio.run(publish()))
    return EXIT_OK


def _over_http(settings: Settings, channel: str, payload: bytes, key: str | None) -> int:
    """Without Redis the broker is inside the running hub, so it is asked."""
    place = place_of(settings)
    body = {"channel": channel, "data": json.loads(payload)} | ({"idempotency_key": key} if key else {})
    token = issuer_of(settings).issue("cli", role=Role.PUBLISHER, expires_in_s=60)
    request = urllib.request.Request(
        f"http://{place}/api/v1/publish",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - always http
            data = json.load(answer)["data"]
    except urllib.error.HTTPError as exc:
        complain(exc.read().decode(errors="replace"))
        return EXIT_FAILED
    except OSError as exc:
        complain(f"No hub answers at {place}: {exc}; start one with python -m hub")
        return EXIT_FAILED
    say(f"{_done(data['duplicate'])} {channel}")
    return EXIT_OK


def _done(duplicate: bool) -> str:
    return "already published" if duplicate else "published"
