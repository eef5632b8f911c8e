"""Zerodha's Kite Connect 3: how to connect, what to send, and what its text frames mean.

The ticker is one WebSocket with the credentials in its address. Commands and talk are JSON texts, prices are binary
frames (`feeds.brokers.kite_packets`), and a binary frame of one byte, about one a second, says that the connection
lives. An access token comes from a login in the browser and ends about 06:00 the next day; then the handshake gets 403.
Sources: the pages "WebSocket streaming" and "Exceptions and errors" of Kite Connect 3, and the vendor's own clients.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlencode

import msgspec

from feeds.brokers.kite_packets import Packets
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
    OrderUpdate,
    Ping,
    Request,
    Said,
    TokenExpired,
)
from feeds.instruments import Instrument, Listing
from schemas.durations import Seconds

ADDRESS = "wss://ws.kite.trade"


class Kite:
    """Kite as a `Source`. An instrument's token is the master's `instrument_token`, as decimal digits."""

    name = "kite"
    limits = Limits(connections=3, instruments_per_connection=3000, instruments_per_frame=1000)
    credential_names: Sequence[str] = ("api_key", "access_token")
    ping: Ping | None = None
    silence_s: Seconds = 10.0
    """A heartbeat comes about every second, in the night as well."""
    hints: Mapping[str, str] = {
        "title": "Zerodha Kite",
        "token_expired": "An access token ends about 06:00 in India. Log in with the browser and exchange the request"
        " token for a new one; it is taken up without a restart.",
        "refused": "Kite allows 3 connections for one API key; another program may have them.",
    }

    async def request(self, credentials: Credentials, http: Http) -> Request:
        """The vendor's address, or the `url` among the credentials, with the credentials in its query.

        Raises KeyError where one of `credential_names` is not there.
        """
        base = credentials.get("url") or ADDRESS
        query = urlencode({name: credentials[name] for name in self.credential_names})
        return Request(url=f"{base}{'&' if '?' in base else '?'}{query}", headers={"X-Kite-Version": "3"})

    def converse(self, credentials: Credentials, listings: Mapping[str, Instrument]) -> "KiteConversation":
        """A conversation for one connection."""
        secrets = [value for name in self.credential_names if (value := credentials.get(name))]
        return KiteConversation(listings, secrets, self.limits.instruments_per_frame)


class KiteConversation:
    """One connection. `secrets` are blotted out of whatever the vendor says for people."""

    ready_at_once = True

    def __init__(self, listings: Mapping[str, Instrument], secrets: Sequence[str], per_frame: int) -> None:
        self._listings = listings
        self._packets = Packets(listings)
        self._secrets = secrets
        self._per_frame = per_frame

    def greeting(self) -> Sequence[Frame]:
        """Nothing: the address has said it all."""
        return ()

    def subscribe(self, listings: Sequence[Listing], mode: Mode) -> Sequence[Frame]:
        """Frames that subscribe and set the mode; Kite's modes are called like ours.

        An instrument is named once however often it is given, as the vendor counts each naming.
        """
        chunks = list(self._chunks(listings))
        return [frame for chunk in chunks for frame in (_command("subscribe", chunk), _command("mode", [mode, chunk]))]

    def unsubscribe(self, listings: Sequence[Listing]) -> Sequence[Frame]:
        """Frames that unsubscribe."""
        return [_command("unsubscribe", chunk) for chunk in self._chunks(listings)]

    def receive(self, frame: Frame, received_ms: int) -> Heard:
        """Prices from a binary frame, anything else from a text. Only `full` packets carry a time."""
        if isinstance(frame, str):
            return Heard((), self._hear_text(frame))
        if len(frame) < 2:
            return _HEARTBEAT
        updates, bad = self._packets.decode(frame, received_ms)
        return Heard(updates, [Bad(reason, count) for reason, count in bad.items()] if bad else ())

    def _chunks(self, listings: Sequence[Listing]) -> Iterator[list[int]]:
        tokens = list(dict.fromkeys(int(listing.token) for listing in listings))
        for start in range(0, len(tokens), self._per_frame):
            yield tokens[start : start + self._per_frame]

    def _hear_text(self, text: str) -> Sequence[Event]:
        """What a text means. Types that nobody has documented (there are such) are passed over."""
        try:
            said = _decode_text(text)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return (Bad("bad_text"),)
        data = bytes(said.data)
        match said.type:
            case "order":
                return (OrderUpdate(data),) if data.startswith(b"{") else (Bad("bad_order"),)
            case "error":
                return (self._error(self._for_people(data)),)
            case "message" if words := self._for_people(data):
                return (Said(words),)
            case _:
                return ()

    def _error(self, words: str) -> Event:
        """An error as what it is about. The vendor gives a sentence and no code, so names in it have to do."""
        if _ABOUT_INSTRUMENT.search(words):
            for number in _NUMBER.findall(words):
                if number in self._listings:
                    return InstrumentRefused(number, words)
        return TokenExpired(words) if _ABOUT_CREDENTIALS.search(words) else Said(words or "an error without words")

    def _for_people(self, data: bytes) -> str:
        """The text of a JSON value, without secrets, and not longer than a person wants to read."""
        try:
            text = msgspec.json.decode(data, type=str)
        except msgspec.DecodeError:
            text = data.decode(errors="replace")
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return text[:_MAX_WORDS].strip()


class _Text(msgspec.Struct):
    """A text frame: `{"type": "order", "data": {…}}`."""

    type: str = ""
    data: msgspec.Raw = msgspec.Raw(b'""')


_decode_text = msgspec.json.Decoder(_Text).decode

_HEARTBEAT = Heard((), (Alive(),))
_NUMBER = re.compile(r"[0-9]+")
_ABOUT_INSTRUMENT = re.compile(r"instrument|token", re.IGNORECASE)
_ABOUT_CREDENTIALS = re.compile(r"TokenException|access.?token|api.?key", re.IGNORECASE)
"""The exception that the vendor documents for an ended session, and the names of the credentials."""
_MAX_WORDS = 300


def _command(action: str, value: Sequence[object]) -> str:
    return msgspec.json.encode({"a": action, "v": value}).decode()
