import asyncio
import contextlib
import json
import math
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import websockets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auth.plans import MAX_CHANNELS
from feeds.instruments import SIMULATED
from feeds.simulated_market import SimulatedMarket
from schemas.market import LTP_FIELDS, QUOTE_FIELDS, Tick, tick_payload
from tests.hub.live import Client, Hub, Message, position, running, token

FULL: dict[str, Any] = {
    "price": 2500.5,
    "change": 12.4,
    "change_percent": 0.5,
    "open": 2490.0,
    "high": 2510.0,
    "low": 2480.0,
    "close": 2488.1,
    "volume": 1000,
    "bid": 2500.4,
    "ask": 2500.6,
    "last_quantity": 5,
    "average_price": 2499.0,
    "open_interest": 7,
    "upper_circuit": 2700.0,
    "state": "continuous",
    "time": "2026-11-23T09:15:01.250+05:30",
}
HEAD = {"type", "channel", "exchange", "symbol", "seq"}


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    async with running(tmp_path) as hub:
        yield hub


@pytest.fixture
async def client(hub: Hub) -> AsyncIterator[Client]:
    async with hub.client(user="7", plan="pro") as client:
        yield client


def granted(reply: Message) -> list[str]:
    return [entry["requested"] for entry in reply["subscribed"]]


def refused(reply: Message) -> dict[str, str]:
    return {entry["channel"]: entry["code"] for entry in reply["failed"]}


# -- subscribe --------------------------------------------------------------------------------------------------------


async def test_a_subscriber_hears_a_publication_in_the_contracts_form(hub: Hub, client: Client) -> None:
    reply = await client.subscribe("market:RELIANCE")
    assert reply["subscribed"] == [{"requested": "market:RELIANCE", "channel": "market:NSE:RELIANCE"}]
    await hub.publish("market:NSE:RELIANCE", **FULL)
    update = await client.hear("market:update")
    assert update.keys() == HEAD | FULL.keys()
    assert {name: update[name] for name in FULL} == FULL
    assert (update["channel"], update["exchange"], update["symbol"]) == ("market:NSE:RELIANCE", "NSE", "RELIANCE")


@pytest.mark.parametrize(
    ("asked", "canonical"),
    [
        ("market:reliance", "market:NSE:RELIANCE"),
        ("market:bse:reliance", "market:BSE:RELIANCE"),
        ("market:NSE:NIFTY 50", "market:NSE:NIFTY 50"),
        ("candles:1m:TCS", "candles:1m:NSE:TCS"),
        ("signals:TCS", "signals:NSE:TCS"),
        ("signals:generated", "signals:generated"),
        ("alerts:user", "alerts:user"),
        ("alerts:7", "alerts:user"),
        ("orders:user", "orders:user"),
        ("chat:a b", "chat:a b"),
        ("market:MCX:NEVERHEARD26DECFUT", "market:MCX:NEVERHEARD26DECFUT"),
    ],
)
async def test_names_are_answered_in_their_canonical_form(client: Client, asked: str, canonical: str) -> None:
    (entry,) = (await client.subscribe(asked))["subscribed"]
    assert (entry["requested"], entry["channel"]) == (asked, canonical)


async def test_many_channels_are_granted_in_one_reply(hub: Hub, client: Client) -> None:
    names = [f"market:NSE:S{place}" for place in range(200)]
    assert granted(await client.subscribe(*names)) == names
    for name in names:
        await hub.publish(name, price=1)
    heard = [message["channel"] for message in await client.settled()]
    assert heard == names


async def test_subscribing_twice_is_granted_twice_and_heard_once(hub: Hub, client: Client) -> None:
    await hub.publish("market:TCS", price=1)
    for _ in range(2):
        assert granted(await client.subscribe("market:TCS")) == ["market:TCS"]
    await hub.publish("market:TCS", price=2)
    assert [message["price"] for message in await client.settled()] == [1.0, 2.0]


async def test_the_address_may_name_the_first_channels(hub: Hub) -> None:
    """What it names is answered as a command is, each name in one of the lists, and heard from then on."""
    query = (
        f"?token={token(plan='free')}&channels=market:M%26M,%20market:BSE:SENSEX,,signals:generated&channels=market:TCS"
    )
    async with hub.client(query=query) as client:
        reply = await client.hear("subscribed")
        assert granted(reply) == ["market:M&M", "market:BSE:SENSEX", "market:TCS"]
        assert refused(reply) == {"signals:generated": "PERMISSION_DENIED"}
        await hub.publish("market:TCS", price=1.5)
        assert (await client.hear("market:update"))["price"] == 1.5


async def test_an_address_that_names_no_channel_subscribes_to_none(hub: Hub) -> None:
    async with hub.client(query=f"?token={token()}&channels=,") as client:
        assert (await client.ask("subscriptions"))["subscriptions"] == []


