"""Preferences are a user's wishes, checked, kept whole, and nobody else's."""

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.preferences import MAX_DEPTH, MAX_NOTIFICATIONS, MAX_WATCHLIST, Edit, Preference, Preferences, _encoded
from schemas.errors import CommandError, ErrorCode
from tests.auth.conftest import Clock

ODD = ["'; DROP TABLE preferences;--", "<script>alert(1)</script>", "en\x00", "\ud800", "EN", "e" * 9999, ""]


@pytest.fixture
def preferences(engine: AsyncEngine, clock: Clock) -> Preferences:
    return Preferences(engine, wall=clock)


async def test_an_unknown_user_wishes_nothing(preferences: Preferences) -> None:
    assert await preferences.get("7") == Preference()


async def test_a_wish_is_kept_and_the_others_stay(preferences: Preferences) -> None:
    assert await preferences.put("7", language="mr", theme="dark") == Preference(language="mr", theme="dark")
    after = await preferences.put("7", timezone="Asia/Kolkata", notifications={"alerts": {"sms": False}})
    assert after == await preferences.get("7")
    assert after == Preference(
        language="mr", theme="dark", timezone="Asia/Kolkata", notifications={"alerts": {"sms": False}}
    )
    assert await preferences.get("8") == Preference()


async def test_a_wish_is_taken_back(preferences: Preferences) -> None:
    await preferences.put("7", language="gu", theme="light", timezone="UTC", notifications={"a": 1})
    assert await preferences.put("7", language=None, theme=None) == Preference(timezone="UTC", notifications={"a": 1})
    assert await preferences.put("7", timezone=None, notifications={}) == Preference()


async def test_nothing_given_changes_nothing(preferences: Preferences) -> None:
    assert await preferences.put("7") == Preference()
    await preferences.put("7", theme="dark")
    assert await preferences.put("7") == Preference(theme="dark")


async def test_a_watchlist_comes_whole_and_an_empty_one_is_not_none(preferences: Preferences) -> None:
    assert (await preferences.put("7", watchlist=["NSE:TCS", "NSE:INFY"])).watchlist == ("NSE:TCS", "NSE:INFY")
    assert (await preferences.put("7", theme="dark")).watchlist == ("NSE:TCS", "NSE:INFY")
    assert (await preferences.put("7", watchlist=[])).watchlist == ()
    assert (await preferences.put("7", watchlist=None)).watchlist is None


async def test_a_watchlist_has_an_end(preferences: Preferences) -> None:
    most = [f"NSE:S{number}" for number in range(MAX_WATCHLIST)]
    assert (await preferences.put("7", watchlist=most)).watchlist == tuple(most)
    with pytest.raises(CommandError) as caught:
        await preferences.put("7", watchlist=[*most, "NSE:TCS"])
    assert caught.value.code is ErrorCode.BAD_REQUEST


async def test_users_of_a_foreign_login_have_preferences(preferences: Preferences) -> None:
    user = "auth0|" + "x" * 122
    assert (await preferences.put(user, theme="system")).theme == "system"


async def test_first_wishes_that_come_at_once_all_count(engine: AsyncEngine, other_engine: AsyncEngine) -> None:
    one, two = Preferences(engine, wall=Clock()), Preferences(other_engine, wall=Clock())
    await asyncio.gather(
        one.put("7", language="kn"),
        two.put("7", theme="dark"),
        one.put("7", timezone="Asia/Kolkata"),
        two.put("7", notifications={"a": 1}),
    )
    assert await one.get("7") == Preference(
        language="kn", theme="dark", timezone="Asia/Kolkata", notifications={"a": 1}
    )


async def test_what_is_no_such_word_is_refused(preferences: Preferences) -> None:
    for name in ("language", "theme", "timezone"):
        for odd in ODD:
            wish: dict[str, Any] = {name: odd}
            with pytest.raises(CommandError) as caught:
                await preferences.put("7", **wish)
            assert caught.value.code is ErrorCode.BAD_REQUEST
            assert caught.value.message.endswith(f"- at `$.{name}`")
    assert await preferences.get("7") == Preference()


async def test_every_text_in_notifications_comes_back_unchanged(preferences: Preferences) -> None:
    wished = {"'; DROP TABLE preferences;--": ["<script>", "\x00", "\u202e", "मराठी", None, 1.5, {"%s": "{x}"}]}
    await preferences.put("7", notifications=wished)
    assert (await preferences.get("7")).notifications == wished


def nested(depth: int) -> dict[str, Any]:
    inner: dict[str, Any] = {}
    for _ in range(depth):
        inner = {"a": inner}
    return inner


async def test_notifications_that_cannot_be_kept_are_refused(preferences: Preferences) -> None:
    odd: list[dict[str, Any]] = [{"a": "\ud800"}, {"\udfff": 1}, {"a": object()}, {"a": "x" * MAX_NOTIFICATIONS}]
    for one in (*odd, nested(100_000)):
        with pytest.raises(CommandError, match=r"at `\$\.notifications`"):
            await preferences.put("7", notifications=one)
    assert await preferences.get("7") == Preference()


def test_notifications_are_nested_so_deep_and_no_deeper() -> None:
    assert _encoded(nested(MAX_DEPTH - 1))
    with pytest.raises(CommandError, match="deep"):
        _encoded(nested(MAX_DEPTH))
    with pytest.raises(CommandError, match="deep"):
        _encoded({"a": [[[[nested(MAX_DEPTH - 5)]]]]})


def test_notifications_may_take_exactly_as_much_as_is_said() -> None:
    room = MAX_NOTIFICATIONS - len('{"a":""}')
    assert len(_encoded({"a": "x" * room})) == MAX_NOTIFICATIONS
    with pytest.raises(CommandError, match=str(MAX_NOTIFICATIONS)):
        _encoded({"a": "x" * (room + 1)})


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.dictionaries(st.text(st.characters()), values, max_size=4))
def test_any_object_is_encoded_or_refused(given: dict[str, Any]) -> None:
    try:
        text = _encoded(given)
    except CommandError:
        return
    assert "\x00" not in text
    assert isinstance(msgspec.json.decode(text), dict)


async def test_edits_that_come_at_once_all_count(engine: AsyncEngine, other_engine: AsyncEngine) -> None:
    one, two = Preferences(engine, wall=Clock()), Preferences(other_engine, wall=Clock())

    def adding(name: str) -> Edit:
        return lambda kept: kept | {name: True}

    await asyncio.gather(*[(one, two)[number % 2].edit("7", adding(f"n{number}")) for number in range(6)])
    assert (await one.get("7")).notifications == {f"n{number}": True for number in range(6)}


async def test_an_edit_leaves_all_other_wishes_as_they_are(preferences: Preferences) -> None:
    await preferences.put("7", language="mr", notifications={"a": 1})
    after = await preferences.edit("7", lambda kept: kept | {"b": 2})
    assert after == await preferences.get("7") == Preference(language="mr", notifications={"a": 1, "b": 2})


async def test_an_edit_that_is_refused_changes_nothing(preferences: Preferences) -> None:
    await preferences.put("7", notifications={"a": 1})
    with pytest.raises(CommandError):
        await preferences.edit("7", lambda _: {"a": "x" * MAX_NOTIFICATIONS})
    assert (await preferences.get("7")).notifications == {"a": 1}
