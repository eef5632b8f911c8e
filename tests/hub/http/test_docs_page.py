import asyncio
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.requests import Request

from hub.http.docs_page import Docs
from tests.hub.live import Hub, running


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    async with running(tmp_path) as hub:
        yield hub


async def test_the_page_loads_its_own_files_for_good_and_nothing_else(hub: Hub) -> None:
    page = await hub.get("/docs")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.body.decode())
    files = [address for address in addresses if address.startswith("/docs/")]
    assert len(files) == 4
    assert {address for address in addresses if not address.startswith(("/", "data:"))} == set()
    for address in files:
        answer = await hub.get(address)
        assert answer.status == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-type"].startswith("text/css" if address.endswith("css") else "text/javascript")


async def test_the_page_runs_no_script_but_files_of_this_host(hub: Hub) -> None:
    policy = (await hub.get("/docs")).headers["content-security-policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["connect-src"] == "'self'"
    assert "<script>" not in (await hub.get("/docs")).body.decode()


@pytest.mark.parametrize("place", ["/docs/0000000000000000/docs.js", "/docs/{digest}/index.html", "/docs/{digest}/x"])
async def test_no_other_file_is_served(hub: Hub, place: str) -> None:
    found = re.search(r"/docs/([0-9a-f]{16})/docs.js", (await hub.get("/docs")).body.decode())
    assert found is not None
    assert (await hub.get(place.format(digest=found[1]))).status == 404


@pytest.mark.parametrize(("place", "version"), [("/openapi.json", "openapi"), ("/asyncapi.json", "asyncapi")])
async def test_the_documents_are_served_to_everyone(hub: Hub, place: str, version: str) -> None:
    answer = await hub.get(place)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json[version][0] == "3"


async def test_each_document_is_written_once_when_it_is_wanted() -> None:
    written: list[str] = []

    def write(name: str) -> bytes:
        written.append(name)
        return b"{}"

    docs = await asyncio.to_thread(Docs, openapi=lambda: write("openapi"), asyncapi=lambda: write("asyncapi"))
    assert written == []
    request = Request({"type": "http"})
    for _ in range(2):
        assert (await docs.openapi(request)).body == (await docs.asyncapi(request)).body == b"{}"
    assert written == ["openapi", "asyncapi"]


def test_the_viewers_package_is_not_imported(hub: Hub) -> None:
    assert "swagger_ui" not in sys.modules
