"""Letters arrive whole, through a server or in files; every fault of a server's is told apart from the others."""

import asyncio
import logging
import ssl
import stat
from collections.abc import AsyncIterator, Callable
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import msgspec
import pytest

from notifiers.errors import Blame, OutcomeUnknown, Refused
from notifiers.providers.mail import (
    FileMailer,
    Mailer,
    Sender,
    SmtpMailer,
    _announce,
    _hand_over,
    message_of,
    recipient_of,
    sender_of,
)
from notifiers.wording.letters import Letter, MailKind, Writer
from schemas.errors import Unavailable
from schemas.secret import Secret
from tests.feeds.tls import self_signed
from tests.notifiers.providers.smtp_server import SmtpServer

SENDER = Sender("Acme मार्केट", "no-reply@acme.example")
WRITER = Writer("Acme", "acme.example")


def letter(to: str = "asha@example.com", language: str = "kn", number: int = 1) -> Letter:
    return WRITER.letter(
        MailKind.RESET_PASSWORD,
        letter_id=f"m_{number}",
        to=to,
        language=language,
        link="https://acme.example/x?a=1&b=2",
    )


class Twin:
    """A mailer, and what it has delivered."""

    def __init__(self, mailer: Mailer, delivered: Callable[[], list[EmailMessage]]) -> None:
        self.mailer = mailer
        self.delivered = delivered


def in_folder(folder: Path) -> list[EmailMessage]:
    return [message_from_bytes(path.read_bytes(), policy=default) for path in sorted(folder.glob("*.eml"))]


@pytest.fixture(params=["smtp", "files"])
async def twin(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Twin]:
    if request.param == "files":
        yield Twin(FileMailer(tmp_path / "outbox", SENDER), lambda: in_folder(tmp_path / "outbox"))
        return
    async with SmtpServer() as server:
        mailer = SmtpMailer("127.0.0.1", server.port, SENDER)
        yield Twin(mailer, lambda: [mail.message for mail in server.mails])
        await mailer.close()


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


# -- both -------------------------------------------------------------------------------------------------------------


async def test_a_letter_arrives_whole(twin: Twin) -> None:
    sent = letter()
    await twin.mailer.send(sent)
    (message,) = twin.delivered()
    assert message["From"] == "Acme मार्केट <no-reply@acme.example>"
    assert message["To"] == "asha@example.com"
    assert message["Subject"] == sent.subject
    assert message["Message-ID"] == "<m_1@acme.example>"
    assert message["Content-Language"] == "kn"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"]
    assert message.get_content_type() == "multipart/alternative"
    assert body(message, "plain") == sent.text
    assert body(message, "html").rstrip() == sent.html.rstrip()


async def test_a_letter_sent_twice_keeps_its_id(twin: Twin) -> None:
    await twin.mailer.send(letter())
    await twin.mailer.send(letter())
    assert {message["Message-ID"] for message in twin.delivered()} == {"<m_1@acme.example>"}


async def test_several_letters_at_once_all_arrive(twin: Twin) -> None:
    await asyncio.gather(*(twin.mailer.send(letter(number=number)) for number in range(8)))
    assert {message["Message-ID"] for message in twin.delivered()} == {f"<m_{n}@acme.example>" for n in range(8)}


@pytest.mark.parametrize(
    "to",
    ["", "nobody", "a@b.c, d@e.f", "a@b.c\r\nBcc: d@e.f", "a b@c.d", "<a@b.c>", "a@b.c>", "@b.c", "a@", "a@b..c",
     "आशा@example.com", '"a"@b.c', "a@b.c\x00"],
)  # fmt: skip
async def test_what_is_no_address_is_refused_for_good(twin: Twin, to: str) -> None:
    with pytest.raises(Refused) as caught:
        await twin.mailer.send(letter(to))
    assert (caught.value.permanent, caught.value.blame) == (True, Blame.ADDRESS)
    assert twin.delivered() == []


async def test_no_subject_breaks_into_the_headers(twin: Twin) -> None:
    await twin.mailer.send(msgspec.structs.replace(letter(), subject="Hello\r\nBcc: evil@example.com\r\n\r\nbody"))
    (message,) = twin.delivered()
    assert message["Bcc"] is None
    assert message["Subject"] == "Hello Bcc: evil@example.com body"


