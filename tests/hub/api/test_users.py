"""What users say of themselves."""

import base64
from typing import Any

import pytest
from sqlalchemy import select

from schemas.tables import alerts
from tests.hub.live import Hub
from tests.hub.people import Person

KEYS = {
    "p256dh": base64.urlsafe_b64encode(b"\4" + bytes(64)).decode().rstrip("="),
    "auth": base64.urlsafe_b64encode(bytes(16)).decode(),
}


@pytest.fixture
async def asha(hub: Hub) -> Person:
    person = Person(hub)
    await person.register(name="Asha")
    return person


async def test_a_profile_is_changed_field_by_field(asha: Person) -> None:
    changed = await asha.ask("PUT", "users/me", {"name": "Asha Rao", "language": "kn", "timezone": "Asia/Kolkata"})
    assert changed.data["name"] == "Asha Rao"
    changed = (await asha.ask("PUT", "users/me", {"theme": "dark"})).data
    assert (changed["language"], changed["theme"], changed["timezone"]) == ("kn", "dark", "Asia/Kolkata")
    assert (await asha.ask("PUT", "users/me", {"language": None})).data["language"] is None


@pytest.mark.parametrize(
    "body",
    [
        {"theme": "neon"},
        {"timezone": "Mars/Olympus"},
        {"language": "xx"},
        {"name": 7},
        {"plan": "enterprise"},
        {"id": "u_aaaaaaaaaaaaaaaa"},
        [],
        "x",
    ],
)
async def test_what_cannot_be_taken_changes_nothing(asha: Person, body: object) -> None:
    before = (await asha.ask("GET", "users/me")).data
    answer = await asha.ask("PUT", "users/me", body)
    assert (answer.status, answer.code) == (400, "BAD_REQUEST")
    assert (await asha.ask("GET", "users/me")).data == before


async def test_a_new_address_needs_the_password_and_has_to_be_verified(hub: Hub, asha: Person) -> None:
    await Person(hub, "ravi@example.com").register()
    answer = await asha.ask("PUT", "users/me", {"email": "new@example.com"})
    assert (answer.status, answer.code) == (403, "PERMISSION_DENIED")
    taken = await asha.ask("PUT", "users/me", {"email": "RAVI@example.com", "password": asha.password})
    assert (taken.status, taken.code) == (409, "CONFLICT")
    old_link = await asha.link_token("verify-email")
    changed = await asha.ask("PUT", "users/me", {"email": "new@example.com", "password": asha.password})
    assert (changed.data["email"], changed.data["email_verified"]) == ("new@example.com", False)
    assert (await asha.ask("POST", "auth/verify-email", {"token": old_link})).status == 401
    asha.address = "new@example.com"
    token = await asha.link_token("verify-email")
    assert (await asha.ask("POST", "auth/verify-email", {"token": token})).status == 200
    assert (await asha.ask("GET", "users/me")).data["email_verified"] is True


async def test_preferences_keep_what_is_not_named(asha: Person) -> None:
    empty = {"language": None, "theme": None, "timezone": None, "notifications": {}, "watchlist": None}
    assert (await asha.ask("GET", "users/preferences")).data == empty
    wished = {
        "channels": {"sms": False},
        "quiet_hours": [{"start": "22:00", "end": "07:00", "days": ["sat", "sun"], "channels": ["voice"]}],
        "digest": {"minutes": 15},
        "critical_override": True,
        "sms_per_month": 20,
    }
    await asha.ask("PUT", "users/preferences", {"language": "hi", "notifications": wished})
    changed = await asha.ask("PUT", "users/preferences", {"theme": "light"})
    assert changed.data == empty | {"language": "hi", "theme": "light", "notifications": wished}
    assert (await asha.ask("PUT", "users/preferences", {"notifications": {}})).data["notifications"] == {}


async def test_a_watchlist_is_kept_in_its_order_under_the_names_that_channels_have(asha: Person) -> None:
    given = ["nse:tcs", "INFY", "BSE:SENSEX", "NSE:TCS", "NSE:NOT LISTED YET"]
    changed = await asha.ask("PUT", "users/preferences", {"watchlist": given})
    kept = ["NSE:TCS", "NSE:INFY", "BSE:SENSEX", "NSE:NOT LISTED YET"]
    assert changed.data["watchlist"] == kept
    assert (await asha.ask("PUT", "users/preferences", {"theme": "dark"})).data["watchlist"] == kept
    assert (await asha.ask("PUT", "users/preferences", {"watchlist": []})).data["watchlist"] == []
    assert (await asha.ask("PUT", "users/preferences", {"watchlist": None})).data["watchlist"] is None


@pytest.mark.parametrize(
    ("watchlist", "place"),
    [
        (["TCS", "MOON:TCS"], "`$.watchlist[1]`"),
        (["TCS\n"], "`$.watchlist[0]`"),
        (["\ud800"], ""),
        (["हिन्दी"], "`$.watchlist[0]`"),
        ([""], "`$.watchlist[0]`"),
        ([7], "`$.watchlist[0]`"),
        ("TCS", "`$.watchlist`"),
        ([f"S{number}" for number in range(501)], "`$.watchlist`"),
    ],
    ids=["no exchange", "control", "surrogate", "not ascii", "empty", "number", "text", "too many"],
)
async def test_a_watchlist_that_is_none_is_refused_with_its_place(asha: Person, watchlist: Any, place: str) -> None:
    answer = await asha.ask("PUT", "users/preferences", {"watchlist": watchlist, "theme": "dark"})
    assert (answer.status, answer.code) == (400, "BAD_REQUEST")
    assert place in answer.json["error"]["message"]
    assert (await asha.ask("GET", "users/preferences")).data["theme"] is None


