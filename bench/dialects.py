"""What a client of each system says: the request that opens the socket, then what it waits for and answers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from bench import wire
from bench.peers.publisher import TOKEN


@dataclass(frozen=True)
class Step:
    """Wait until the server has said `expect`, then say `answer` (nothing where it is None)."""

    expect: bytes
    answer: bytes | None


@dataclass(frozen=True)
class Opening:
    """All that one socket says before prices may come."""

    path: str
    steps: tuple[Step, ...]


def _subscribe(channels: Sequence[str], **options: object) -> bytes:
    command = {"action": "subscribe", "channels": list(channels), **options}
    return wire.client_frame(json.dumps(command, separators=(",", ":")).encode())


def tickhub(symbols: Sequence[str], token: str) -> Opening:
    """The hub's own protocol."""
    return Opening(
        f"/ws?token={token}",
        (
            Step(b'"type":"welcome"', _subscribe([f"market:NSE:{symbol}" for symbol in symbols])),
            Step(b'"type":"subscribed"', None),
        ),
    )


def plain(symbols: Sequence[str], token: str) -> Opening:
    """The protocol of the peers that bring none of their own."""
    return Opening(
        f"/ws?token={token or TOKEN}",
        (Step(b'welcome"', _subscribe(symbols)), Step(b'subscribed"', None)),
    )


def socketio(symbols: Sequence[str], token: str) -> Opening:
    """Socket.IO 5 over Engine.IO 4."""
    event = "42" + json.dumps(["subscribe", list(symbols)], separators=(",", ":"))
    return Opening(
        f"/socket.io/?EIO=4&transport=websocket&token={token or TOKEN}",
        (
            Step(b'0{"sid"', wire.client_frame(b"40")),
            Step(b'40{"sid"', wire.client_frame(event.encode())),
            Step(b'42["subscribed"', None),
        ),
    )


def nats(symbols: Sequence[str], token: str) -> Opening:
    """The NATS protocol in binary frames. Subscription ids start at 100, so that all have the same length."""
    connect = json.dumps({"verbose": False, "pedantic": False, "auth_token": token or TOKEN})
    subscriptions = "".join(f"SUB {symbol} {100 + place}\r\n" for place, symbol in enumerate(symbols))
    says = f"CONNECT {connect}\r\n{subscriptions}PING\r\n".encode()
    return Opening("/", (Step(b"INFO ", wire.client_frame(says, wire.BINARY)), Step(b"PONG\r\n", None)))


OPENINGS = {"tickhub": tickhub, "plain": plain, "socketio": socketio, "nats": nats}
