"""Of every answer of Twilio's it is known whether anything was created, and whose fault it is where nothing was."""

import asyncio

import pytest

from notifiers.errors import Blame, OutcomeUnknown, Refused
from notifiers.providers.twilio import LONGEST_RETRY_AFTER_S, Twilio, created_since, newest, refusal
from schemas.errors import Unavailable
from schemas.secret import Secret
from tests.notifiers.providers.twilio_server import ACCOUNT, TOKEN, TwilioServer

TO = "+919876543210"


def account(server: TwilioServer, timeout_s: float = 5.0) -> Twilio:
    return Twilio(ACCOUNT, Secret(TOKEN), base_url=server.url, timeout_s=timeout_s)


async def create(twilio: Twilio) -> str:
    return str((await twilio.create(twilio.client.messages.create_async(to=TO, from_="+1", body="x"))).sid)


async def fetch(twilio: Twilio, sid: str = "SM1") -> object:
    return await twilio.read(twilio.client.messages(sid).fetch_async())


@pytest.mark.parametrize(
    ("status", "code", "blame", "permanent"),
    [
        (400, 21211, Blame.ADDRESS, True),
        (400, 21614, Blame.ADDRESS, True),
        (400, 21610, Blame.ADDRESS, True),
        (400, 30003, Blame.HANDSET, False),
        (401, 20003, Blame.PROVIDER, True),
        (400, 21606, Blame.PROVIDER, True),
        (400, 21617, Blame.MESSAGE, True),
        (400, 14107, Blame.MESSAGE, False),
        (400, 30001, Blame.MESSAGE, False),
    ],
)
async def test_a_refusal_says_whose_fault_it_is(status: int, code: int, blame: Blame, permanent: bool) -> None:
    async with TwilioServer() as server:
        server.refuse(status, code)
        with pytest.raises(Refused) as caught:
            await create(account(server))
    assert (caught.value.reason, caught.value.blame, caught.value.permanent) == (f"Twilio {code}", blame, permanent)


@pytest.mark.parametrize(
    ("given", "after_s"),
    [("7", 7.0), ("0", 0.0), ("999999", LONGEST_RETRY_AFTER_S), (None, None), ("soon", None), ("-1", None)],
)
async def test_one_request_too_many_may_come_again_when_twilio_says(given: str | None, after_s: float | None) -> None:
    async with TwilioServer() as server:
        server.refuse(429, 20429, retry_after=given)
        with pytest.raises(Refused) as caught:
            await create(account(server))
    assert (caught.value.permanent, caught.value.retry_after_s) == (False, after_s)


@pytest.mark.parametrize(("status", "code"), [(500, 20500), (503, 20503), (502, None), (404, None), (307, None)])
async def test_an_answer_without_a_code_of_twilio_s_leaves_a_create_in_doubt(status: int, code: int | None) -> None:
    async with TwilioServer() as server:
        server.refuse(status, code)
        with pytest.raises(OutcomeUnknown):
            await create(account(server))
        assert len(server.paths) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"not json", b'{"sid": 7}'])
async def test_garbage_leaves_a_create_in_doubt_and_is_no_answer_to_a_question(body: bytes) -> None:
    async with TwilioServer() as server:
        server.answer(201, body)
        with pytest.raises(OutcomeUnknown):
            await create(account(server))
        server.answer(200, body if body not in {b"{}", b'{"sid": 7}'} else b"null")
        with pytest.raises(Unavailable):
            await fetch(account(server))


async def test_a_cut_line_leaves_a_create_in_doubt_and_a_question_unanswered() -> None:
    async with TwilioServer() as server:
        server.cut = True
        with pytest.raises(OutcomeUnknown):
            await create(account(server))
        with pytest.raises(Unavailable):
            await fetch(account(server))


async def test_silence_leaves_a_create_in_doubt_and_a_question_unanswered() -> None:
    async with TwilioServer() as server:
        server.hold.clear()
        async with asyncio.timeout(5):
            with pytest.raises(OutcomeUnknown):
                await create(account(server, 0.2))
            with pytest.raises(Unavailable):
                await fetch(account(server, 0.2))
        assert len(server.created) == 1


async def test_where_nobody_listens_nothing_was_created() -> None:
    async with TwilioServer() as server:
        lost = account(server)
    with pytest.raises(Unavailable):
        await create(lost)
    with pytest.raises(Unavailable):
        await fetch(lost)


async def test_what_is_not_there_is_none() -> None:
    async with TwilioServer() as server:
        assert await fetch(account(server), "SM9") is None


@pytest.mark.parametrize(("status", "code", "error"), [(401, 20003, Refused), (500, 20500, Unavailable)])
async def test_a_question_may_be_refused(status: int, code: int, error: type[Exception]) -> None:
    async with TwilioServer() as server:
        server.refuse(status, code)
        with pytest.raises(error):
            await fetch(account(server))


async def test_the_newest_are_listed_with_what_still_waits_and_without_what_is_older() -> None:
    async with TwilioServer() as server:
        twilio = account(server)
        server.wall = lambda: 1000.0
        await create(twilio)
        server.wall = lambda: 2000.0
        await create(twilio)
        listed = await twilio.read(newest(twilio.client.messages, to=TO))
        assert listed is not None
        assert [one.sid for one in listed] == ["SM2", "SM1"]
        assert [one.sid for one in created_since(listed, 2_000_000)] == ["SM2"]
        assert await twilio.read(newest(twilio.client.messages, to="+91")) == []


def test_a_telephone_out_of_reach_is_tried_again_later() -> None:
    told = refusal(30008)
    assert (told.permanent, told.blame) == (False, Blame.HANDSET)
    assert told.retry_after_s


async def test_the_token_is_in_no_error() -> None:
    async with TwilioServer() as server:
        server.refuse(401, 20003)
        with pytest.raises(Refused) as caught:
            await create(account(server))
    assert TOKEN not in repr(caught.value) + repr(caught.value.__cause__)
