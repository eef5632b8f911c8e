"""Deliveries by mail arrive as letters; what goes wrong is told apart; a second copy is the same letter."""

import asyncio
from collections.abc import AsyncIterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from notifiers.errors import Blame, OutcomeUnknown, Refused
from notifiers.outbox.delivery import Kind
from notifiers.outbox.provider import Provider
from notifiers.providers.dkim import Signer
from notifiers.providers.email import EmailProvider
from notifiers.providers.mail import FileMailer, Mailer, Sender, SmtpMailer
from notifiers.way import Way
from notifiers.wording.alert_letters import AlertWriter
from notifiers.wording.messages import Messages
from schemas.errors import Unavailable
from tests.feeds.tls import self_signed
from tests.notifiers.jobs import AT_MS, delivery_of, facts_of, job_of, read
from tests.notifiers.providers.smtp_server import SmtpServer
from tests.notifiers.providers.test_dkim import passes, pem

SENDER = Sender("Acme", "no-reply@acme.example")
WRITER = AlertWriter(
    Messages("Acme", read, wall=lambda: AT_MS / 1000),
    "acme.example",
    home="https://acme.example/",
    unsubscribe_url=lambda user, kind: f"https://acme.example/api/v1/unsubscribe/{user}-{kind}-{'t' * 200}",
    acknowledge_url=lambda user, trigger: f"https://acme.example/api/v1/acknowledge/{user}-{trigger}",
)
ID = f"<d_41.{AT_MS + 5}@acme.example>"


def provider(mailer: Mailer) -> Provider:
    return EmailProvider(mailer, WRITER)


@pytest.fixture
async def server() -> AsyncIterator[SmtpServer]:
    async with SmtpServer() as running:
        yield running


@pytest.fixture
async def mail(server: SmtpServer) -> AsyncIterator[Provider]:
    sending = provider(SmtpMailer("127.0.0.1", server.port, SENDER, timeout_s=5))
    yield sending
    await sending.close()
    await sending.close()


def parts(message: EmailMessage) -> tuple[str, str]:
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    return plain.get_content(), html.get_content()


@pytest.mark.parametrize("kind", Kind)
async def test_each_kind_arrives(kind: Kind, server: SmtpServer, mail: Provider) -> None:
    outcome = await mail.send(job_of(facts_of(kind), language="mr"))
    assert (outcome.status, outcome.id, outcome.detail) == ("sent", ID, None)
    (arrived,) = server.mails
    message = arrived.message
    assert (arrived.sender, arrived.recipients) == ("no-reply@acme.example", ["asha@example.com"])
    assert (message["To"], message["Message-ID"]) == ("asha@example.com", ID)
    assert message["Content-Language"] == "mr"
    assert message["List-Unsubscribe"] == f"<https://acme.example/api/v1/unsubscribe/u1-{kind}-{'t' * 200}>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert "RELIANCE" in message["Subject"]
    plain, html = parts(message)
    assert "RELIANCE" in plain
    assert "RELIANCE" in html


async def test_a_language_without_texts_is_told(mail: Provider) -> None:
    assert (await mail.send(job_of(facts_of(language="ta")))).detail == "language ta: en"


async def test_a_time_is_by_the_user_s_clock(server: SmtpServer, mail: Provider) -> None:
    await mail.send(job_of(facts_of(), timezone="Pacific/Auckland"))
    assert "17:45:02 NZDT" in parts(server.mails[0].message)[0]


async def test_a_file_is_the_end_of_the_way(tmp_path: Path) -> None:
    mail = provider(FileMailer(tmp_path / "outbox", SENDER))
    outcome = await mail.send(job_of(facts_of()))
    assert (mail.name, outcome.status, outcome.id) == ("mail_files", "delivered", ID)
    (path,) = (tmp_path / "outbox").glob("*-alert-d_41.eml")
    message = message_from_bytes(path.read_bytes(), policy=default)
    assert message["Message-ID"] == ID


@pytest.mark.parametrize("to", ["a@b.c\r\nBcc: d@e.f", "a@b.c, d@e.f", "<a@b.c>", "nobody", "a@b.c\r\nRCPT TO:<d@e.f>"])
async def test_a_tricky_address_is_never_written_to(to: str, server: SmtpServer, mail: Provider) -> None:
    with pytest.raises(Refused) as caught:
        await mail.send(job_of(facts_of(), email=to))
    assert (caught.value.permanent, caught.value.blame) == (True, Blame.ADDRESS)
    assert server.connections == 0


