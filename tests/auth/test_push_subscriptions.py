"""A browser's push subscription is one user's at a time, and only what a push service could take is kept."""

import asyncio
import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.push_subscriptions import (
    MAX_ENDPOINT,
    MAX_SUBSCRIPTIONS,
    PushSubscription,
    PushSubscriptions,
    _endpoint,
    _key,
)
from schemas.errors import CommandError, ErrorCode
from tests.auth.conftest import NOW, Clock

ENDPOINT = "https://push.example.com/send/abc"
P256DH = base64.urlsafe_b64encode(b"\x04" + bytes(range(64))).rstrip(b"=").decode()
AUTH = base64.urlsafe_b64encode(bytes(range(240, 256))).rstrip(b"=").decode()
OTHER_AUTH = base64.urlsafe_b64encode(bytes(16)).rstrip(b"=").decode()


@pytest.fixture
def subscriptions(engine: AsyncEngine, clock: Clock) -> PushSubscriptions:
    return PushSubscriptions(engine, wall=clock)


def refused(code: ErrorCode) -> Any:
    return pytest.raises(CommandError, check=lambda exc: exc.code is code)


async def test_a_subscription_is_listed_as_it_was_given(subscriptions: PushSubscriptions) -> None:
    made = await subscriptions.add("7", ENDPOINT, P256DH, AUTH, "Firefox 150")
    other = await subscriptions.add("7", ENDPOINT + "d", P256DH, AUTH)
    assert await subscriptions.listed("7") == [
        PushSubscription(
            id=made, endpoint=ENDPOINT, p256dh=P256DH, auth=AUTH, user_agent="Firefox 150", created_at=NOW
        ),
        PushSubscription(id=other, endpoint=ENDPOINT + "d", p256dh=P256DH, auth=AUTH, user_agent="", created_at=NOW),
    ]
    assert await subscriptions.listed("8") == []


async def test_the_same_browser_again_has_its_new_keys(subscriptions: PushSubscriptions, clock: Clock) -> None:
    made = await subscriptions.add("7", ENDPOINT, P256DH, AUTH)
    clock.now += 5
    assert await subscriptions.add("7", ENDPOINT, P256DH, OTHER_AUTH, "x") == made
    (only,) = await subscriptions.listed("7")
    assert (only.auth, only.user_agent, only.created_at) == (OTHER_AUTH, "x", NOW + 5)


async def test_a_browser_belongs_to_who_used_it_last(subscriptions: PushSubscriptions) -> None:
    made = await subscriptions.add("7", ENDPOINT, P256DH, AUTH)
    assert await subscriptions.add("8", ENDPOINT, P256DH, AUTH) == made
    assert await subscriptions.listed("7") == []
    assert [one.id for one in await subscriptions.listed("8")] == [made]


async def test_one_is_removed_by_endpoint_or_id_by_its_owner_alone(subscriptions: PushSubscriptions) -> None:
    first = await subscriptions.add("7", ENDPOINT, P256DH, AUTH)
    await subscriptions.add("7", ENDPOINT + "d", P256DH, AUTH)
    assert not await subscriptions.remove("8", first)
    assert not await subscriptions.remove("8", ENDPOINT)
    assert len(await subscriptions.listed("7")) == 2
    assert await subscriptions.remove("7", first)
    assert not await subscriptions.remove("7", first)
    assert await subscriptions.remove("7", ENDPOINT + "d")
    assert await subscriptions.listed("7") == []


async def test_one_is_found_by_its_owner_alone(subscriptions: PushSubscriptions) -> None:
    first = await subscriptions.add("7", ENDPOINT, P256DH, AUTH)
    second = await subscriptions.add("7", ENDPOINT + "d", P256DH, AUTH)
    assert await subscriptions.get("7", second) == (await subscriptions.listed("7"))[1]
    assert await subscriptions.endpoints_of("7") == [str(first), str(second)]
    assert await subscriptions.endpoints_of("8") == []
    for user, odd in (("8", first), ("7", second + 1), ("7", 0), ("7", -1), ("7", 2**63), ("7", 10**400)):
        assert await subscriptions.get(user, odd) is None


