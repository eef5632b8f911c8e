"""The least vendor that there can be, so that the runner's tests need none of the real ones: JSON texts.

Client: `{"sub": ["1"]}`, `{"unsub": ["1"]}`, `{"login": "…"}`, `{"pong": 1}`, `{"ping": 1}`. Server: `{"t": "1", "p": 10050}` (a price in
paise), `{"hb": 1}`, `{"ready": 1}`, `{"ping": 1}` (wants a pong), `{"expired": "…"}`, `{"rejected": "…"}`,
`{"refused": "1"}`, `{"order": {…}}`, `{"say": "…"}`, `{"market": ["NSE", "open"]}`.
"""  # noqa: E501

import json
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from math import inf
from urllib.parse import parse_qs, urlencode, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response

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
    MarketStatus,
    Mode,
    OrderUpdate,
    Ping,
    Ready,
    Rejected,
    Reply,
    Request,
    Said,
    TokenExpired,
)
from feeds.errors import VendorRefused
from feeds.instruments import Instrument, Listing
from schemas.market import PRICE_SCALE, Tick
from tests.feeds.brokers.server import BrokerServer

PAISA = PRICE_SCALE // 100


class PlainServer(BrokerServer):
    """Lets in who has the token; sends a subscriber each instrument's last price, where it has one."""

    def __init__(self, *, token: str = "good") -> None:
        super().__init__()
        self.token = token
        self.greets = True
        self.first_words = ""
        self.retry_after = ""
        """With every refusal, where it is set."""
        self.prices: dict[str, int] = {}
        """In paise, by token."""
        self.carried: dict[int, set[str]] = {}
        """What each connection carries, by its number."""
        self.most_connections = 100
        self._numbers: dict[ServerConnection, int] = {}

    def admit(self, request: HttpRequest) -> HTTPStatus | None:
        """By the token in the query, and by how many are there already."""
        if parse_qs(urlsplit(request.path).query).get("token") != [self.token]:
            return HTTPStatus.FORBIDDEN
        return HTTPStatus.TOO_MANY_REQUESTS if len(self.connections) >= self.most_connections else None

    async def greet(self, connection: ServerConnection) -> None:
        """A heartbeat, unless told otherwise; after other words, it hangs up."""
        if self.first_words:
            await connection.send(self.first_words)
            await connection.close()
        elif self.greets:
            await connection.send('{"hb": 1}')

    async def hear(self, connection: ServerConnection, frame: Frame) -> None:
        """Obey."""
        message = json.loads(frame)
        carried = self.carried.setdefault(self._number(connection), set())
        carried.update(message.get("sub", ()))
        carried.difference_update(message.get("unsub", ()))
        self.subscribed = {token: "full" for tokens in self.carried.values() for token in tokens}
        for token in message.get("sub", ()):
            if token in self.prices:
                await connection.send(price(token, self.prices[token]))
        if "login" in message:
            await connection.send('{"ready": 1}')

    async def _handshake(self, connection: ServerConnection, request: HttpRequest) -> Response | None:
        response = await super()._handshake(connection, request)
        if response is not None and self.retry_after:
            response.headers = Headers([*response.headers.raw_items(), ("Retry-After", self.retry_after)])
        return response

    async def _serve(self, connection: ServerConnection) -> None:
        try:
            await super()._serve(connection)
        finally:
            self.carried.pop(self._number(connection), None)
            self.subscribed = {token: "full" for tokens in self.carried.values() for token in tokens}
            await self._tell()

    def _number(self, connection: ServerConnection) -> int:
        return self._numbers.setdefault(connection, len(self._numbers))


def price(token: str, paise: int) -> str:
    """The frame of one price."""
    return json.dumps({"t": token, "p": paise})


class PlainSource:
    """Speaks the protocol above. `login`: the token is said on the socket too, which is not ready before."""

    name = "plain"
    credential_names: Sequence[str] = ("token",)

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        login: bool = False,
        ping: Ping | None = None,
        silence_s: float = 10.0,
        refusals: Iterable[VendorRefused] = (),
    ) -> None:
        self.limits = limits or Limits(connections=3, instruments_per_connection=3, frames_per_second=inf)
        self.ping = ping
        self.silence_s = silence_s
        self.asked: list[Credentials] = []
        """The credentials of every attempt."""
        self._login = login
        self._refusals = iter(refusals)

    async def request(self, credentials: Credentials, http: Http) -> Request:
        """The server's address with the token in its query."""
        self.asked.append(credentials)
        for refusal in self._refusals:
            raise refusal
        return Request(
            url=f"{credentials['url']}/?{urlencode({'token': credentials['token']})}", headers={"X-Plain": "1"}
        )

    def converse(self, credentials: Credentials, listings: Mapping[str, Instrument]) -> "PlainConversation":
        """One connection's."""
        return PlainConversation(listings, credentials["token"] if self._login else "")


class PlainConversation:
    """One connection."""

    def __init__(self, listings: Mapping[str, Instrument], login: str) -> None:
        self._listings = listings
        self._login = login

    def greeting(self) -> Sequence[Frame]:
        """The login, where there is one."""
        return [json.dumps({"login": self._login})] if self._login else []

    @property
    def ready_at_once(self) -> bool:
        """Without a login."""
        return not self._login

    def subscribe(self, listings: Sequence[Listing], mode: Mode) -> Sequence[Frame]:
        """One frame for all."""
        return [json.dumps({"sub": [listing.token for listing in listings]})]

    def unsubscribe(self, listings: Sequence[Listing]) -> Sequence[Frame]:
        """One frame for all."""
        return [json.dumps({"unsub": [listing.token for listing in listings]})]

    def receive(self, frame: Frame, received_ms: int) -> Heard:
        """One message, or nonsense."""
        try:
            message = json.loads(frame)
        except ValueError:
            return Heard(events=[Bad("no_json")])
        match message:
            case {"t": str(token), "p": int(paise)}:
                instrument = self._listings.get(token)
                if instrument is None:
                    return Heard(events=[Bad("unknown_token")])
                where = {"exchange": instrument.exchange, "symbol": instrument.symbol}
                return Heard(updates=[Tick(**where, price=paise * PAISA, time_ms=received_ms)])
            case {**fields} if fields:
                return Heard(events=[_event(*next(iter(fields.items())))])
        return Heard(events=[Bad("no_message")])


def _event(kind: str, value: object) -> Event:
    events: dict[str, Event] = {
        "hb": Alive(),
        "ready": Ready(),
        "ping": Reply('{"pong": 1}'),
        "expired": TokenExpired(str(value)),
        "rejected": Rejected(str(value)),
        "refused": InstrumentRefused(str(value), "we don't carry it"),
        "order": OrderUpdate(json.dumps(value).encode()),
        "say": Said(str(value)),
        "market": MarketStatus("NSE", "open"),
    }
    return events.get(kind, Bad("unknown_kind"))
