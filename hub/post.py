"""The post office: takes letters and texts at once, and hands them on when it can.

Whoever asks doesn't wait, so that the time of an answer tells nobody whether a letter was written. What waits is kept
in memory only: codes and links are of no use after some minutes, and who needs another asks again.
"""

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Callable
from typing import TypeAlias
from urllib.parse import quote

import msgspec

from hub.address import page_of
from hub.secret import private_key_pem
from notifiers.errors import OutcomeUnknown, Refused
from notifiers.providers.dkim import Signer
from notifiers.providers.dlt import Dlt
from notifiers.providers.mail import FileMailer, Mailer, Sender, SmtpMailer, sender_of
from notifiers.providers.sms import FileTexter, Texter, TwilioTexter
from notifiers.wording.letters import MAIL_VALUES, SMS_VALUES, Letter, MailKind, Sms, SmsKind, Writer, check
from schemas.durations import Seconds
from schemas.errors import SettingsError, Unavailable
from schemas.settings import Settings

log = logging.getLogger("tickhub.hub.post")

MAX_WAITING = 1000
SENDERS = 4
GIVE_UP_AFTER_S: Seconds = 300.0
FIRST_PAUSE_S: Seconds = 1.0
LONGEST_PAUSE_S: Seconds = 60.0

OUTBOX = "outbox"
NOBODY = Sender("tickhub", "no-reply@localhost")
"""Whom mail in files comes from, where no sender is set."""

LINKS = {MailKind.VERIFY_EMAIL: "verify-email", MailKind.RESET_PASSWORD: "reset-password"}
"""Letters with a link, and where under `/api/v1/auth` it leads; callers give the `token` in it."""

Write: TypeAlias = Callable[[], Letter | Sms]


class _Item(msgspec.Struct, kw_only=True):
    """A letter or text on its way; `write` is asked until it has been written."""

    id: str
    kind: str
    write: Write
    taken_at: float
    tries: int = 0


class Post:
    """Letters and texts, on their way out. `run` is what sends, and somebody must run it."""

    def __init__(
        self,
        mailer: Mailer,
        texter: Texter,
        writer: Writer,
        *,
        base_url: str,
        max_waiting: int = MAX_WAITING,
        first_pause_s: Seconds = FIRST_PAUSE_S,
        give_up_after_s: Seconds = GIVE_UP_AFTER_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`base_url` is where links begin, without a slash at its end."""
        self.sent = 0
        self.failed = 0
        """Refused for good, given up, or of unknown outcome."""
        self.retried = 0
        self._mailer = mailer
        self._texter = texter
        self._writer = writer
        self._base_url = base_url
        self._max_waiting = max_waiting
        self._first_pause_s = first_pause_s
        self._give_up_after_s = give_up_after_s
        self._clock = clock
        self._queue: asyncio.Queue[_Item] = asyncio.Queue()
        self._pausing: dict[str, tuple[asyncio.TimerHandle, _Item]] = {}
        self._waiting = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self._draining = False

    @property
    def waiting(self) -> int:
        """How many letters and texts are not out yet."""
        return self._waiting

    def admit(self) -> None:
        """Raises Unavailable where no more is taken; to be asked before anybody's account is looked at."""
        if self._waiting >= self._max_waiting:
            raise Unavailable("the post", "too much is waiting to be sent")

    def mail(self, kind: str, to: str, language: str | None, *, name: str = "", **values: str) -> None:
        """Have a letter sent soon; see `notifiers.wording.letters` for the kinds and what each needs.

        A letter with a link needs `token` instead of the link. Raises TypeError or ValueError for a wrong kind or
        values, Unavailable as `admit` does.
        """
        occasion, writer = MailKind(kind), self._writer
        if occasion in LINKS and "token" in values:
            values["link"] = (
                f"{self._base_url}/api/v1/auth/{LINKS[occasion]}?token={quote(values.pop('token'), safe='')}"
            )
        check(MAIL_VALUES[occasion], values)
        item_id = _new_id("m")
        self._take(
            item_id,
            kind,
            lambda: writer.letter(occasion, letter_id=item_id, to=to, language=language, name=name, **values),
        )

    def text(self, kind: str, to: str, language: str | None, **values: str) -> None:
        """Have a text message sent soon, to a number in E.164. Raises as `mail` does."""
        occasion, writer = SmsKind(kind), self._writer
        check(SMS_VALUES[occasion], values)
        item_id = _new_id("t")
        self._take(item_id, kind, lambda: writer.sms(occasion, sms_id=item_id, to=to, language=language, **values))

    def _take(self, item_id: str, kind: str, write: Write) -> None:
        self.admit()
        self._waiting += 1
        self._empty.clear()
        self._queue.put_nowait(_Item(id=item_id, kind=kind, write=write, taken_at=self._clock()))

    async def run(self) -> None:
        """Send until cancelled; what is being sent then may arrive or not. Closes what it sent with."""
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(SENDERS):
                    group.create_task(self._send_all(), name=f"post-{number}")
        finally:
            for timer, _ in self._pausing.values():
                timer.cancel()
            if self._waiting:
                log.warning("post.left", extra={"count": self._waiting})
            await self._mailer.close()
            await self._texter.close()

    async def drain(self, within_s: Seconds) -> None:
        """Returns once nothing waits, or after so long; from now on everything is tried once more and not again.

        `run` must be running. Cancelling is safe.
        """
        self._draining = True
        for timer, item in list(self._pausing.values()):
            timer.cancel()
            self._again(item)
        try:
            async with asyncio.timeout(within_s):
                await self._empty.wait()
        except TimeoutError:
            return

    async def _send_all(self) -> None:
        while True:
            item = await self._queue.get()
            try:
                await self._send(item)
            except (Refused, Unavailable) as exc:
                self._fail_or_pause(item, exc)
            except OutcomeUnknown as exc:
                self._give_up(item, exc)
            else:
                self.sent += 1
                self._done()
                log.info("post.sent", extra={"id": item.id, "kind": item.kind, "tries": item.tries})

    async def _send(self, item: _Item) -> None:
        item.tries += 1
        match item.write():
            case Letter() as letter:
                try:
                    await self._mailer.send(letter)
                except OutcomeUnknown as exc:  # a second copy has the same Message-ID
                    raise Unavailable(exc.provider, exc.why) from exc
            case Sms() as sms:
                await self._texter.send(sms)

    def _fail_or_pause(self, item: _Item, exc: Refused | Unavailable) -> None:
        pause_s = min(LONGEST_PAUSE_S, self._first_pause_s * 2 ** (item.tries - 1)) * random.uniform(0.5, 1.0)  # noqa: S311
        late = self._clock() + pause_s - item.taken_at > self._give_up_after_s
        if (isinstance(exc, Refused) and exc.permanent) or late or self._draining:
            self._give_up(item, exc)
            return
        self.retried += 1
        log.info("post.delayed", extra={"id": item.id, "kind": item.kind, "tries": item.tries, "why": str(exc)})
        timer = asyncio.get_running_loop().call_later(pause_s, self._again, item)
        self._pausing[item.id] = (timer, item)

    def _again(self, item: _Item) -> None:
        del self._pausing[item.id]
        self._queue.put_nowait(item)

    def _give_up(self, item: _Item, exc: Refused | Unavailable | OutcomeUnknown) -> None:
        self.failed += 1
        self._done()
        log.warning("post.failed", extra={"id": item.id, "kind": item.kind, "tries": item.tries, "why": str(exc)})

    def _done(self) -> None:
        self._waiting -= 1
        if not self._waiting:
            self._empty.set()


def _new_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(12)}"