async def test_an_app_is_one_without_keys(subscriptions: PushSubscriptions) -> None:
    made = await subscriptions.add_app("7", "dEvice:APA91b_-", "okhttp")
    assert await subscriptions.get("7", made) == PushSubscription(
        id=made, endpoint="fcm:dEvice:APA91b_-", p256dh="", auth="", user_agent="okhttp", created_at=NOW
    )
    assert await subscriptions.add_app("8", "dEvice:APA91b_-") == made
    assert await subscriptions.listed("7") == []
    assert await subscriptions.remove("8", "fcm:dEvice:APA91b_-")


@pytest.mark.parametrize("token", ["", "a b", "a/b", "a\n", "\x00", "\ud800", "é", "x" * 1025])
async def test_what_is_no_token_of_an_app_is_refused(subscriptions: PushSubscriptions, token: str) -> None:
    with refused(ErrorCode.BAD_REQUEST):
        await subscriptions.add_app("7", token)
    with refused(ErrorCode.BAD_REQUEST):
        await subscriptions.add("7", f"fcm:{token}", P256DH, AUTH)
    assert await subscriptions.listed("7") == []


async def test_what_is_no_subscription_is_not_removed(subscriptions: PushSubscriptions) -> None:
    await subscriptions.add("7", ENDPOINT, P256DH, AUTH)
    for odd in ("", "\x00", "\ud800", "' OR 1=1 --", "x" * 99_999, 0, -1, 2**63, 10**400):
        assert not await subscriptions.remove("7", odd)
    assert len(await subscriptions.listed("7")) == 1


async def test_a_user_has_so_many_and_no_more(subscriptions: PushSubscriptions) -> None:
    for number in range(MAX_SUBSCRIPTIONS):
        await subscriptions.add("7", f"{ENDPOINT}/{number}", P256DH, AUTH)
    await subscriptions.add("8", f"{ENDPOINT}/of-8", P256DH, AUTH)
    for endpoint in (f"{ENDPOINT}/more", f"{ENDPOINT}/of-8"):
        with refused(ErrorCode.LIMIT_EXCEEDED):
            await subscriptions.add("7", endpoint, P256DH, AUTH)
    await subscriptions.add("7", f"{ENDPOINT}/3", P256DH, OTHER_AUTH)
    assert len(await subscriptions.listed("7")) == MAX_SUBSCRIPTIONS
    assert len(await subscriptions.listed("8")) == 1
    await subscriptions.remove("7", f"{ENDPOINT}/3")
    await subscriptions.add("7", f"{ENDPOINT}/more", P256DH, AUTH)


async def test_the_last_place_is_taken_once_by_many_at_once(
    subscriptions: PushSubscriptions, other_engine: AsyncEngine, clock: Clock
) -> None:
    elsewhere = PushSubscriptions(other_engine, wall=clock)
    for number in range(MAX_SUBSCRIPTIONS - 1):
        await subscriptions.add("7", f"{ENDPOINT}/{number}", P256DH, AUTH)
    outcomes = await asyncio.gather(
        *(
            one.add("7", f"{ENDPOINT}/{where}/{number}", P256DH, AUTH)
            for number in range(3)
            for where, one in enumerate((subscriptions, elsewhere))
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, int) for outcome in outcomes) == 1
    codes = {outcome.code for outcome in outcomes if isinstance(outcome, CommandError)}
    assert codes == {ErrorCode.LIMIT_EXCEEDED}
    assert len(await subscriptions.listed("7")) == MAX_SUBSCRIPTIONS


async def test_one_browser_may_come_and_go_many_times_at_once(subscriptions: PushSubscriptions) -> None:
    async def come_and_go(user: str) -> None:
        for _ in range(15):
            await subscriptions.add(user, ENDPOINT, P256DH, AUTH)
            await subscriptions.remove(user, ENDPOINT)

    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        for number in range(6):
            tasks.create_task(come_and_go(str(number)), name=f"browser {number}")
    assert [await subscriptions.listed(str(number)) for number in range(6)] == [[]] * 6


async def test_one_browser_that_comes_many_times_at_once_is_one(
    subscriptions: PushSubscriptions, other_engine: AsyncEngine, clock: Clock
) -> None:
    elsewhere = PushSubscriptions(other_engine, wall=clock)
    ids = await asyncio.gather(
        *(one.add(user, ENDPOINT, P256DH, AUTH) for user in "78" for one in (subscriptions, elsewhere))
    )
    assert len(set(ids)) == 1
    assert len(await subscriptions.listed("7") + await subscriptions.listed("8")) == 1


