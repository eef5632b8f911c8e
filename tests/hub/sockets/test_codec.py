"""What the codec writes, read as a client reads it; and whatever a client writes, read without harm."""

import json
from itertools import product
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from channels.broker import Publication
from channels.channel import Channel, ChannelNames
from channels.namespace import BUILT_IN, Namespace, Namespaces, Policy
from channels.shape import Update
from hub.sockets.codec import CODECS, JSON, MESSAGEPACK, BadFrame, Codec, changes
from hub.sockets.frames import BINARY, TEXT, frames_in
from schemas import commands, messages, publications
from schemas.errors import CommandError
from schemas.market import LTP_FIELDS, QUOTE_FIELDS

BOTS = Namespace(name="bots", policy=Policy.LATEST, message_type="bots:update")
NEWS = Namespace(name="news", policy=Policy.LOG, message_type="news:new", history_size=5, history_age_s=60.0)
NESTED = Namespace(
    name="nested",
    policy=Policy.LATEST,
    message_type="nested:update",
    normalise=publications.schema_of_fields("nested", {"tree": "array"}),
)
NAMES = ChannelNames(Namespaces((*BUILT_IN, BOTS, NEWS, NESTED)))

MARKET = b'{"price":2500.5,"change":12.4,"open":2490.0,"volume":9007199254740993,"bid":2500.45,"time":"2026-11-23T09:15:01.250+05:30"}'  # noqa: E501
EXAMPLES: dict[str, tuple[str, bytes, bytes]] = {
    "market": ("market:NSE:NIFTY 50", MARKET, b'{"price":2501.0,"change":12.4,"ask":2501.5,"state":"halted"}'),
    "depth": (
        "depth:BSE:TCS",
        b'{"bids":[{"price":1.5,"quantity":2,"orders":3}],"asks":[]}',
        b'{"bids":[],"asks":[{"price":1.6,"quantity":7}]}',
    ),
    "candles": (
        "candles:1m:RELIANCE",
        b'{"open":1.0,"high":2.0,"low":0.5,"close":1.5,"start":"2026-11-23T09:15:00+05:30"}',
        b'{"open":1.0,"high":2.0,"low":0.5,"close":1.75,"start":"2026-11-23T09:15:00+05:30","closed":true}',
    ),
    "status": ("status:market", b"{}", b'{"NSE":{"state":"closed"}}'),
    "custom": ("bots:seven", b'{"up":true,"n":1,"gone":[1]}', b'{"up":false,"n":null}'),
    "signals": (
        "signals:generated",
        b'{"symbol":"TCS","signal_type":"BUY","confidence":81.5}',
        b'{"symbol":"TCS","signal_type":"SELL","confidence":1.0}',
    ),
    "alerts": ("alerts:user", b'{"rule":7,"text":"\xe2\x82\xb9 100 \\u2028"}', b"{}"),
    "news": ("news:in", b'{"headline":"a"}', b'{"headline":"b"}'),
}


def channel(name: str) -> Channel:
    return NAMES.parse(name, user="7")


def update(payload: bytes, number: int = 5) -> Update:
    return Update(Publication("any", payload, number), number)


def read(codec: Codec, data: bytes) -> dict[str, Any]:
    """The one message, as a client of that format reads it; refuses what strict readers refuse."""
    ((opcode, payload),) = frames_in(data)
    if codec is JSON:
        assert opcode == TEXT
        message: dict[str, Any] = json.loads(payload.decode(), object_pairs_hook=without_repeats)
    else:
        assert opcode == BINARY
        message = msgspec.msgpack.decode(payload)
    return message


def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(pairs)


def expected(name: str, fields: dict[str, Any], *, mode: str, missed: int, snapshot: bool, delta: bool) -> Any:
    """The message as the protocol's page says, independent of how the codec builds it."""
    where = channel(name)
    wanted = {"ltp": LTP_FIELDS, "quote": QUOTE_FIELDS}.get(mode) if where.namespace.name == "market" else None
    body = {key: value for key, value in fields.items() if wanted is None or key in wanted}
    message: dict[str, Any] = {"type": where.namespace.message_type, "channel": where.public_name}
    if where.namespace.policy is Policy.LOG:
        message["offset"] = 5
    else:
        message["seq"] = 5
        message |= {"missed": missed} if missed else {}
        message |= {"snapshot": True} if snapshot else {}
    if not where.namespace.flat:
        return message | {"data": body}
    place = {"exchange": where.exchange, "symbol": where.symbol, "timeframe": where.timeframe}
    return message | body | ({} if delta else {key: value for key, value in place.items() if value is not None})