async def test_nobody_is_written_to_without_an_address(server: SmtpServer, mail: Provider) -> None:
    with pytest.raises(Refused) as caught:
        await mail.send(job_of(facts_of(), email=None))
    assert (caught.value.reason, caught.value.permanent, server.connections) == ("no_address", True, 0)


async def test_no_name_or_message_breaks_into_the_headers(server: SmtpServer, mail: Provider) -> None:
    bad = "x\r\nBcc: evil@example.com\r\n\r\n<script>"
    await mail.send(job_of(facts_of(name=bad, message=bad, symbol=bad)))
    message = server.mails[0].message
    assert message["Bcc"] is None
    assert "<script>" not in parts(message)[1]


@pytest.mark.parametrize(
    ("command", "reply", "blame", "permanent"),
    [
        ("RCPT", "550 5.1.1 no", Blame.ADDRESS, True),
        ("RCPT", "450 4.7.1 greylisted", Blame.MESSAGE, False),
        (".", "554 5.7.1 spam", Blame.MESSAGE, True),
        (".", "451 4.3.0 later", Blame.MESSAGE, False),
        ("MAIL", "530 5.7.0 log in", Blame.PROVIDER, False),
    ],
)
async def test_a_refusal_is_told_apart(  # noqa: PLR0917
    command: str, reply: str, blame: Blame, permanent: bool, server: SmtpServer, mail: Provider
) -> None:
    server.replies[command] = reply
    with pytest.raises(Refused) as caught:
        await mail.send(job_of(facts_of()))
    assert (caught.value.blame, caught.value.permanent) == (blame, permanent)


@pytest.mark.parametrize("command", ["EHLO", "MAIL", "RCPT", "DATA"])
async def test_a_line_cut_before_the_content_leaves_nothing_open(
    command: str, server: SmtpServer, mail: Provider
) -> None:
    server.cut_at = command
    with pytest.raises(Unavailable):
        await mail.send(job_of(facts_of()))
    assert server.mails == []


async def test_a_second_copy_is_the_same_letter(server: SmtpServer, mail: Provider) -> None:
    server.cut_at = "."
    with pytest.raises(OutcomeUnknown):
        await mail.send(job_of(facts_of()))
    server.cut_at = None
    assert mail.resend_unknown
    await mail.send(job_of(facts_of(), attempt=2))
    assert [one.message["Message-ID"] for one in server.mails] == [ID, ID]


async def test_a_server_that_stalls_in_the_content_leaves_it_open(server: SmtpServer) -> None:
    mail = provider(SmtpMailer("127.0.0.1", server.port, SENDER, timeout_s=0.2))
    server.hold.clear()
    with pytest.raises(OutcomeUnknown):
        await mail.send(job_of(facts_of()))
    await mail.close()


async def test_after_a_cancelled_letter_the_next_one_arrives(server: SmtpServer, mail: Provider) -> None:
    server.hold.clear()
    sending = asyncio.create_task(mail.send(job_of(facts_of())))
    await server.in_data.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    server.hold.set()
    await mail.send(job_of(facts_of()))
    assert server.connections == 2


async def test_a_mail_over_tls_is_signed_by_its_domain(tmp_path: Path) -> None:
    server_tls, client_tls = self_signed(tmp_path)
    key = Ed25519PrivateKey.generate()
    signer = Signer("mail", "acme.example", pem(key))
    async with SmtpServer(starttls=server_tls) as server:
        mail = provider(SmtpMailer("127.0.0.1", server.port, SENDER, tls=client_tls, signer=signer))
        await mail.send(job_of(facts_of(message="{{symbol}}\n.\n..dots"), language="kn"))
        (arrived,) = server.mails
        assert arrived.encrypted
        assert passes(arrived.content, key)
        await mail.close()


async def test_nobody_can_be_asked_for_a_mail(mail: Provider) -> None:
    job = job_of(facts_of())
    with pytest.raises(Unavailable):
        await mail.find(job, 0)
    assert await mail.look(delivery_of(facts_of())) is None


def test_it_is_the_provider_of_mail() -> None:
    mail = provider(SmtpMailer("127.0.0.1", 25, SENDER))
    assert (mail.name, mail.way, mail.resend_unknown) == ("smtp", Way.EMAIL, True)
    assert mail.time_limit_s > 20
