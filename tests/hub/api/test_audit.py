"""Administrators, and nobody else, read the audit trail, take it along, and have it checked."""

import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.audit import Audit, Level
from auth.identity import Identity, Role
from hub.api.audit import AuditApi, LogView, safe_cell
from hub.database import engine_for, migrate
from schemas.tables import audit as table
from tests.auth.audits import happened, running
from tests.hub.dispatched import bearer, dispatched
from tests.servers import FaultProxy

NOW = 1_800_000_000
BEARERS = {
    "boss": Identity(user="boss", role=Role.ADMIN, token_id="t1", issued_at=0, expires_at=NOW),
    "server": Identity(user="s", role=Role.PUBLISHER, token_id="t2", issued_at=0, expires_at=NOW),
    "somebody": Identity(user="7", token_id="t3", issued_at=0, expires_at=NOW),
    "key": Identity(
        user="b", role=Role.ADMIN, token_id="k_1", issued_at=0, expires_at=NOW, scopes=frozenset({"market"})
    ),
}
PATHS = ["/admin/logs", "/admin/logs/export", "/admin/logs/verify"]


class Clock:
    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def audit(engine: AsyncEngine) -> AsyncIterator[Audit]:
    clock = Clock()
    audit = Audit(engine, wall=clock)
    async with running(audit):
        clock.now = NOW + 1
        await audit.record(happened(actor="u_1", target="s_1", address="1.1.1.1", user_agent="curl"))
        clock.now = NOW + 2
        await audit.record(happened("login.failed", Level.WARNING, actor="u_2", risk=40, details={"by": "password"}))
        clock.now = NOW + 3
        await audit.record(happened("plan.changed", Level.CRITICAL, actor="boss", target="u_1", risk=5))
        yield audit


@pytest.fixture
async def client(audit: Audit) -> AsyncIterator[httpx2.AsyncClient]:
    async with dispatched(AuditApi(audit=audit).endpoints, BEARERS) as client:
        client.headers.update(bearer("boss"))
        yield client


