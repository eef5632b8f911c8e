"""Who may do what over HTTP: every route that the running hub describes, and everybody who may come to it.

What stands here is what was decided, not what the code says: a route that is described and not expected fails.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.hub.crowd import BOSS, Bearer, Browser, Crowd, all_of, browsing, hash_quickly
from tests.hub.live import Hub, request, running

SIGNAL = {"symbol": "TCS", "signal_type": "BUY", "confidence": 50}

NOT_ASKED = {"/health", "/health/detailed", "/metrics", "/openapi.json", "/asyncapi.json"}
"""Described, and for everybody, without the API's dispatcher."""

ALERT = {"symbol": "TCS", "condition": "price > 500"}
NO_ALERT = "/alerts/999999"
NO_USER = "/admin/users/u_aaaaaaaaaaaaaaaa"

REFUSALS = {401: "UNAUTHORIZED", 403: "PERMISSION_DENIED"}


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a route lets in, how it is asked without doing harm, and what it then answers."""

    to: str
    """public; everyone; subscribers: not plan free; metered: plans with metrics; servers; accounts; admins."""
    scope: str | None = None
    """With which scope an API key is let in."""
    ask: str = ""
    """The path that is asked, where the description has a name in it, and a query."""
    body: Any = None
    status: int = 200
    missing: int = 404
    """What somebody without an account is answered by what is of accounts."""

    def answer(self, who: Bearer) -> int:
        """The status that somebody is to be answered."""
        if self.to == "public":  # a token that is bad is nobody's there
            return self.status
        if who.code is not None or who.nobody:
            return 401
        if who.scopes is not None and self.scope not in who.scopes:
            return 403
        return self.status if self._lets_in(who) else self.missing if self.to == "accounts" else 403

    def _lets_in(self, who: Bearer) -> bool:
        match self.to:
            case "everyone":
                return True
            case "accounts":
                return who.account
            case "subscribers":
                return who.plan != "free" or who.role != "user"
            case "metered":
                return who.plan in ("pro", "enterprise") or who.role == "admin"
            case "servers":
                return who.role != "user"
            case "admins":
                return who.role == "admin"
        raise AssertionError(self.to)


def refusing(to: str, scope: str | None = None, ask: str = "") -> Route:
    """Of what would do harm: with a query that there isn't, so that 400 says that it would have been let in."""
    return Route(to=to, scope=scope, ask=f"{ask}?unheard=of", status=400, missing=400)


def public(status: int = 200, ask: str = "", body: Any = None) -> Route:
    return Route(to="public", ask=ask, body=body, status=status)


def market(ask: str) -> Route:
    return Route(to="everyone", scope="market", ask=ask)


EVERYONE, ADMINS, ACCOUNTS = Route(to="everyone"), Route(to="admins"), Route(to="accounts")