@pytest.mark.parametrize("names", [("market:TCS", "market:NSE:TCS"), ("chat:a", "chat:a"), ("alerts:user", "alerts:7")])
async def test_one_channel_by_two_names_is_in_one_list_once_for_each(
    hub: Hub, client: Client, names: tuple[str, str]
) -> None:
    for _ in range(2):
        reply = await client.ask("subscribe", channels=list(names))
        assert sorted(granted(reply) + list(refused(reply))) == sorted(names)
        assert len({entry["channel"] for entry in reply["subscribed"]}) == 1
    assert len((await client.ask("subscriptions"))["subscriptions"]) == 1


async def test_good_and_bad_channels_in_one_command_each_get_their_answer(client: Client) -> None:
    long = "market:" + "A" * 248
    reply = await client.ask(
        "subscribe",
        channels=[
            "market:TCS",
            "alerts:8",
            "orders:8",
            "weather:MUMBAI",
            "market:XYZ:TCS",
            "candles:7m:TCS",
            "staff:room",
            "control:revocations",
            "market:",
            "market",
            "market:TCS\x00",
            "chat:\x1b[31m",
            "chat:नमस्ते",
            " market:TCS",
            long,
        ],
    )
    assert granted(reply) == ["market:TCS", long]
    assert refused(reply) == {
        "alerts:8": "PERMISSION_DENIED",
        "orders:8": "PERMISSION_DENIED",
        "weather:MUMBAI": "UNKNOWN_CHANNEL",
        "market:XYZ:TCS": "INVALID_SYMBOL",
        "candles:7m:TCS": "UNKNOWN_CHANNEL",
        "staff:room": "PERMISSION_DENIED",
        "control:revocations": "UNKNOWN_CHANNEL",
        "market:": "UNKNOWN_CHANNEL",
        "market": "UNKNOWN_CHANNEL",
        "market:TCS\x00": "UNKNOWN_CHANNEL",
        "chat:\x1b[31m": "UNKNOWN_CHANNEL",
        "chat:नमस्ते": "UNKNOWN_CHANNEL",
        " market:TCS": "UNKNOWN_CHANNEL",
    }
    assert all(entry["message"] for entry in reply["failed"])


@pytest.mark.parametrize("name", ["", "market:" + "A" * 249, "chat:" + "ü" * 126])
async def test_a_name_of_no_or_more_than_255_characters_is_refused(client: Client, name: str) -> None:
    reply = await client.ask("subscribe", channel=name)
    assert (reply.get("code") or refused(reply)[name]) in {"BAD_REQUEST", "UNKNOWN_CHANNEL"}


@pytest.mark.parametrize(
    ("plan", "role", "name", "code"),
    [
        ("free", "user", "depth:NSE:TCS", "PERMISSION_DENIED"),
        ("free", "user", "signals:generated", "PERMISSION_DENIED"),
        ("free", "user", "market:TCS", None),
        ("free", "user", "candles:1m:TCS", None),
        ("free", "user", "status:market", None),
        ("basic", "user", "depth:NSE:TCS", None),
        ("basic", "user", "signals:generated", None),
        ("free", "admin", "staff:room", None),
        ("enterprise", "user", "staff:room", "PERMISSION_DENIED"),
        ("free", "admin", "alerts:8", "PERMISSION_DENIED"),
    ],
)
async def test_plans_and_roles_decide_who_hears_what(
    hub: Hub, plan: str, role: str, name: str, code: str | None
) -> None:
    async with hub.client(plan=plan, role=role) as client:
        assert refused(await client.ask("subscribe", channel=name)).get(name) == code


async def test_a_symbol_that_is_not_listed_is_refused_where_symbols_are_strict(tmp_path: Path) -> None:
    async with running(tmp_path, STRICT_SYMBOLS="true") as hub, hub.client() as client:
        reply = await client.ask("subscribe", channels=["market:RELIANCE", "market:NOSUCHTHING", "chat:a"])
        assert (granted(reply), refused(reply)) == (
            ["market:RELIANCE", "chat:a"],
            {"market:NOSUCHTHING": "INVALID_SYMBOL"},
        )


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"channel": "market:TCS", "channels": ["market:TCS"]},
        {"channel": 5},
        {"channels": "market:TCS"},
        {"channels": [None]},
        {"channel": "market:TCS", "mode": "everything"},
        {"channel": "market:TCS", "max_frequency": 0},
        {"channel": "market:TCS", "max_frequency": -1},
        {"channel": "market:TCS", "max_frequency": "10"},
        {"channel": "market:TCS", "delta": 1},
        {"channel": "market:TCS", "turbo": True},
        {"channel": "chat:a", "recover": {"epoch": "x"}},
        {"channel": "chat:a", "recover": {"epoch": "x", "offset": -1}},
        {"channel": "chat:a", "recover": 7},
        {"channels": ["chat:a", "chat:b"], "recover": {"epoch": "x", "offset": 1}},
    ],
)
async def test_a_subscribe_of_the_wrong_shape_is_a_bad_request_and_changes_nothing(
    client: Client, fields: dict[str, Any]
) -> None:
    error = await client.ask("subscribe", **fields)
    assert (error["type"], error["code"], error["temporary"]) == ("error", "BAD_REQUEST", False)
    assert error["message"]
    assert (await client.ask("subscriptions"))["subscriptions"] == []