def post_of(settings: Settings) -> Post:
    """The post that the settings describe. Blocks for some milliseconds. Raises SettingsError."""
    sender = sender_of_settings(settings)
    writer = Writer(product_of(sender), sender.domain)
    return Post(mailer_of(settings, sender), texter_of(settings), writer, base_url=page_of(settings))


def sender_of_settings(settings: Settings) -> Sender:
    """Whom all mail comes from. Raises SettingsError."""
    try:
        return sender_of(settings.smtp_from) if settings.smtp_from else NOBODY
    except ValueError as exc:
        raise SettingsError([f"SMTP_FROM: {exc}"]) from None


def product_of(sender: Sender) -> str:
    """What the service calls itself."""
    return sender.name or sender.domain


def dlt_of(settings: Settings) -> Dlt | None:
    """The SMS templates that are registered, where the settings name them. Raises SettingsError."""
    path = settings.dlt_file
    if path is None:
        return None
    try:
        return Dlt.load(path)
    except OSError as exc:
        raise SettingsError([f"DLT_FILE: can't read {path}: {exc.strerror}"]) from exc
    except ValueError as exc:
        raise SettingsError([f"DLT_FILE: {line}" for line in str(exc).splitlines()]) from exc


def mailer_of(settings: Settings, sender: Sender) -> Mailer:
    """Through SMTP where a server is set, else into files. Blocks. Raises SettingsError for a key that can't sign."""
    signer = signer_of(settings, sender)
    if settings.smtp_host is None:
        return FileMailer(settings.data_dir / OUTBOX, sender, signer=signer)
    return SmtpMailer(
        settings.smtp_host,
        settings.smtp_port,
        sender,
        user=settings.smtp_user,
        password=settings.smtp_password,
        signer=signer,
    )


def signer_of(settings: Settings, sender: Sender) -> Signer | None:
    """What signs the mail of the sender's domain, where a key is set. Blocks. Raises SettingsError."""
    if settings.dkim_selector is None or settings.dkim_private_key is None:
        return None
    key = private_key_pem(settings.dkim_private_key, "DKIM_PRIVATE_KEY")
    try:
        return Signer(settings.dkim_selector, sender.domain, key)
    except ValueError as exc:
        raise SettingsError([f"DKIM_PRIVATE_KEY: {exc}"]) from None


def texter_of(settings: Settings) -> Texter:
    """Through Twilio where an account is set, else into files."""
    if settings.twilio_account_sid is None or settings.twilio_auth_token is None:
        return FileTexter(settings.data_dir / OUTBOX)
    return TwilioTexter(
        settings.twilio_account_sid,
        settings.twilio_auth_token,
        sender=settings.twilio_from,
        messaging_service_sid=settings.twilio_messaging_service_sid,
        base_url=settings.twilio_base_url,
        dlt=dlt_of(settings),
    )
