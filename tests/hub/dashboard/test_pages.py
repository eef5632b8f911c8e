"""The dashboard's files, as a browser asks for them."""

import gzip
import json
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from posixpath import dirname, normpath
from typing import Any

import pytest

from tests.hub.live import Hub, running

IMPORT = re.compile(r"""(?:from|import)\s*\(?\s*["'](\.{1,2}/[^"']+)["']""")


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    async with running(tmp_path) as hub:
        yield hub


class Addresses(HTMLParser):
    """What a page loads, and how much of its markup a strict policy would not run."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        assert "http-equiv" not in values
        self.found += [value or "" for name, value in attributes if name in {"src", "href"}]
        self.inline += tag == "style" or "style" in values or any(name.startswith("on") for name in values)
        self.inline += tag == "script" and "src" not in values and values.get("type") != "application/json"


async def test_the_page_loads_nothing_from_elsewhere(hub: Hub) -> None:
    page = await hub.get("/")
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert not {"unsafe-inline", "unsafe-eval", "http:", "https:", "*"} & set(re.split(r"[ ;']+", policy))
    read = Addresses(page.body.decode())
    assert read.inline == 0
    assert len(read.found) > 5
    assert all(place.startswith("/dashboard/") for place in read.found)
    for place in read.found:
        answer = await hub.get(place)
        assert (place, answer.status) == (place, 200)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "immutable" in answer.headers["cache-control"]


async def test_every_module_that_is_imported_is_there(hub: Hub) -> None:
    """From the page's own script on, along all imports, those that wait for a view among them."""
    base = await base_of(hub)
    seen, waiting = set[str](), [f"{base}/app.js"]
    while waiting:
        place = waiting.pop()
        seen.add(place)
        answer = await hub.get(place)
        assert (place, answer.status) == (place, 200)
        assert answer.headers["content-type"].startswith("text/javascript")
        code = answer.body.decode()
        imported = {normpath(f"{dirname(place)}/{found}") for found in IMPORT.findall(code)}
        waiting += imported - seen - set(waiting)
    assert {f"{base}/tickhub.js", f"{base}/core/dom.js", f"{base}/views/admin/admin.js"} <= seen


async def test_the_chart_library_comes_out_of_its_package(hub: Hub) -> None:
    answer = await hub.get(f"{await base_of(hub)}/lightweight-charts.js")
    assert answer.status == 200
    assert b"TradingView Lightweight Charts" in answer.body[:200]


async def test_files_are_packed_for_whoever_can_unpack_them(hub: Hub) -> None:
    place = f"{await base_of(hub)}/app.js"
    plain, packed = await hub.get(place), await hub.get(place, **{"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert packed.headers["vary"] == "Accept-Encoding"


async def test_a_file_of_another_version_is_not_there(hub: Hub) -> None:
    base = await base_of(hub)
    for place in ("/dashboard/0000000000000000/app.js", f"{base}/pages.py", f"{base}/index.html", f"{base}/nothing.js"):
        answer = await hub.get(place)
        assert (place, answer.status, answer.code) == (place, 404, "NOT_FOUND")


async def test_the_service_worker_stands_at_the_root(hub: Hub) -> None:
    answer = await hub.get("/worker.js")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cache-control"] == "no-cache"


async def test_the_sdk_has_an_address_that_stays_for_pages_elsewhere(hub: Hub) -> None:
    answer = await hub.get("/tickhub.js", Origin="https://elsewhere.example")
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.body == (await hub.get(f"{await base_of(hub)}/tickhub.js")).body
    assert b"export function connect" in answer.body


async def test_words_come_in_every_language(hub: Hub) -> None:
    base = await base_of(hub)
    english = json.loads((await hub.get(f"{base}/words/en.json")).body)
    hindi = json.loads((await hub.get(f"{base}/words/hi.json")).body)
    assert english == {}
    assert re.search("[\u0900-\u097f]", hindi["Watchlist"])


async def test_the_page_of_a_demonstration_holds_a_token_that_works(hub: Hub) -> None:
    boot = await boot_of(hub)
    assert "NSE:RELIANCE" in boot["symbols"]
    assert boot["simulated"] is True
    async with hub.client(query=f"?token={boot['token']}", headers={"Origin": hub.url}) as client:
        await client.subscribe(*(f"market:{place}" for place in boot["symbols"]), delta=True)


@pytest.mark.parametrize("host", ["hub.example.com", "127.0.0.1.evil.example", "evil.example:80"])
async def test_the_page_under_another_name_holds_no_token(hub: Hub, host: str) -> None:
    assert (await boot_of(hub, Host=host))["token"] is None


async def test_the_page_of_a_real_hub_holds_no_token(tmp_path: Path, redis_url: str) -> None:
    async with running(tmp_path, REDIS_URL=redis_url) as hub:
        assert (await boot_of(hub))["token"] is None


async def base_of(hub: Hub) -> str:
    """Where the files are."""
    found = re.search(r"/dashboard/[0-9a-f]{16}", (await hub.get("/")).body.decode())
    assert found
    return found[0]


async def boot_of(hub: Hub, **headers: str) -> dict[str, Any]:
    page = (await hub.get("/", **headers)).body.decode()
    found = re.search(r'<script type="application/json" id="boot">(.*?)</script>', page, re.DOTALL)
    assert found
    boot: dict[str, Any] = json.loads(found[1])
    return boot