async def test_an_empty_list_of_channels_is_answered_with_empty_lists(client: Client) -> None:
    reply = await client.ask("subscribe", channels=[])
    assert (reply["subscribed"], reply["failed"]) == ([], [])


async def test_positions_belong_to_log_channels(client: Client) -> None:
    reply = await client.ask("subscribe", channel="market:TCS", recover={"epoch": "x", "offset": 1})
    assert refused(reply) == {"market:TCS": "BAD_REQUEST"}


async def test_a_connection_hears_at_most_3000_channels(hub: Hub, client: Client) -> None:
    names = [f"market:NSE:S{place}" for place in range(10_000)]
    codes: list[str] = []
    count = 0
    for start in range(0, len(names), 2000):
        reply = await client.ask("subscribe", channels=names[start : start + 2000])
        count += len(reply["subscribed"])
        codes += refused(reply).values()
    assert (count, len(codes), set(codes)) == (MAX_CHANNELS, 7000, {"LIMIT_EXCEEDED"})
    assert hub.web.connections.subscription_count() == MAX_CHANNELS
    await client.ask("unsubscribe", channel=names[0])
    assert granted(await client.ask("subscribe", channel="market:ONEMORE")) == ["market:ONEMORE"]


async def test_options_of_the_last_channels_may_change_at_the_limit(hub: Hub, client: Client) -> None:
    names = [f"market:NSE:S{place}" for place in range(MAX_CHANNELS - 1)]
    await client.subscribe(*names[:1500])
    await client.subscribe(*names[1500:])
    reply = await client.ask("subscribe", channels=[*names[:1000], "market:LAST", "market:NSE:LAST"], mode="ltp")
    assert refused(reply) == {}
    assert hub.web.connections.subscription_count() == MAX_CHANNELS


# -- values -----------------------------------------------------------------------------------------------------------


async def test_the_last_value_follows_the_reply_at_once(hub: Hub, client: Client) -> None:
    await hub.publish("market:TCS", price=1, volume=10)
    await hub.publish("market:TCS", price=2, volume=20)
    await client.say("subscribe", id=1, channel="market:TCS")
    assert (await client.receive())["type"] == "subscribed"
    snapshot = await client.receive()
    assert (snapshot["price"], snapshot["volume"], snapshot["snapshot"]) == (2.0, 20, True)
    await hub.publish("market:TCS", price=3)
    live = await client.receive()
    assert live["seq"] > snapshot["seq"]
    assert "snapshot" not in live
    assert "missed" not in live


async def test_seq_only_grows(hub: Hub, client: Client) -> None:
    await client.subscribe("market:TCS")
    for price in range(1, 50):
        await hub.publish("market:TCS", price=price)
    numbers = [message["seq"] for message in await client.settled()]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 49


@pytest.mark.parametrize(("mode", "fields"), [("ltp", LTP_FIELDS), ("quote", QUOTE_FIELDS), ("full", frozenset(FULL))])
@pytest.mark.parametrize("protocol", [None, "msgpack"])
async def test_the_mode_says_which_fields_come(
    hub: Hub, mode: str, fields: frozenset[str], protocol: str | None
) -> None:
    async with hub.client(protocol=protocol) as client:
        await hub.publish("market:TCS", **FULL)
        await client.subscribe("market:TCS", mode=mode)
        await hub.publish("market:TCS", **FULL)
        snapshot, live = await client.settled()
        assert live.keys() == HEAD | (fields & FULL.keys())
        assert snapshot.keys() == live.keys() | {"snapshot"}


async def test_the_mode_leaves_other_namespaces_whole(hub: Hub, client: Client) -> None:
    await client.subscribe("quick:a", mode="ltp")
    await hub.publish("quick:a", anything=[1, {"a": None}])
    (message,) = await client.settled()
    assert message["data"] == {"anything": [1, {"a": None}]}


async def test_delta_sends_only_what_changed(hub: Hub, client: Client) -> None:
    await hub.publish("market:TCS", **FULL)
    await client.subscribe("market:TCS", delta=True)
    await hub.publish("market:TCS", **FULL | {"price": 2501.0, "volume": 1001})
    await hub.publish("market:TCS", **{name: value for name, value in FULL.items() if name != "open_interest"})
    first, second, third = await client.settled()
    assert FULL.items() <= first.items()
    assert second.keys() - {"type", "channel", "seq"} == {"price", "volume"}
    assert third.keys() - {"type", "channel", "seq"} == {"price", "volume", "open_interest"}
    assert third["open_interest"] is None


