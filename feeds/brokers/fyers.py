"""Fyers' HSM feed, version 1.5: big-endian frames in which values are told once and then only as they change.

A frame is a u16 length (of what follows it), a u8 type, and fields; each field a u8 id, a u16 length and its bytes:

    type    from us                                        to us
    1       hsm key, `P`, 1, our name                      `K` if let in; how many data frames to acknowledge at once
    3       the last data frame's number
    4, 5    topics to begin, to end; the channel           `K` if accepted
    6                                                      data, without fields: see `feeds.brokers.fyers_topics`
    7, 8    channels to pause, to resume                   `K`
    11      a ping, nothing else
    12      channels, and 70 for full or 76 for last prices only
    51                                                     a message: code i32, text, the type that it is about

Source: the vendor's package fyers-apiv3 3.2.0, which sends lengths that don't fit in some frames; ours do.
"""

import base64
import struct
from collections.abc import Mapping, Sequence

import msgspec

from feeds.brokers.fyers_topics import Topics
from feeds.brokers.source import (
    Alive,
    Bad,
    Conversation,
    Credentials,
    Event,
    Frame,
    Heard,
    Http,
    Limits,
    Mode,
    Ping,
    Ready,
    Rejected,
    Reply,
    Request,
    Said,
    TokenExpired,
)
from feeds.errors import VendorRefused
from feeds.feed import Update
from feeds.instruments import Instrument, Kind, Listing

URL = "wss://socket.fyers.in/hsm/v1-5/prod"

_AUTH, _ACK, _SUBSCRIBE, _UNSUBSCRIBE, _DATA, _MODE, _MESSAGE = 1, 3, 4, 5, 6, 12, 51
_ANSWERS = {_SUBSCRIBE: "subscription", _UNSUBSCRIBE: "unsubscription", 7: "pause", 8: "resumption", _MODE: "mode"}
_CALM = frozenset({_ACK, 11})

_CHANNELS = {"ltp": (12, 76), "quote": (11, 70), "full": (11, 70)}
"""A mode's channel, and whether that tells last prices only (76) or everything (70)."""

_TOPICS_PER_FRAME = 1_500


class _Claims(msgspec.Struct):
    hsm_key: str


def hsm_key(access_token: str) -> str:
    """The key that the feed wants, a claim within the access token; an app id and a colon may stand before that.

    The token's signature is Fyers' to check. Raises VendorRefused where there is no such claim.
    """
    try:
        claims = access_token.rpartition(":")[2].split(".")[1]
        return msgspec.json.decode(base64.urlsafe_b64decode(claims + "=="), type=_Claims).hsm_key
    except (IndexError, ValueError, msgspec.DecodeError) as exc:
        raise VendorRefused("the access token is not one of Fyers' (it holds no hsm_key)", expired=True) from exc


class FyersConversation(Conversation):
    """One connection. What a topic's number means is told on it and forgotten with it."""

    ready_at_once = False

    def __init__(self, key: str, listings: Mapping[str, Instrument]) -> None:
        self._key = key
        self._topics = Topics(listings)
        self._subscribed: dict[str, tuple[Mode, tuple[str, ...]]] = {}
        self._channels: set[int] = set()
        self._acknowledge_every = 0
        self._unacknowledged = 0

    def greeting(self) -> Sequence[Frame]:
        """The key."""
        return (_frame(_AUTH, self._key.encode(), b"P", b"\x01", b"tickhub"),)

    def subscribe(self, listings: Sequence[Listing], mode: Mode) -> Sequence[Frame]:
        """Sets the mode's channel up where it is new, and ends what another mode has asked for and this one doesn't."""
        channel, told = _CHANNELS[mode]
        frames: list[Frame] = []
        if channel not in self._channels:
            self._channels.add(channel)
            frames.append(_frame(_MODE, struct.pack(">Q", 1 << channel), bytes((told,))))
        changed = [listing for listing in listings if self._subscribed.get(listing.token, (mode,))[0] != mode]
        frames += self.unsubscribe(changed)
        asked = {listing.token: (mode, _topic_names(listing, mode)) for listing in listings}
        self._subscribed.update(asked)
        return [*frames, *_topic_frames(_SUBSCRIBE, channel, [name for _, names in asked.values() for name in names])]

    def unsubscribe(self, listings: Sequence[Listing]) -> Sequence[Frame]:
        """Ends each instrument's topics on their channel; what was never asked for is left out."""
        by_channel: dict[int, list[str]] = {}
        for listing in listings:
            if (asked := self._subscribed.pop(listing.token, None)) is not None:
                by_channel.setdefault(_CHANNELS[asked[0]][0], []).extend(asked[1])
        for names in by_channel.values():
            self._topics.forget(names)
        return [frame for channel, names in by_channel.items() for frame in _topic_frames(_UNSUBSCRIBE, channel, names)]

    def receive(self, frame: Frame, received_ms: int) -> Heard:
        """Data, or an answer."""
        if isinstance(frame, str):
            return Heard(events=(Bad("text_frame"),))
        if len(frame) < 3:
            return Heard(events=(Bad("truncated"),))
        if frame[2] == _DATA:
            return self._data(frame, received_ms)
        return Heard(events=self._answer(frame))

    def _data(self, frame: bytes, received_ms: int) -> Heard:
        updates: list[Update] = []
        events: list[Event] = []
        self._topics.read(frame, received_ms, updates, events)
        if self._acknowledge_every and len(frame) >= 7:
            self._unacknowledged += 1
            if self._unacknowledged >= self._acknowledge_every:
                self._unacknowledged = 0
                events.append(Reply(_frame(_ACK, frame[3:7])))
        return Heard(updates, events)

    def _answer(self, frame: bytes) -> Sequence[Event]:
        kind = frame[2]
        if kind in _CALM:
            return (Alive(),)
        fields = _fields(frame)
        if fields is None:
            return (Bad("truncated"),)
        if kind == _AUTH:
            return (self._let_in(fields),)
        if kind == _MESSAGE:
            return (_message(fields),)
        if kind not in _ANSWERS:
            return (Bad("unknown_type"),)
        return (Alive() if fields.get(1, b"")[:1] == b"K" else Said(f"Fyers has refused a {_ANSWERS[kind]}"),)

    def _let_in(self, fields: Mapping[int, bytes]) -> Event:
        if fields.get(1) != b"K":
            return TokenExpired("Fyers refuses the access token")
        every = fields.get(2, b"")
        self._acknowledge_every = int.from_bytes(every, "big") if len(every) == 4 else 0
        return Ready()