async def listed(client: httpx2.AsyncClient, **query: Any) -> Any:
    answer = await client.get("/admin/logs", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def actions(client: httpx2.AsyncClient, **query: Any) -> list[str]:
    return [item["action"] for item in (await listed(client, **query))["items"]]


async def test_the_newest_entries_come_first_with_all_that_is_known(client: httpx2.AsyncClient) -> None:
    data = await listed(client)
    assert (data["total"], data["page"], data["limit"]) == (3, 1, 50)
    assert [item["action"] for item in data["items"]] == ["plan.changed", "login.failed", "login.succeeded"]
    failed = data["items"][1]
    assert failed.keys() == set(LogView.__struct_fields__)
    assert failed["at"] == "2027-01-15T13:30:02.000+05:30"
    assert (failed["level"], failed["actor"], failed["risk"]) == ("warning", "u_2", 40)
    assert failed["details"] == {"by": "password"}
    assert failed["target"] is None


async def test_filters_order_and_pages_are_as_asked(client: httpx2.AsyncClient) -> None:
    assert await actions(client, level="critical") == ["plan.changed"]
    assert await actions(client, action="login") == ["login.failed", "login.succeeded"]
    assert await actions(client, actor="u_1") == ["login.succeeded"]
    assert await actions(client, target="u_1") == ["plan.changed"]
    assert await actions(client, address="1.1.1.1") == ["login.succeeded"]
    assert await actions(client, min_risk=40) == ["login.failed"]
    assert await actions(client, q="PASSWORD") == ["login.failed"]
    assert await actions(client, **{"from": NOW + 2, "to": "2027-01-15T13:30:03"}) == ["login.failed"]
    assert await actions(client, order="asc", limit=1, page=2) == ["login.failed"]
    assert await actions(client, sort="risk") == ["login.failed", "plan.changed", "login.succeeded"]


BAD: list[dict[str, str]] = [
    {"level": "loud"},
    {"sort": "actor"},
    {"order": "up"},
    {"limit": "501"},
    {"limit": "0"},
    {"page": "0"},
    {"min_risk": "101"},
    {"from": "yesterday"},
    {"to": "x" * 41},
    {"actor": "a\0"},
    {"q": ""},
    {"q": "x" * 129},
    {"format": "csv"},
    {"who": "me"},
]


async def test_a_query_that_cannot_be_is_refused(client: httpx2.AsyncClient) -> None:
    for query in BAD:
        answer = await client.get("/admin/logs", params=query)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BAD_REQUEST"), query


async def test_only_administrators_tokens_are_let_in(client: httpx2.AsyncClient) -> None:
    for path in PATHS:
        assert (await client.get(path)).status_code == 200
        for name, status in [("server", 403), ("somebody", 403), ("key", 403), ("nobody", 401)]:
            assert (await client.get(path, headers=bearer(name))).status_code == status, (path, name)


async def test_all_that_matches_is_downloaded_as_csv(
    client: httpx2.AsyncClient, audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auth.audit_store.PAGE", 7)
    for number in range(20):
        await audit.record(happened("publish", Level.DEBUG, actor="=cmd|' /C calc'!A0", target=f'a,"b"\n{number}'))
    answer = await client.get("/admin/logs/export", params={"action": "publish", "order": "asc"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="audit.csv"'
    assert answer.headers["cache-control"] == "no-store"
    head, *rows = list(csv.reader(io.StringIO(answer.text, newline="")))
    assert head == list(LogView.__struct_fields__)
    assert [row[5] for row in rows] == [f'a,"b"\n{number}' for number in range(20)]
    assert {row[4] for row in rows} == {"'=cmd|' /C calc'!A0"}
    assert rows[0][1].endswith("+05:30")
    assert [row[-2] for row in rows[1:]] == [row[-1] for row in rows[:-1]]


async def test_all_that_matches_is_downloaded_line_by_line(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/admin/logs/export", params={"format": "ndjson", "min_risk": 1})
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["content-disposition"] == 'attachment; filename="audit.ndjson"'
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert lines == (await listed(client, min_risk=1))["items"]


async def test_a_download_of_nothing_is_empty(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/admin/logs/export", params={"format": "ndjson", "actor": "x"})).text == ""
    answer = await client.get("/admin/logs/export", params={"actor": "x"})
    assert answer.text == ",".join(LogView.__struct_fields__) + "\r\n"


async def test_a_download_is_in_the_trail_itself(client: httpx2.AsyncClient) -> None:
    await client.get("/admin/logs/export")
    (entry,) = (await listed(client, action="audit.exported"))["items"]
    assert (entry["actor"], entry["address"], entry["details"]) == ("boss", "10.1.2.3", {"format": "csv"})


async def test_what_was_changed_is_told_by_verify_and_still_shown(
    client: httpx2.AsyncClient, engine: AsyncEngine
) -> None:
    data = (await client.get("/admin/logs/verify")).json()["data"]
    assert data["intact"] is True
    assert [(chain["level"], chain["count"]) for chain in data["chains"]] == [
        ("debug", 0),
        ("info", 1),
        ("warning", 1),
        ("critical", 1),
    ]
    async with engine.begin() as connection:
        await connection.execute(update(table).where(table.c.level == "warning").values(details="{nonsense"))
    data = (await client.get("/admin/logs/verify")).json()["data"]
    assert data["intact"] is False
    assert [chain["level"] for chain in data["chains"] if not chain["intact"]] == ["warning"]
    (entry,) = (await listed(client, level="warning"))["items"]
    assert entry["details"] == {"unreadable": "{nonsense"}
    assert entry["id"] == data["chains"][2]["broken_id"]
    assert (await client.get("/admin/logs/export")).status_code == 200


async def test_a_database_that_is_away_is_a_503(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auth.audit.RECORD_TIMEOUT_S", 0.1)
    parts = urlsplit(postgres_url)
    async with FaultProxy(parts.hostname or "", parts.port or 5432) as proxy:
        user, at, _ = parts.netloc.rpartition("@")
        engine = engine_for(urlunsplit(parts._replace(netloc=f"{user}{at}{proxy.host}:{proxy.port}")), tmp_path)
        await migrate(engine)
        proxy.refuse()
        proxy.cut()
        async with dispatched(AuditApi(audit=Audit(engine, wall=Clock())).endpoints, BEARERS) as client:
            for path in PATHS:
                answer = await client.get(path, headers=bearer("boss"))
                assert (answer.status_code, answer.json()["error"]["code"]) == (503, "NOT_AVAILABLE"), path
        await engine.dispose()


@given(st.text(max_size=10))
def test_no_cell_is_a_formula(text: str) -> None:
    cell = str(safe_cell(text))
    assert cell[:1] not in {"=", "+", "-", "@", "\t", "\r", "\n"}
    assert cell.endswith(text)
    assert len(cell) - len(text) == (text != cell)