async def test_what_was_unsubscribed_stays_so_until_it_is_named(asha: Person) -> None:
    said_no = {"unsubscribed": [{"channel": "email", "kind": "alert"}]}
    await asha.ask("PUT", "users/preferences", {"notifications": said_no})
    changed = await asha.ask("PUT", "users/preferences", {"notifications": {"critical_override": True}})
    assert changed.data["notifications"] == said_no | {"critical_override": True}
    changed = await asha.ask("PUT", "users/preferences", {"notifications": {"unsubscribed": []}})
    assert changed.data["notifications"] == {"unsubscribed": []}


@pytest.mark.parametrize(
    ("notifications", "place"),
    [
        ({"email": True}, "$.notifications"),
        ({"quiet_hours": [{"start": "25:00", "end": "07:00"}]}, "$.notifications.quiet_hours[0].start"),
        ({"quiet_hours": [{"start": "22:00", "end": "07:00", "action": "downgrade"}]}, "quiet_hours[0].to"),
        ({"sms_per_month": "many"}, "$.notifications.sms_per_month"),
    ],
)
async def test_wishes_that_make_no_sense_are_refused_with_their_place(
    asha: Person, notifications: dict[str, Any], place: str
) -> None:
    answer = await asha.ask("PUT", "users/preferences", {"language": "mr", "notifications": notifications})
    assert (answer.status, answer.code) == (400, "BAD_REQUEST")
    assert place in answer.json["error"]["message"]
    assert (await asha.ask("GET", "users/preferences")).data["language"] is None


async def test_a_browser_is_added_and_removed_by_its_owner_alone(hub: Hub, asha: Person) -> None:
    body = {"endpoint": "https://push.example.net/abc", "keys": KEYS, "expirationTime": None}
    made = await asha.ask("POST", "users/push-subscriptions", body)
    assert made.status == 201
    assert (await asha.ask("POST", "users/push-subscriptions", body)).data == made.data
    ravi = Person(hub, "ravi@example.com")
    await ravi.register()
    gone = {"endpoint": body["endpoint"]}
    assert (await ravi.ask("DELETE", "users/push-subscriptions", gone)).status == 404
    assert (await asha.ask("DELETE", "users/push-subscriptions", gone)).status == 200
    assert (await asha.ask("DELETE", "users/push-subscriptions", gone)).status == 404
    for endpoint in ("http://push.example.net/abc", "javascript:alert(1)", "https://"):
        answer = await asha.ask("POST", "users/push-subscriptions", body | {"endpoint": endpoint})
        assert (answer.status, answer.code) == (400, "BAD_REQUEST")


async def test_a_user_sees_what_gets_push_messages(hub: Hub, asha: Person) -> None:
    browser = {"endpoint": "https://push.example.net/abc", "keys": KEYS}
    for body in (browser, {"fcm_token": "app:1"}):
        assert (await asha.ask("POST", "users/push-subscriptions", body)).status == 201
    listed = (await asha.ask("GET", "users/push-subscriptions")).data
    assert [one["endpoint"] for one in listed["items"]] == [browser["endpoint"], "fcm:app:1"]
    assert listed["total"] == 2
    assert listed["items"][0].keys() == {"id", "endpoint", "user_agent", "created_at"}
    ravi = Person(hub, "ravi@example.com")
    await ravi.register()
    assert (await ravi.ask("GET", "users/push-subscriptions")).data == {"items": [], "total": 0}


async def test_an_app_is_added_and_removed(asha: Person) -> None:
    made = await asha.ask("POST", "users/push-subscriptions", {"fcm_token": "app:1"})
    assert made.status == 201
    assert (await asha.ask("POST", "users/push-subscriptions", {"fcm_token": "app:1"})).data == made.data
    assert (await asha.ask("DELETE", "users/push-subscriptions", {"endpoint": "fcm:app:1"})).status == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"fcm_token": "a b"},
        {"fcm_token": ""},
        {"endpoint": "https://push.example.net/abc"},
        {"keys": KEYS},
        {"endpoint": "fcm:app:1", "keys": KEYS},
        {"endpoint": "https://push.example.net/abc", "keys": KEYS, "fcm_token": "app:1"},
    ],
)
async def test_what_is_neither_browser_nor_app_is_refused(asha: Person, body: object) -> None:
    answer = await asha.ask("POST", "users/push-subscriptions", body)
    assert (answer.status, answer.code) == (400, "BAD_REQUEST")


async def test_who_leaves_is_gone(hub: Hub, asha: Person) -> None:
    alert = {"symbol": "TCS", "condition": "price > 1"}
    assert (await asha.ask("POST", "alerts", alert)).status == 201
    assert (await asha.ask("DELETE", "users/me", {"password": "wrong-Tram-81"})).status == 403
    async with hub.client(query=f"?token={asha.tokens['access_token']}") as client:
        assert (await asha.ask("DELETE", "users/me", {"password": asha.password})).status == 200
        assert await client.close_code() == 3500
    assert (await asha.ask("GET", "users/me")).status == 401
    assert (await asha.refresh()).status == 401
    assert (await asha.login()).status == 401
    async with hub.engine.connect() as connection:
        assert await connection.scalar(select(alerts.c.status)) == "deleted"
    assert (await Person(hub).register()).status == 201