class Fyers:
    """The source `fyers`. Of the 5,000 topics that an account may have, mode full takes two for an instrument."""

    name = "fyers"
    credential_names: Sequence[str] = ("access_token",)
    ping: Ping | None = Ping(frame=b"\x00\x01\x0b", interval_s=10.0)
    silence_s = 30.0
    hints: Mapping[str, str] = {
        "title": "Fyers",
        "token_expired": "An access token lasts until the next morning. A login in the browser gives a new one, which"
        " is taken up without a restart.",
        "refused": "Another program may be connected with the same account, or the plan carries fewer symbols.",
    }

    def __init__(self, mode: Mode = "full") -> None:
        topics = 2 if mode == "full" else 1
        self.limits = Limits(
            connections=1,
            instruments_per_connection=5_000 // topics,
            instruments_per_frame=_TOPICS_PER_FRAME // topics,
            frames_per_second=2.0,
        )

    async def request(self, credentials: Credentials, http: Http) -> Request:
        """The address; the key follows once connected. Raises VendorRefused where the access token holds none."""
        hsm_key(credentials["access_token"])
        return Request(url=credentials.get("url") or URL)

    def converse(self, credentials: Credentials, listings: Mapping[str, Instrument]) -> Conversation:
        """A conversation for one connection. Raises VendorRefused as `request` does; what is replayed has no token."""
        token = credentials.get("access_token")
        return FyersConversation("" if token is None else hsm_key(token), listings)


def _frame(kind: int, *fields: bytes) -> bytes:
    """A frame of fields that are numbered from 1."""
    body = b"".join(struct.pack(">BH", number, len(field)) + field for number, field in enumerate(fields, 1))
    return struct.pack(">HBB", len(body) + 2, kind, len(fields)) + body


def _fields(frame: bytes) -> dict[int, bytes] | None:
    """An answer's fields by number; None where one of them is longer than the frame."""
    fields: dict[int, bytes] = {}
    at = 4
    for _ in range(frame[3] if len(frame) > 3 else 0):
        if at + 3 > len(frame):
            return None
        start, size = at + 3, int.from_bytes(frame[at + 1 : at + 3], "big")
        if start + size > len(frame):
            return None
        fields[frame[at]] = frame[start : start + size]
        at = start + size
    return fields


def _message(fields: Mapping[int, bytes]) -> Event:
    code = int.from_bytes(fields.get(1, b""), "big", signed=True)
    text = f"Fyers says: {fields.get(2, b'').decode(errors='replace')} ({code})"
    return Rejected(text) if fields.get(3) == bytes((_AUTH,)) else Said(text)


def _topic_names(listing: Listing, mode: Mode) -> tuple[str, ...]:
    """Prices of a share or a contract (sf) or of an index (if), and in mode full the depth (dp), which no index has."""
    if listing.instrument.kind is Kind.INDEX:
        return (f"if|{listing.token}",)
    return (f"sf|{listing.token}", f"dp|{listing.token}") if mode == "full" else (f"sf|{listing.token}",)


def _topic_frames(kind: int, channel: int, names: Sequence[str]) -> list[Frame]:
    frames: list[Frame] = []
    for at in range(0, len(names), _TOPICS_PER_FRAME):
        part = [name.encode() for name in names[at : at + _TOPICS_PER_FRAME]]
        topics = struct.pack(">H", len(part)) + b"".join(bytes((len(name),)) + name for name in part)
        frames.append(_frame(kind, topics, bytes((channel,))))
    return frames