ROUTES: dict[str, Route] = {
    "GET /market/prices/{symbol}": market("/market/prices/TCS"),
    "GET /market/prices": market("?symbols=TCS"),
    "GET /market/chart/{symbol}": market("/market/chart/TCS"),
    "GET /market/indicators/{symbol}": market("/market/indicators/TCS"),
    "GET /market/symbols": market(""),
    "GET /market/search": market("?q=tcs"),
    "GET /market/status": market(""),
    "GET /signals": Route(to="subscribers", scope="signals"),
    "GET /signals/{id}": Route(to="subscribers", scope="signals", ask="/signals/1"),
    "GET /signals/stats/daily": Route(to="subscribers", scope="signals"),
    "POST /signals": Route(to="servers", scope="signals:write", body=SIGNAL, status=201),
    "PUT /signals/{id}": Route(to="servers", scope="signals:write", ask="/signals/1", body={"confidence": 60}),
    "DELETE /signals/{id}": Route(to="servers", scope="signals:write", ask="/signals/999999", status=404),
    "GET /alerts": Route(to="everyone", scope="alerts"),
    "POST /alerts": refusing("everyone", "alerts:write"),
    "POST /alerts/preview": Route(to="everyone", scope="alerts", body=ALERT),
    "POST /alerts/backtest": Route(to="everyone", scope="alerts", body=ALERT),
    "GET /alerts/{id}": Route(to="everyone", scope="alerts", ask=NO_ALERT, status=404),
    "PUT /alerts/{id}": Route(to="everyone", scope="alerts:write", ask=NO_ALERT, body={"name": "x"}, status=404),
    "DELETE /alerts/{id}": Route(to="everyone", scope="alerts:write", ask=NO_ALERT, status=404),
    "POST /alerts/{id}/pause": Route(to="everyone", scope="alerts:write", ask=f"{NO_ALERT}/pause", status=404),
    "POST /alerts/{id}/resume": Route(to="everyone", scope="alerts:write", ask=f"{NO_ALERT}/resume", status=404),
    "POST /alerts/{id}/test": Route(to="everyone", scope="alerts:write", ask=f"{NO_ALERT}/test", status=404),
    "GET /alerts/{id}/history": Route(to="everyone", scope="alerts", ask=f"{NO_ALERT}/history", status=404),
    "GET /alerts/{id}/deliveries": Route(to="everyone", scope="alerts", ask=f"{NO_ALERT}/deliveries", status=404),
    "POST /alerts/triggers/{id}/acknowledge": Route(
        to="everyone", scope="alerts:write", ask="/alerts/triggers/999999/acknowledge", status=404
    ),
    "GET /unsubscribe/{token}": public(404, ask="/unsubscribe/x"),
    "POST /unsubscribe/{token}": public(404, ask="/unsubscribe/x"),
    "GET /acknowledge/{token}": public(404, ask="/acknowledge/x"),
    "POST /acknowledge/{token}": public(404, ask="/acknowledge/x"),
    "POST /publish": Route(
        to="servers", scope="publish", body={"channel": "market:TCS", "data": {"price": 1}}, status=201
    ),
    "POST /auth/register": public(400, body={}),
    "POST /auth/login": public(400, body={}),
    "POST /auth/refresh": public(401, body={"refresh_token": "x"}),
    "POST /auth/forgot-password": public(400, body={}),
    "POST /auth/reset-password": public(400, body={}),
    "GET /auth/reset-password": public(200, ask="?token=x"),
    "POST /auth/reset-password/form": public(400),
    "POST /auth/verify-email": public(401, body={"token": "x"}),
    "GET /auth/verify-email": public(200, ask="?token=x"),
    "POST /auth/verify-email/form": public(400),
    "POST /auth/2fa/verify": public(400, body={}),
    "POST /auth/2fa/send": public(401, body={"challenge": "x", "channel": "email"}),
    "GET /auth/oidc": public(),
    "GET /auth/oidc/login": public(404),
    "GET /auth/oidc/callback": public(404),
    "POST /auth/oidc/exchange": public(404, body={"code": "x"}),
    "GET /plans": public(),
    "POST /webhooks/twilio/sms": public(403),
    "POST /webhooks/twilio/voice": public(403),
    "POST /webhooks/twilio/voice/gather": public(403),
    "POST /webhooks/twilio/inbound": public(403),
    "POST /auth/verify-email/send": refusing("everyone"),
    "POST /auth/logout": refusing("public"),
    "POST /auth/change-password": refusing("everyone"),
    "POST /auth/ticket": Route(to="everyone", scope="socket", status=201),
    "GET /auth/profile": EVERYONE,
    "GET /auth/sessions": EVERYONE,
    "DELETE /auth/sessions/{id}": Route(to="everyone", ask="/auth/sessions/s_000000000000000000000000", status=404),
    "GET /auth/2fa": ACCOUNTS,
    "POST /auth/2fa/setup": ACCOUNTS,
    "POST /auth/2fa/recovery-codes": Route(to="accounts", body={"code": "000000"}, status=409),
    "POST /auth/2fa/disable": Route(to="accounts", body={"code": "000000"}, status=409),
    "GET /users/me": EVERYONE,
    "PUT /users/me": Route(to="everyone", body={"theme": "dark"}),
    "DELETE /users/me": refusing("everyone"),
    "POST /users/me/phone/send": Route(to="accounts", status=409),
    "POST /users/me/phone/verify": Route(to="accounts", body={"challenge": "x", "code": "000000"}, status=401),
    "GET /users/preferences": EVERYONE,
    "PUT /users/preferences": Route(to="everyone", body={"theme": "dark"}),
    "GET /users/usage": Route(to="metered"),
    "GET /users/push-subscriptions": EVERYONE,
    "POST /users/push-subscriptions": refusing("everyone"),
    "DELETE /users/push-subscriptions": Route(to="everyone", body={"endpoint": "https://push.example"}, status=404),
    "GET /users/push-key": EVERYONE,
    "GET /users/webhooks": EVERYONE,
    "POST /users/webhooks": refusing("everyone"),
    "GET /users/webhooks/{id}": Route(to="everyone", ask="/users/webhooks/999999", status=404),
    "PUT /users/webhooks/{id}": Route(to="everyone", ask="/users/webhooks/999999", body={"enabled": True}, status=404),
    "DELETE /users/webhooks/{id}": Route(to="everyone", ask="/users/webhooks/999999", status=404),
    "POST /users/webhooks/{id}/rotate": Route(to="everyone", ask="/users/webhooks/999999/rotate", status=404),
    "POST /users/webhooks/{id}/test": Route(to="everyone", ask="/users/webhooks/999999/test", status=404),
    "GET /users/api-keys": EVERYONE,
    "POST /users/api-keys": refusing("everyone"),
    "DELETE /users/api-keys/{id}": Route(to="everyone", ask="/users/api-keys/k_0000000000000000", status=404),
    "GET /admin/plans": ADMINS,
    "GET /admin/users": ADMINS,
    "GET /admin/users/{id}": Route(to="admins", ask=NO_USER, status=404),
    "PUT /admin/users/{id}": Route(to="admins", ask=NO_USER, body={"plan": "pro"}, status=404),
    "GET /admin/connections": ADMINS,
    "GET /admin/connections/{client}": Route(to="admins", ask="/admin/connections/0", status=404),
    "POST /admin/disconnect": refusing("admins"),
    "GET /admin/stats": ADMINS,
    "GET /admin/config": ADMINS,
    "POST /admin/config/update": refusing("admins"),
    "GET /admin/deliveries": ADMINS,
    "POST /admin/deliveries/redrive": refusing("admins"),
    "GET /admin/corporate-actions": ADMINS,
    "POST /admin/corporate-actions": refusing("admins"),
    "GET /admin/logs": ADMINS,
    "GET /admin/logs/export": ADMINS,
    "GET /admin/logs/verify": ADMINS,
}


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    async with running(tmp_path) as hub:
        hash_quickly(hub)
        await hub.publish("market:TCS", price=1)
        assert (await hub.post("/api/v1/signals", SIGNAL, **BOSS)).status == 201
        yield hub