@pytest.mark.parametrize("codec", [JSON, MESSAGEPACK], ids=["json", "msgpack"])
@pytest.mark.parametrize("kind", EXAMPLES)
@pytest.mark.parametrize("mode", ["ltp", "quote", "full"])
@pytest.mark.parametrize(("missed", "snapshot"), list(product([0, 3], [False, True])))
def test_a_whole_publication_reads_as_the_protocol_says(
    codec: Codec, kind: str, mode: Any, missed: int, snapshot: bool
) -> None:
    name, payload, _ = EXAMPLES[kind]
    data = codec.publication(channel(name), update(payload), mode=mode, base=None, missed=missed, snapshot=snapshot)
    fields = json.loads(payload)
    assert read(codec, data) == expected(name, fields, mode=mode, missed=missed, snapshot=snapshot, delta=False)


@pytest.mark.parametrize("codec", [JSON, MESSAGEPACK], ids=["json", "msgpack"])
@pytest.mark.parametrize("kind", ["market", "depth", "candles", "status", "custom"])
@pytest.mark.parametrize("mode", ["ltp", "quote", "full"])
@pytest.mark.parametrize("missed", [0, 3])
def test_a_delta_holds_what_changed_and_null_for_what_is_gone(codec: Codec, kind: str, mode: Any, missed: int) -> None:
    name, before, after = EXAMPLES[kind]
    data = codec.publication(
        channel(name), update(after), mode=mode, base=update(before, 4), missed=missed, snapshot=False
    )
    old, new = json.loads(before), json.loads(after)
    changed = {key: new.get(key) for key in old | new if key not in new or key not in old or old[key] != new[key]}
    assert read(codec, data) == expected(name, changed, mode=mode, missed=missed, snapshot=False, delta=True)


def test_an_uncounted_log_message_has_no_offset() -> None:
    for codec in (JSON, MESSAGEPACK):
        data = codec.publication(
            channel("news:in"), update(b'{"a":1}', 0), mode="full", base=None, missed=0, snapshot=False
        )
        assert read(codec, data) == {"type": "news:new", "channel": "news:in", "data": {"a": 1}}


SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
) | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)
OBJECTS = st.dictionaries(st.text(max_size=4), VALUES, max_size=5)
# A removed field is null in a delta, so a client that is to keep the two apart must not publish nulls.
WITHOUT_NULLS = st.dictionaries(st.text(max_size=4), VALUES.filter(lambda value: value is not None), max_size=5)


def normal(fields: dict[str, Any]) -> bytes:
    return publications.any_object(msgspec.json.encode(fields))


@given(OBJECTS, st.sampled_from(["bots:x", "news:x"]), st.integers(0, 9), st.booleans())
def test_any_object_reads_the_same_in_both_formats(
    fields: dict[str, Any], name: str, missed: int, snapshot: bool
) -> None:
    payload = normal(fields)
    read_by = [
        read(
            codec,
            codec.publication(channel(name), update(payload), mode="full", base=None, missed=missed, snapshot=snapshot),
        )
        for codec in (JSON, MESSAGEPACK)
    ]
    assert read_by[0] == read_by[1]
    assert read_by[0]["data"] == json.loads(payload)


