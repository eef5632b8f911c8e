"""Angel One's SmartAPI, WebSocket Streaming 2.0: how to connect, what to send, and what its text frames mean.

The credentials go into the handshake's headers, commands and errors are JSON texts, prices are binary frames
(`feeds.brokers.angel_packets`). The client says `ping` every ten seconds and hears `pong`. A login with TOTP gives the
JWT and the feed token of a day; then the handshake gets 401. Sources: the page "WebSocket Streaming 2.0" of SmartAPI,
and the vendor's package smartapi-python 1.5.5.

An instrument counts once for each mode that it is subscribed in, so a change of mode ends the old one first. Depth of
twenty levels (mode 4) is understood, but not asked for: it comes without prices, for 50 shares of the NSE at most.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from feeds.brokers.angel_packets import PacketReader
from feeds.brokers.source import (
    Alive,
    Bad,
    Credentials,
    Event,
    Frame,
    Heard,
    Http,
    InstrumentRefused,
    Limits,
    Mode,
    Ping,
    Request,
    Said,
    TokenExpired,
)
from feeds.instruments import Instrument, Listing
from schemas.durations import Seconds

ADDRESS = "wss://smartapisocket.angelone.in/smart-stream"

_MODES = {"ltp": 1, "quote": 2, "full": 3}
_SUBSCRIBE, _UNSUBSCRIBE = 1, 0

_INVALID_REQUEST = "E1001"
_TOKEN_ERRORS = frozenset({"AG8001", "AG8002", "AG8003", "AB1010"})
"""The vendor's codes, of all its interfaces, for a token that is invalid, expired or missing, and a session's end."""

_REMEMBERED = 256
"""So many commands are remembered, to understand an error that names one."""
_MAX_WORDS = 300


class Angel:
    """Angel as a `Source`. An instrument's token is exchange type and token, `1|2885`."""

    name = "angel"
    limits = Limits(connections=3, instruments_per_connection=1000, instruments_per_frame=500)
    credential_names: Sequence[str] = ("api_key", "client_code", "jwt_token", "feed_token")
    ping: Ping | None = Ping(frame="ping", interval_s=10.0)
    silence_s: Seconds = 30.0
    """Three pongs that have not come."""
    hints: Mapping[str, str] = {
        "title": "Angel One",
        "token_expired": (
            "The JWT and the feed token last a day. A login with TOTP gives new ones, which are taken up without a "
            "restart."
        ),
        "refused": "Angel One allows three connections at a time to one account.",
    }

    async def request(self, credentials: Credentials, http: Http) -> Request:
        """The vendor's address, or the `url` among the credentials, with the credentials in its headers.

        Raises KeyError where one of `credential_names` is not there.
        """
        jwt = credentials["jwt_token"]
        headers = {
            "Authorization": jwt if jwt.startswith("Bearer ") else f"Bearer {jwt}",
            "x-api-key": credentials["api_key"],
            "x-client-code": credentials["client_code"],
            "x-feed-token": credentials["feed_token"],
        }
        return Request(url=credentials.get("url") or ADDRESS, headers=headers)

    def converse(self, credentials: Credentials, listings: Mapping[str, Instrument]) -> "AngelConversation":
        """A conversation for one connection."""
        secrets = [value for name in self.credential_names if (value := credentials.get(name))]
        return AngelConversation(listings, secrets)


class AngelConversation:
    """One connection. `secrets` are blotted out of whatever the vendor says for people."""

    ready_at_once = True

    def __init__(self, listings: Mapping[str, Instrument], secrets: Sequence[str]) -> None:
        self._reader = PacketReader(listings)
        self._secrets = secrets
        self._modes: dict[str, int] = {}
        self._commands: OrderedDict[str, Sequence[str]] = OrderedDict()
        self._count = 0

    def greeting(self) -> Sequence[Frame]:
        """Nothing: the handshake's headers have said it all."""
        return ()

    def subscribe(self, listings: Sequence[Listing], mode: Mode) -> Sequence[Frame]:
        """A frame that subscribes, after frames that end whatever other mode an instrument is in."""
        wanted = _MODES[mode]
        tokens = _distinct(listings)
        frames = self._end([token for token in tokens if self._modes.get(token, wanted) != wanted])
        self._modes |= dict.fromkeys(tokens, wanted)
        return [*frames, self._command(_SUBSCRIBE, wanted, tokens)] if tokens else ()

    def unsubscribe(self, listings: Sequence[Listing]) -> Sequence[Frame]:
        """A frame for each mode that the instruments are in."""
        return self._end([token for token in _distinct(listings) if token in self._modes])

    def receive(self, frame: Frame, received_ms: int) -> Heard:
        """Prices from a binary frame; `pong` and errors from a text."""
        if isinstance(frame, str):
            return _PONG if frame == "pong" else Heard((), (self._said(frame),))
        updates, bad = self._reader.read(frame, received_ms)
        return Heard(updates, [Bad(reason, count) for reason, count in bad.items()] if bad else ())

    def _end(self, tokens: Sequence[str]) -> list[Frame]:
        by_mode: dict[int, list[str]] = {}
        for token in tokens:
            by_mode.setdefault(self._modes.pop(token), []).append(token)
        return [self._command(_UNSUBSCRIBE, mode, some) for mode, some in by_mode.items()]

    def _command(self, action: int, mode: int, tokens: Sequence[str]) -> str:
        self._count += 1
        correlation = f"th{self._count % 10**8:08d}"  # the vendor takes ten letters and digits
        if action == _SUBSCRIBE:
            self._commands[correlation] = tokens
            if len(self._commands) > _REMEMBERED:
                self._commands.popitem(last=False)
        params = {"mode": mode, "tokenList": _by_exchange(tokens)}
        return msgspec.json.encode({"correlationID": correlation, "action": action, "params": params}).decode()

    def _said(self, text: str) -> Event:
        """What an error means. One about a command for one instrument is about that instrument."""
        try:
            error = _decode_error(text)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return Bad("bad_text")
        words = self._for_people(f"{error.error_code}: {error.error_message}")
        if error.error_code in _TOKEN_ERRORS:
            return TokenExpired(words)
        tokens = self._commands.get(error.correlation_id, ())
        if error.error_code == _INVALID_REQUEST and len(tokens) == 1:
            return InstrumentRefused(tokens[0], words)
        return Said(words)

    def _for_people(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return text[:_MAX_WORDS].strip()


class _Error(msgspec.Struct):
    """`{"correlationID": …, "errorCode": "E1002", "errorMessage": …}`; a text without a code is none."""

    error_code: str = msgspec.field(name="errorCode")
    error_message: str = msgspec.field(name="errorMessage", default="")
    correlation_id: str = msgspec.field(name="correlationID", default="")


_decode_error = msgspec.json.Decoder(_Error).decode
_PONG = Heard((), (Alive(),))


def _distinct(listings: Iterable[Listing]) -> list[str]:
    return list(dict.fromkeys(listing.token for listing in listings))


def _by_exchange(tokens: Iterable[str]) -> list[dict[str, object]]:
    """The vendor's list of tokens: one entry for each exchange type."""
    lists: dict[str, list[str]] = {}
    for token in tokens:
        exchange_type, _, number = token.partition("|")
        lists.setdefault(exchange_type, []).append(number)
    return [{"exchangeType": int(exchange_type), "tokens": numbers} for exchange_type, numbers in lists.items()]