def merged(messages: list[Message]) -> dict[str, Any]:
    """What a client holds that merges field by field; null means gone."""
    state: dict[str, Any] = {}
    for message in messages:
        state |= message
    marks = HEAD | {"snapshot", "missed"}
    return {name: value for name, value in state.items() if value is not None and name not in marks}


@given(
    seed=st.integers(0, 2**32),
    mode=st.sampled_from(["ltp", "quote", "full"]),
    protocol=st.sampled_from([None, "msgpack"]),
)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_merged_deltas_are_the_full_state(hub: Hub, seed: int, mode: str, protocol: str | None) -> None:
    ticks = _ticks(seed, count=150, symbols=4)
    names = sorted({f"market:{tick.exchange}:{tick.symbol}" for tick in ticks})
    async with hub.client(protocol=protocol) as changes, hub.client(protocol=protocol) as whole:
        for index, tick in enumerate(ticks):
            if index == 20:
                await changes.subscribe(*names, delta=True, mode=mode)
                await whole.subscribe(*names, mode=mode)
            channel = hub.names.parse(f"market:{tick.exchange}:{tick.symbol}")
            await hub.broker.publish(channel, tick_payload(tick))
        small, full = await changes.settled(), await whole.settled()
    assert len(small) == len(full) >= 130
    for name in names:
        last = [message for message in full if message["channel"] == name][-1:]
        assert merged([message for message in small if message["channel"] == name]) == merged(last)
    assert changes.bytes_in < whole.bytes_in


def _ticks(seed: int, *, count: int, symbols: int) -> list[Tick]:
    """The simulator's traffic of a few symbols; now and then a figure is missing, as in a real feed."""
    market = SimulatedMarket(SIMULATED[:symbols], seed=seed)
    ticks: list[Tick] = []
    now_ms = 1_795_400_000_000
    while len(ticks) < count:
        now_ms += 250
        ticks += [update for update in market.step(now_ms, 10) if isinstance(update, Tick)]
    return [
        msgspec.structs.replace(tick, bid=None, volume=None) if index % 7 == 0 else tick
        for index, tick in enumerate(ticks[:count])
    ]


# -- max_frequency ----------------------------------------------------------------------------------------------------


async def test_max_frequency_bounds_the_rate_and_the_newest_value_comes_in_the_end(hub: Hub, client: Client) -> None:
    await hub.publish("market:TCS", price=1)
    await client.subscribe("market:TCS", max_frequency=20)
    began = time.monotonic()
    published = 1
    while time.monotonic() - began < 0.6:
        published += 1
        await hub.publish("market:TCS", price=published)
        await asyncio.sleep(0.002)  # the pace of the publisher, not a wait for anything
    heard = [await client.hear("market:update")]
    while heard[-1]["price"] != published:
        heard.append(await client.hear("market:update"))
    took = time.monotonic() - began
    assert 5 <= len(heard) <= math.ceil(took * 20) + 2
    assert len(heard) + sum(message.get("missed", 0) for message in heard) == published


async def test_what_is_left_out_before_a_subscribers_first_update_counts_as_missed(hub: Hub, client: Client) -> None:
    await client.subscribe("market:TCS", max_frequency=20)
    for price in (1, 2, 3):
        await hub.publish("market:TCS", price=price)
    update = await client.hear("market:update")
    assert (update["price"], update.get("missed")) == (3.0, 2)


async def test_each_channel_has_the_frequency_for_itself(hub: Hub, client: Client) -> None:
    names = [f"market:NSE:S{place}" for place in range(20)]
    await client.subscribe(*names, max_frequency=1)
    for name in names:
        await hub.publish(name, price=1)
    assert {(await client.hear("market:update"))["channel"] for _ in names} == set(names)


async def test_a_rate_limited_delta_is_of_what_this_subscriber_had(hub: Hub, client: Client) -> None:
    await hub.publish("market:TCS", price=1, volume=1, bid=1)
    await client.subscribe("market:TCS", max_frequency=5, delta=True)
    await client.hear("market:update", snapshot=True)
    await hub.publish("market:TCS", price=1, volume=2, bid=1)
    await hub.publish("market:TCS", price=3, volume=2, bid=1)
    await hub.publish("market:TCS", price=3, volume=2)
    update = await client.hear("market:update")
    assert {name: update[name] for name in ("price", "volume", "bid", "missed")} == {
        "price": 3.0, "volume": 2, "bid": None, "missed": 2,
    }  # fmt: skip


# -- changing and ending ----------------------------------------------------------------------------------------------


