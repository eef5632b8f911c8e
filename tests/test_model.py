"""Sessions, registry, fan-out and broker together, held against a model that knows only what the protocol promises.

What a client was given is what was published, newest value or gapless run, or it was told that it is not.
"""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from auth.identity import Identity, Plan
from auth.plans import MAX_CHANNELS
from channels.broker import Publication
from channels.channel import Channel, ChannelNames
from channels.fanout import Fanout
from channels.namespace import BUILT_IN, Namespace, Namespaces, Policy, Publishers
from channels.registry import Registry
from hub.sockets.codec import JSON, MESSAGEPACK, Codec
from hub.sockets.frames import frames_in
from hub.sockets.services import Services
from hub.sockets.session import Session
from schemas import commands, publications
from schemas.commands import Position
from schemas.errors import CommandError, Disconnect, ErrorCode
from schemas.market import LTP_FIELDS
from tests.channels.brokers import FaultyBroker
from tests.channels.clock import jumping, jumping_runner, run, turns
from tests.channels.transports import Pipe

CUSTOM = (
    Namespace(name="bots", policy=Policy.LATEST, message_type="bots:update", publish=Publishers.SUBSCRIBERS),
    Namespace(
        name="short",
        policy=Policy.LOG,
        message_type="short:new",
        publish=Publishers.SUBSCRIBERS,
        history_size=5,
        history_age_s=3600.0,
    ),
    Namespace(
        name="counts",
        policy=Policy.LOG,
        message_type="counts:new",
        publish=Publishers.SUBSCRIBERS,
        history_size=5,
        history_age_s=3600.0,
        normalise=publications.schema_of_fields("counts", {"count": "integer", "more": "object?"}),
    ),
)
NAMES = ChannelNames(Namespaces((*BUILT_IN, *CUSTOM)))
MARKET, BOTS, SHORT, SIGNALS = "market:NSE:A", "bots:x", "short:a", "signals:generated"
LATEST = (MARKET, BOTS)
LOGS = (SHORT, SIGNALS)
IDENTITY = Identity(user="7", plan=Plan.PRO, token_id="t", issued_at=0, expires_at=2**40)


def channel(name: str) -> Channel:
    return NAMES.parse(name)


async def no_token_is_good(_: str) -> Identity:
    raise CommandError(ErrorCode.UNAUTHORIZED, "no token is good here")