@given(WITHOUT_NULLS, WITHOUT_NULLS)
@example({"on": True}, {"on": 1})
@example({"n": 0}, {"n": False})
@example({"list": [1, True]}, {"list": [True, 1]})
def test_a_delta_applied_to_the_state_before_gives_the_state_after(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    for codec in (JSON, MESSAGEPACK):
        data = codec.publication(
            channel("bots:x"), update(normal(after)), mode="full", base=update(normal(before)), missed=0, snapshot=False
        )
        state = json.loads(normal(before)) | read(codec, data)["data"]
        state = {name: value for name, value in state.items() if value is not None}
        assert json.dumps(state, sort_keys=True) == json.dumps(json.loads(normal(after)), sort_keys=True)


@given(OBJECTS, OBJECTS)
def test_nothing_changed_is_nothing_said(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert changes(before, before) == {}
    assert set(changes(before, after)) <= before.keys() | after.keys()


@pytest.mark.parametrize("codec", [JSON, MESSAGEPACK], ids=["json", "msgpack"])
@pytest.mark.parametrize("delta", [False, True])
def test_whatever_may_be_published_can_be_written_in_every_shape(codec: Codec, delta: bool) -> None:
    deep = b'{"tree":' + b"[" * 600 + b"]" * 600 + b"}"
    try:
        payload = NESTED.normalise(deep)
    except CommandError:  # then nobody need write it
        return
    base = update(b'{"tree":[]}') if delta else None
    data = codec.publication(channel("nested:x"), update(payload), mode="full", base=base, missed=0, snapshot=False)
    assert len(data) > 600


# -- commands ----------------------------------------------------------------------------------------------------------

NAME = st.text(min_size=1, max_size=12)
IDS = st.none() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=10)
POSITIONS = st.builds(commands.Position, st.text(max_size=8), st.integers(0, 2**60))
WHICH = st.one_of(
    NAME.map(lambda name: {"channel": name}), st.lists(NAME, max_size=3).map(lambda names: {"channels": names})
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "mode": st.sampled_from(["ltp", "quote", "full"]),
        "max_frequency": st.floats(0.001, 1000),
        "delta": st.booleans(),
        "recover": st.dictionaries(NAME, POSITIONS, max_size=2),
    },
)
COMMANDS = st.one_of(
    st.builds(commands.Auth, id=IDS, token=NAME),
    st.builds(lambda id, which, options: commands.Subscribe(id=id, **which, **options), IDS, WHICH, OPTIONS),  # noqa: A006
    st.builds(lambda id, which: commands.Unsubscribe(id=id, **which), IDS, WHICH),  # noqa: A006
    st.builds(commands.Subscriptions, id=IDS),
    st.builds(commands.Ping, id=IDS),
    st.builds(commands.Refresh, id=IDS, token=NAME),
    st.builds(commands.History, id=IDS, channel=NAME, limit=st.integers(0, 1000), since=st.none() | POSITIONS),
    st.builds(commands.Presence, id=IDS, channel=NAME),
    st.builds(commands.Publish, id=IDS, channel=NAME, data=OBJECTS),
)


@given(COMMANDS)
def test_a_command_is_read_the_same_in_both_formats(command: commands.AnyCommand) -> None:
    assert JSON.decode(msgspec.json.encode(command).decode()) == (command,)
    assert MESSAGEPACK.decode(msgspec.msgpack.encode(command)) == (command,)


@given(COMMANDS, st.sampled_from([("nonsense", 1), ("id", 7), ("action", "fly"), ("channel", 5)]))
def test_the_id_of_a_wrong_command_is_told(command: commands.AnyCommand, change: tuple[str, Any]) -> None:
    fields = msgspec.to_builtins(command)
    fields[change[0]] = change[1]
    for codec, encode in ((JSON, lambda value: orjson.dumps(value).decode()), (MESSAGEPACK, msgspec.msgpack.encode)):
        try:
            codec.decode(encode(fields))
        except BadFrame as exc:
            assert exc.request_id == fields.get("id")  # noqa: PT017 - most changes are refused, not all


@given(st.text() | st.binary())
@example("")
@example(b"")
@example("null")
@example("[]")
@example('{"action":"ping","id":' + "9" * 5000 + "}")
@example('{"action":"publish","channel":"a:b","data":{"x":' + "[" * 5000 + "]" * 5000 + "}}")
@example(b"\x81\xa2id\xd4\x05\x00")
@example(b"\x81\x80\x00")
@example(b"\xdf\xff\xff\xff\xff")
def test_garbage_is_refused_as_a_bad_frame_and_nothing_else(garbage: str | bytes) -> None:
    for codec in CODECS.values():
        with pytest.raises(BadFrame):
            codec.decode(garbage)