async def test_subscribing_again_changes_the_options(hub: Hub, client: Client) -> None:
    await hub.publish("market:TCS", **FULL)
    await client.subscribe("market:TCS")
    await client.subscribe("market:TCS", mode="ltp", max_frequency=100, delta=True)
    assert (await client.ask("subscriptions"))["subscriptions"] == [
        {"channel": "market:NSE:TCS", "mode": "ltp", "max_frequency": 100.0, "delta": True}
    ]
    first, second = await client.hear_many(2, "market:update")
    assert "volume" in first
    assert "volume" not in second
    assert second["snapshot"]
    await client.subscribe("market:TCS")
    assert (await client.ask("subscriptions"))["subscriptions"] == [{"channel": "market:NSE:TCS"}]


async def test_unsubscribing_ends_the_messages(hub: Hub, client: Client) -> None:
    await client.subscribe("market:TCS", "market:INFY", "chat:a")
    reply = await client.ask("unsubscribe", channels=["market:tcs", "chat:a"])
    assert (reply["type"], reply["unsubscribed"], reply["failed"]) == ("unsubscribed", ["market:NSE:TCS", "chat:a"], [])
    for name in ("market:TCS", "market:INFY"):
        await hub.publish(name, price=1)
    await hub.publish("chat:a", text="x")
    assert [message["channel"] for message in await client.settled()] == ["market:NSE:INFY"]


async def test_unsubscribing_from_what_was_never_heard_is_no_error(client: Client) -> None:
    reply = await client.ask("unsubscribe", channels=["market:TCS", "nowhere:a", "alerts:8"])
    assert reply["unsubscribed"] == ["market:NSE:TCS"]
    assert refused(reply) == {"nowhere:a": "UNKNOWN_CHANNEL", "alerts:8": "PERMISSION_DENIED"}


async def test_subscriptions_lists_what_is_heard(client: Client) -> None:
    assert (await client.ask("subscriptions"))["subscriptions"] == []
    await client.subscribe("market:TCS", "alerts:user")
    names = [entry["channel"] for entry in (await client.ask("subscriptions"))["subscriptions"]]
    assert sorted(names) == ["alerts:user", "market:NSE:TCS"]


async def test_a_ping_is_answered_with_the_id_and_the_time(client: Client) -> None:
    await client.say("ping", id="my-ping")
    pong = await client.hear("pong")
    assert pong["id"] == "my-ping"
    assert abs(pong["time"] - time.time()) < 5


async def test_a_command_without_an_id_is_answered_without_one(client: Client) -> None:
    await client.say("ping")
    assert "id" not in await client.hear("pong")


# -- refresh ----------------------------------------------------------------------------------------------------------


async def test_a_newer_token_of_the_same_user_is_taken(client: Client) -> None:
    reply = await client.ask("refresh", token=token("7", expires_in_s=7200))
    assert reply["type"] == "refreshed"
    assert 7190 < reply["expires_at"] - time.time() < 7210


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (token("8"), "PERMISSION_DENIED"),
        ("garbage", "UNAUTHORIZED"),
        (token("7", secret="x" * 40), "UNAUTHORIZED"),
    ],
)
async def test_another_token_is_refused_and_the_old_one_goes_on(client: Client, bad: str, code: str) -> None:
    assert (await client.ask("refresh", token=bad))["code"] == code
    await client.subscribe("alerts:7", "depth:NSE:TCS")


async def test_a_worse_plan_ends_what_it_does_not_include(hub: Hub, client: Client) -> None:
    await client.subscribe("market:TCS", "depth:NSE:TCS", "signals:generated")
    await client.ask("refresh", token=token("7", plan="free"))
    ended = await client.hear_many(2, "unsubscribed")
    assert {(message["channel"], message["code"]) for message in ended} == {
        ("depth:NSE:TCS", 2003),
        ("signals:generated", 2003),
    }
    assert await client.hear("entitled") == {"type": "entitled", "plan": "free", "role": "user"}
    await hub.publish("depth:NSE:TCS", bids=[], asks=[])
    await hub.publish("market:TCS", price=1)
    assert [message["channel"] for message in await client.settled()] == ["market:NSE:TCS"]
    assert refused(await client.ask("subscribe", channel="depth:NSE:TCS")) == {"depth:NSE:TCS": "PERMISSION_DENIED"}


async def test_a_better_plan_opens_more(hub: Hub) -> None:
    async with hub.client(user="7", plan="free") as client:
        assert refused(await client.ask("subscribe", channel="depth:NSE:TCS"))
        await client.ask("refresh", token=token("7", plan="basic"))
        await client.subscribe("depth:NSE:TCS")


# -- log channels -----------------------------------------------------------------------------------------------------


