"""A Noren broker on loopback: JSON texts, and a server that sends them."""

import json
from collections.abc import Mapping

from websockets.asyncio.server import ServerConnection

from tests.feeds.brokers.server import BrokerServer, Frame


def text(kind: str, token: str, **fields: str) -> str:
    """A price message of an instrument such as `NSE|22`; fields that begin with a digit are written `_52h`."""
    exchange, number = token.split("|")
    named = {name.removeprefix("_"): value for name, value in fields.items()}
    return json.dumps({"t": kind, "e": exchange, "tk": number, **named}, separators=(",", ":"))


class ShoonyaServer(BrokerServer):
    """Lets in by user and session token, answers each subscription with every field, then tells changes only."""

    def __init__(self, user_id: str = "FA1", access_token: str = "shoonya-token") -> None:
        super().__init__()
        self.user_id = user_id
        self.access_token = access_token
        self.feed_s = 1_790_000_000
        self.heartbeats = 0
        self.prices: dict[str, str] = {}
        """Last prices as decimals, by token; of tokens that exist."""
        self.unauthorised: set[str] = set()
        self._let_in: set[ServerConnection] = set()

    async def hear(self, connection: ServerConnection, frame: Frame) -> None:
        message = json.loads(frame)
        kind = message["t"]
        if kind == "c":
            await self._log_in(connection, message)
        elif kind == "h":
            self.heartbeats += 1
            await connection.send('{"t":"hk"}')
        elif connection not in self._let_in:
            await connection.close()
        elif kind in {"t", "d"}:
            for token in message["k"].split("#"):
                await self._subscribe(connection, kind, token)
        elif kind in {"u", "ud"}:
            for token in message["k"].split("#"):
                if self.subscribed.get(token) == ("full" if kind == "ud" else "quote"):
                    del self.subscribed[token]
            await connection.send(json.dumps({"t": kind + "k", "k": message["k"]}))

    async def trade(self, prices: Mapping[str, str]) -> None:
        """New last prices of subscribed tokens, nothing else."""
        self.prices.update(prices)
        self.feed_s += 1
        for token, price in prices.items():
            kind = "df" if self.subscribed[token] == "full" else "tf"
            await self.send(text(kind, token, lp=price, ft=str(self.feed_s)))

    async def expire(self) -> None:
        """The session ends, as it does each day or when its user logs in elsewhere."""
        self.access_token = "tomorrow's token"
        for connection in list(self.connections):
            await connection.send('{"t":"ck","s":"Not_Ok","emsg":"Session Expired"}')
            await connection.close()

    async def _log_in(self, connection: ServerConnection, message: Mapping[str, str]) -> None:
        login = (message["uid"], message["actid"], message["susertoken"], message["source"])
        if login != (self.user_id, self.user_id, self.access_token, "API"):
            await connection.send('{"t":"ck","s":"Not_Ok","emsg":"Session Expired"}')
            await connection.close()
            return
        self._let_in.add(connection)
        await connection.send(json.dumps({"t": "ck", "uid": self.user_id, "s": "OK"}))

    async def _subscribe(self, connection: ServerConnection, kind: str, token: str) -> None:
        if token in self.unauthorised:
            await connection.send(text(kind + "k", token, emsg="not enabled for this user"))
            return
        self.subscribed[token] = "full" if kind == "d" else "quote"
        if (price := self.prices.get(token)) is None:
            return
        depth = {"bp1": price, "bq1": "10", "sp1": price, "sq1": "20"}
        if kind == "d":
            depth |= {"bo1": "1", "so1": "2", "_52h": price, "_52l": price}
        await connection.send(
            text(kind + "k", token, ts="X-EQ", pp="2", ls="1", ti="0.05", lp=price, c=price, v="1000",
                 ft=str(self.feed_s), **depth)
        )  # fmt: skip