async def test_a_letter_s_own_headers_are_lines_without_breaks(twin: Twin) -> None:
    link = f"<https://acme.example/{'x' * 300}>"
    headers = (("List-Unsubscribe", link), ("X-Kind", "alert\r\nBcc: evil@example.com"))
    await twin.mailer.send(msgspec.structs.replace(letter(), headers=headers))
    (message,) = twin.delivered()
    assert message["List-Unsubscribe"] == link
    assert message["X-Kind"] == "alert Bcc: evil@example.com"
    assert message["Bcc"] is None


async def test_a_mailer_says_how_far_a_letter_has_come(twin: Twin) -> None:
    assert (twin.mailer.name, twin.mailer.reaches) in {("smtp", "sent"), ("mail_files", "delivered")}


async def test_a_line_with_a_lone_dot_stays(twin: Twin) -> None:
    await twin.mailer.send(msgspec.structs.replace(letter(), text="one\n.\n..two\nthree\n"))
    assert body(twin.delivered()[0], "plain") == "one\n.\n..two\nthree\n"


async def test_an_international_domain_is_written_in_ascii(twin: Twin) -> None:
    await twin.mailer.send(letter("asha@भारत.example"))
    assert twin.delivered()[0]["To"] == "asha@xn--h2brj9c.example"


async def test_closing_twice_is_safe(twin: Twin) -> None:
    await twin.mailer.send(letter())
    await twin.mailer.close()
    await twin.mailer.close()


# -- files ------------------------------------------------------------------------------------------------------------


async def test_files_are_named_by_what_they_are_and_closed_to_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tickhub.notifiers.providers.mail")
    mailer = FileMailer(tmp_path / "data" / "outbox", SENDER)
    await mailer.send(letter(number=1))
    await mailer.send(letter(number=2))
    files = sorted((tmp_path / "data" / "outbox").iterdir())
    assert [path.name.split("-", 1)[1] for path in files] == ["reset_password-m_1.eml", "reset_password-m_2.eml"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert [record.message for record in caplog.records] == ["mail.to_files"]


async def test_a_folder_that_can_t_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "outbox").write_text("not a folder")
    with pytest.raises(Unavailable):
        await FileMailer(tmp_path / "outbox", SENDER).send(letter())


# -- SMTP -------------------------------------------------------------------------------------------------------------


async def test_a_connection_is_used_again() -> None:
    async with SmtpServer() as server:
        mailer = SmtpMailer("127.0.0.1", server.port, SENDER)
        for number in range(3):
            await mailer.send(letter(number=number))
        assert (len(server.mails), server.connections) == (3, 1)
        await mailer.close()


async def test_a_connection_that_the_server_has_ended_is_not_used_again() -> None:
    async with SmtpServer() as server:
        mailer = SmtpMailer("127.0.0.1", server.port, SENDER)
        await mailer.send(letter())
        ((_, client),) = mailer._idle
        server.drop()
        async with asyncio.timeout(5):
            while client.is_connected:  # noqa: ASYNC110 - the client has no event for it
                await asyncio.sleep(0)
        await mailer.send(letter(number=2))
        assert (len(server.mails), server.connections) == (2, 2)
        await mailer.close()


@pytest.mark.parametrize(
    ("command", "reply", "permanent", "blame"),
    [
        ("MAIL", "450 4.2.0 later", False, Blame.MESSAGE),
        ("RCPT", "450 4.2.0 later", False, Blame.MESSAGE),
        ("DATA", "450 4.2.0 later", False, Blame.MESSAGE),
        (".", "450 4.2.0 later", False, Blame.MESSAGE),
        ("MAIL", "550 5.1.8 who is this user", False, Blame.PROVIDER),
        ("RCPT", "550 5.1.1 no such user", True, Blame.ADDRESS),
        ("DATA", "554 5.6.0 what does the user mean", True, Blame.MESSAGE),
        (".", "554 5.7.1 the user says spam", True, Blame.MESSAGE),
    ],
)
async def test_a_refusal_says_whether_it_is_for_good(command: str, reply: str, permanent: bool, blame: Blame) -> None:
    async with SmtpServer() as server:
        mailer = SmtpMailer("127.0.0.1", server.port, SENDER)
        server.replies[command] = reply
        with pytest.raises(Refused) as caught:
            await mailer.send(letter())
        refused = caught.value
        assert (refused.reason, refused.permanent, refused.blame) == (f"SMTP {reply[:9]}", permanent, blame)
        assert "user" not in str(caught.value)
        server.replies.clear()
        await mailer.send(letter())
        assert len(server.mails) == 1
        await mailer.close()