async def test_every_message_of_a_log_channel_has_the_next_offset(hub: Hub, client: Client) -> None:
    await hub.publish("signals:generated", symbol="TCS", signal_type="BUY", confidence=80)
    reply = await client.subscribe("signals:generated")
    (entry,) = reply["subscribed"]
    assert entry["offset"] == 1
    assert entry["epoch"]
    assert "recovered" not in entry
    for confidence in range(10):
        await hub.publish("signals:generated", symbol="TCS", signal_type="SELL", confidence=confidence)
    heard = await client.settled()
    assert [(message["type"], message["offset"], message["data"]["confidence"]) for message in heard] == [
        ("signals:new", 2 + confidence, float(confidence)) for confidence in range(10)
    ]
    assert all(message.keys() == {"type", "channel", "offset", "data"} for message in heard)


async def test_ones_own_channel_is_called_user_and_heard_by_nobody_else(hub: Hub, client: Client) -> None:
    async with hub.client(user="8") as other:
        await client.subscribe("alerts:user")
        await other.subscribe("alerts:user")
        await hub.publish("alerts:7", rule=5)
        (message,) = await client.settled()
        assert (message["type"], message["channel"], message["data"]) == (
            "alerts:triggered",
            "alerts:user",
            {"rule": 5},
        )
        assert await other.settled() == []


async def test_who_comes_back_hears_all_that_was_missed_in_order(hub: Hub) -> None:
    async with hub.client() as client:
        place = position(await client.subscribe("chat:a"))
        await hub.publish("chat:a", n=1)
        place["offset"] = (await client.hear("chat:new"))["offset"]
    for n in range(2, 12):
        await hub.publish("chat:a", n=n)
    async with hub.client() as client:
        (entry,) = (await client.subscribe("chat:a", recover=place))["subscribed"]
        assert (entry["recovered"], entry["offset"]) == (True, 11)
        await hub.publish("chat:a", n=12)
        heard = await client.settled()
        assert [(message["offset"], message["data"]["n"]) for message in heard] == [(n, n) for n in range(2, 13)]


async def test_who_missed_nothing_is_recovered(hub: Hub, client: Client) -> None:
    place = position(await client.subscribe("chat:a"))
    async with hub.client() as again:
        (entry,) = (await again.subscribe("chat:a", recover=place))["subscribed"]
        assert entry["recovered"] is True
        assert await again.settled() == []


@pytest.mark.parametrize(
    "changed",
    [{"epoch": "another"}, {"offset": 0}, {"offset": 1_000}],
    ids=["foreign epoch", "too old", "from the future"],
)
async def test_what_cannot_be_recovered_is_told(hub: Hub, client: Client, changed: dict[str, Any]) -> None:
    for n in range(10):  # the namespace keeps three
        await hub.publish("short:a", n=n)
    place = position(await client.subscribe("short:a")) | changed
    async with hub.client() as again:
        (entry,) = (await again.subscribe("short:a", recover=place))["subscribed"]
        assert (entry["recovered"], entry["offset"]) == (False, 10)
        await hub.publish("short:a", n=10)
        assert [message["offset"] for message in await again.settled()] == [11]


async def test_several_channels_are_recovered_by_a_map(hub: Hub, client: Client) -> None:
    places = {name: position(await client.subscribe(name)) for name in ("chat:a", "chat:b", "alerts:user")}
    for n in range(3):
        await hub.publish("chat:a", n=n)
        await hub.publish("alerts:7", n=n)
    async with hub.client(user="7") as again:
        reply = await again.subscribe(*places, "chat:new", "market:TCS", recover=places)
        told = {entry["channel"]: entry.get("recovered") for entry in reply["subscribed"]}
        assert told == {"chat:a": True, "chat:b": True, "alerts:user": True, "chat:new": None, "market:NSE:TCS": None}
        heard = [(message["channel"], message["data"]["n"]) for message in await again.settled()]
        assert sorted(heard) == sorted((name, n) for name in ("chat:a", "alerts:user") for n in range(3))


async def test_recovery_while_messages_come_is_gapless(hub: Hub, client: Client) -> None:
    place = position(await client.subscribe("chat:a"))

    async def publish() -> None:
        for n in range(15):
            await hub.publish("chat:a", n=n)
            await asyncio.sleep(0)

    async with hub.client() as again, asyncio.TaskGroup() as tasks:
        tasks.create_task(publish(), name="publisher")
        (entry,) = (await again.subscribe("chat:a", recover=place))["subscribed"]
        assert entry["recovered"] is True
        assert [(await again.hear("chat:new"))["data"]["n"] for _ in range(15)] == list(range(15))


# -- history, presence, publish ---------------------------------------------------------------------------------------


async def test_a_history_of_large_messages_comes_in_pages(hub: Hub, client: Client) -> None:
    """A reply has a bound in bytes; the newest are answered, or paging on from a position the oldest."""
    for number in range(12):
        await hub.publish("chat:a", number=number, text="x" * 60_000)
    newest = await client.ask("history", channel="chat:a")
    assert [one["data"]["number"] for one in newest["publications"]] == list(range(4, 12))
    read: list[int] = []
    since = {"epoch": newest["epoch"], "offset": 0}
    while since["offset"] < newest["offset"]:
        page = (await client.ask("history", channel="chat:a", since=since))["publications"]
        read += [one["data"]["number"] for one in page]
        since["offset"] = page[-1]["offset"]
    assert read == list(range(12))


