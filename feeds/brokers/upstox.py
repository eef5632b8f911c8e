"""Upstox's Market Data Feed V3: how to connect, and what to send. `feeds.brokers.upstox_messages` reads what comes.

An HTTP call with the access token gives the socket's address, with a code in it that works once. Commands are JSON
in binary frames (in text frames they are ignored), prices are protobuf. There is no acknowledgement, no error and no
heartbeat: a key that the vendor doesn't know is met with silence. The first message tells the segments' states, the
first after a subscription is a snapshot. A token comes from a login in the browser and ends at 03:30 in the night.
Sources: the page "Market Data Feed V3" of Upstox's API, and the vendor's package upstox-python-sdk 2.30.0.
"""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

import msgspec

from feeds.brokers.source import Bad, Credentials, Frame, Heard, Http, Limits, Mode, Ping, Request
from feeds.brokers.upstox_messages import decode
from feeds.errors import VendorRefused
from feeds.instruments import Instrument, Listing
from schemas.durations import Seconds

ADDRESS = "https://api.upstox.com"
_AUTHORIZE = "/v3/feed/market-data-feed/authorize"
_DOMAIN = "upstox.com"

_MODES = {"ltp": "ltpc", "quote": "full", "full": "full"}
"""Their own `option_greeks` lacks the day's figures, and `full_d30` is for the Plus plan."""
_LTP_LIMIT, _FULL_LIMIT = 5000, 2000
"""Instruments in one mode; fewer (2,000 and 1,500) where an account mixes modes."""


class Upstox:
    """Upstox as a `Source`. An instrument's token is its `instrument_key`, `NSE_EQ|INE002A01018`.

    `mode` is the one that all instruments will be asked for in: the vendor's limit hangs on it.
    """

    name = "upstox"
    credential_names: Sequence[str] = ("access_token",)
    ping: Ping | None = None
    silence_s: Seconds = 120.0
    """Nothing but prices comes, so silence is all that betrays a mute connection (a dead one fails the WebSocket's own
    ping). In an open market anything that trades changes within seconds; two minutes spare an account whose few
    instruments hardly trade from reconnecting for nothing."""
    hints: Mapping[str, str] = {
        "title": "Upstox",
        "token_expired": (
            "An access token lasts until 03:30 in the night. A login in the browser gives a new one, which is taken up "
            "without a restart."
        ),
        "refused": "Upstox allows two connections at a time to one account, fewer on some plans.",
    }

    def __init__(self, mode: Mode = "full") -> None:
        count = _LTP_LIMIT if mode == "ltp" else _FULL_LIMIT
        # A thousand keys make 30 KB: within the 64 KB that many a gateway takes as one message.
        self.limits = Limits(connections=2, instruments_per_connection=count, instruments_per_frame=1000)

    async def request(self, credentials: Credentials, http: Http) -> Request:
        """Asks the vendor, or the `url` among the credentials, for an address; it works for one connection.

        Raises VendorRefused also where the answer leads to somewhere else than the vendor, KeyError where one of
        `credential_names` is not there, and what `http` raises.
        """
        base = credentials.get("url") or ADDRESS
        place = _split(base)
        if place.scheme != "https" and not (place.scheme == "http" and _is_loopback(place)):
            raise VendorRefused("the address must be https, as the access token is sent there")
        headers = {"Authorization": f"Bearer {credentials['access_token']}", "Accept": "application/json"}
        answer = await http.get_json(base.rstrip("/") + _AUTHORIZE, headers)
        try:
            address = msgspec.convert(answer, _Authorized).data.authorized_redirect_uri
        except msgspec.ValidationError:
            raise VendorRefused("an authorisation without an address") from None  # the error might quote it
        _check_address(_split(address), place)
        return Request(url=address)

    def converse(self, credentials: Credentials, listings: Mapping[str, Instrument]) -> "UpstoxConversation":
        """A conversation for one connection."""
        return UpstoxConversation(listings)


class UpstoxConversation:
    """One connection. It remembers each instrument's mode, as a change has a method of its own."""

    ready_at_once = True

    def __init__(self, listings: Mapping[str, Instrument]) -> None:
        self._listings = listings
        self._modes: dict[str, str] = {}
        self._count = 0

    def greeting(self) -> Sequence[Frame]:
        """Nothing: the address has said it all."""
        return ()

    def subscribe(self, listings: Sequence[Listing], mode: Mode) -> Sequence[Frame]:
        """A frame for those that are new or asked for again, and one for those whose mode changes."""
        wanted = _MODES[mode]
        keys = list(dict.fromkeys(listing.token for listing in listings))
        changed = [key for key in keys if self._modes.get(key, wanted) != wanted]
        new = [key for key in keys if self._modes.get(key, wanted) == wanted]
        self._modes |= dict.fromkeys(keys, wanted)
        return [*self._command("sub", new, wanted), *self._command("change_mode", changed, wanted)]

    def unsubscribe(self, listings: Sequence[Listing]) -> Sequence[Frame]:
        """A frame that unsubscribes."""
        keys = [key for key in dict.fromkeys(listing.token for listing in listings) if self._modes.pop(key, None)]
        return self._command("unsub", keys)

    def receive(self, frame: Frame, received_ms: int) -> Heard:
        """Prices and states; the vendor sends no texts."""
        if isinstance(frame, str):
            return _TEXT
        return decode(self._listings, frame, received_ms)

    def _command(self, method: str, keys: Sequence[str], mode: str = "") -> Sequence[Frame]:
        if not keys:
            return ()
        self._count += 1
        data: dict[str, object] = {"mode": mode} if mode else {}
        data["instrumentKeys"] = keys
        return (msgspec.json.encode({"guid": f"tickhub-{self._count}", "method": method, "data": data}),)


_TEXT = Heard((), (Bad("bad_text"),))


class _Address(msgspec.Struct):
    authorized_redirect_uri: str


class _Authorized(msgspec.Struct):
    """`{"status": "success", "data": {"authorized_redirect_uri": "wss://…"}}`."""

    data: _Address


# -- where we are sent ---------------------------------------------------------------------------------------------


def _check_address(sent: SplitResult, asked: SplitResult) -> None:
    """Raise VendorRefused unless the place is the vendor's, or the one asked, or both are on this machine."""
    host = sent.hostname or ""
    if sent.scheme == "ws" and _is_loopback(sent) and _is_loopback(asked):
        return
    if sent.scheme == "wss" and (host in {asked.hostname, _DOMAIN} or host.endswith(f".{_DOMAIN}")):
        return
    raise VendorRefused(f"the authorisation leads elsewhere, to {sent.scheme}://{host}")


def _split(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError:
        raise VendorRefused("an address that is none") from None  # the error quotes it


def _is_loopback(place: SplitResult) -> bool:
    try:
        return ip_address(place.hostname or "").is_loopback
    except ValueError:
        return place.hostname == "localhost"