async def described(hub: Hub) -> set[str]:
    """Every route that the hub says it has."""
    paths = (await hub.get("/openapi.json")).json["paths"]
    return {
        f"{method.upper()} {path.removeprefix('/api/v1')}"
        for path, entry in paths.items()
        for method in entry.keys() & {"get", "put", "post", "delete", "patch"}
        if path not in NOT_ASKED
    }


async def test_every_route_lets_in_whom_it_should_and_nobody_else(hub: Hub) -> None:
    assert await described(hub) == set(ROUTES)
    async with browsing(hub) as browser:
        everybody = await Crowd(hub, browser).gather()
        answers = await all_of(
            outcome(browser, name, who, place, route)
            for name, who in everybody.items()
            for place, route in ROUTES.items()
        )
        assert [wrong for wrong in answers if wrong] == []
        for name in ("account", "administrator's account"):  # nothing that was asked has ended them
            assert (await browser.ask("GET", "/users/me", None, everybody[name].headers)).data["theme"] == "dark"


async def outcome(browser: Browser, name: str, who: Bearer, place: str, route: Route) -> str | None:
    """What is wrong with what somebody is answered, None for nothing."""
    method, _, path = place.partition(" ")
    asked = route.ask if route.ask.startswith("/") else path + route.ask
    answer = await browser.ask(method, asked, route.body, who.headers)
    expected = route.answer(who)
    if answer.status != expected:
        return f"{place} for {name}: {answer.status} instead of {expected}, {answer.body[:200]!r}"
    code = who.code if expected == 401 and route.to != "public" else REFUSALS.get(expected)
    if code is not None and answer.code != code:
        return f"{place} for {name}: {answer.code} instead of {code}"
    return None


@pytest.mark.parametrize(
    ("place", "allowed"),
    [
        ("signals", {"GET", "HEAD", "POST"}),
        ("signals/1", {"GET", "HEAD", "PUT", "DELETE"}),
        ("admin/config", {"GET", "HEAD"}),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(hub: Hub, place: str, allowed: set[str]) -> None:
    answer = await asyncio.to_thread(request, f"{hub.url}/api/v1/{place}", "PATCH", b"{}", **BOSS)
    assert (answer.status, answer.code) == (405, "BAD_REQUEST")
    assert set(answer.headers["allow"].split(", ")) == allowed
