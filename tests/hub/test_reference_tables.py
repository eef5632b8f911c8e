"""The tables of codes, metrics and routes are what the program goes by; `make reference` writes them anew."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from hub.reference_tables import codes, main, metrics, routes
from schemas.errors import CLOSE_MEANING, ERROR_MEANING, UNSUBSCRIBE_MEANING, CloseCode, ErrorCode, UnsubscribeCode
from tests.hub.live import Hub, running

ROOT = Path(__file__).parents[2]
PAGES = {"codes": codes, "metrics": metrics, "routes": routes}
STALE = "run `make reference`"


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_what_the_program_says(name: str) -> None:
    assert (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") == PAGES[name](), STALE


def test_every_code_has_a_meaning() -> None:
    assert ERROR_MEANING.keys() == set(ErrorCode)
    assert CLOSE_MEANING.keys() == set(CloseCode)
    assert UNSUBSCRIBE_MEANING.keys() == set(UnsubscribeCode)


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_every_row_has_the_cells_of_its_head(page: Callable[[], str]) -> None:
    for block in page().split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({row.replace("\\|", "").count("|") for row in rows}) <= 1


async def shown_by(hub: Hub) -> set[str]:
    """What a running hub calls its metrics, without labels."""
    lines = (await hub.get("/metrics")).body.decode().splitlines()
    return {line.split()[2] for line in lines if line.startswith("# TYPE tickhub_")}


async def listed(page: Callable[[], str]) -> set[str]:
    """What stands first in the rows of a page."""
    text = await asyncio.to_thread(page)
    return {line.split("`")[1] for line in text.splitlines() if line.startswith("| `")}


async def test_all_that_a_running_hub_counts_is_in_the_table(tmp_path: Path, redis_url: str) -> None:
    """Engines of alerts are left out here: they would be in the middle of a transaction."""
    async with running(tmp_path, roles=("feeds", "notifiers"), REDIS_URL=redis_url) as hub:
        shown = await shown_by(hub)
    names = {name.partition("{")[0] for name in await listed(metrics)}
    assert shown == {name for name in names if not name.startswith("tickhub_alerts_")}


async def test_all_routes_that_a_hub_describes_are_in_the_table(tmp_path: Path) -> None:
    async with running(tmp_path) as hub:
        paths = (await hub.get("/openapi.json")).json["paths"]
    described = {
        f"{method.upper()} {path.removeprefix('/api/v1/')}"
        for path, operations in paths.items()
        for method in operations
        if path.startswith("/api/v1/")
    }
    assert await listed(routes) == described


def test_writes_all_three(tmp_path: Path) -> None:
    main(tmp_path)
    assert {path.stem for path in (tmp_path / "docs").iterdir()} == PAGES.keys()
    assert (tmp_path / "docs" / "codes.md").read_text(encoding="utf-8") == codes()
