"""Rights that change under an open socket are applied once, soon, in the right order, and while others go on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import orjson
import pytest
from msgspec import structs

from auth.identity import Identity, Plan
from auth.permissions import Permissions
from auth.plans import Plans
from channels.channel import ChannelNames
from channels.fanout import Fanout
from channels.namespace import Namespace, Namespaces, Policy
from channels.registry import Registry
from hub.sockets.codec import JSON
from hub.sockets.frames import frames_in
from hub.sockets.rights import AT_ONCE, TIMEOUT_S, Rights
from hub.sockets.services import Services
from hub.sockets.session import Session
from schemas.errors import CloseCode, CommandError, ErrorCode
from tests.channels.brokers import FaultyBroker
from tests.channels.clock import jumping, turns
from tests.channels.transports import Pipe

IDEAS = Namespace(name="ideas", policy=Policy.LOG, message_type="ideas:new", history_size=10, history_age_s=60)
TABLE = {"free": {"default": "15m", "channels": 3}}


class House:
    """Sessions without sockets, over a broker with faults."""

    def __init__(self) -> None:
        self.broker = FaultyBroker()
        self.registry = Registry(self.broker, Fanout(0.010))
        self.names = ChannelNames(Namespaces())
        self.plans = Plans.read(TABLE)
        self.services = Services(
            registry=self.registry,
            broker=self.broker,
            names=self.names,
            verify=_no_token,
            known_symbol=lambda _: True,
            permissions=Permissions(self.plans),
        )
        self.rights = Rights()

    def session(self, plan: Plan = Plan.FREE) -> "Member":
        return Member(self.services, plan)


class Member:
    """One session, and what it was told."""

    def __init__(self, services: Services, plan: Plan) -> None:
        self.pipe = Pipe()
        identity = Identity(user="7", plan=plan, token_id="t", issued_at=0, expires_at=2**40)
        self.session = Session(services, self.pipe, JSON, identity, "c")
        self.pipe.owner = self.session

    def become(self, plan: Plan) -> None:
        self.session.identity = structs.replace(self.session.identity, plan=plan)

    async def say(self, action: str, **fields: Any) -> None:
        text = msgspec.json.encode({"action": action, **fields}).decode()
        await self.session.take({"type": "websocket.receive", "text": text})

    def told(self, kind: str) -> list[dict[str, Any]]:
        messages = [orjson.loads(payload) for _, payload in frames_in(self.pipe.taken())]
        return [message for message in messages if message["type"] == kind]

    @property
    def heard(self) -> set[str]:
        """The channels that the session is really in."""
        return {one.channel.name for one in self.session.subscriptions}


async def _no_token(_: str) -> Identity:
    raise CommandError(ErrorCode.UNAUTHORIZED, "no token is good here")


@asynccontextmanager
async def open_house() -> AsyncIterator[House]:
    house = House()
    parts = [
        asyncio.create_task(house.broker.listen(house.registry), name="listen"),
        asyncio.create_task(house.registry.run(), name="registry"),
        asyncio.create_task(house.rights.run(), name="rights"),
    ]
    await turns()
    try:
        yield house
    finally:
        for part in parts:
            part.cancel()
        await asyncio.gather(*parts, return_exceptions=True)


LATE, NOW = "delayed:900:market:NSE:TCS", "market:NSE:TCS"


@jumping
async def test_delayed_channels_become_real_time_and_late_again() -> None:
    async with open_house() as house:
        member = house.session()
        await member.say("subscribe", channel="market:TCS")
        assert member.heard == {LATE}
        for plan, name in ((Plan.PRO, NOW), (Plan.FREE, LATE)):
            member.become(plan)
            house.rights.put([member.session], urgent=True)
            await turns()
            assert member.heard == {name}
            assert house.broker.subscribed[name] == 1
        assert member.pipe.closed is None


@jumping
async def test_the_client_is_told_of_another_plan_once_it_counts_and_of_nothing_else() -> None:
    async with open_house() as house:
        member = house.session()
        await member.say("subscribe", channel="market:TCS")
        async with house.broker.held("subscribe") as gate:
            member.become(Plan.PRO)
            house.rights.put([member.session], urgent=True)
            await turns()
            assert member.told("entitled") == []  # it would ask for what it doesn't get yet
            gate.open()
            await turns()
        assert member.told("entitled") == [{"type": "entitled", "plan": "pro", "role": "user"}]
        house.rights.put([member.session])
        await turns()
        assert member.told("entitled") == []


@jumping
async def test_whoever_hears_something_else_after_the_plans_have_changed_is_told_and_nobody_else() -> None:
    async with open_house() as house:
        late, other = house.session(), house.session()
        await late.say("subscribe", channel="market:TCS")
        await other.say("subscribe", channel="chat:a")
        for table in ({"free": {"default": "realtime"}}, TABLE, {"free": {"default": "none"}}):
            house.plans.replace(Plans.read(table))
            house.rights.put([late.session, other.session])
            await turns()
            assert late.told("entitled") == [{"type": "entitled", "plan": "free", "role": "user"}]
            assert other.told("entitled") == []


@jumping
async def test_a_namespace_that_is_taken_out_ends_by_the_server_and_not_for_want_of_rights() -> None:
    async with open_house() as house:
        house.names.replace(Namespaces((*Namespaces(), IDEAS)))
        member = house.session(Plan.PRO)
        await member.say("subscribe", channels=["ideas:a", "market:TCS"])
        house.names.replace(Namespaces())
        house.rights.put([member.session])
        await turns()
        assert [(one["channel"], one["code"]) for one in member.told("unsubscribed")] == [("ideas:a", 2000)]
        assert member.heard == {NOW}


@jumping
async def test_a_smaller_plan_keeps_the_oldest_channels_that_it_allows() -> None:
    async with open_house() as house:
        member = house.session(Plan.PRO)
        await member.say("subscribe", channels=["depth:TCS", *(f"market:{name}" for name in "ABCDE")])
        member.become(Plan.FREE)
        house.rights.put([member.session])
        await turns()
        ended = {message["channel"]: message["code"] for message in member.told("unsubscribed")}
        assert ended == {"depth:NSE:TCS": 2003, "market:NSE:D": 2003, "market:NSE:E": 2003}
        assert member.heard == {f"delayed:900:market:NSE:{name}" for name in "ABC"}
        await member.say("subscribe", channel="market:F")
        (reply,) = member.told("subscribed")
        assert [entry["code"] for entry in reply["failed"]] == ["LIMIT_EXCEEDED"]
        assert "3" in reply["failed"][0]["message"]


@jumping
async def test_plans_that_change_reach_who_is_subscribed() -> None:
    async with open_house() as house:
        member = house.session()
        await member.say("subscribe", channel="market:TCS")
        house.plans.replace(Plans())
        house.rights.put([member.session])
        await turns()
        assert member.heard == {NOW}


@jumping
async def test_a_log_is_not_heard_twice_when_nothing_changes_for_it() -> None:
    async with open_house() as house:
        member = house.session(Plan.PRO)
        await member.say("subscribe", channels=["signals:generated", "alerts:user"])
        before = list(member.session.subscriptions)
        house.rights.put([member.session])
        await turns()
        assert list(member.session.subscriptions) == before


@jumping
async def test_a_subscription_on_its_way_gets_the_rights_that_count_when_it_arrives() -> None:
    async with open_house() as house:
        member = house.session(Plan.PRO)
        async with house.broker.held("subscribe") as gate:
            subscribing = asyncio.create_task(member.say("subscribe", channel="market:TCS"), name="reader")
            await turns()
            member.become(Plan.FREE)
            house.rights.put([member.session], urgent=True)
            await turns()
            gate.open()
            await subscribing
        assert member.heard == {LATE}


@jumping
async def test_of_two_changes_at_once_the_last_one_counts() -> None:
    async with open_house() as house:
        member = house.session(Plan.PRO)
        await member.say("subscribe", channel="market:TCS")
        async with house.broker.held("subscribe") as gate:
            member.become(Plan.FREE)
            house.rights.put([member.session], urgent=True)
            await turns()
            member.become(Plan.PRO)
            house.rights.put([member.session], urgent=True)
            await turns()
            gate.open()
            await turns()
        assert member.heard == {NOW}
        assert house.registry.channel_count == 1


@pytest.mark.parametrize("action", ["unsubscribe", "close"])
def test_what_is_left_meanwhile_stays_left(action: str) -> None:
    @jumping
    async def play() -> None:
        async with open_house() as house:
            member = house.session(Plan.PRO)
            await member.say("subscribe", channel="market:TCS")
            async with house.broker.held("subscribe") as gate:
                member.become(Plan.FREE)
                house.rights.put([member.session], urgent=True)
                await turns()
                if action == "close":
                    member.session.close()
                else:
                    await member.say("unsubscribe", channel="market:TCS")
                gate.open()
                await turns()
            assert member.heard == set()
            assert house.registry.channel_count == 0

    play()


@jumping
async def test_new_options_survive_a_change_of_rights_at_the_same_time() -> None:
    async with open_house() as house:
        member = house.session(Plan.PRO)
        await member.say("subscribe", channel="market:TCS")
        async with house.broker.held("subscribe") as gate:
            member.become(Plan.FREE)
            house.rights.put([member.session], urgent=True)
            await turns()
            member.become(Plan.PRO)
            await member.say("subscribe", channel="market:TCS", mode="ltp")
            member.become(Plan.FREE)
            house.rights.put([member.session], urgent=True)
            gate.open()
            await turns()
        (subscription,) = member.session.subscriptions
        assert (subscription.channel.name, subscription.shape.mode) == (LATE, "ltp")


@jumping
async def test_a_session_whose_rights_cannot_be_applied_ends_and_no_other() -> None:
    async with open_house() as house:
        stuck, other = house.session(Plan.PRO), house.session()
        await stuck.say("subscribe", channel="market:TCS")
        async with house.broker.held("subscribe"):
            stuck.become(Plan.FREE)
            house.rights.put([stuck.session, other.session])
            await asyncio.sleep(TIMEOUT_S + 1)  # on the clock that jumps
        assert stuck.pipe.closed is CloseCode.UNAVAILABLE
        assert other.pipe.closed is None


@jumping
async def test_one_users_change_goes_before_thousands() -> None:
    async with open_house() as house:
        many = [house.session() for _ in range(2000)]
        house.rights.put(member.session for member in many)
        member = house.session()
        await member.say("subscribe", channel="market:TCS")
        member.become(Plan.PRO)
        house.rights.put([member.session], urgent=True)
        await turns(5)
        assert member.heard == {NOW}
        assert len(house.rights) > 1000


@jumping
async def test_whoever_else_has_something_to_do_has_a_turn_after_every_few() -> None:
    async with open_house() as house:
        many = [house.session() for _ in range(400)]
        house.rights.put(member.session for member in many)
        before = len(house.rights)
        while before:
            await asyncio.sleep(0)
            assert before - len(house.rights) <= AT_ONCE
            before = len(house.rights)
        assert {member.session.subscriptions._applied for member in many} == {1}


@jumping
async def test_a_session_waits_once_however_often_it_is_put() -> None:
    rights = Rights()
    member = House().session()
    for _ in range(3):
        rights.put([member.session])
    assert len(rights) == 1