class Hub:
    """One process without sockets. `open` and `close` it inside its loop."""

    def __init__(self) -> None:
        self.broker = FaultyBroker()
        self.registry = Registry(self.broker, Fanout(0.010))
        self.services = Services(
            registry=self.registry,
            broker=self.broker,
            names=NAMES,
            verify=no_token_is_good,
            known_symbol=lambda _: True,
        )
        self.parts: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        self.parts = [
            asyncio.create_task(self.broker.listen(self.registry), name="model.listen"),
            asyncio.create_task(self.registry.run(), name="model.registry"),
        ]
        await turns()

    async def close(self) -> None:
        for part in self.parts:
            part.cancel()
        ends = await asyncio.gather(*self.parts, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends

    def session(self, codec: Codec, client: str = "c", *, window: int | None = None) -> tuple[Session, Pipe]:
        pipe = Pipe(window=window)
        session = Session(self.services, pipe, codec, IDENTITY, client)
        pipe.owner = session
        return session, pipe


def message_of(codec: Codec, command: object) -> dict[str, Any]:
    if codec is JSON:
        return {"type": "websocket.receive", "text": msgspec.json.encode(command).decode()}
    return {"type": "websocket.receive", "bytes": msgspec.msgpack.encode(command)}


def read(codec: Codec, pipe: Pipe) -> list[dict[str, Any]]:
    decode = orjson.loads if codec is JSON else msgspec.msgpack.decode
    return [decode(payload) for _, payload in frames_in(pipe.taken())]


class Said:
    """What has been published on one channel, in order; and which of it the process can have heard."""

    def __init__(self) -> None:
        self.values: list[dict[str, Any]] = []
        self.heard: list[bool] = []

    def newest(self) -> int:
        return len(self.values) - 1

    def newest_heard(self) -> int:
        return max((place for place, heard in enumerate(self.heard) if heard), default=-1)

    def heard_between(self, after: int, before: int) -> int:
        return sum(self.heard[after + 1 : before])

    def place_of(self, price: int) -> int:
        return next(place for place, value in enumerate(self.values) if value["price"] == price)


class Hearing:
    """What one client has of one latest channel."""

    def __init__(self, said: Said, options: dict[str, Any]) -> None:
        self.said = said
        self.options = options
        self.state: dict[str, Any] | None = None
        self.place = said.newest_heard()
        self.snapshots = {place for place in (said.newest(), said.newest_heard()) if place >= 0}

    def take(self, fields: dict[str, Any], message: dict[str, Any]) -> None:
        if message.get("snapshot"):
            assert self.state is None
            self.state = dict(fields)
            self.place = self.said.place_of(fields["price"])
            assert self.place >= min(self.snapshots)
            assert "missed" not in message
        else:
            self.merge(fields)
            assert self.state is not None
            place = self.said.place_of(self.state["price"])
            assert place > self.place
            assert message.get("missed", 0) == self.said.heard_between(self.place, place)
            self.place = place
        assert self.state == self.wanted(self.said.values[self.place])

    def merge(self, fields: dict[str, Any]) -> None:
        if self.state is None or not self.options["delta"]:
            self.state = {}
        self.state = {name: value for name, value in (self.state | fields).items() if value is not None}

    def wanted(self, value: dict[str, Any]) -> dict[str, Any]:
        ltp = self.options["mode"] == "ltp" and "volume" not in self.options.get("ignored", ())
        return {name: held for name, held in value.items() if not ltp or name in LTP_FIELDS}


HEAD = {"type", "channel", "exchange", "symbol", "seq", "missed", "snapshot"}


class Client:
    """One client: a session, and the protocol's promises about it."""

    def __init__(self, hub: Hub, said: dict[str, Said], codec: Codec, name: str) -> None:
        self.hub, self.said, self.codec, self.name = hub, said, codec, name
        self.hearing: dict[str, Hearing] = {}
        self.at: dict[str, Position] = {}
        """Log channels that are heard, and how far."""
        self.left_at: dict[str, Position] = {}
        self.asked: dict[int, tuple[str, dict[str, Any], Hearing | None]] = {}
        self.seq: dict[str, int] = {}
        self.number = 0
        self.session, self.pipe = hub.session(codec, name)

    async def say(self, command: commands.AnyCommand) -> None:
        await self.session.take(message_of(self.codec, command))
        self.read()

    async def subscribe(self, name: str, options: dict[str, Any], *, recover: bool) -> None:
        self.number += 1
        since = {}
        if name in LOGS:
            options = {}
            place = self.at.get(name) or self.left_at.get(name)
            if recover and place is not None and name not in self.at:
                since = {"recover": {name: place}}
        fresh = Hearing(self.said[name], options) if name in LATEST else None
        self.asked[self.number] = (name, options | since, fresh)
        await self.say(commands.Subscribe(id=self.number, channel=name, **options, **since))

    async def unsubscribe(self, name: str) -> None:
        self.number += 1
        await self.say(commands.Unsubscribe(id=self.number, channel=name))

    def reconnect(self) -> None:
        """What was on its way is lost; where it was, the client remembers."""
        self.read()
        self.session.close()
        self.left_at |= self.at
        self.hearing, self.at, self.asked, self.seq = {}, {}, {}, {}
        self.session, self.pipe = self.hub.session(self.codec, self.name)

    def read(self) -> None:
        for message in read(self.codec, self.pipe):
            match message:
                case {"type": "subscribed", "id": number, "subscribed": [granted], "failed": []}:
                    self.granted(granted, *self.asked.pop(number))
                case {"type": "unsubscribed", "code": 2500, "channel": name}:
                    del self.at[name]
                    self.left_at.pop(name, None)
                case {"type": "unsubscribed", "unsubscribed": [name]}:
                    self.hearing.pop(name, None)
                    if name in self.at:
                        self.left_at[name] = self.at.pop(name)
                case {"type": "market:update" | "bots:update", "channel": name}:
                    self.take_latest(name, message)
                case {"type": "short:new" | "signals:new", "channel": name, "offset": offset, "data": data}:
                    place = self.at[name]
                    assert offset == place.offset + 1
                    assert data == self.said[name].values[offset - 1]
                    self.at[name] = Position(place.epoch, offset)
                case _:
                    raise AssertionError(message)

    def granted(self, granted: dict[str, Any], name: str, options: dict[str, Any], fresh: Hearing | None) -> None:
        if fresh is not None:
            if name not in self.hearing or self.hearing[name].options != options:
                self.hearing[name] = fresh
            return
        here = Position(granted["epoch"], granted["offset"])
        since = options.get("recover", {}).get(name)
        assert granted.get("recovered") in ({None} if since is None else {True, False})
        if granted.get("recovered"):
            assert since.epoch == here.epoch
            self.at[name] = since
        elif name not in self.at:
            self.at[name] = here

    def take_latest(self, name: str, message: dict[str, Any]) -> None:
        assert message["seq"] > self.seq.get(name, 0) or message.get("snapshot")
        assert message["seq"] >= self.seq.get(name, 0)
        self.seq[name] = message["seq"]
        fields = message["data"] if name == BOTS else {key: message[key] for key in message.keys() - HEAD}
        self.hearing[name].take(fields, message)

    def check_at_rest(self) -> None:
        for hearing in self.hearing.values():
            if hearing.said.values:
                assert hearing.place == hearing.said.newest()
        for name, place in self.at.items():
            assert place.offset == len(self.said[name].values)


CLIENTS = st.integers(0, 2)
FIELDS = st.fixed_dictionaries(
    {}, optional={"change": st.integers(-9, 9), "volume": st.integers(1, 3), "bid": st.integers(1, 3)}
)
OPTIONS = st.fixed_dictionaries(
    {
        "mode": st.sampled_from(["ltp", "full"]),
        "delta": st.booleans(),
        "max_frequency": st.sampled_from([None, None, 4.0, 50.0]),
    }
)


class HubAgainstModel(RuleBasedStateMachine):
    """Three clients, one in each dialect and one that changes nothing; everything that may happen to them."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = jumping_runner()
        self.said = {name: Said() for name in (*LATEST, *LOGS)}
        self.price = 0

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        async def and_what_follows() -> None:
            await coroutine
            await turns()
            for client in self.clients:
                client.read()

        self.runner.run(and_what_follows())

    @initialize()
    def begin(self) -> None:
        self.clients: list[Client] = []
        self.run(self._begin())

    async def _begin(self) -> None:
        self.hub = Hub()
        await self.hub.open()
        for number, codec in enumerate((JSON, MESSAGEPACK, JSON)):
            self.clients.append(Client(self.hub, self.said, codec, f"c{number}"))

    @rule(client=CLIENTS, name=st.sampled_from(LATEST), options=OPTIONS)
    def subscribe(self, client: int, name: str, options: dict[str, Any]) -> None:
        options = options | ({"mode": "full"} if name == BOTS else {})
        self.run(self.clients[client].subscribe(name, options, recover=False))

    @rule(client=CLIENTS, name=st.sampled_from(LOGS), recover=st.booleans())
    def subscribe_log(self, client: int, name: str, recover: bool) -> None:
        self.run(self.clients[client].subscribe(name, {}, recover=recover))

    @rule(client=CLIENTS, name=st.sampled_from([*LATEST, *LOGS]))
    def unsubscribe(self, client: int, name: str) -> None:
        self.run(self.clients[client].unsubscribe(name))

    @rule(name=st.sampled_from([*LATEST, *LOGS]), some=st.lists(FIELDS, min_size=1, max_size=7), lost=st.booleans())
    def publish(self, name: str, some: list[dict[str, Any]], lost: bool) -> None:
        self.run(self._publish(name, some, lost=lost))

    @rule(name=st.sampled_from([*LATEST, *LOGS]), fields=FIELDS)
    def publish_one(self, name: str, fields: dict[str, Any]) -> None:
        self.run(self._publish(name, [fields], lost=False))

    async def _publish(self, name: str, some: list[dict[str, Any]], *, lost: bool) -> None:
        def loses(_: Publication) -> bool:
            return lost

        self.hub.broker.loses = loses
        for fields in some:
            self.price += 1
            value = {"price": self.price} | fields
            self.said[name].values.append(value)
            self.said[name].heard.append(not lost)
            await self.hub.broker.publish(channel(name), orjson.dumps(value))
        self.hub.broker.loses = lambda _: False

    @rule()
    def interrupt(self) -> None:
        self.run(self._interrupt())

    async def _interrupt(self) -> None:
        self.hub.broker.interrupt()
        for name in LATEST:
            if self.said[name].heard:
                self.said[name].heard[-1] = True

    @rule(client=CLIENTS)
    def stall(self, client: int) -> None:
        self.clients[client].pipe.stall()

    @rule(client=CLIENTS)
    def read_on(self, client: int) -> None:
        self.run(self._read_on(self.clients[client]))

    async def _read_on(self, client: Client) -> None:
        client.pipe.read()

    @rule(client=CLIENTS)
    def reconnect(self, client: int) -> None:
        self.run(self._reconnect(self.clients[client]))

    async def _reconnect(self, client: Client) -> None:
        client.reconnect()

    @rule(milliseconds=st.integers(1, 500))
    def wait(self, milliseconds: int) -> None:
        self.run(asyncio.sleep(milliseconds / 1000))

    def teardown(self) -> None:
        try:
            if hasattr(self, "hub"):
                self.run(self._come_to_rest())
                for client in self.clients:
                    client.check_at_rest()
                self.run(self._leave())
        finally:
            if hasattr(self, "hub"):
                self.runner.run(self.hub.close())
            self.runner.close()

    async def _come_to_rest(self) -> None:
        for client in self.clients:
            client.pipe.read()
        await self._interrupt()
        await asyncio.sleep(5)

    async def _leave(self) -> None:
        for client in self.clients:
            client.session.close()
        await turns()
        assert self.hub.registry.channel_count == 0
        assert not any(self.hub.broker.subscribed.values())


TestHubAgainstModel = HubAgainstModel.TestCase
TestHubAgainstModel.settings = settings(max_examples=settings().max_examples * 3, stateful_step_count=40)


# -- whatever comes in -------------------------------------------------------------------------------------------------

CHANNELS = st.text(max_size=20) | st.sampled_from(
    [
        *("market:A", "market:NSE:A", "bots:x", "short:a", "signals:generated", "counts:a", "alerts:user", "alerts:8"),
        *("control:x", "nowhere:x", ":", "market:", "short:\x00", "candles:9m:A"),
    ]
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)
POSITIONS = st.fixed_dictionaries({"epoch": st.text(max_size=4), "offset": st.integers(0, 10**30)})
ACTIONS = st.sampled_from(
    ["subscribe", "unsubscribe", "subscriptions", "ping", "refresh", "history", "presence", "publish", "auth", "fly"]
)
COMMANDS = st.fixed_dictionaries(
    {"action": ACTIONS},
    optional={
        "id": st.integers() | st.text(max_size=5) | JSON_VALUES,
        "channel": CHANNELS,
        "channels": st.lists(CHANNELS, max_size=4),
        "mode": st.sampled_from(["ltp", "quote", "full", "most"]),
        "max_frequency": st.floats() | st.integers(),
        "delta": st.booleans(),
        "recover": POSITIONS | st.dictionaries(CHANNELS, POSITIONS, max_size=2) | JSON_VALUES,
        "since": POSITIONS,
        "limit": st.integers(-1, 1001),
        "token": st.text(max_size=4),
        "data": st.dictionaries(st.text(max_size=4), JSON_VALUES, max_size=3)
        | st.builds(lambda count: {"count": count}, st.integers()),
    },
)
PLAUSIBLE = st.one_of(
    st.builds(
        lambda name, since, delta: {"action": "subscribe", "channel": name, "recover": since, "delta": delta},
        CHANNELS,
        st.none() | POSITIONS,
        st.booleans(),
    ),
    st.builds(lambda name, data: {"action": "publish", "channel": name, "data": data}, CHANNELS, JSON_VALUES),
    st.builds(lambda count: {"action": "publish", "channel": "counts:a", "data": {"count": count}}, st.integers()),
    st.builds(lambda name: {"action": "history", "channel": name}, CHANNELS),
)


def as_text(value: Any) -> dict[str, Any]:
    return {"type": "websocket.receive", "text": msgspec.json.encode(value).decode()}


def as_bytes(value: Any) -> dict[str, Any]:
    try:
        return {"type": "websocket.receive", "bytes": msgspec.msgpack.encode(value)}
    except OverflowError:  # MessagePack has no such integers
        return {"type": "websocket.receive", "bytes": b"\xc1"}


FRAMES = st.one_of(
    st.text(max_size=40).map(lambda text: {"type": "websocket.receive", "text": text}),
    st.binary(max_size=40).map(lambda data: {"type": "websocket.receive", "bytes": data}),
    st.one_of(JSON_VALUES, COMMANDS, PLAUSIBLE, PLAUSIBLE).flatmap(
        lambda value: st.sampled_from([as_text(value), as_bytes(value)])
    ),
)


@given(st.lists(FRAMES, max_size=25), st.sampled_from([JSON, MESSAGEPACK]))
def test_whatever_a_client_sends_the_session_answers_the_next_ping_or_ends_with_a_code(
    frames: list[dict[str, Any]], codec: Codec
) -> None:
    run(_survive(frames, codec))


async def _survive(frames: list[dict[str, Any]], codec: Codec) -> None:
    hub = Hub()
    await hub.open()
    try:
        session, pipe = hub.session(codec)
        try:
            for frame in frames:
                await session.take(frame)
                await turns(3)
        except Disconnect:
            return
        read(codec, pipe)
        await session.take(message_of(codec, commands.Ping(id="still there")))
        assert any(one["type"] == "pong" and one["id"] == "still there" for one in read(codec, pipe))
        session.close()
        await turns()
        assert hub.registry.channel_count == 0
    finally:
        await hub.close()


ODD_DATA = {
    "an extension": b"\xd4\x05\x00",
    "a list as a key": b"\x81\x91\x01\x00",
    "a map as a key": b"\x81\x80\x00",
    "a time": b"\xd6\xff\x00\x00\x00\x01",
    "bytes": b"\xc4\x01\xff",
    "not a number": b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",
    "a deep list": b"\x91" * 900 + b"\x00",
}


@pytest.mark.parametrize("odd", ODD_DATA)
@pytest.mark.parametrize("name", [BOTS, SHORT, "counts:a"])
@jumping
async def test_messagepack_that_json_has_no_word_for_is_published_or_refused(odd: str, name: str) -> None:
    hub = Hub()
    await hub.open()
    session, pipe = hub.session(MESSAGEPACK)
    frame = msgspec.msgpack.encode({"action": "publish", "channel": name, "data": {"more": 0}, "id": 1})
    frame = frame.replace(b"\xa4more\x00", b"\xa4more" + ODD_DATA[odd])
    await session.take({"type": "websocket.receive", "bytes": frame})
    assert [one["type"] for one in read(MESSAGEPACK, pipe)] in (["published"], ["error"])
    await hub.close()


@pytest.mark.parametrize("codec", [JSON, MESSAGEPACK], ids=["json", "msgpack"])
@jumping
async def test_a_number_too_big_for_messagepack_can_be_published_and_read_again(codec: Codec) -> None:
    hub = Hub()
    await hub.open()
    session, pipe = hub.session(codec)
    counts = channel("counts:a")
    try:
        payload = counts.namespace.normalise(b'{"count":%d}' % 10**30)
    except CommandError:  # then nobody need read it
        payload = b'{"count":1}'
    await session.take(message_of(codec, commands.Subscribe(channel="counts:a")))
    await hub.broker.publish(counts, payload)
    await session.take(message_of(codec, commands.History(channel="counts:a")))
    assert [one["type"] for one in read(codec, pipe)] == ["subscribed", "counts:new", "history"]
    session.close()
    await hub.close()


@jumping
async def test_a_client_that_asks_for_all_the_channels_it_may_gets_every_snapshot() -> None:
    hub = Hub()
    await hub.open()
    names = [f"bots:{number}" for number in range(MAX_CHANNELS)]
    for name in names:
        await hub.broker.publish(channel(name), orjson.dumps({"text": "x" * 600}))
    session, pipe = hub.session(JSON, window=128 * 1024)
    for start in range(0, MAX_CHANNELS, 1000):
        await session.take(message_of(JSON, commands.Subscribe(channels=names[start : start + 1000])))
    assert pipe.closed is None
    heard = {}
    for _ in range(100):
        pipe.read(64 * 1024)
        heard |= {one["channel"]: one["snapshot"] for one in read(JSON, pipe) if one["type"] == "bots:update"}
    assert heard == dict.fromkeys(names, True)
    session.close()
    await hub.close()


@jumping
async def test_a_long_history_and_a_long_recovery_never_end_an_honest_reader() -> None:
    hub = Hub()
    await hub.open()
    session, pipe = hub.session(JSON, window=128 * 1024)
    await session.take(message_of(JSON, commands.Subscribe(channel=SIGNALS)))
    ((granted,),) = (one["subscribed"] for one in read(JSON, pipe))
    session.close()
    for number in range(1000):
        await hub.broker.publish(channel(SIGNALS), orjson.dumps({"n": number, "reason": "x" * 2000}))
    await session.take(message_of(JSON, commands.History(channel=SIGNALS, limit=1000)))
    assert pipe.closed is None
    pipe.read()
    (reply,) = read(JSON, pipe)
    answered = [one["offset"] for one in reply["publications"]]
    assert answered == list(range(answered[0], 1001))  # the newest, as many as one reply holds
    pipe.window = 128 * 1024
    since = Position(granted["epoch"], granted["offset"])
    await session.take(message_of(JSON, commands.Subscribe(channel=SIGNALS, recover={SIGNALS: since})))
    assert pipe.closed is None
    pipe.read()
    assert [one["offset"] for one in read(JSON, pipe) if one["type"] == "signals:new"] == list(range(1, 1001))
    session.close()
    await hub.close()


@jumping
async def test_a_client_that_changes_the_options_of_all_its_channels_stays_within_its_limit() -> None:
    hub = Hub()
    await hub.open()
    names = [f"bots:{number}" for number in range(MAX_CHANNELS)]
    session, pipe = hub.session(JSON)
    for delta, asked in ((False, names[:-1]), (True, names), (False, names), (True, ["bots:one-more", *names])):
        await session.take(message_of(JSON, commands.Subscribe(channels=asked, delta=delta)))
        (reply,) = (one for one in read(JSON, pipe) if one["type"] == "subscribed")
        assert [one["channel"] for one in reply["failed"]] == (["bots:one-more"] if "bots:one-more" in asked else [])
    assert len(session.subscriptions) == MAX_CHANNELS
    session.close()
    await hub.close()


@jumping
async def test_commands_beyond_the_limit_are_refused_and_ten_errors_end_the_session() -> None:
    hub = Hub()
    await hub.open()
    session, pipe = hub.session(JSON)
    began = time.monotonic()
    with pytest.raises(Disconnect):
        await _ping_for_ever(session)
    told = read(JSON, pipe)
    pongs = [one for one in told if one["type"] == "pong"]
    assert 100 <= len(pongs) <= 101 + 100 * (time.monotonic() - began)
    assert [one["code"] for one in told[-10:]] == [ErrorCode.RATE_LIMITED] * 10
    await hub.close()


async def _ping_for_ever(session: Session) -> None:
    while True:
        await session.take(message_of(JSON, commands.Ping()))
