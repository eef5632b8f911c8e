"""The Source port: one broker's wire protocol as a value, without any I/O of its own.

A source says how to connect, what to send, and what the frames mean. The one runner (`feeds.accounts.runner`) does the
connecting, the watching and the reconnecting for all of them; so a new broker is one module that implements this port,
and one test against a server that speaks its protocol.

    Source                   what holds for every connection: limits, how to connect
    └── Conversation         one connection: its frames out, its frames in, and what state the wire needs
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from feeds.feed import Update
from feeds.instruments import Instrument, Listing
from schemas.durations import Seconds

Frame = str | bytes
"""A text or a binary WebSocket frame."""

Mode = str
"""`ltp`, `quote` or `full`: how much of each instrument is asked for. Sources map it to their vendor's own words."""

Credentials = Mapping[str, str]
"""By the setting's name without the source's prefix, in lower case: `{"api_key": …, "access_token": …}`."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the vendor allows one account."""

    connections: int
    instruments_per_connection: int
    instruments_per_frame: int = 1_000_000
    """The most instruments that one subscribe frame may name."""
    frames_per_second: float = 10.0
    """How fast frames may be sent."""


class Ping(msgspec.Struct, frozen=True, kw_only=True):
    """A frame that the client sends now and then, whatever else happens."""

    frame: Frame
    interval_s: Seconds


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how to open one WebSocket."""

    url: str
    headers: Mapping[str, str] = {}
    subprotocols: Sequence[str] = ()


# -- what a frame means --------------------------------------------------------------------------------------------


class Ready(msgspec.Struct, frozen=True):
    """The vendor has let us in; from now on instruments may be subscribed."""


class Alive(msgspec.Struct, frozen=True):
    """A sign of life without prices."""


class TokenExpired(msgspec.Struct, frozen=True):
    """The vendor refuses the credentials; a person has to log in again."""

    reason: str


class Rejected(msgspec.Struct, frozen=True):
    """The vendor refuses the connection for another reason; trying again at once would make it worse."""

    reason: str


class InstrumentRefused(msgspec.Struct, frozen=True):
    """The vendor doesn't carry one instrument."""

    token: str
    reason: str


class OrderUpdate(msgspec.Struct, frozen=True):
    """An order of the account's owner has changed; `data` is the vendor's own JSON object."""

    data: bytes


class Said(msgspec.Struct, frozen=True):
    """A message for people."""

    text: str


class Reply(msgspec.Struct, frozen=True):
    """A frame to be sent back at once."""

    frame: Frame


class MarketStatus(msgspec.Struct, frozen=True):
    """The vendor tells a segment's state, in its own words."""

    segment: str
    state: str


class Bad(msgspec.Struct, frozen=True):
    """A frame, or a part of one, that makes no sense or is of no use; `reason` is one of few words, for a metric."""

    reason: str
    count: int = 1


Event = Ready | Alive | TokenExpired | Rejected | InstrumentRefused | OrderUpdate | Said | Reply | MarketStatus | Bad


class Heard(msgspec.Struct, frozen=True):
    """What one frame held, in its order."""

    updates: Sequence[Update] = ()
    events: Sequence[Event] = ()


class Conversation(Protocol):
    """One connection of a source. Pure: frames in, frames and updates out; made anew for every connection.

    `receive` never raises for anything a wire can bring: what is truncated, too long, unknown or impossible is
    answered with `Bad`, and never with another instrument's price.
    """

    def greeting(self) -> Sequence[Frame]:
        """What to send once the socket is open."""

    @property
    def ready_at_once(self) -> bool:
        """Whether an open socket may subscribe at once; otherwise `receive` answers `Ready` when it may."""

    def subscribe(self, listings: Sequence[Listing], mode: Mode) -> Sequence[Frame]:
        """The frames that ask for these instruments, within `Limits.instruments_per_frame`."""

    def unsubscribe(self, listings: Sequence[Listing]) -> Sequence[Frame]:
        """The frames that end them."""

    def receive(self, frame: Frame, received_ms: int) -> Heard:
        """What a frame means. `received_ms` (Unix) stands in where the wire carries no time."""


class Http(Protocol):
    """The few HTTP calls that some vendors want before a socket; the runner does them."""

    async def get_json(self, url: str, headers: Mapping[str, str]) -> object:
        """The JSON of a 200 answer. Raises `feeds.errors.VendorRefused` with the status for any other."""

    async def post_json(self, url: str, body: object, headers: Mapping[str, str]) -> object:
        """The JSON of a 200 answer to a JSON body. Raises as `get_json`."""


class Source(Protocol):
    """One broker's protocol.

    A source may also have `hints: Mapping[str, str]`, vendor's facts that help people in `python -m hub feeds --check`:
    `title` (the vendor's name as it writes itself), `token_expired` (how long credentials last and where to get new
    ones, whole sentences), `refused` (why it refuses connections that are otherwise right).
    """

    name: str
    """In the settings: `kite`, `upstox`, …"""
    limits: Limits
    credential_names: Sequence[str]
    """What must be set, lower case without the prefix: `api_key` is read from `KITE_API_KEY`."""
    ping: Ping | None
    silence_s: Seconds
    """For how long an open market may be silent before the connection counts as dead."""

    async def request(self, credentials: Credentials, http: Http) -> Request:
        """Where to connect now. Raises `feeds.errors.VendorRefused`, or what `http` raises."""

    def converse(self, credentials: Credentials, listings: Mapping[str, Instrument]) -> Conversation:
        """A conversation for one connection. `listings` finds an instrument by the vendor's own token.

        The mapping is read for each price and may grow while the connection lasts; a token that it does not hold is a
        `Bad("unknown_token")`. A replay has no credentials: then nothing is sent, but what comes in is understood.
        """
