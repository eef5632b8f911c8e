"""Who may do what over HTTP: every route of the API, and every kind of bearer."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from auth.identity import Plan
from auth.tokens import TokenIssuer
from tests.hub.live import SECRET, Hub, bearer, request, running

BEARERS: dict[str, dict[str, str]] = {
    "nobody": {},
    "expired": {
        "Authorization": "Bearer " + TokenIssuer(SECRET, 60, clock=lambda: time.time() - 3600).issue("7", Plan.PRO)
    },
    "free": bearer(plan="free"),
    "basic": bearer(plan="basic"),
    "publisher": bearer(plan="free", role="publisher"),
    "admin": bearer(plan="free", role="admin"),
}

SIGNAL = {"symbol": "TCS", "signal_type": "BUY", "confidence": 50}
EVERYONE = (401, 401, 200, 200, 200, 200)
SUBSCRIBERS = (401, 401, 403, 200, 200, 200)
ADMINISTRATORS = (401, 401, 403, 403, 403, 200)


def servers(status: int) -> tuple[int, ...]:
    return (401, 401, 403, 403, status, status)


ROUTES: list[tuple[str, str, Any, tuple[int, ...]]] = [
    ("GET", "market/prices/TCS", None, EVERYONE),
    ("GET", "market/prices?symbols=TCS", None, EVERYONE),
    ("GET", "market/chart/TCS", None, EVERYONE),
    ("GET", "market/indicators/TCS", None, EVERYONE),
    ("GET", "market/symbols", None, EVERYONE),
    ("GET", "market/search?q=tcs", None, EVERYONE),
    ("GET", "market/status", None, EVERYONE),
    ("GET", "signals", None, SUBSCRIBERS),
    ("GET", "signals/1", None, SUBSCRIBERS),
    ("GET", "signals/stats/daily", None, SUBSCRIBERS),
    ("POST", "signals", SIGNAL, servers(201)),
    ("PUT", "signals/1", {"confidence": 60}, servers(200)),
    ("DELETE", "signals/999", None, servers(404)),
    ("GET", "admin/config", None, ADMINISTRATORS),
    ("POST", "admin/config/update", {"sessions": {}}, ADMINISTRATORS),
    ("POST", "publish", {"channel": "market:TCS", "data": {"price": 1}}, servers(201)),
    ("POST", "auth/ticket", None, (401, 401, 201, 201, 201, 201)),
]


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    async with running(tmp_path) as hub:
        await hub.publish("market:TCS", price=1)
        assert (await hub.post("/api/v1/signals", SIGNAL, **BEARERS["admin"])).status == 201
        yield hub


@pytest.mark.parametrize(("method", "place", "body", "statuses"), ROUTES, ids=str)
async def test_each_route_lets_in_whom_it_should(
    hub: Hub, method: str, place: str, body: Any, statuses: tuple[int, ...]
) -> None:
    data = None if body is None else json.dumps(body).encode()
    for (who, headers), status in zip(BEARERS.items(), statuses, strict=True):
        answer = await asyncio.to_thread(request, f"{hub.url}/api/v1/{place}", method, data, **headers)
        assert (who, answer.status) == (who, status)
        if status in {401, 403}:
            code = "PERMISSION_DENIED" if status == 403 else "TOKEN_EXPIRED" if who == "expired" else "UNAUTHORIZED"
            assert answer.code == code


@pytest.mark.parametrize(
    ("place", "allowed"),
    [
        ("signals", {"GET", "HEAD", "POST"}),
        ("signals/1", {"GET", "HEAD", "PUT", "DELETE"}),
        ("admin/config", {"GET", "HEAD"}),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(hub: Hub, place: str, allowed: set[str]) -> None:
    answer = await asyncio.to_thread(request, f"{hub.url}/api/v1/{place}", "PATCH", b"{}", **BEARERS["admin"])
    assert (answer.status, answer.code) == (405, "BAD_REQUEST")
    assert set(answer.headers["allow"].split(", ")) == allowed
