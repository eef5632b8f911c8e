"""The post takes letters at once, tries again where that helps, and never says the same thing twice by SMS."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.post import OUTBOX, Post, mailer_of, post_of, sender_of, texter_of
from notifiers.errors import OutcomeUnknown, Refused
from notifiers.providers.mail import FileMailer, SmtpMailer
from notifiers.providers.sms import FileTexter, TwilioTexter
from notifiers.wording.letters import Letter, MailKind, Sms, Writer
from schemas.errors import SettingsError, Unavailable
from schemas.settings import load
from tests.hub.live import until
from tests.notifiers.providers.test_dkim import passes, pem

WRITER = Writer("Acme", "acme.example")


class Box:
    """A provider that keeps what it is given, or fails on cue: both a Mailer and a Texter."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.texts: list[Sms] = []
        self.faults: list[Exception] = []
        self.asked = 0
        self.open = asyncio.Event()
        self.open.set()
        self.closed = 0

    async def _ask(self) -> None:
        self.asked += 1
        await self.open.wait()
        if self.faults:
            raise self.faults.pop(0)

    async def close(self) -> None:
        self.closed += 1


class MailBox(Box):
    async def send(self, letter: Letter) -> None:
        await self._ask()
        self.letters.append(letter)


class TextBox(Box):
    async def send(self, sms: Sms) -> str:
        await self._ask()
        self.texts.append(sms)
        return "SM1"


class Office:
    """A post that runs, and both of its boxes."""

    def __init__(self, *, max_waiting: int = 100, first_pause_s: float = 0.01, give_up_after_s: float = 60.0) -> None:
        self.mails, self.texts = MailBox(), TextBox()
        self.post = Post(
            self.mails,
            self.texts,
            WRITER,
            base_url="https://acme.example/hub",
            max_waiting=max_waiting,
            first_pause_s=first_pause_s,
            give_up_after_s=give_up_after_s,
        )


@contextlib.asynccontextmanager
async def running(office: Office) -> AsyncIterator[Office]:
    task = asyncio.create_task(office.post.run())
    try:
        yield office
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def code(post: Post, to: str = "asha@example.com") -> None:
    post.mail("login_code", to, "hi", name="Asha", code="493027")


async def test_a_letter_and_a_text_go_out_in_the_user_s_language() -> None:
    async with running(Office()) as office:
        code(office.post)
        office.post.text("phone_code", "+919876543210", "kn", code="493027")
        await until(lambda: not office.post.waiting)
    (letter,), (sms,) = office.mails.letters, office.texts.texts
    assert (letter.to, letter.language, letter.kind) == ("asha@example.com", "hi", "login_code")
    assert "493027" in letter.text
    assert (sms.to, sms.language) == ("+919876543210", "kn")
    assert (office.post.sent, office.post.failed, office.post.retried) == (2, 0, 0)
    assert (office.mails.closed, office.texts.closed) == (1, 1)


@pytest.mark.parametrize(("kind", "place"), [("verify_email", "verify-email"), ("reset_password", "reset-password")])
async def test_a_token_becomes_a_link(kind: str, place: str) -> None:
    async with running(Office()) as office:
        office.post.mail(kind, "asha@example.com", None, token="a+b/c&d")
        await until(lambda: office.mails.letters)
    assert f"https://acme.example/hub/api/v1/auth/{place}?token=a%2Bb%2Fc%26d" in office.mails.letters[0].text


async def test_what_is_asked_for_wrongly_is_told_at_once() -> None:
    post = Office().post
    with pytest.raises(ValueError, match="birthday"):
        post.mail("birthday", "a@example.com", "en")
    with pytest.raises(TypeError):
        post.mail("login_code", "a@example.com", "en")
    with pytest.raises(TypeError):
        post.text("login_code", "+91", "en", code="1", more="x")
    assert post.waiting == 0


@pytest.mark.parametrize(
    "fault",
    [Unavailable("mail", "away"), Refused("SMTP 450", permanent=False), OutcomeUnknown("mail", "TimeoutError")],
    ids=["unavailable", "refused", "unknown"],
)
async def test_a_passing_fault_is_outlasted_with_the_same_message_id(fault: Exception) -> None:
    async with running(Office()) as office:
        office.mails.faults = [fault, fault, fault]
        code(office.post)
        await until(lambda: office.mails.letters)
        assert (office.post.sent, office.post.retried, office.mails.asked) == (1, 3, 4)


async def test_what_is_refused_for_good_is_not_tried_again() -> None:
    async with running(Office()) as office:
        office.mails.faults = [Refused("SMTP 550", permanent=True)]
        code(office.post)
        await until(lambda: office.post.failed)
        assert (office.mails.asked, office.post.retried, office.post.waiting) == (1, 0, 0)


async def test_a_text_of_unknown_outcome_is_not_sent_again() -> None:
    async with running(Office()) as office:
        office.texts.faults = [OutcomeUnknown("Twilio", "HTTP 500")]
        office.post.text("login_code", "+919876543210", "en", code="1")
        await until(lambda: office.post.failed)
        assert (office.texts.asked, office.texts.texts) == (1, [])


async def test_after_some_minutes_a_letter_is_given_up() -> None:
    async with running(Office(first_pause_s=60, give_up_after_s=1)) as office:
        office.mails.faults = [Unavailable("mail", "away")]
        code(office.post)
        await until(lambda: office.post.failed)
        assert office.mails.asked == 1