@pytest.mark.parametrize("command", ["EHLO", "MAIL", "RCPT", "DATA"])
async def test_a_line_that_is_cut_is_not_available(command: str) -> None:
    async with SmtpServer() as server:
        mailer = SmtpMailer("127.0.0.1", server.port, SENDER)
        server.cut_at = command
        with pytest.raises(Unavailable):
            await mailer.send(letter())
        server.cut_at = None
        await mailer.send(letter())
        assert len(server.mails) == 1
        await mailer.close()


@pytest.mark.parametrize("reply", ["", "nonsense", "999 what", "220 hello again"])
async def test_an_answer_without_sense_after_the_content_leaves_it_open(reply: str) -> None:
    async with SmtpServer() as server:
        mailer = SmtpMailer("127.0.0.1", server.port, SENDER, timeout_s=0.5)
        server.replies["."] = reply
        with pytest.raises(OutcomeUnknown):
            await mailer.send(letter())


async def test_an_answer_without_sense_before_the_content_is_not_available() -> None:
    async with SmtpServer() as server:
        mailer = SmtpMailer("127.0.0.1", server.port, SENDER)
        server.replies["DATA"] = "250 taken already"
        with pytest.raises(Unavailable):
            await mailer.send(letter())


@pytest.mark.parametrize("command", ["EHLO", "MAIL", "RCPT", "DATA", "."])
async def test_a_server_that_closes_has_taken_nothing(command: str) -> None:
    async with SmtpServer() as server:
        server.replies[command] = "421 4.3.2 going down"
        with pytest.raises(Unavailable):
            await SmtpMailer("127.0.0.1", server.port, SENDER).send(letter())


async def test_a_line_that_is_cut_after_the_content_leaves_it_open() -> None:
    async with SmtpServer() as server:
        mailer = SmtpMailer("127.0.0.1", server.port, SENDER)
        server.cut_at = "."
        with pytest.raises(OutcomeUnknown):
            await mailer.send(letter())
        server.cut_at = None
        await mailer.send(letter())
        assert [mail.message["Message-ID"] for mail in server.mails] == ["<m_1@acme.example>"] * 2
        await mailer.close()


@pytest.mark.parametrize("greeting", ["554 go away", "421 busy"])
async def test_a_server_that_refuses_to_talk_is_not_available(greeting: str) -> None:
    async with SmtpServer() as server:
        server.greeting = greeting
        with pytest.raises(Unavailable):
            await SmtpMailer("127.0.0.1", server.port, SENDER).send(letter())


async def test_nobody_there_is_not_available() -> None:
    async with SmtpServer() as server:
        port = server.port
    with pytest.raises(Unavailable):
        await SmtpMailer("127.0.0.1", port, SENDER).send(letter())


async def test_a_server_that_stalls_is_left_and_its_connection_not_used_again() -> None:
    async with SmtpServer() as server:
        mailer = SmtpMailer("127.0.0.1", server.port, SENDER, timeout_s=0.2)
        server.hold.clear()
        with pytest.raises(OutcomeUnknown):
            await mailer.send(letter())
        server.hold.set()
        patient = SmtpMailer("127.0.0.1", server.port, SENDER)
        patient._idle = mailer._idle
        await patient.send(letter(number=2))
        assert server.connections == 2
        assert server.mails[-1].message["Message-ID"] == "<m_2@acme.example>"
        await patient.close()