@given(VALUES)
def test_what_is_no_command_is_refused_as_a_bad_frame(value: Any) -> None:
    assume(not isinstance(value, dict) or "action" not in value)
    with pytest.raises(BadFrame):
        JSON.decode(orjson.dumps(value).decode())
    with pytest.raises(BadFrame):
        MESSAGEPACK.decode(msgspec.msgpack.encode(value))


def test_each_format_refuses_the_others_frames() -> None:
    with pytest.raises(BadFrame, match="text frames with JSON"):
        JSON.decode(b'{"action":"ping"}')
    with pytest.raises(BadFrame, match="binary frames with MessagePack"):
        MESSAGEPACK.decode('{"action":"ping"}')


# -- messages ----------------------------------------------------------------------------------------------------------

TEXTS = st.text(max_size=10)
FAILED = st.builds(messages.FailedChannel, channel=TEXTS, code=TEXTS, message=TEXTS)
COUNTS = st.integers(0, 2**53)
TIMES = st.floats(0, 1e10)
MESSAGES = st.one_of(
    st.builds(messages.Welcome, client=TEXTS, user=TEXTS, heartbeat=COUNTS, expires_at=st.none() | COUNTS, time=TIMES),
    st.builds(
        messages.Subscribed,
        id=IDS,
        subscribed=st.lists(
            st.builds(
                messages.SubscribedChannel,
                requested=TEXTS,
                channel=TEXTS,
                epoch=st.none() | TEXTS,
                offset=st.none() | COUNTS,
                recovered=st.none() | st.booleans(),
            ),
            max_size=3,
        ),
        failed=st.lists(FAILED, max_size=2),
    ),
    st.builds(messages.UnsubscribedReply, id=IDS, unsubscribed=st.lists(TEXTS, max_size=3), failed=st.lists(FAILED)),
    st.builds(messages.Unsubscribed, channel=TEXTS, code=COUNTS, reason=TEXTS),
    st.builds(
        messages.SubscriptionList,
        id=IDS,
        subscriptions=st.lists(
            st.builds(
                messages.SubscriptionEntry,
                channel=TEXTS,
                mode=st.sampled_from(["ltp", "full"]),
                max_frequency=st.none() | st.floats(0.1, 100),
                delta=st.booleans(),
            ),
            max_size=2,
        ),
    ),
    st.builds(messages.Pong, id=IDS, time=TIMES),
    st.builds(messages.Refreshed, id=IDS, expires_at=st.none() | COUNTS),
    st.builds(
        messages.HistoryReply,
        id=IDS,
        channel=TEXTS,
        epoch=TEXTS,
        offset=COUNTS,
        publications=st.lists(st.builds(messages.HistoryEntry, offset=COUNTS, data=OBJECTS), max_size=2),
    ),
    st.builds(
        messages.PresenceReply,
        id=IDS,
        channel=TEXTS,
        clients=st.lists(st.builds(messages.PresenceMember, client=TEXTS, user=TEXTS), max_size=2),
    ),
    st.builds(messages.Published, id=IDS, channel=TEXTS, epoch=st.none() | TEXTS, offset=st.none() | COUNTS),
    st.builds(messages.Heartbeat, time=TIMES, feeds=OBJECTS),
    st.builds(messages.TokenExpiring, expires_in=COUNTS),
    st.builds(messages.Entitled, plan=TEXTS, role=TEXTS),
    st.builds(messages.Shutdown, reconnect_after=TIMES),
    st.builds(messages.Error, id=IDS, code=TEXTS, message=TEXTS, temporary=st.booleans()),
)


@given(MESSAGES)
def test_a_message_reads_the_same_in_both_formats_and_names_its_type(message: messages.AnyMessage) -> None:
    as_json, as_messagepack = (read(codec, codec.message(message)) for codec in (JSON, MESSAGEPACK))
    assert as_json == as_messagepack
    assert as_json["type"] == message.__struct_config__.tag


def test_every_message_of_the_union_is_made_above() -> None:
    made: set[type] = set()

    @settings(max_examples=600)
    @given(MESSAGES)
    def collect(message: messages.AnyMessage) -> None:
        made.add(type(message))

    collect()
    assert made == set(messages.AnyMessage.__args__)