async def test_one_letter_that_must_wait_holds_up_no_other() -> None:
    async with running(Office(first_pause_s=30)) as office:
        office.mails.faults = [Unavailable("mail", "away")] * 8
        for _ in range(9):
            code(office.post)
        await until(lambda: office.mails.letters)
        assert (office.post.sent, office.post.waiting) == (1, 8)


async def test_more_than_the_bound_is_not_taken() -> None:
    office = Office(max_waiting=2)
    code(office.post)
    code(office.post)
    with pytest.raises(Unavailable):
        code(office.post)
    with pytest.raises(Unavailable):
        office.post.admit()
    assert office.post.waiting == 2
    async with running(office):
        await until(lambda: not office.post.waiting)
        office.post.admit()


async def test_draining_sends_what_waits_and_tries_once_more_what_paused() -> None:
    async with running(Office(first_pause_s=60)) as office:
        office.mails.faults = [Unavailable("mail", "away"), Unavailable("mail", "away")]
        code(office.post)
        code(office.post)
        await until(lambda: office.post.retried == 2)
        code(office.post)
        async with asyncio.timeout(5):
            await office.post.drain(30)
        assert (office.post.sent, office.post.waiting) == (3, 0)


async def test_what_fails_while_draining_is_given_up() -> None:
    async with running(Office(first_pause_s=60)) as office:
        office.mails.faults = [Unavailable("mail", "away"), Unavailable("mail", "away")]
        code(office.post)
        await until(lambda: office.post.retried)
        await office.post.drain(5)
        assert (office.post.failed, office.post.waiting, office.mails.asked) == (1, 0, 2)


async def test_draining_ends_in_time_whatever_the_server_does(caplog: pytest.LogCaptureFixture) -> None:
    async with running(Office()) as office:
        office.mails.open.clear()
        code(office.post)
        async with asyncio.timeout(5):
            await office.post.drain(0.05)
        assert office.post.waiting == 1
    assert "post.left" in caplog.text


async def test_the_log_has_ids_and_nothing_of_the_letter(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with running(Office()) as office:
        office.mails.faults = [Unavailable("mail", "away"), Refused("SMTP 550", permanent=True)]
        code(office.post)
        await until(lambda: office.post.failed)
        code(office.post)
        await until(lambda: office.post.sent)
    said = [record.__dict__ for record in caplog.records if record.name == "tickhub.hub.post"]
    assert [line["message"] for line in said] == ["post.delayed", "post.failed", "post.sent"]
    assert said[-1]["id"] == office.mails.letters[0].id
    assert "example.com" not in str(said)
    assert "493027" not in str(said)


def test_without_settings_everything_goes_to_files(tmp_path: Path) -> None:
    settings = load({"DATA_DIR": str(tmp_path)})
    assert isinstance(mailer_of(settings, sender_of("a@b.example")), FileMailer)
    assert isinstance(texter_of(settings), FileTexter)


def test_servers_that_are_set_are_used() -> None:
    twilio = {"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "t", "TWILIO_FROM": "+15005550006"}
    settings = load({"SMTP_HOST": "mail.example", "SMTP_FROM": "Acme <no-reply@acme.example>"} | twilio)
    assert isinstance(mailer_of(settings, sender_of("a@b.example")), SmtpMailer)
    assert isinstance(texter_of(settings), TwilioTexter)
    assert isinstance(post_of(settings), Post)


def test_a_sender_that_is_none_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match="SMTP_FROM"):
        post_of(load({"SMTP_FROM": "Acme"}))


@pytest.mark.parametrize(
    ("environ", "fault"),
    [
        ({"SMTP_HOST": "mail.example"}, "SMTP_FROM"),
        ({"SMTP_USER": "me"}, "SMTP_PASSWORD"),
        ({"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_FROM": "+1"}, "TWILIO_AUTH_TOKEN"),
        ({"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "t"}, "TWILIO_FROM"),
        ({"OIDC_ISSUER": "https://accounts.google.com"}, "OIDC_CLIENT_ID"),
    ],
)
def test_half_of_what_is_needed_is_a_wrong_setting(environ: dict[str, str], fault: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(environ)
    assert caught.value.faults[0].startswith(f"{fault}: required with")


async def test_mail_is_signed_where_a_key_is_set(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    sender = sender_of("no-reply@acme.example")
    for setting in (pem(key).reveal(), str(tmp_path / "dkim.pem")):
        (tmp_path / "dkim.pem").write_text(pem(key).reveal())
        settings = load({"DATA_DIR": str(tmp_path), "DKIM_SELECTOR": "mail", "DKIM_PRIVATE_KEY": setting})
        mailer = await asyncio.to_thread(mailer_of, settings, sender)
        letter = WRITER.letter(MailKind.NEW_LOGIN, letter_id="m", to="a@b.co", language="en", device="x", address="y")
        await mailer.send(letter)
        (mail,) = (tmp_path / OUTBOX).glob("*.eml")
        assert passes(mail.read_bytes(), key)
        mail.unlink()


def test_a_key_that_can_t_sign_is_told_by_its_setting() -> None:
    with pytest.raises(SettingsError, match=r"^DKIM_PRIVATE_KEY: expected"):
        post_of(load({"DKIM_SELECTOR": "mail", "DKIM_PRIVATE_KEY": "-----BEGIN PRIVATE KEY-----\nAAAA\n"}))
