"""Users add, see, change, try and remove their own webhooks."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from standardwebhooks import Webhook

from auth.audit import Audit
from auth.identity import Identity
from auth.permissions import Scope
from auth.sealing import Sealer
from hub.api.webhook_endpoints import WebhookEndpointsApi
from notifiers.people.reach import Reach
from notifiers.people.webhook_endpoints import MAX_ENDPOINTS, WebhookEndpoints
from notifiers.providers.outward import Outward
from notifiers.providers.webhook import WebhookCaller
from schemas.errors import CommandError, ErrorCode
from tests.auth.audits import everything, running
from tests.feeds.tls import self_signed
from tests.hub.dispatched import bearer, dispatched
from tests.notifiers.providers.cue_server import CUT, CueServer, answer

NOW = 1_800_000_000
BEARERS = {
    "7": Identity(user="7", token_id="t1", issued_at=0, expires_at=NOW),
    "8": Identity(user="8", token_id="t2", issued_at=0, expires_at=NOW),
    "key": Identity(user="7", token_id="k_1", issued_at=0, expires_at=NOW, scopes=frozenset(Scope)),
}
TRIALS = 3
URL = "https://hooks.example.com/a"


class Parts:
    """A client, and what stands behind the endpoints."""

    def __init__(self, client: httpx2.AsyncClient, server: CueServer, audit: Audit) -> None:
        self.client = client
        self.server = server
        self.audit = audit

    async def ask(self, method: str, path: str = "", body: Any = None, who: str = "7") -> httpx2.Response:
        return await self.client.request(method, f"/users/webhooks{path}", json=body, headers=bearer(who))

    async def made(self, url: str = URL, who: str = "7") -> Any:
        answer = await self.ask("POST", "", {"url": url}, who)
        assert answer.status_code == 201, answer.text
        return answer.json()["data"]

    async def got(self, method: str, path: str = "", body: Any = None) -> Any:
        answer = await self.ask(method, path, body)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]


@pytest.fixture
async def hub(engine: AsyncEngine, tmp_path: Path) -> AsyncIterator[Parts]:
    server_tls, client_tls = self_signed(tmp_path)
    reach = Reach(["127.0.0.1"])
    outward = Outward(client_tls, reach, timeout_s=5)
    webhooks = WebhookEndpoints(engine, Sealer([b"s" * 32]), reach, wall=lambda: NOW)
    audit = Audit(engine, wall=lambda: NOW)
    trials: list[str] = []

    async def limit_tests(user: str) -> None:
        trials.append(user)
        if trials.count(user) > TRIALS:
            raise CommandError(ErrorCode.RATE_LIMITED, "Too many")

    api = WebhookEndpointsApi(webhooks=webhooks, caller=WebhookCaller(outward), audit=audit, limit_tests=limit_tests)
    async with (
        CueServer(server_tls) as server,
        running(audit),
        dispatched(api.endpoints, BEARERS) as client,
    ):
        yield Parts(client, server, audit)
        await outward.close()


async def test_a_webhook_is_made_and_its_secret_is_shown_once(hub: Parts) -> None:
    made = await hub.made()
    assert made.pop("secret").startswith("whsec_")
    assert made == {
        "id": made["id"],
        "url": URL,
        "status": "active",
        "status_reason": None,
        "failing_since": None,
        "created_at": "2027-01-15T13:30:00.000+05:30",
    }
    assert await hub.got("GET", f"/{made['id']}") == made
    assert await hub.got("GET") == {"items": [made], "total": 1, "page": 1, "limit": 50}


async def test_webhooks_are_listed_page_by_page(hub: Parts) -> None:
    ids = [(await hub.made(f"{URL}/{letter}"))["id"] for letter in "bca"]
    assert [one["id"] for one in (await hub.got("GET", "?limit=2"))["items"]] == [ids[2], ids[1]]
    assert [one["id"] for one in (await hub.got("GET", "?sort=url&order=asc"))["items"]] == [ids[2], ids[0], ids[1]]
    assert (await hub.ask("GET", "?sort=secret")).status_code == 400


async def test_a_url_that_cannot_be_asked_is_refused_with_its_place(hub: Parts) -> None:
    made = await hub.made()
    for url in ("https://10.0.0.1/", "https://user:pw@hooks.example.com/", "ftp://hooks.example.com/", "", "x" * 2001):
        for answered in (await hub.ask("POST", "", {"url": url}), await hub.ask("PUT", f"/{made['id']}", {"url": url})):
            assert (answered.status_code, answered.json()["error"]["code"]) == (400, "BAD_REQUEST")
            assert "$.url" in answered.json()["error"]["message"]


async def test_a_webhook_too_many_is_refused(hub: Parts) -> None:
    for _ in range(MAX_ENDPOINTS):
        await hub.made()
    refused = await hub.ask("POST", "", {"url": URL})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "LIMIT_EXCEEDED")


async def test_a_webhook_is_changed_disabled_and_enabled(hub: Parts) -> None:
    one = f"/{(await hub.made())['id']}"
    assert (await hub.got("PUT", one, {"url": f"{URL}/b"}))["url"] == f"{URL}/b"
    disabled = await hub.got("PUT", one, {"enabled": False})
    assert (disabled["status"], disabled["status_reason"]) == ("disabled", "owner")
    assert (await hub.got("PUT", one, {"enabled": True}))["status"] == "active"
    assert (await hub.got("PUT", one, {}))["url"] == f"{URL}/b"
    assert (await hub.ask("PUT", one, {"status": "active"})).status_code == 400
    assert (await hub.ask("PUT", one, {"enabled": "no"})).status_code == 400


async def test_a_secret_is_replaced(hub: Parts) -> None:
    made = await hub.made()
    rotated = await hub.got("POST", f"/{made['id']}/rotate")
    assert rotated["secret"].startswith("whsec_")
    assert rotated["secret"] != made["secret"]
    assert rotated["previous_until"] == "2027-01-16T13:30:00.000+05:30"


async def test_a_trial_tells_how_the_server_answered(hub: Parts) -> None:
    made = await hub.made(f"{hub.server.url}/hook")
    trial = f"/{made['id']}/test"
    hub.server.cues = [answer(204), answer(500), CUT]
    assert await hub.got("POST", trial) == {"delivered": True, "status": 204, "reason": None}
    assert await hub.got("POST", trial) == {"delivered": False, "status": 500, "reason": None}
    assert await hub.got("POST", trial) == {"delivered": False, "status": None, "reason": "no_answer"}
    asked = hub.server.asked[0]
    assert Webhook(made["secret"]).verify(asked.body, asked.headers)["type"] == "webhook.test"
    assert (await hub.got("GET", f"/{made['id']}"))["failing_since"] is None


async def test_trials_are_limited(hub: Parts) -> None:
    made = await hub.made("https://127.0.0.1:1/")
    for _ in range(TRIALS):
        await hub.got("POST", f"/{made['id']}/test")
    refused = await hub.ask("POST", f"/{made['id']}/test")
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "RATE_LIMITED")


async def test_a_trial_tells_why_nobody_was_asked(hub: Parts) -> None:
    inside = await hub.made(f"https://localhost:{hub.server.port}/")  # by IPv6 too, which is not opened
    one = await hub.made("https://127.0.0.1:1/")
    assert (await hub.got("POST", f"/{one['id']}/test"))["reason"] == "unreachable"
    assert (await hub.got("POST", f"/{inside['id']}/test"))["reason"] in {"private_address", "unreachable"}
    assert hub.server.asked == []


async def test_somebody_elses_webhook_is_not_there(hub: Parts) -> None:
    made = await hub.made()
    for who, webhook_id in (("8", made["id"]), ("7", 999_999), ("7", "x"), ("7", "0"), ("7", "9" * 30), ("7", "-1")):
        one = f"/{webhook_id}"
        for method, path, body in (
            ("GET", one, None),
            ("PUT", one, {"enabled": False}),
            ("DELETE", one, None),
            ("POST", f"{one}/rotate", None),
            ("POST", f"{one}/test", None),
        ):
            answered = await hub.ask(method, path, body, who)
            assert (answered.status_code, answered.json()["error"]["code"]) == (404, "NOT_FOUND"), (method, path)
    assert (await hub.got("GET"))["total"] == 1


async def test_a_webhook_is_removed(hub: Parts) -> None:
    made = await hub.made()
    await hub.got("DELETE", f"/{made['id']}")
    assert (await hub.ask("DELETE", f"/{made['id']}")).status_code == 404
    assert (await hub.got("GET"))["total"] == 0


async def test_keys_do_nothing_here(hub: Parts) -> None:
    assert (await hub.ask("GET", who="key")).status_code == 403
    assert (await hub.ask("POST", "", {"url": URL}, "key")).status_code == 403


async def test_the_audit_trail_tells_what_was_done_without_the_secret(hub: Parts) -> None:
    made = await hub.made()
    one = f"/{made['id']}"
    await hub.got("PUT", one, {"enabled": False})
    await hub.got("POST", f"{one}/rotate")
    await hub.got("DELETE", one)
    entries = await everything(hub.audit)
    assert [entry.action for entry in entries] == [
        "webhook.created",
        "webhook.changed",
        "webhook.rotated",
        "webhook.deleted",
    ]
    assert {entry.target for entry in entries} == {str(made["id"])}
    assert "whsec" not in str(entries)
