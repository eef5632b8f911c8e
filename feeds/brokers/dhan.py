"""DhanHQ's live market feed, version 2: requests in JSON, prices in the packets of `feeds.brokers.dhan_packets`.

Sources: the vendor's page "Live Market Feed" (v2) and its package dhanhq 2.3.0.
"""

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

import msgspec

from feeds.brokers.dhan_packets import Packets
from feeds.brokers.source import Bad, Conversation, Credentials, Event, Frame, Heard, Http, Limits, Mode, Ping, Request
from feeds.feed import Update
from feeds.instruments import Instrument, Listing

URL = "wss://api-feed.dhan.co"

SEGMENTS = {
    "0": "IDX_I",
    "1": "NSE_EQ",
    "2": "NSE_FNO",
    "3": "NSE_CURRENCY",
    "4": "BSE_EQ",
    "5": "MCX_COMM",
    "7": "BSE_CURRENCY",
    "8": "BSE_FNO",
}
"""A segment's code in packets and tokens, and its name in requests."""

_REQUESTS = {"ltp": 15, "quote": 17, "full": 21}
"""What asks for a mode; one more ends it."""


def connect_url(base: str, credentials: Credentials, **more: str) -> str:
    """An address of Dhan's with the credentials that it wants in the query; `url` among them replaces the base."""
    query = {**more, "token": credentials["access_token"], "clientId": credentials["client_id"], "authType": "2"}
    address = credentials.get("url") or base
    return f"{address}{'&' if '?' in address else '?'}{urlencode(query)}"


class DhanConversation(Conversation):
    """One connection to the live feed."""

    ready_at_once = True

    def __init__(self, listings: Mapping[str, Instrument]) -> None:
        self._packets = Packets(listings)
        self._modes: dict[str, Mode] = {}

    def greeting(self) -> Sequence[Frame]:
        """Nothing: the handshake has carried the credentials."""
        return ()

    def subscribe(self, listings: Sequence[Listing], mode: Mode) -> Sequence[Frame]:
        """An instrument that was subscribed in another mode is unsubscribed from that first."""
        changed = [listing for listing in listings if self._modes.get(listing.token, mode) != mode]
        frames = [*self.unsubscribe(changed), *_requests(_REQUESTS[mode], [listing.token for listing in listings])]
        self._modes.update((listing.token, mode) for listing in listings)
        return frames

    def unsubscribe(self, listings: Sequence[Listing]) -> Sequence[Frame]:
        """One more than the code that asked; what was never asked for is left out."""
        by_mode: dict[Mode, list[str]] = {}
        for listing in listings:
            if (mode := self._modes.pop(listing.token, None)) is not None:
                by_mode.setdefault(mode, []).append(listing.token)
        return [frame for mode, tokens in by_mode.items() for frame in _requests(_REQUESTS[mode] + 1, tokens)]

    def receive(self, frame: Frame, received_ms: int) -> Heard:
        """Reads packet after packet; Dhan sends no texts."""
        if isinstance(frame, str):
            return Heard(events=(Bad("text_frame"),))
        updates: list[Update] = []
        events: list[Event] = []
        self._packets.read(frame, received_ms, updates, events)
        return Heard(updates, events)


class Dhan:
    """The source `dhan`."""

    name = "dhan"
    limits = Limits(connections=5, instruments_per_connection=5_000, instruments_per_frame=100)
    credential_names: Sequence[str] = ("client_id", "access_token")
    ping: Ping | None = None
    silence_s = 30.0
    hints: Mapping[str, str] = {
        "title": "Dhan",
        "token_expired": "An access token of web.dhan.co lasts a day."
        " Make a new one there; it is taken up without a restart.",
        "refused": "Dhan allows 5 connections to one account, and none without a subscription to its data APIs.",
    }

    async def request(self, credentials: Credentials, http: Http) -> Request:
        """The address with the credentials in its query; what is wrong with them is told once connected."""
        return Request(url=connect_url(URL, credentials, version="2"))

    def converse(self, credentials: Credentials, listings: Mapping[str, Instrument]) -> Conversation:
        """A conversation for one connection."""
        return DhanConversation(listings)


def instrument_list(tokens: Sequence[str]) -> list[dict[str, str]]:
    """Tokens as requests name them: `1|1333` is security 1333 of NSE_EQ."""
    pairs = (token.split("|", 1) for token in tokens)
    return [{"ExchangeSegment": SEGMENTS[segment], "SecurityId": security} for segment, security in pairs]


def _requests(code: int, tokens: Sequence[str]) -> list[Frame]:
    step = Dhan.limits.instruments_per_frame
    return [
        msgspec.json.encode(
            {"RequestCode": code, "InstrumentCount": len(part), "InstrumentList": instrument_list(part)}
        ).decode()
        for part in (tokens[at : at + step] for at in range(0, len(tokens), step))
    ]