async def test_history_holds_the_last_or_those_after_a_position(hub: Hub, client: Client) -> None:
    for n in range(1, 11):
        await hub.publish("chat:a", n=n)
    newest = await client.ask("history", channel="chat:a", limit=3)
    assert newest["type"] == "history"
    assert newest["channel"] == "chat:a"
    assert newest["offset"] == 10
    assert newest["publications"] == [{"offset": n, "data": {"n": n}} for n in (8, 9, 10)]
    since = {"epoch": newest["epoch"], "offset": 4}
    after = await client.ask("history", channel="chat:a", since=since, limit=2)
    assert [one["offset"] for one in after["publications"]] == [5, 6]
    assert (await client.ask("history", channel="chat:a", limit=0))["publications"] == []
    assert len((await client.ask("history", channel="chat:a"))["publications"]) == 10


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"channel": "market:TCS"}, "NOT_AVAILABLE"),
        ({"channel": "alerts:8"}, "PERMISSION_DENIED"),
        ({"channel": "nowhere:a"}, "UNKNOWN_CHANNEL"),
        ({"channel": "chat:a", "limit": 1001}, "BAD_REQUEST"),
        ({"channel": "chat:a", "limit": -1}, "BAD_REQUEST"),
        ({"channel": "chat:a", "since": {"epoch": "foreign", "offset": 0}}, "UNRECOVERABLE_POSITION"),
    ],
)
async def test_history_that_cannot_be_had_is_refused(client: Client, fields: dict[str, Any], code: str) -> None:
    assert (await client.ask("history", **fields))["code"] == code


async def test_presence_names_who_hears_a_channel(hub: Hub, client: Client) -> None:
    async with hub.client(user="8", welcomed=False) as other:
        welcome = await other.hear("welcome")
        await other.subscribe("chat:a")
        await client.subscribe("chat:a")
        reply = await client.ask("presence", channel="chat:a")
        assert {entry["user"] for entry in reply["clients"]} == {"7", "8"}
        assert welcome["client"] in {entry["client"] for entry in reply["clients"]}
    await client.ask("unsubscribe", channel="chat:a")
    assert (await client.ask("presence", channel="chat:a"))["clients"] == []
    assert (await client.ask("presence", channel="hidden:a"))["code"] == "NOT_AVAILABLE"
    assert (await client.ask("presence", channel="alerts:8"))["code"] == "PERMISSION_DENIED"


async def test_subscribers_publish_where_the_namespace_lets_them(hub: Hub, client: Client) -> None:
    async with hub.client(user="8", plan="free") as other:
        await other.subscribe("chat:a", "quick:a")
        reply = await client.ask("publish", channel="chat:a", data={"text": "नमस्ते"})
        assert (reply["type"], reply["channel"], reply["offset"]) == ("published", "chat:a", 1)
        assert reply["epoch"]
        assert (await other.hear("chat:new"))["data"] == {"text": "नमस्ते"}
        assert "offset" not in await client.ask("publish", channel="quick:a", data={"x": 1})
        assert (await other.hear("quick:update"))["data"] == {"x": 1}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"channel": "market:TCS", "data": {"price": 1}}, "PERMISSION_DENIED"),
        ({"channel": "alerts:7", "data": {}}, "PERMISSION_DENIED"),
        ({"channel": "chat:a", "data": []}, "BAD_REQUEST"),
        ({"channel": "chat:a"}, "BAD_REQUEST"),
        ({"channel": "nowhere:a", "data": {}}, "UNKNOWN_CHANNEL"),
    ],
)
async def test_a_publication_that_is_not_allowed_or_none_is_refused(
    client: Client, fields: dict[str, Any], code: str
) -> None:
    assert (await client.ask("publish", **fields))["code"] == code


# -- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "5",
        '"ping"',
        "{}",
        '{"action":null}',
        '{"action":"fly"}',
        '{"action":"ping","speed":1}',
        '{"action":"ping","id":1.5}',
        '{"action":"ping","id":[]}',
        '{"action":"ping","id":"' + "x" * 65 + '"}',
        '{"action":"subscribe","channel":5}',
        '{"action":"subscribe","channel":"\\ud800"}',
        '{"action":"ping"} {"action":"ping"}',
        "[" * 60_000,
        '{"a":' * 12_000,
        "\x00\x01\x02",
        '{"action":"ping","action":"pong"}',
        "NaN",
    ],
)
async def test_a_text_that_is_no_command_is_a_bad_request_and_the_socket_lives(client: Client, text: str) -> None:
    await client.socket.send(text)
    error = await client.hear("error")
    assert (error["code"], error["temporary"]) == ("BAD_REQUEST", False)
    assert len(error["message"]) < 500
    assert (await client.ask("ping"))["type"] == "pong"


