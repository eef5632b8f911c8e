"""A Fyers HSM on loopback: its frames, and a server that sends them."""

import base64
import json
import struct
from collections.abc import Mapping, Sequence

from websockets.asyncio.server import ServerConnection

from tests.feeds.brokers.server import BrokerServer, Frame

SAME = -2147483648


def access_token(hsm_key: str) -> str:
    """A token as Fyers issues it: three parts, the second one claims."""
    claims = base64.urlsafe_b64encode(json.dumps({"sub": "access_token", "hsm_key": hsm_key}).encode())
    return f"eyJhbGciOiJIUzI1NiJ9.{claims.rstrip(b'=').decode()}.c2lnbmF0dXJl"


def answer(kind: int, *fields: bytes) -> bytes:
    """An answer of numbered fields: a length of what follows it, a type, a count, the fields."""
    body = b""
    for number, field in enumerate(fields, 1):
        body += bytes([number]) + len(field).to_bytes(2, "big") + field
    return (2 + len(body)).to_bytes(2, "big") + bytes([kind, len(fields)]) + body


def message(code: int, text: str, about: int) -> bytes:
    return answer(51, struct.pack(">i", code), text.encode(), bytes([about]))


def snapshot(
    number: int,
    topic: str,
    values: Sequence[int],
    *,
    multiplier: int = 1,
    precision: int = 2,
    texts: Sequence[str] = ("NSE", "2885", "NSE:RELIANCE-EQ"),
) -> bytes:
    record = bytes([83]) + number.to_bytes(2, "big") + bytes([len(topic)]) + topic.encode()
    record += bytes([len(values)]) + b"".join(struct.pack(">i", value) for value in values)
    record += b"\x00\x00" + multiplier.to_bytes(2, "big") + bytes([precision])
    for text in texts:
        record += bytes([len(text)]) + text.encode()
    return record


def update(number: int, values: Sequence[int]) -> bytes:
    changed = b"".join(struct.pack(">i", value) for value in values)
    return bytes([85]) + number.to_bytes(2, "big") + bytes([len(values)]) + changed


def last(number: int, value: int) -> bytes:
    return bytes([76]) + number.to_bytes(2, "big") + struct.pack(">i", value)


def data(*records: bytes, number: int = 1, count: int | None = None) -> bytes:
    body = number.to_bytes(4, "big") + (len(records) if count is None else count).to_bytes(2, "big") + b"".join(records)
    return (1 + len(body)).to_bytes(2, "big") + b"\x06" + body


def prices(last_price: int, **others: int) -> list[int]:
    """The 21 values of an `sf` topic, in the wire's units; unknown ones are the sentinel."""
    names = (
        "last", "volume", "trade_s", "exchange_s", "bid_quantity", "ask_quantity", "bid", "ask", "last_quantity",
        "buy", "sell", "average", "interest", "low", "high", "year_high", "year_low", "lower", "upper", "open", "close",
    )  # fmt: skip
    assert set(others) <= set(names)
    return [last_price if name == "last" else others.get(name, SAME) for name in names]