async def test_after_a_cancelled_letter_the_next_one_arrives() -> None:
    async with SmtpServer() as server:
        mailer = SmtpMailer("127.0.0.1", server.port, SENDER)
        server.hold.clear()
        sending = asyncio.create_task(mailer.send(letter()))
        await server.in_data.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        server.hold.set()
        await mailer.send(letter(number=2))
        assert server.connections == 2
        await mailer.close()


async def test_tls_is_used_where_it_is_offered(tmp_path: Path) -> None:
    server_tls, client_tls = self_signed(tmp_path)
    async with SmtpServer(starttls=server_tls) as server:
        server.offer_auth = True
        mailer = SmtpMailer("127.0.0.1", server.port, SENDER, user="acme", password=Secret("pass word"), tls=client_tls)
        await mailer.send(letter())
        assert server.mails[0].encrypted
        assert server.logins == [("acme", "pass word")]
        await mailer.close()


async def test_a_certificate_that_nobody_vouches_for_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server_tls, _ = self_signed(tmp_path)
    async with SmtpServer(tls=server_tls) as server:
        monkeypatch.setattr("notifiers.providers.mail.IMPLICIT_TLS_PORT", server.port)
        with pytest.raises(Unavailable):
            await SmtpMailer(
                "127.0.0.1", server.port, SENDER, tls=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), timeout_s=5
            ).send(letter())
        assert server.mails == []


async def test_port_465_speaks_tls_from_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server_tls, client_tls = self_signed(tmp_path)
    async with SmtpServer(tls=server_tls) as server:
        monkeypatch.setattr("notifiers.providers.mail.IMPLICIT_TLS_PORT", server.port)
        mailer = SmtpMailer("127.0.0.1", server.port, SENDER, tls=client_tls)
        await mailer.send(letter())
        assert server.mails[0].encrypted
        await mailer.close()


async def test_a_login_is_not_sent_in_the_open_to_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifiers.providers.mail._is_loopback", lambda _: False)
    async with SmtpServer() as server:
        server.offer_auth = True
        with pytest.raises(Unavailable, match="TLS"):
            await SmtpMailer("127.0.0.1", server.port, SENDER, user="acme", password=Secret("x")).send(letter())
        assert server.logins == []


async def test_a_refused_login_is_not_the_letter_s_fault() -> None:
    async with SmtpServer() as server:
        server.offer_auth = True
        server.replies["AUTH"] = "535 5.7.8 wrong"
        with pytest.raises(Refused) as caught:
            await SmtpMailer("127.0.0.1", server.port, SENDER, user="acme", password=Secret("x")).send(letter())
        assert (caught.value.permanent, caught.value.blame) == (False, Blame.PROVIDER)


async def test_a_line_that_begins_with_a_dot_keeps_it_over_the_wire() -> None:
    async with SmtpServer() as server:
        mailer = SmtpMailer("127.0.0.1", server.port, SENDER)
        await _hand_over_raw(mailer, server, b".a\r\n..b\r\nc\r\n")
        assert server.mails[0].content == b".a\r\n..b\r\nc\r\n"
        await mailer.close()


async def _hand_over_raw(mailer: SmtpMailer, server: SmtpServer, content: bytes) -> None:
    await mailer.send(letter())
    server.mails.clear()
    ((_, client),) = mailer._idle
    await _announce(client, SENDER.address, "asha@example.com")
    await _hand_over(client, content)


# -- names and addresses ----------------------------------------------------------------------------------------------


def test_a_sender_is_a_name_and_an_address_or_an_address_alone() -> None:
    assert sender_of("Acme Markets <no-reply@acme.example>") == Sender("Acme Markets", "no-reply@acme.example")
    assert sender_of("no-reply@acme.example") == Sender("", "no-reply@acme.example")
    assert sender_of("no-reply@acme.example").domain == "acme.example"


@pytest.mark.parametrize("text", ["Acme", "Acme <acme>", "a b <c d@e.f>", ""])
def test_what_is_no_sender_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="expected an address"):
        sender_of(text)


def test_the_wire_s_lines_are_short_and_ascii() -> None:
    raw = message_of(letter(), SENDER, now=0).as_bytes()
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 78


def test_an_ordinary_address_stays_as_it_is() -> None:
    assert recipient_of("asha+alerts@mail.example.co.in") == "asha+alerts@mail.example.co.in"
