"""Codecs: wire dialects. A session knows commands and messages; a codec knows how they look on one kind of socket.

`NativeCodec` speaks the hub's own protocol, as JSON in text frames or as MessagePack in binary ones. Another dialect
is another class with the same three methods; neither the session nor the channels would notice.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
import orjson

from channels.channel import Channel
from channels.namespace import Namespace, Policy
from channels.shape import Encoder, Update
from hub.sockets.frames import BINARY, TEXT, frame
from schemas.commands import AnyCommand, Mode, RequestId
from schemas.errors import CommandError, ErrorCode
from schemas.market import LTP_FIELDS, QUOTE_FIELDS
from schemas.messages import AnyMessage
from schemas.phrases import translatable
from schemas.validation import phrase_of

_ABSENT = object()
_MODE_FIELDS = {"ltp": LTP_FIELDS, "quote": QUOTE_FIELDS}


class BadFrame(CommandError):
    """What a client sent is no command; `request_id` is the id it carried, where one could be made out."""

    def __init__(self, text: str, request_id: RequestId | None = None, /, **values: object) -> None:
        super().__init__(ErrorCode.BAD_REQUEST, text, **values)
        self.request_id = request_id


class Codec(Encoder, Protocol):
    """One wire dialect."""

    subprotocol: str
    """Its name in `Sec-WebSocket-Protocol`."""

    def decode(self, data: str | bytes) -> Sequence[AnyCommand]:
        """The commands of one frame, text as str. Raises BadFrame."""

    def message(self, message: AnyMessage) -> bytes:
        """One message that is no publication, as framed bytes."""


class _Id(msgspec.Struct):
    id: RequestId | None = None


class _Json:
    """Text frames with JSON. A full update is the published bytes with a head and a tail, nothing is decoded."""

    opcode = TEXT
    kind: type = str
    expected = translatable("This connection speaks text frames with JSON")
    command = msgspec.json.Decoder(AnyCommand)
    request_id = msgspec.json.Decoder(_Id)
    encode = msgspec.json.Encoder().encode


class _MessagePack:
    """Binary frames with MessagePack."""

    opcode = BINARY
    kind: type = bytes
    expected = translatable("This connection speaks binary frames with MessagePack")
    command = msgspec.msgpack.Decoder(AnyCommand)
    request_id = msgspec.msgpack.Decoder(_Id)
    encode = msgspec.msgpack.Encoder().encode


class NativeCodec:
    """The hub's own protocol in one of its two formats. Stateless but for cached channel heads; one serves all."""

    def __init__(self, subprotocol: str, wire: type[_Json] | type[_MessagePack]) -> None:
        self.subprotocol = subprotocol
        self._wire = wire
        self._json = wire is _Json
        self._heads: dict[str, tuple[Namespace, dict[str, Any], bytes]] = {}

    def decode(self, data: str | bytes) -> Sequence[AnyCommand]:
        """The one command of a frame."""
        wire = self._wire
        if not isinstance(data, wire.kind):
            raise BadFrame(wire.expected)
        try:
            return (wire.command.decode(data),)  # type: ignore[arg-type] # the kind was checked above
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            fault = phrase_of(str(exc))
            raise BadFrame(fault.text, self._id_of(data), **fault.values) from exc

    def _id_of(self, data: str | bytes) -> RequestId | None:
        try:
            return self._wire.request_id.decode(data).id  # type: ignore[arg-type] # the kind was checked above
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None

    def message(self, message: AnyMessage) -> bytes:
        """A reply or notice as one frame."""
        return frame(self._wire.opcode, self._wire.encode(message))

    def publication(
        self,
        channel: Channel,
        update: Update,
        *,
        mode: Mode,
        base: Update | None,
        missed: int,
        snapshot: bool,
        indicators: tuple[str, ...] = (),
    ) -> bytes:
        """One publication as one frame; see `channels.shape.Encoder`."""
        _, head, head_json = self._head(channel)
        tail: dict[str, Any] = {}
        if channel.namespace.policy is Policy.LOG:
            if update.number:
                tail["offset"] = update.number
        else:
            tail["seq"] = update.number
            if missed:
                tail["missed"] = missed
            if snapshot:
                tail["snapshot"] = True
        wanted = _MODE_FIELDS.get(mode) if channel.namespace.name == "market" else None
        extra = channel.timeframe is not None and b'"indicators":' in update.payload
        if base is None and wanted is None and self._json and not extra:
            return frame(TEXT, self._spliced(channel, head_json, update.payload, tail))
        fields = _with_indicators(update.fields, indicators) if extra else update.fields
        if wanted is not None:
            fields = {name: value for name, value in fields.items() if name in wanted}
        if base is not None:  # what the channel's name says of the instrument has been said with the first value
            before = _with_indicators(base.fields, indicators) if extra else base.fields
            fields = changes(before, fields, wanted)
            head = {"type": head["type"], "channel": head["channel"]}
        body = head | fields | tail if channel.namespace.flat else head | tail | {"data": fields}
        return frame(self._wire.opcode, orjson.dumps(body) if self._json else self._wire.encode(body))

    def _head(self, channel: Channel) -> tuple[Namespace, dict[str, Any], bytes]:
        entry = self._heads.get(channel.name)
        if entry is None or entry[0] is not channel.namespace:
            head: dict[str, Any] = {"type": channel.namespace.message_type, "channel": channel.public_name}
            if channel.namespace.flat:
                places = {"exchange": channel.exchange, "symbol": channel.symbol, "timeframe": channel.timeframe}
                head |= {name: value for name, value in places.items() if value is not None}
            if len(self._heads) > 50_000:
                self._heads.clear()
            entry = self._heads[channel.name] = (channel.namespace, head, orjson.dumps(head))
        return entry

    @staticmethod
    def _spliced(channel: Channel, head_json: bytes, payload: bytes, tail: dict[str, Any]) -> bytes:
        """Head, published bytes and tail as one JSON object."""
        tail_json = orjson.dumps(tail)
        if not channel.namespace.flat:
            middle = tail_json[1:-1]
            return b"".join((head_json[:-1], b"," if middle else b"", middle, b',"data":', payload, b"}"))
        return b"".join((head_json[:-1], b",", payload[1:-1], b",", tail_json[1:]))


def _with_indicators(fields: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """A candle's fields with those of its indicators that were asked for."""
    found = fields.get("indicators", {})
    chosen = {name: found[name] for name in names if name in found}
    rest = {name: value for name, value in fields.items() if name != "indicators"}
    return rest | {"indicators": chosen} if chosen else rest


def changes(base: dict[str, Any], fields: dict[str, Any], wanted: frozenset[str] | None = None) -> dict[str, Any]:
    """The fields that differ from the base, with their new values; those that are gone are null."""
    changed = {name: value for name, value in fields.items() if not _same(base.get(name, _ABSENT), value)}
    for name in base:
        if name not in fields and (wanted is None or name in wanted):
            changed[name] = None
    return changed


def _same(old: object, new: object) -> bool:
    """Equal as JSON: to Python, true is 1."""
    if old != new or type(old) is not type(new):
        return False
    return not isinstance(new, list | dict) or orjson.dumps(old) == orjson.dumps(new)


JSON = NativeCodec("json", _Json)
MESSAGEPACK = NativeCodec("msgpack", _MessagePack)
CODECS: dict[str, Codec] = {codec.subprotocol: codec for codec in (JSON, MESSAGEPACK)}
"""By subprotocol; a client that asks for none gets JSON."""
