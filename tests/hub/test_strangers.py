"""One user reaches for what is another's, by its id, everywhere where there is one: nothing is had, nothing changes."""

import base64
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from schemas import tables
from tests.hub.crowd import BOSS, Browser, Crowd, browsing, hash_quickly
from tests.hub.live import Hub, bearer, until
from tests.hub.people import Person

POINT = base64.urlsafe_b64encode(b"\x04" + bytes(range(64))).decode()
SALT = base64.urlsafe_b64encode(bytes(16)).decode()

OWNED = ("alerts", "orders")
"""Namespaces whose channels belong to a user."""

OWN_TABLES = (
    tables.accounts,
    tables.sessions,
    tables.api_keys,
    tables.push_subscriptions,
    tables.preferences,
    tables.recovery_codes,
    tables.challenges,
    tables.signals,
    tables.entitlements,
    tables.alerts,
    tables.triggers,
    tables.deliveries,
    tables.webhook_endpoints,
)


class Victim(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who has one of everything."""

    id: str
    address: str
    session: str
    key: str
    endpoint: str
    login_challenge: str
    phone_challenge: str
    phone_code: str
    client: str
    signal: int
    alert: int
    trigger: int
    webhook: int
    own_code: str
    """The thief's own second factor."""


Reach = Callable[[Victim], tuple[str, Any, int]]
"""The path, the body, and what a thief is answered."""

REACHES: dict[str, Reach] = {
    "GET /alerts/{id}": lambda one: (f"/alerts/{one.alert}", None, 404),
    "PUT /alerts/{id}": lambda one: (f"/alerts/{one.alert}", {"name": "mine"}, 404),
    "DELETE /alerts/{id}": lambda one: (f"/alerts/{one.alert}", None, 404),
    "POST /alerts/{id}/pause": lambda one: (f"/alerts/{one.alert}/pause", None, 404),
    "POST /alerts/{id}/resume": lambda one: (f"/alerts/{one.alert}/resume", None, 404),
    "POST /alerts/{id}/test": lambda one: (f"/alerts/{one.alert}/test", {}, 404),
    "GET /alerts/{id}/history": lambda one: (f"/alerts/{one.alert}/history", None, 404),
    "GET /alerts/{id}/deliveries": lambda one: (f"/alerts/{one.alert}/deliveries", None, 404),
    "POST /alerts/triggers/{id}/acknowledge": lambda one: (f"/alerts/triggers/{one.trigger}/acknowledge", None, 404),
    "GET /users/webhooks/{id}": lambda one: (f"/users/webhooks/{one.webhook}", None, 404),
    "PUT /users/webhooks/{id}": lambda one: (f"/users/webhooks/{one.webhook}", {"enabled": False}, 404),
    "DELETE /users/webhooks/{id}": lambda one: (f"/users/webhooks/{one.webhook}", None, 404),
    "POST /users/webhooks/{id}/rotate": lambda one: (f"/users/webhooks/{one.webhook}/rotate", None, 404),
    "POST /users/webhooks/{id}/test": lambda one: (f"/users/webhooks/{one.webhook}/test", None, 404),
    "DELETE /auth/sessions/{id}": lambda one: (f"/auth/sessions/{one.session}", None, 404),
    "DELETE /users/api-keys/{id}": lambda one: (f"/users/api-keys/{one.key}", None, 404),
    "DELETE /users/push-subscriptions": lambda one: ("/users/push-subscriptions", {"endpoint": one.endpoint}, 404),
    "PUT /signals/{id}": lambda one: (f"/signals/{one.signal}", {"confidence": 1}, 403),
    "DELETE /signals/{id}": lambda one: (f"/signals/{one.signal}", None, 403),
    "GET /admin/users/{id}": lambda one: (f"/admin/users/{one.id}", None, 403),
    "PUT /admin/users/{id}": lambda one: (f"/admin/users/{one.id}", {"status": "disabled"}, 403),
    "GET /admin/connections/{client}": lambda one: (f"/admin/connections/{one.client}", None, 403),
    "POST /admin/disconnect": lambda one: ("/admin/disconnect", {"user": one.id}, 403),
    "POST /publish": lambda one: ("/publish", {"channel": f"alerts:{one.id}", "data": {"text": "boo"}}, 403),
    "POST /auth/2fa/verify": lambda one: (
        "/auth/2fa/verify",
        {"challenge": one.login_challenge, "code": one.own_code},
        401,
    ),
    "POST /users/me/phone/verify": lambda one: (
        "/users/me/phone/verify",
        {"challenge": one.phone_challenge, "code": one.phone_code},
        401,
    ),
    "PUT /users/me": lambda one: ("/users/me", {"email": one.address.upper(), "password": "monsoon-Tram-81"}, 409),
    "POST /auth/register": lambda one: (
        "/auth/register",
        {"email": one.address.title(), "password": "monsoon-Tram-81"},
        409,
    ),
    "POST /auth/reset-password": lambda one: (
        "/auth/reset-password",
        {"token": one.login_challenge, "password": "monsoon-Tram-82"},
        401,
    ),
    "POST /auth/verify-email": lambda one: ("/auth/verify-email", {"token": one.phone_challenge}, 401),
}
"""Every route that takes an id, in its path or its body."""

NOBODYS = {
    "GET /signals/{id}",
    *(f"{method} /{word}/{{token}}" for method in ("GET", "POST") for word in ("unsubscribe", "acknowledge")),
}
"""Takes an id of what is not one user's, or a token that is the right itself."""


async def make_thief(crowd: Crowd) -> Person:
    """Another account, with all that a plan gives."""
    thief = await crowd.person("thief")
    await crowd.entitle(thief, plan="pro")
    await thief.enable_second_factor()
    return thief


async def make_victim(crowd: Crowd, browser: Browser, one: Person, own_code: str) -> Victim:
    key, _ = await crowd.key(one, "market")
    endpoint = "https://push.example/of-the-victim"
    push = {"endpoint": endpoint, "keys": {"p256dh": POINT, "auth": SALT}}
    assert (await one.ask("POST", "users/push-subscriptions", push)).status == 201
    assert (await one.ask("PUT", "users/me", {"phone": "+919876543210", "language": "mr"})).status == 200
    phone = (await one.ask("POST", "users/me/phone/send")).data["challenge"]
    await one.enable_second_factor()
    (session,) = (await one.ask("GET", "auth/sessions")).data["items"]
    wanted = await browser.ask("POST", "/auth/login", {"email": one.address, "password": one.password})
    server = bearer("server", role="publisher")
    given = await browser.ask("POST", "/signals", {"symbol": "TCS", "signal_type": "BUY", "confidence": 50}, server)
    alert = (await one.ask("POST", "alerts", {"symbol": "TCS", "condition": "price > 1"})).data["id"]
    tested = await one.ask("POST", f"alerts/{alert}/test", {})
    webhook = await one.ask("POST", "users/webhooks", {"url": "https://hooks.example/victim"})
    connections = await browser.ask("GET", f"/admin/connections?user={one.id}", None, BOSS)
    return Victim(
        id=one.id,
        address=one.address,
        session=session["id"],
        key=key,
        endpoint=endpoint,
        login_challenge=wanted.data["challenge"],
        phone_challenge=phone,
        phone_code=await phone_code(one.hub),
        client=connections.data["items"][0]["client"],
        signal=given.data["id"],
        alert=alert,
        trigger=tested.data["trigger"],
        webhook=webhook.data["id"],
        own_code=own_code,
    )


async def phone_code(hub: Hub) -> str:
    """The code of the only text message."""
    folder = hub.settings.data_dir / "outbox"
    await until(lambda: list(folder.glob("*.sms.txt")))
    (path,) = folder.glob("*.sms.txt")
    found = re.search(r"\b\d{6}\b", path.read_text())
    assert found is not None
    return found[0]


async def everything(hub: Hub) -> dict[str, list[str]]:
    """What the database holds of anybody, but for how often somebody guessed."""
    held: dict[str, list[str]] = {}
    async with hub.engine.connect() as connection:
        for table in OWN_TABLES:
            kept = [column for column in table.c if column.name != "attempts"]
            held[table.name] = sorted(map(repr, (await connection.execute(select(*kept))).all()))
    return held


async def test_by_no_route_does_anyone_get_at_what_is_anothers(hub: Hub) -> None:
    hash_quickly(hub)
    paths = (await hub.get("/openapi.json")).json["paths"]
    with_id = {
        f"{method.upper()} {path.removeprefix('/api/v1')}"
        for path, entry in paths.items()
        for method in entry
        if "{" in path and not path.endswith("{symbol}")
    }
    assert with_id <= REACHES.keys() | NOBODYS
    async with browsing(hub) as browser:
        crowd = Crowd(hub, browser)
        thief, one = await make_thief(crowd), await crowd.person("victim")
        async with hub.client(headers=one.bearer) as client:
            await client.subscribe(f"alerts:{one.id}")
            victim = await make_victim(crowd, browser, one, thief.code(1))
            before = await everything(hub)
            for name, reach in REACHES.items():
                path, body, status = reach(victim)
                answer = await browser.ask(name.split()[0], path, body, thief.bearer)
                assert (name, answer.status) == (name, status), answer.body
                for word in (victim.address, victim.session, victim.phone_code):
                    assert word.encode() not in answer.body.lower()
            assert await everything(hub) == before
            assert await client.settled() == []
        await lives_as_before(browser, one, victim)


async def lives_as_before(browser: Browser, one: Person, victim: Victim) -> None:
    """What the thief reached for does what it did for its owner."""
    proof = {"challenge": victim.login_challenge, "code": one.code(1)}
    assert (await browser.ask("POST", "/auth/2fa/verify", proof)).status == 200
    proof = {"challenge": victim.phone_challenge, "code": victim.phone_code}
    assert (await one.ask("POST", "users/me/phone/verify", proof)).data["phone_verified"] is True
    assert (await one.ask("DELETE", f"users/api-keys/{victim.key}")).status == 200
    assert (await one.ask("DELETE", "users/push-subscriptions", {"endpoint": victim.endpoint})).status == 200
    assert (await one.ask("DELETE", f"auth/sessions/{victim.session}")).status == 200


@pytest.mark.parametrize("who", ["account", "publisher", "key"])
async def test_no_socket_hears_or_asks_what_is_anothers(hub: Hub, who: str) -> None:
    async with browsing(hub) as browser:
        crowd = Crowd(hub, browser)
        thief, victim = await crowd.person("thief"), await crowd.person("victim")
        if who == "publisher":
            await crowd.entitle(thief, role="publisher")
        headers = thief.bearer
        if who == "key":
            headers = {"Authorization": f"Bearer {(await crowd.key(thief, 'socket', 'alerts'))[1]}"}
        async with hub.client(headers=victim.bearer) as owner, hub.client(headers=headers) as client:
            await owner.subscribe(*(f"{kind}:{victim.id}" for kind in OWNED))
            for channel in (f"{kind}:{victim.id}" for kind in OWNED):
                reply = await client.ask("subscribe", channel=channel)
                assert [one["code"] for one in reply["failed"]] == ["PERMISSION_DENIED"]
                for action, fields in (("history", {}), ("presence", {}), ("publish", {"data": {"text": "boo"}})):
                    reply = await client.ask(action, channel=channel, **fields)
                    assert (action, reply.get("code")) == (action, "PERMISSION_DENIED")
            assert (await client.ask("refresh", token=victim.tokens["access_token"]))["code"] == "PERMISSION_DENIED"
            for kind in OWNED:
                await hub.publish(f"{kind}:{victim.id}", text="yours")
            assert len(await owner.hear_many(len(OWNED), data={"text": "yours"})) == len(OWNED)
            assert await client.settled() == []


async def test_anothers_ticket_is_no_token_and_stays_good(hub: Hub) -> None:
    async with browsing(hub) as browser:
        crowd = Crowd(hub, browser)
        victim = await crowd.person("victim")
        ticket = (await victim.ask("POST", "auth/ticket")).data["ticket"]
        bad = {"Authorization": f"Bearer {ticket}"}
        assert (await browser.ask("GET", "/users/me", None, bad)).status == 401
        for query in (f"?token={ticket}", f"?ticket={victim.tokens['access_token']}"):
            async with hub.client(query=query, welcomed=False) as client:
                assert await client.close_code() == 3500
        async with hub.client(query=f"?ticket={ticket}", welcomed=False) as client:
            assert (await client.hear("welcome"))["user"] == victim.id
