"""What fires, and how far its deliveries come, stands in the owner's own channel, each of it once."""

import json
from typing import Any

import msgspec
import pytest

from channels.broker import Receipt
from channels.broker_memory import MemoryBroker
from channels.channel import ChannelNames
from channels.namespace import Namespaces
from notifiers.errors import Refused
from notifiers.outbox.delivery import Kind, Status
from notifiers.outbox.provider import Provider
from notifiers.providers.socket import SocketProvider
from notifiers.way import Way
from notifiers.wording.messages import Messages
from tests.notifiers.jobs import AT_MS, delivery_of, facts_of, job_of, read

NAMES = ChannelNames(Namespaces())
MESSAGES = Messages("Acme", read, wall=lambda: AT_MS / 1000)
TIME = "2026-11-22T10:15:02.000+05:30"


class Told:
    """A provider over a broker, and what stands in a user's channel."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.socket = SocketProvider(self.publish, MESSAGES.of)

    async def publish(self, name: str, payload: bytes, key: str) -> Receipt:
        channel = NAMES.parse(name)
        return await self.broker.publish(channel, channel.namespace.normalise(payload), key=key)

    async def to(self, user: str = "u1") -> list[dict[str, Any]]:
        page = await self.broker.history(NAMES.parse(f"alerts:{user}"), limit=100)
        return [json.loads(one.payload) for one in page.publications]


@pytest.fixture
def told() -> Told:
    return Told()


async def test_what_fired_is_told_with_all_that_is_known(told: Told) -> None:
    outcome = await told.socket.send(job_of(facts_of(gap=True), channel=Way.WEBSOCKET))
    said = MESSAGES.of(job_of(facts_of()))
    assert await told.to() == [
        {
            "event": "triggered", "alert": 7, "trigger": 9, "exchange": "NSE", "symbol": "RELIANCE",
            "condition": "price crosses above 2500", "title": said.title, "message": said.line,
            "words": said.condition, "language": "en", "time": TIME, "number": 3, "price": 2510.5, "previous": 2498.0,
            "current": 2510.5, "level": 2500.0, "via": "tick", "gap": True, "critical": False,
        }
    ]  # fmt: skip
    assert outcome.status == "delivered"
    assert outcome.id is not None
    assert outcome.id.endswith(":1")


async def test_it_is_said_in_the_user_s_language_and_words(told: Told) -> None:
    await told.socket.send(job_of(facts_of(message="{{symbol}} {{price}}", name="Buy"), language="gu"))
    (data,) = await told.to()
    assert (data["language"], data["message"], data["name"]) == ("gu", "RELIANCE 2,510.50", "Buy")


@pytest.mark.parametrize(
    ("kind", "event", "more"),
    [
        (Kind.TEST, "test", {"number": 1, "price": 2510.5}),
        (Kind.DIGEST, "digest", {"count": 12, "since": "2026-11-22T10:12:02.000+05:30"}),
        (Kind.NOTICE, "notice", {"reason": "expired"}),
    ],
)
async def test_other_kinds_have_events_of_their_own(kind: Kind, event: str, more: dict[str, Any], told: Told) -> None:
    await told.socket.send(job_of(facts_of(kind)))
    (data,) = await told.to()
    assert data["event"] == event
    assert data | more == data
    assert "trigger" not in data


async def test_a_second_attempt_is_heard_once(told: Told) -> None:
    first = await told.socket.send(job_of(facts_of()))
    assert told.socket.resend_unknown
    assert await told.socket.find(job_of(facts_of()), 0) is None
    again = await told.socket.send(job_of(facts_of(), attempt=2))
    assert (first.id, len(await told.to())) == (again.id, 1)


async def test_nobody_else_hears_it(told: Told) -> None:
    await told.socket.send(job_of(facts_of()))
    assert await told.to("u2") == []


async def test_the_progress_of_a_delivery_is_told_once(told: Told) -> None:
    calling = delivery_of(facts_of(), channel=Way.SMS)
    sent = msgspec.structs.replace(calling, status=Status.SENT)
    dead = msgspec.structs.replace(calling, status=Status.DEAD, reason="Twilio 30003")
    for one in (calling, sent, sent, dead):
        await told.socket.progress(one, AT_MS)
    common = {"event": "delivery", "delivery": 41, "alert": 7, "trigger": 9, "channel": "sms", "time": TIME}
    assert await told.to() == [
        {**common, "status": "calling"},
        {**common, "status": "sent"},
        {**common, "status": "dead", "reason": "Twilio 30003"},
    ]


async def test_its_own_progress_is_no_news(told: Told) -> None:
    await told.socket.progress(delivery_of(facts_of(), channel=Way.WEBSOCKET), AT_MS)
    assert await told.to() == []


async def test_a_user_who_can_have_no_channel_is_refused(told: Told) -> None:
    job = job_of(facts_of())
    job = msgspec.structs.replace(job, delivery=msgspec.structs.replace(job.delivery, user="आशा"))
    with pytest.raises(Refused) as caught:
        await told.socket.send(job)
    assert (caught.value.reason, caught.value.permanent) == ("no_channel", True)


async def test_there_is_no_more_to_know(told: Told) -> None:
    socket: Provider = told.socket
    assert (socket.name, socket.way) == ("socket", Way.WEBSOCKET)
    assert await socket.look(delivery_of(facts_of())) is None
    await socket.close()