@pytest.mark.parametrize("number", [2**63, 2**64, -(2**63) - 1, 10**30])
@pytest.mark.parametrize("protocol", [None, "msgpack"])
async def test_an_id_beyond_64_bits_is_answered_one_way_or_the_other(
    hub: Hub, number: int, protocol: str | None
) -> None:
    async with hub.client(protocol=protocol) as client:
        if protocol:
            number = min(max(number, -(2**63)), 2**64 - 1)
            await client.say("ping", id=number)
        else:
            await client.socket.send(f'{{"action":"ping","id":{number}}}')
        assert (await client.receive())["type"] in {"pong", "error"}
        assert (await client.ask("ping"))["type"] == "pong"


@pytest.mark.parametrize(
    "data",
    [
        {"ext": msgspec.msgpack.Ext(5, b"x")},
        {"nested": {(1, 2): 3}},
        {"bytes": b"\xff\xfe"},
        {"number": float("nan")},
        {"number": float("inf")},
        {"big": 2**64 - 1},
        {"small": -(2**63)},
        {"keys": {1: 2}},
        {"keys": {1.5: 2}},
        {"keys": {b"x": 2}},
        {"keys": {None: 2}},
        {"keys": {True: 2}},
    ],
    ids=lambda data: next(iter(data)) if "ext" in data else str(data),
)
async def test_messagepack_that_json_cannot_say_is_refused_or_translated(hub: Hub, data: dict[str, Any]) -> None:
    async with hub.client(protocol="msgpack") as client:
        reply = await client.ask("publish", channel="chat:a", data=data)
        assert reply["type"] == "published" or reply["code"] == "BAD_REQUEST"
        assert (await client.ask("ping"))["type"] == "pong"


async def test_a_message_over_64_kib_is_refused(client: Client) -> None:
    for text in ("x" * (64 * 1024 + 1), "ü" * (32 * 1024 + 1), "x" * 1_000_000):
        await client.socket.send(text)
        assert (await client.hear("error"))["code"] == "LIMIT_EXCEEDED"
    await client.socket.send('{"action":"ping"' + " " * (64 * 1024 - 17) + "}")
    await client.hear("pong")


async def test_more_than_100_commands_a_second_are_refused(client: Client) -> None:
    for number in range(105):
        await client.say("ping", id=number)
    answers = [await client.receive() for _ in range(105)]
    assert [answer["type"] for answer in answers[:100]] == ["pong"] * 100
    limited = [answer for answer in answers if answer["type"] == "error"]
    assert 1 <= len(limited) <= 5
    assert {(answer["code"], answer["temporary"]) for answer in limited} == {("RATE_LIMITED", True)}


async def test_ten_errors_in_a_row_end_the_connection(client: Client) -> None:
    for _ in range(10):
        await client.socket.send("garbage")
    assert await client.close_code() == 3509
    assert [message["type"] for message in client.backlog] == ["error"] * 10


async def test_nine_errors_and_a_good_command_do_not(client: Client) -> None:
    for _ in range(3):
        for _ in range(9):
            await client.socket.send("garbage")
        await client.ask("ping")
    assert len(await client.settled()) == 27


async def test_10_000_commands_at_once_end_only_who_sent_them(hub: Hub, client: Client) -> None:
    async with hub.client() as other:
        with contextlib.suppress(websockets.ConnectionClosed):
            for number in range(10_000):
                await other.say("subscribe", channel=f"market:NSE:S{number}")
        assert await other.close_code() == 3509
        await client.ask("ping")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
_FIELDS = st.sampled_from(
    ["id", "channel", "channels", "mode", "max_frequency", "delta", "recover", "token", "limit", "since", "data"]
)
_ACTIONS = st.sampled_from(
    ["auth", "subscribe", "unsubscribe", "subscriptions", "ping", "refresh", "history", "presence", "publish"]
)
_COMMANDS = st.builds(
    lambda action, fields: {"action": action} | fields, _ACTIONS, st.dictionaries(_FIELDS, _JSON, max_size=3)
)


@given(message=st.binary(max_size=200) | st.text(max_size=200) | _COMMANDS)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_arbitrary_messages_get_an_answer_and_never_end_the_connection(
    hub: Hub, message: bytes | str | dict[str, Any]
) -> None:
    async with hub.client(protocol="msgpack" if isinstance(message, bytes) else None) as client:
        await client.socket.send(json.dumps(message) if isinstance(message, dict) else message)
        answer = await client.receive()
        assert answer["type"] in {
            "error", "subscribed", "unsubscribed", "subscriptions", "pong", "history", "presence", "published",
        }  # fmt: skip
        assert (await client.ask("ping"))["type"] == "pong"