async def test_what_a_browser_calls_itself_is_kept_as_far_as_it_goes(subscriptions: PushSubscriptions) -> None:
    await subscriptions.add("7", ENDPOINT, P256DH, AUTH, "<b>'; DROP TABLE x;--\x00\ud800\u202e" + "x" * 9999)
    (only,) = await subscriptions.listed("7")
    assert only.user_agent.startswith("<b>'; DROP TABLE x;--xxx")
    assert len(only.user_agent) <= 256


@pytest.mark.parametrize(
    "url",
    [
        ENDPOINT,
        "https://fcm.googleapis.com/fcm/send/a:b?x=%20y#z",
        "https://[2001:db8::1]:8443/x",
        "http://localhost:9000/x",
        "http://127.0.0.1/x",
        "http://[::1]:9000/x",
        "https://push.example.com/';DROP%20TABLE",
        "https://push.example.com/" + "x" * (MAX_ENDPOINT - 25),
    ],
)
def test_an_endpoint_is_kept_as_it_is(url: str) -> None:
    assert _endpoint(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "push.example.com",
        "https://",
        "https:///x",
        "https://:443/x",
        "http://push.example.com/x",
        "http://localhost.example.com/x",
        "http://10.0.0.1/x",
        "ftp://push.example.com",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://push.example.com:99999/x",
        "https://push.example.com:0/x",
        "https://push.example.com:x/x",
        "https://user:secret@push.example.com/x",
        "https://[::1/x",
        "https://push.example.com/a b",
        "https://push.example.com/\n",
        "https://push.example.com/\x00",
        "https://push.example.com/\ud800",
        "https://pu\u0455h.example.com/x",
        "https://push.example.com/" + "x" * (MAX_ENDPOINT - 24),
        "https://push.example.com/" + "x" * 1_000_000,
    ],
)
async def test_what_is_no_endpoint_is_refused(url: str) -> None:
    with pytest.raises(CommandError, match=r"at `\$\.endpoint`") as caught:
        _endpoint(url)
    assert caught.value.code is ErrorCode.BAD_REQUEST


@given(st.text(st.characters(), max_size=30).map("https://".__add__) | st.text(st.characters()))
def test_any_text_is_an_endpoint_or_refused(text: str) -> None:
    try:
        kept = _endpoint(text)
    except CommandError:
        return
    assert kept == text
    assert text.isascii()
    assert text.isprintable()


def coded(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode()


@given(st.binary(min_size=64, max_size=64))
def test_a_key_is_kept_without_padding(rest: bytes) -> None:
    padded = coded(b"\x04" + rest)
    assert _key(padded, "$", 65, first=4) == _key(padded.rstrip("="), "$", 65, first=4) == padded.rstrip("=")


@given(st.binary(max_size=80).filter(lambda octets: len(octets) != 65 or octets[0] != 4))
def test_a_key_of_another_length_or_form_is_refused(octets: bytes) -> None:
    with pytest.raises(CommandError, match="65 bytes"):
        _key(coded(octets), "$", 65, first=4)


@pytest.mark.parametrize(
    "text", ["", "=", "====", "A", P256DH + "=====", P256DH + "\n", "\x00", "\ud800", "é" * 87, "+/" * 43, "A" * 99_999]
)
async def test_what_is_no_key_is_refused(text: str) -> None:
    for place, size, first in (("$.p256dh", 65, 4), ("$.auth", 16, None)):
        with pytest.raises(CommandError) as caught:
            _key(text, place, size, first=first)
        assert caught.value.code is ErrorCode.BAD_REQUEST
        assert caught.value.message.endswith(f"- at `{place}`")


async def test_a_bad_subscription_is_not_kept(subscriptions: PushSubscriptions) -> None:
    good = {"endpoint": ENDPOINT, "p256dh": P256DH, "auth": AUTH}
    for odd in ({"endpoint": "http://x.example"}, {"p256dh": AUTH}, {"auth": P256DH}, {"p256dh": "\x00"}, {"auth": ""}):
        with refused(ErrorCode.BAD_REQUEST):
            await subscriptions.add("7", **{**good, **odd})
    assert await subscriptions.listed("7") == []
