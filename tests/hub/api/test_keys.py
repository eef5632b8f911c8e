"""Users make, see and revoke their own keys; keys themselves can't."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.api_keys import MAX_LIVE_KEYS, SCOPES, ApiKeys
from auth.audit import Audit
from auth.identity import Identity, Role
from auth.revocations import Revocation
from hub.api.keys import KeysApi
from tests.auth.audits import everything, running
from tests.hub.dispatched import bearer, dispatched

NOW = 1_800_000_000
BEARERS = {
    "7": Identity(user="7", token_id="t1", issued_at=0, expires_at=NOW),
    "8": Identity(user="8", token_id="t2", issued_at=0, expires_at=NOW),
    "server": Identity(user="s", role=Role.PUBLISHER, token_id="t3", issued_at=0, expires_at=NOW),
    "boss": Identity(user="boss", role=Role.ADMIN, token_id="t4", issued_at=0, expires_at=NOW),
    "key": Identity(user="7", token_id="k_1", issued_at=0, expires_at=NOW, scopes=frozenset(SCOPES)),
}
BOT = {"name": "bot", "scopes": ["market", "socket"]}


class Parts:
    """A client, and what stands behind the endpoints."""

    def __init__(self, client: httpx2.AsyncClient, keys: ApiKeys, audit: Audit, revoked: list[Revocation]) -> None:
        self.client = client
        self.keys = keys
        self.audit = audit
        self.revoked = revoked

    async def make(self, who: str = "7", **body: Any) -> httpx2.Response:
        return await self.client.post("/users/api-keys", json=BOT | body, headers=bearer(who))

    async def made(self, who: str = "7", **body: Any) -> Any:
        answer = await self.make(who, **body)
        assert answer.status_code == 201, answer.text
        return answer.json()["data"]

    async def listed(self, who: str = "7", **query: Any) -> Any:
        return (await self.client.get("/users/api-keys", params=query, headers=bearer(who))).json()["data"]

    async def delete(self, key_id: str, who: str = "7") -> httpx2.Response:
        return await self.client.delete(f"/users/api-keys/{key_id}", headers=bearer(who))


@pytest.fixture
async def hub(engine: AsyncEngine) -> AsyncIterator[Parts]:
    async def no_account(_: str) -> None:
        return None

    revoked: list[Revocation] = []

    async def revoke(revocations: Sequence[Revocation]) -> None:
        revoked.extend(revocations)

    keys = ApiKeys(engine, wall=lambda: NOW, account_of=no_account)
    audit = Audit(engine, wall=lambda: NOW)
    api = KeysApi(keys=keys, audit=audit, revoke=revoke)
    async with running(audit), dispatched(api.endpoints, BEARERS) as client:
        yield Parts(client, keys, audit, revoked)


async def test_a_key_is_shown_once_and_works(hub: Parts) -> None:
    end = datetime.fromtimestamp(NOW, UTC) + timedelta(days=30)
    made = await hub.made(name="My bot", expires_at=end.isoformat())
    text = made.pop("key")
    assert text.startswith(made["prefix"])
    identity = await hub.keys.verify(text)
    assert (identity.user, identity.scopes, identity.token_id) == ("7", frozenset(BOT["scopes"]), made["id"])
    assert made == {
        "id": made["id"],
        "prefix": f"thk_{made['id'][2:]}_",
        "name": "My bot",
        "scopes": ["market", "socket"],
        "created_at": "2027-01-15T13:30:00.000+05:30",
        "last_used_at": None,
        "expires_at": "2027-02-14T13:30:00.000+05:30",
    }
    assert await hub.listed() == {"items": [made], "total": 1, "page": 1, "limit": 50}
    assert await hub.listed("8") == {"items": [], "total": 0, "page": 1, "limit": 50}
    await hub.keys.flush()
    assert (await hub.listed())["items"][0]["last_used_at"] == "2027-01-15T13:30:00.000+05:30"


async def test_the_list_is_paged_and_sorted(hub: Parts) -> None:
    for name in ("b", "c", "a"):
        await hub.made(name=name)
    data = await hub.listed(sort="name", order="asc", limit=2, page=2)
    assert ([item["name"] for item in data["items"]], data["total"]) == (["c"], 3)
    answer = await hub.client.get("/users/api-keys", params={"sort": "secret_hash"}, headers=bearer("7"))
    assert answer.status_code == 400


async def test_a_revoked_key_is_gone_and_its_sockets_are_told(hub: Parts) -> None:
    made = await hub.made()
    answer = await hub.delete(made["id"])
    assert answer.status_code == 200
    assert [one.token_id for one in hub.revoked] == [made["id"]]
    assert (await hub.listed())["items"] == []
    assert (await hub.delete(made["id"])).status_code == 404


async def test_nobody_revokes_or_sees_anothers_key(hub: Parts) -> None:
    made = await hub.made()
    for who in ("8", "server", "boss"):
        answer = await hub.delete(made["id"], who)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")
        assert (await hub.listed(who))["total"] == 0
    for other in ("k_0", "1", "%00", "k_" + "0" * 16):
        assert (await hub.delete(other)).status_code == 404
    assert hub.revoked == []
    assert (await hub.listed())["total"] == 1


async def test_keys_and_strangers_do_nothing_here(hub: Parts) -> None:
    made = await hub.made()
    for who, status in [("key", 403), ("nobody", 401)]:
        assert (await hub.make(who)).status_code == status
        assert (await hub.delete(made["id"], who)).status_code == status
        assert (await hub.client.get("/users/api-keys", headers=bearer(who))).status_code == status
    assert (await hub.client.get("/users/api-keys")).status_code == 401
    assert (await hub.listed())["total"] == 1


async def test_who_may_have_keys_that_write(hub: Parts) -> None:
    assert (await hub.make(scopes=["publish"])).status_code == 403
    assert (await hub.make(scopes=["market", "signals:write"])).status_code == 403
    assert (await hub.made("server", scopes=["publish", "signals:write"]))["scopes"] == ["signals:write", "publish"]
    text = (await hub.made("boss", scopes=["publish"]))["key"]
    assert (await hub.keys.verify(text)).role is Role.PUBLISHER


async def test_there_is_an_end_to_how_many_keys_one_has(hub: Parts) -> None:
    for number in range(MAX_LIVE_KEYS):
        await hub.made(name=str(number))
    answer = await hub.make()
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "LIMIT_EXCEEDED")


BAD: list[dict[str, Any]] = [
    {"name": ""},
    {"name": " "},
    {"name": "x" * 65},
    {"name": "a\0"},
    {"name": 7},
    {"scopes": []},
    {"scopes": ["admin"]},
    {"scopes": "market"},
    {"scopes": ["market"] * 21},
    {"expires_at": NOW},
    {"expires_at": "never"},
    {"expires_at": -1},
    {"expires_at": 2**70},
    {"plan": "enterprise"},
]


async def test_a_body_that_cannot_be_is_refused(hub: Parts) -> None:
    for body in BAD:
        answer = await hub.make(**body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BAD_REQUEST"), body
    assert (await hub.listed())["total"] == 0


async def test_making_and_revoking_are_in_the_trail_without_the_key(hub: Parts) -> None:
    made = await hub.made()
    await hub.delete(made["id"])
    created, revoked = await everything(hub.audit)
    assert (created.action, created.actor, created.target) == ("key.created", "7", made["id"])
    assert (revoked.action, revoked.actor, revoked.target) == ("key.revoked", "7", made["id"])
    secret = made["key"].removeprefix(made["prefix"])
    assert secret not in f"{created} {revoked}"
