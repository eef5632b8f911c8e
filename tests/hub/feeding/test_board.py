"""What a process with subscribers makes of what the feeds say of themselves."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from channels.broker import Publication
from channels.channel import Channel
from channels.shape import Update
from feeds.feed import Refusal
from hub.feeding.board import REFUSALS, REFUSED_FOR_S, ROOM_AFTER_S, FeedBoard, encode_refusals
from schemas.errors import ErrorCode, UnsubscribeCode
from schemas.phrases import Phrase
from tests.channels.clock import turns
from tests.channels.floor import Floor, floor
from tests.channels.recorder import channel

TCS, ACC, OUTSIDE = (channel(f"market:NSE:{symbol}") for symbol in ("TCS", "ACC", "OUTSIDE"))
REASON = "the account carries at most 1 instruments"


class Room:
    """A board, and a clock that a test turns."""

    def __init__(self, hall: Floor) -> None:
        self.hall = hall
        self.now_s = 1000.0
        self.board = FeedBoard(
            hall.registry, hall.broker, listed=self._listed, always=[("NSE", "ALWAYS")], clock=lambda: self.now_s
        )

    def _listed(self, asked: Channel) -> bool:
        return asked.symbol != "OUTSIDE"

    def status(self, **sources: Any) -> None:
        payload = json.dumps({"NSE": "live", "sources": sources}).encode()
        self.board.hear_status(Update(Publication("status:feeds", payload), 1))

    def refuse(self, *refusals: Refusal) -> None:
        self.board.hear_refusals(Update(Publication(REFUSALS.name, encode_refusals(refusals)), 1))

    def refusal_of(self, asked: Channel) -> tuple[str, str] | None:
        error = self.board.refusal(asked)
        return None if error is None else (error.code, error.message)


def refusal(symbol: str, code: str = "LIMIT_EXCEEDED") -> Refusal:
    return Refusal(exchange="NSE", symbol=symbol, code=code, reason=Phrase(REASON))


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    async with floor() as hall:
        yield Room(hall)


@asynccontextmanager
async def running(room: Room) -> AsyncIterator[None]:
    """The board runs inside the block, and has looked at what is wanted."""
    task = asyncio.create_task(room.board.run(), name="board")
    await turns()
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_nothing_is_refused_before_the_feeds_have_said_anything(room: Room) -> None:
    assert room.refusal_of(TCS) is None
    assert room.board.feeds == {}


async def test_a_refused_instrument_ends_for_its_subscribers_and_nobody_else(room: Room) -> None:
    refused, other = room.hall.reader("refused"), room.hall.reader("other")
    await room.hall.join(refused, "market:NSE:TCS")
    await room.hall.join(refused, "depth:NSE:TCS")
    await room.hall.join(other, "market:NSE:ACC")
    room.refuse(refusal("TCS"))
    assert room.hall.ended == [
        (refused.outbox, "market:NSE:TCS", UnsubscribeCode.NOT_CARRIED),
        (refused.outbox, "depth:NSE:TCS", UnsubscribeCode.NOT_CARRIED),
    ]


async def test_newcomers_are_refused_at_once_for_a_while(room: Room) -> None:
    room.refuse(refusal("TCS"))
    assert room.refusal_of(TCS) == (ErrorCode.LIMIT_EXCEEDED, REASON)
    assert room.refusal_of(channel("candles:1m:NSE:TCS")) == (ErrorCode.LIMIT_EXCEEDED, REASON)
    assert room.refusal_of(ACC) is None
    room.now_s += REFUSED_FOR_S
    assert room.refusal_of(TCS) is None


async def test_a_code_of_another_release_says_not_available(room: Room) -> None:
    room.refuse(refusal("TCS", "SOMETHING_NEW"))
    assert room.refusal_of(TCS) == (ErrorCode.NOT_AVAILABLE, REASON)


async def test_while_all_feeds_are_full_only_what_is_carried_may_be_heard(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.feeding.board._POLL_S", 0.0)
    await room.hall.broker.demand(["market:NSE:TCS"], 60)
    room.status(kite={"state": "live", "instruments": 3000, "limit": 3000})
    async with running(room):
        assert room.refusal_of(TCS) is None
        full = "The feed's account carries at most 3,000 instruments at kite, and all are taken"
        assert room.refusal_of(ACC) == (ErrorCode.LIMIT_EXCEEDED, full)
        assert room.refusal_of(OUTSIDE) is None
        assert room.refusal_of(channel("status:feeds")) is None
        room.status(kite={"instruments": 2999, "limit": 3000})
        assert room.refusal_of(ACC) is None


async def test_one_feed_with_room_is_enough(room: Room) -> None:
    room.status(kite={"instruments": 3000, "limit": 3000}, simulator={"instruments": 53})
    assert room.refusal_of(ACC) is None


@pytest.mark.parametrize("payload", [b"{}", b'{"refusals":7}', b"[]", b'{"refusals":[{"symbol":1}]}'])
async def test_refusals_that_make_no_sense_are_passed_over(room: Room, payload: bytes) -> None:
    room.board.hear_refusals(Update(Publication(REFUSALS.name, payload), 1))
    assert room.refusal_of(TCS) is None


async def test_a_status_of_another_release_refuses_nothing(room: Room) -> None:
    room.status(kite={"instruments": "many", "limit": 1})
    assert room.refusal_of(ACC) is None


async def test_what_is_always_carried_is_never_refused_for_want_of_room(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.feeding.board._POLL_S", 0.001)
    room.status(kite={"instruments": 1, "limit": 1})
    async with running(room):
        async with asyncio.timeout(5):
            while room.refusal_of(TCS) is None:  # noqa: ASYNC110 - the board has no event to offer
                await asyncio.sleep(0.002)
        assert room.refusal_of(channel("market:NSE:ALWAYS")) is None


async def test_room_that_has_come_is_given_before_the_minute_is_over(room: Room) -> None:
    room.refuse(refusal("TCS"), refusal("ACC", "INVALID_SYMBOL"))
    room.now_s += ROOM_AFTER_S + 1
    room.status(kite={"instruments": 2, "limit": 2})
    assert room.refusal_of(TCS) == ("LIMIT_EXCEEDED", REASON)
    room.status(kite={"instruments": 1, "limit": 2})
    assert room.refusal_of(TCS) is None
    assert room.refusal_of(ACC) is not None