class FyersServer(BrokerServer):
    """Lets in by the hsm key, numbers topics anew on each connection, and sends a snapshot of each one asked for."""

    def __init__(self, hsm_key: str = "hsm-key-1") -> None:
        super().__init__()
        self.hsm_key = hsm_key
        self.first_number = 1
        """The number of a connection's first topic; raise it between two connections to renumber."""
        self.acknowledge_every = 0
        self.acknowledged: list[int] = []
        self.pings = 0
        self.prices: dict[str, int] = {}
        """Last prices in paise, by token; of tokens that exist."""
        self.numbers: dict[str, int] = {}
        """Of the newest connection, by topic."""
        self._let_in: set[ServerConnection] = set()
        self._message_number = 0
        self._next_number = 1

    @property
    def access_token(self) -> str:
        """What a client that is to be let in has to hold."""
        return access_token(self.hsm_key)

    async def greet(self, connection: ServerConnection) -> None:
        self.numbers = {}
        self._next_number = self.first_number

    async def hear(self, connection: ServerConnection, frame: Frame) -> None:
        assert isinstance(frame, bytes)
        assert int.from_bytes(frame[:2], "big") == len(frame) - 2
        kind = frame[2]
        fields = {} if kind == 11 else _fields(frame)
        if kind == 11:
            self.pings += 1
        elif kind == 1:
            await self._log_in(connection, fields)
        elif connection not in self._let_in:
            await connection.close()
        elif kind == 3:
            self.acknowledged.append(int.from_bytes(fields[1], "big"))
        elif kind == 12:
            await connection.send(answer(12, b"K"))
        elif kind in {4, 5}:
            await connection.send(answer(kind, b"K"))
            await self._topics(connection, kind, _texts(fields[1]), fields[2])

    async def trade(self, prices_paise: Mapping[str, int]) -> None:
        """New last prices of subscribed tokens, all in one frame, as changes."""
        self.prices.update(prices_paise)
        topics = [(f"{sort}|{token}", price) for token, price in prices_paise.items() for sort in ("sf", "if")]
        records = [update(self.numbers[topic], [price]) for topic, price in topics if topic in self.numbers]
        await self.send(self._data(*records))

    async def expire(self) -> None:
        """The token dies: who is connected is cut off, and who comes with it is refused."""
        self.hsm_key = "tomorrow's key"
        for connection in list(self.connections):
            await connection.send(answer(1, b"N"))
            await connection.close()

    async def _log_in(self, connection: ServerConnection, fields: Mapping[int, bytes]) -> None:
        if (fields[1], fields[2], fields[3]) != (self.hsm_key.encode(), b"P", b"\x01"):
            await connection.send(answer(1, b"N"))
            await connection.close()
            return
        self._let_in.add(connection)
        await connection.send(answer(1, b"K", self.acknowledge_every.to_bytes(4, "big")))

    async def _topics(self, connection: ServerConnection, kind: int, topics: Sequence[str], channel: bytes) -> None:
        for topic in topics:
            sort, _, token = topic.partition("|")
            if kind == 5:
                self.numbers.pop(topic, None)
                if sort != "dp":
                    self.subscribed.pop(token, None)
                continue
            self.numbers[topic] = self._next_number
            self._next_number += 1
            if sort == "dp":
                self.subscribed[token] = "full"
            else:
                self.subscribed.setdefault(token, "ltp" if channel == b"\x0c" else "quote")
            if token in self.prices:
                await connection.send(self._data(self._snapshot(sort, topic, self.prices[token])))

    def _snapshot(self, sort: str, topic: str, price: int) -> bytes:
        values = {
            "sf": prices(price, volume=1000, bid=price - 5, ask=price + 5, close=price),
            "if": [price, price, 1_790_000_000, price, price, price],
            "dp": [*range(price - 5, price - 30, -5), *range(price + 5, price + 30, 5), *range(1, 21)],
        }[sort]
        return snapshot(self.numbers[topic], topic, values)

    def _data(self, *records: bytes) -> bytes:
        self._message_number += 1
        return data(*records, number=self._message_number)


def _fields(frame: bytes) -> dict[int, bytes]:
    fields, at = {}, 4
    for _ in range(frame[3]):
        size = int.from_bytes(frame[at + 1 : at + 3], "big")
        fields[frame[at]] = frame[at + 3 : at + 3 + size]
        at += 3 + size
    assert at == len(frame)
    return fields


def _texts(field: bytes) -> list[str]:
    texts, at = [], 2
    while at < len(field):
        texts.append(field[at + 1 : at + 1 + field[at]].decode("ascii"))
        at += 1 + field[at]
    assert len(texts) == int.from_bytes(field[:2], "big")
    return texts
