"""What the guide says about backups, done to a hub that is in use, and undone in another place."""

import asyncio
import itertools
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyotp
import pytest

from tests.deploy.places import GUIDES
from tests.hub.live import Answer, HubProcess, request
from tests.servers import PostgresServer

BLOCKS = re.findall(r"^```sh\n(.*?)^```$", (GUIDES / "backup.md").read_text(), re.DOTALL | re.MULTILINE)
WORDS = {"email": "asha@example.com", "password": "monsoon-Tram-81"}


def block(words: str) -> str:
    """The only block of the guide that holds these words."""
    (found,) = [text for text in BLOCKS if words in text]
    return found


async def typed(text: str, **environ: str) -> str:
    """What a shell prints that is given these lines. Raises where a line fails."""
    done = await asyncio.to_thread(
        subprocess.run,
        ["/bin/sh", "-euc", text],
        env={"PATH": os.environ["PATH"]} | environ,
        capture_output=True,
        text=True,
        timeout=40,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def ask(hub: HubProcess, path: str, body: Any = None, token: str = "") -> Answer:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    return await asyncio.to_thread(
        request, f"{hub.url}/api/v1/{path}", "GET" if body is None else "POST", data, **headers
    )


async def settle(hub: HubProcess) -> pyotp.TOTP:
    """Make an account with an alert and a second factor."""
    token = (await ask(hub, "auth/register", WORDS)).data["access_token"]
    alert = {"symbol": "TCS", "condition": "price > 90000", "channels": ["websocket"]}
    assert (await ask(hub, "alerts", alert, token)).status == 201
    secret = pyotp.TOTP((await ask(hub, "auth/2fa/setup", {}, token)).data["secret"])
    assert (await ask(hub, "auth/2fa/verify", {"code": secret.now()}, token)).status == 200
    return secret


async def there_again(hub: HubProcess, secret: pyotp.TOTP) -> bool:
    """Whether that account can log in, which needs what was sealed, and finds its alert."""
    challenge = (await ask(hub, "auth/login", WORDS)).data["challenge"]
    later = secret.at(time.time() + 30)  # each code counts once
    token = (await ask(hub, "auth/2fa/verify", {"challenge": challenge, "code": later})).data["access_token"]
    (alert,) = (await ask(hub, "alerts", token=token)).data["items"]
    return bool(alert["symbol"] == "TCS")


async def write_until(stop: asyncio.Event, hub: HubProcess) -> int:
    """Keep the database busy; how many accounts were made."""
    for number in itertools.count():
        if stop.is_set():
            return number
        assert (await ask(hub, "auth/register", WORDS | {"email": f"{number}@example.com"})).status == 201
    raise AssertionError


async def test_a_copy_of_sqlite_that_is_taken_in_use_is_a_whole_hub_elsewhere(tmp_path: Path) -> None:
    places = {"PYTHON": sys.executable, "BACKUP": str(tmp_path / "backup")}
    embedded = {"JWT_SECRET": ""}
    first, second = HubProcess("web", **embedded), HubProcess("web", **embedded)
    try:
        await asyncio.to_thread(first.start)
        secret = await settle(first)
        stop = asyncio.Event()
        writing = asyncio.create_task(write_until(stop, first))
        printed = await typed(block("source.backup(target)"), DATA=first.environ["DATA_DIR"], **places)
        stop.set()
        assert printed == "ok\n"
        assert await writing > 0
        await asyncio.to_thread(first.kill)
        data = Path(second.environ["DATA_DIR"])
        await typed('mkdir -m 0700 "$DATA"; echo of another database > "$DATA/tickhub.db-wal"', DATA=str(data))
        await typed(block('rm -f "$DATA/tickhub.db-wal"'), DATA=str(data), **places)
        await asyncio.to_thread(second.start)
        assert await there_again(second, secret)
        with sqlite3.connect(data / "tickhub.db") as database:
            assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    finally:
        for hub in (first, second):
            await asyncio.to_thread(hub.close)


async def test_a_dump_of_postgresql_that_is_taken_in_use_is_a_whole_hub_elsewhere(
    postgres_server: str, postgres_url: str, tmp_path: Path
) -> None:
    binaries = PostgresServer()._find_binaries()
    if not (binaries / "pg_dump").exists():
        pytest.skip("pg_dump is not installed here")
    places = {"PATH": f"{binaries}:{os.environ['PATH']}", "BACKUP": str(tmp_path)}
    first = HubProcess("web", DATABASE_URL=postgres_url)
    second = HubProcess("web", DATABASE_URL=postgres_url.rpartition("/")[0] + f"/{Path(postgres_url).name}_again")
    try:
        await asyncio.to_thread(first.start)
        secret = await settle(first)
        await typed(block("pg_dump"), DATABASE_URL=postgres_url, **places)
        await asyncio.to_thread(first.kill)
        await typed(
            'psql --quiet --dbname="$DATABASE_URL" --command "CREATE DATABASE $NAME"',
            DATABASE_URL=postgres_server,
            NAME=Path(second.environ["DATABASE_URL"]).name,
            **places,
        )
        await typed(block("pg_restore"), DATABASE_URL=second.environ["DATABASE_URL"], **places)
        await asyncio.to_thread(second.start)
        assert await there_again(second, secret)
    finally:
        for hub in (first, second):
            await asyncio.to_thread(hub.close)
