"""The commands, as a user types them."""

import asyncio
import os
import re
import signal
import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import jwt
import pytest
from sqlalchemy import insert

from auth.sealing import Sealer
from hub.__main__ import main
from hub.database import SQLITE_FILE, engine_for
from schemas.tables import deliveries
from tests.hub.live import SECRET, HubProcess, running
from tests.servers import RedisServer, free_port


def test_a_token_is_printed_alone(environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "--user", "7", "--plan", "pro", "--role", "admin", "--expires", "1h"]) == 0
    printed = capsys.readouterr()
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", printed.out)
    claims = jwt.decode(printed.out.strip(), SECRET, ["HS256"], audience="tickhub")
    assert (claims["sub"], claims["plan"], claims["role"], claims["exp"] - claims["iat"]) == ("7", "pro", "admin", 3600)


def test_a_token_has_the_least_of_everything_by_default(
    environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["token", "--user", "7"]) == 0
    claims = jwt.decode(capsys.readouterr().out.strip(), SECRET, ["HS256"], audience="tickhub")
    assert (claims["plan"], claims["role"], claims["exp"] - claims["iat"]) == ("free", "user", 900)


@pytest.mark.parametrize(
    "words",
    [["--user", "7", "--expires", "soon"], ["--user", ""], ["--user", "user"], ["--user", "7", "--expires", "0s"]],
)
def test_a_token_that_cannot_be_is_refused_with_a_reason(
    environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main(["token", *words]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.strip()


@pytest.mark.parametrize("words", [["token"], ["token", "--user", "7", "--plan", "gold"], ["fly"], ["publish"]])
def test_words_that_are_no_command_explain_themselves(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    printed = capsys.readouterr().out
    for word in ("web", "feeds", "alerts", "notifiers", "migrate", "token", "publish", "check", "rotate-keys"):
        assert re.search(rf"^\s+{word}\s", printed, re.MULTILINE)


def test_migrating_twice_is_fine(environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert [main(["migrate"]), main(["migrate"])] == [0, 0]
    assert "up to date" in capsys.readouterr().out


def sealed_secrets(tmp_path: Path) -> list[str]:
    with closing(sqlite3.connect(tmp_path / "data" / SQLITE_FILE)) as connection:
        return [row[0] for row in connection.execute("SELECT totp_secret FROM accounts ORDER BY id")]


def test_keys_are_rotated_in_two_steps(
    tmp_path: Path, environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = "o" * 32, "n" * 32
    assert main(["migrate"]) == 0
    with closing(sqlite3.connect(tmp_path / "data" / SQLITE_FILE)) as connection, connection:
        for user in ("u_1", "u_2"):
            connection.execute(
                "INSERT INTO accounts (id, email, email_key, name, plan, role, status, created_at, updated_at,"
                " totp_secret) VALUES (?, ?, ?, '', 'free', 'user', 'active', 1, 1, ?)",
                (user, user, user, Sealer([old.encode()]).seal(f"of {user}", f"totp:{user}")),
            )
    before = sealed_secrets(tmp_path)
    environ.setenv("ENCRYPTION_KEYS", new)
    capsys.readouterr()
    assert main(["rotate-keys"]) == 1
    printed = capsys.readouterr()
    assert printed.out == "Sealed with the first key now: 0.\n"
    assert printed.err.startswith("No key opens 2;")
    assert sealed_secrets(tmp_path) == before
    environ.setenv("ENCRYPTION_KEYS", f"{new},{old}")
    assert main(["rotate-keys"]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0] == "Sealed with the first key now: 2."
    assert old not in printed.out
    assert new not in printed.out
    opened = [Sealer([new.encode()]).open(value, f"totp:u_{n}") for n, value in enumerate(sealed_secrets(tmp_path), 1)]
    assert opened == ["of u_1", "of u_2"]
    environ.setenv("ENCRYPTION_KEYS", new)
    assert main(["rotate-keys"]) == 0
    assert "now: 0." in capsys.readouterr().out


def test_migrating_a_database_that_is_away_fails_without_its_password(
    environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environ.setenv("DATABASE_URL", f"postgresql://u:hush-hush@127.0.0.1:{free_port()}/hub")
    assert main(["migrate"]) == 1
    printed = capsys.readouterr()
    assert "database is not available" in printed.err
    assert "hush-hush" not in printed.out + printed.err


def test_wrong_settings_end_every_command_with_78(
    environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environ.setenv("PORT", "many")
    for words in (["token", "--user", "7"], ["check"], ["migrate"], ["publish", "market:TCS", "{}"]):
        assert main(words) == 78
        assert "PORT: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("channel", "data", "code"),
    [
        ("weather:x", "{}", "UNKNOWN_CHANNEL"),
        ("market:TCS", "{", "BAD_REQUEST"),
        ("market:TCS", '{"price":0}', "BAD_REQUEST"),
        ("alerts:user", "{}", "UNKNOWN_CHANNEL"),
    ],
)
def test_a_publication_that_is_none_is_refused(
    environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], channel: str, data: str, code: str
) -> None:
    assert main(["publish", channel, data]) == 1
    assert code in capsys.readouterr().err


def test_publishing_to_nobody_fails(environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["publish", "market:TCS", '{"price":1}']) == 1
    assert "No hub answers" in capsys.readouterr().err


async def test_publishing_asks_the_running_hub_where_the_broker_is_inside_it(
    tmp_path: Path, environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(tmp_path, PORT=os.environ["PORT"]) as hub, hub.client() as client:
        await client.subscribe("chat:a")
        for _ in range(2):
            assert await asyncio.to_thread(main, ["publish", "chat:a", '{"n":1}', "--key", "k"]) == 0
        assert [message["data"] for message in await client.settled()] == [{"n": 1}]
    assert capsys.readouterr().out.splitlines() == ["published chat:a", "already published chat:a"]


async def test_publishing_goes_through_redis_where_there_is_one(
    tmp_path: Path, redis_url: str, environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environ.setenv("REDIS_URL", redis_url)
    async with running(tmp_path, REDIS_URL=redis_url) as hub, hub.client() as client:
        await client.subscribe("chat:a", "market:TCS")
        assert await asyncio.to_thread(main, ["publish", "chat:a", '{"n":1}']) == 0
        assert (await client.hear("chat:new"))["offset"] == 1
        assert await asyncio.to_thread(main, ["publish", "market:tcs", '{"price":5}']) == 0
        assert (await client.hear("market:update"))["price"] == 5.0
    assert re.search(r"^published chat:a \w+:1$", capsys.readouterr().out, re.MULTILINE)


def test_publishing_through_a_redis_that_is_away_fails_without_its_password(
    environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environ.setenv("REDIS_URL", f"redis://u:hush-hush@127.0.0.1:{free_port()}/0")
    assert main(["publish", "chat:a", "{}"]) == 1
    printed = capsys.readouterr()
    assert "Redis is not available" in printed.err
    assert "hush-hush" not in printed.out + printed.err


async def test_publishing_finds_a_hub_that_listens_on_ipv6(
    tmp_path: Path, environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environ.setenv("HOST", "::1")
    assert await asyncio.to_thread(main, ["publish", "chat:a", '{"n":1}']) == 1
    assert "No hub answers" in capsys.readouterr().err


def test_who_starts_it_is_told_where_to_read_and_where_letters_go() -> None:
    with HubProcess() as process:
        os.kill(process.pid, signal.SIGTERM)
        process.wait()
        output = process.log()
    assert re.search(rf"^  docs        http://localhost:{process.port}/docs$", output, re.MULTILINE)
    assert re.search(r"^  alerts      mail, SMS and calls written to \S*data/outbox$", output, re.MULTILINE)


async def test_nothing_that_is_printed_or_logged_holds_a_secret() -> None:
    """Tokens in URLs and messages, a password in each address that its server refuses: none is ever repeated."""
    redis = RedisServer()
    process = HubProcess(
        LOG_LEVEL="DEBUG",
        REDIS_URL=f"redis://somebody:hush-redis@127.0.0.1:{redis.port}/0",
        DATABASE_URL=f"postgresql://somebody:hush-database@127.0.0.1:{free_port()}/hub",
    )
    try:
        await asyncio.gather(asyncio.to_thread(redis.start), asyncio.to_thread(process.start))
        bad = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.hushhushhush"
        async with process.client(query=f"?token={bad}", welcomed=False) as client:
            assert await client.close_code() == 3500
        async with process.client() as client:
            await client.ask("refresh", token=bad)
        os.kill(process.pid, signal.SIGTERM)
        assert await asyncio.to_thread(process.wait) == 0
        output = process.log()
        assert "session.closed" in output
        for word in ("hush", SECRET, bad, "eyJ"):
            assert word not in output
    finally:
        process.close()
        redis.close()


def test_conditions_are_tried_on_a_file_of_prices(
    environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "day.csv"
    path.write_text("time,symbol,price\n2026-11-20 09:15:01,TCS,2490\n2026-11-20 09:15:02,TCS,2503\n")
    words = ["alerts", "--backtest", str(path)]
    assert main([*words, "--symbol", "TCS", "--condition", "price crosses above 2500"]) == 0
    assert "1 fired, over 2 ticks" in capsys.readouterr().out
    assert main(words) == 0  # there are no alerts
    assert "0 fired" in capsys.readouterr().out
    assert main([*words, "--condition", "price > 1"]) == 1
    assert "--symbol" in capsys.readouterr().err
    assert main([*words, "--symbol", "TCS", "--condition", "price >"]) == 1
    assert "at character" in capsys.readouterr().err
    assert main(["alerts", "--backtest", str(tmp_path / "none.csv")]) == 1
    assert "No such file" in capsys.readouterr().err


async def test_what_is_dead_is_sent_again(
    environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], postgres_url: str
) -> None:
    environ.setenv("DATABASE_URL", postgres_url)
    assert await asyncio.to_thread(main, ["migrate"]) == 0
    engine = engine_for(postgres_url, Path("data"))
    row = {
        "key": "k", "user_id": "7", "kind": "alert", "channel": "email", "endpoint": "", "status": "dead",
        "reason": "SMTP 550", "priority": 1, "due_at_ms": 0, "expires_at_ms": 1, "unless_acknowledged": False,
        "content": "{}", "attempts": 1, "cost": 0, "created_at_ms": 0, "finished_at_ms": int(time.time() * 1000),
    }  # fmt: skip
    async with engine.begin() as connection:
        await connection.execute(insert(deliveries).values(row))
    capsys.readouterr()
    words = ["notifiers", "--redrive", "--channel"]
    for channel, count in (("sms", 0), ("email", 1), ("email", 0)):
        assert await asyncio.to_thread(main, [*words, channel]) == 0
        assert capsys.readouterr().out.startswith(f"{count} will be sent again")
    assert await asyncio.to_thread(main, ["notifiers", "--redrive", "--since", "soon"]) == 1
    await engine.dispose()


def test_a_token_can_be_had_as_a_link_into_the_dashboard(
    environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["token", "--user", "admin", "--role", "admin", "--link"]
    assert main(words) == 0
    page, _, token = capsys.readouterr().out.strip().partition("/#token=")
    assert page == f"http://localhost:{os.environ['PORT']}"
    assert jwt.decode(token, SECRET, ["HS256"], audience="tickhub")["role"] == "admin"
    environ.setenv("PUBLIC_URL", "https://hub.example")
    assert main(words) == 0
    assert capsys.readouterr().out.startswith("https://hub.example/#token=")


def test_all_that_is_wrong_at_the_start_is_said_at_once(
    environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    environ.setenv("DATA_DIR", str(tmp_path / "file" / "data"))
    environ.setenv("FEED", "replay,kite")
    environ.setenv("REPLAY_FILE", str(tmp_path / "none.csv"))
    environ.setenv("NAMESPACES_FILE", str(tmp_path / "none.toml"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        environ.setenv("PORT", str(taken.getsockname()[1]))
        assert main([]) == 78
    printed = capsys.readouterr().err
    named = re.findall(r"^  (\w+): ", printed, re.MULTILINE)
    assert named == ["DATA_DIR", "REPLAY_FILE", "NAMESPACES_FILE", "FEED", "PORT"]
    assert "Traceback" not in printed


def test_a_database_that_is_away_is_said_in_the_greeting_once() -> None:
    url = f"postgresql://u:hush-hush@127.0.0.1:{free_port()}/hub"
    with HubProcess(DATABASE_URL=url) as process:
        os.kill(process.pid, signal.SIGTERM)
        process.wait()
        output = process.log()
    assert re.search(r"^  database    postgresql://\S+\n +does not answer: .*DATABASE_URL", output, re.MULTILINE)
    assert "hush-hush" not in output
    events = re.findall(r"^\S+ (?:INFO|WARNING) +(\S.*)$", output, re.MULTILINE)
    assert len(events) == len(set(events))
    assert "Traceback" not in output
