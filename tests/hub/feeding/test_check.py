"""`python -m hub feeds --check kite` says in words what works."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.feeding.check import check_feed
from schemas.settings import load
from tests.feeds.brokers.kite import KiteServer
from tests.hub.live import environment
from tests.servers import free_port

MASTER = """\
instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,instrument_type,segment,exchange
408065,1594,INFY,INFOSYS,0,,0,0.05,1,EQ,NSE,NSE
256265,1001,NIFTY 50,NIFTY 50,0,,0,0,0,EQ,INDICES,NSE
"""
MONDAY_S = 1_795_405_510.0
"""Monday, 23 November 2026, 09:15:10 in India."""


@pytest.fixture
async def kite() -> AsyncIterator[KiteServer]:
    async with KiteServer() as server:
        yield server


class Checked:
    """One run of the check, and what it said."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.settings = load(environment(folder))
        self.environ = environ
        self.lines: list[str] = []

    async def run(self, *, now_s: float = MONDAY_S) -> bool:
        return await check_feed(self.settings, "kite", lambda: self.environ, now_s=lambda: now_s, say=self.lines.append)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def master(folder: Path, text: str = MASTER) -> str:
    path = folder / "instruments.csv"
    path.write_text(text)
    return str(path)


def credentials(server: KiteServer) -> dict[str, str]:
    return {"KITE_API_KEY": server.api_key, "KITE_ACCESS_TOKEN": server.access_token, "KITE_URL": server.url}


async def test_an_account_that_works_is_ready(kite: KiteServer, tmp_path: Path) -> None:
    checked = Checked(tmp_path, KITE_INSTRUMENTS=master(tmp_path), **credentials(kite))
    assert await checked.run()
    assert "ok    list         2 instruments as of" in checked.text
    assert "ok    connection   127.0.0.1 has let us in" in checked.text
    assert "ok    first tick   NSE:NIFTY 50" in checked.text
    assert checked.lines[-1] == "Zerodha Kite is ready. Start the hub with FEED=kite."
    assert kite.access_token not in checked.text


async def test_the_list_that_was_read_once_serves_again(kite: KiteServer, tmp_path: Path) -> None:
    assert await Checked(tmp_path, KITE_INSTRUMENTS=master(tmp_path), **credentials(kite)).run()
    (tmp_path / "instruments.csv").unlink()
    checked = Checked(tmp_path, KITE_INSTRUMENTS=str(tmp_path / "instruments.csv"), **credentials(kite))
    assert await checked.run()


async def test_missing_credentials_are_named_and_nothing_is_fetched(tmp_path: Path) -> None:
    checked = Checked(tmp_path, KITE_API_KEY="key")
    assert not await checked.run()
    assert "WRONG credentials  KITE_ACCESS_TOKEN is not set" in checked.text
    assert "list" not in checked.text


async def test_an_ended_token_is_told_with_what_to_do(kite: KiteServer, tmp_path: Path) -> None:
    environ = credentials(kite) | {"KITE_ACCESS_TOKEN": "of-yesterday"}
    checked = Checked(tmp_path, KITE_INSTRUMENTS=master(tmp_path), **environ)
    assert not await checked.run()
    assert "WRONG connection   the credentials are refused (HTTP 403)" in checked.text
    assert "Log in" in checked.text
    assert "of-yesterday" not in checked.text


async def test_a_list_that_is_a_web_page_is_told(kite: KiteServer, tmp_path: Path) -> None:
    path = master(tmp_path, "<html><body>Too many requests</body></html>")
    checked = Checked(tmp_path, KITE_INSTRUMENTS=path, **credentials(kite))
    assert not await checked.run()
    assert "WRONG list" in checked.text
    assert "web page" in checked.text
    assert "KITE_INSTRUMENTS" in checked.lines[-1]


async def test_a_vendor_that_is_away_is_told(tmp_path: Path) -> None:
    checked = Checked(
        tmp_path,
        KITE_API_KEY="key",
        KITE_ACCESS_TOKEN="token",
        KITE_URL=f"ws://127.0.0.1:{free_port()}",
        KITE_INSTRUMENTS=master(tmp_path),
    )
    assert not await checked.run()
    assert "WRONG connection   nobody listens at 127.0.0.1" in checked.text
