import asyncio
import re
from pathlib import Path

import pytest

from hub.__main__ import main
from tests.notifiers.providers.smtp_server import SmtpServer
from tests.notifiers.providers.twilio_server import TwilioServer
from tests.servers import free_port


def lines(capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[str, str]]:
    """What was said of each thing that was tried: well or not, and why."""
    found = re.findall(r"^\s+(✓|✗)\s+(\w+)\s+(.*)$", capsys.readouterr().out, re.MULTILINE)
    return {name: (verdict, text) for verdict, name, text in found}


def test_everything_that_is_well_is_said_to_be(environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 0
    said = lines(capsys)
    assert said.keys() == {"settings", "address", "namespaces", "database", "broker", "feed", "mail", "phone", "push"}
    assert {verdict for verdict, _ in said.values()} == {"✓"}


def test_real_servers_are_asked(
    environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], redis_url: str, postgres_url: str
) -> None:
    environ.setenv("REDIS_URL", redis_url)
    environ.setenv("DATABASE_URL", postgres_url)
    assert main(["check"]) == 0
    assert {verdict for verdict, _ in lines(capsys).values()} == {"✓"}


def test_all_that_is_wrong_is_said_at_once_and_without_secrets(
    environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    environ.setenv("REDIS_URL", f"redis://u:hush-hush@127.0.0.1:{free_port()}/0")
    environ.setenv("DATABASE_URL", f"postgresql://u:hush-hush@127.0.0.1:{free_port()}/hub")
    environ.setenv("FEED", "kite")
    (tmp_path / "bad.toml").write_text("[chat]\npolicy = 'sometimes'\n[market]\npolicy = 'log'\n")
    environ.setenv("NAMESPACES_FILE", str(tmp_path / "bad.toml"))
    assert main(["check"]) == 1
    printed = capsys.readouterr().out
    assert "hush-hush" not in printed
    wrong = re.findall(r"^\s+✗ (\w+)", printed, re.MULTILINE)
    assert set(wrong) >= {"namespaces", "database", "feed"}
    assert wrong.count("namespaces") == 2
    assert "KITE_API_KEY" in printed


async def test_a_taken_port_is_said(environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    environ.setenv("PORT", str(server.sockets[0].getsockname()[1]))
    assert await asyncio.to_thread(main, ["check"]) == 1
    server.close()
    assert lines(capsys)["address"][0] == "✗"


async def test_mail_and_telephone_are_tried_without_sending(
    environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with SmtpServer() as smtp, TwilioServer() as twilio:
        environ.setenv("SMTP_HOST", "127.0.0.1")
        environ.setenv("SMTP_PORT", str(smtp.port))
        environ.setenv("SMTP_FROM", "Acme <no-reply@acme.example>")
        environ.setenv("TWILIO_ACCOUNT_SID", "AC1")
        environ.setenv("TWILIO_AUTH_TOKEN", "hush-hush")
        environ.setenv("TWILIO_FROM", "+15005550006")
        environ.setenv("TWILIO_BASE_URL", twilio.url)
        await asyncio.to_thread(main, ["check"])
        said = lines(capsys)
        assert said["mail"][0] == "✓"
        assert smtp.connections == 1
        smtp.greeting = "554 no"
        twilio.refuse(401, 20003)
        assert await asyncio.to_thread(main, ["check"]) == 1
        said = lines(capsys)
        assert (said["mail"][0], said["phone"][0]) == ("✗", "✗")
        assert "20003" in said["phone"][1]
        assert not smtp.mails
