"""Mail, out through SMTP or into files: one port, two twins, one contract suite."""

import asyncio
import contextlib
import ipaddress
import logging
import re
import ssl
import time
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, EmailPolicy
from email.utils import formatdate, parseaddr
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import aiosmtplib
import msgspec

from notifiers.errors import Blame, OutcomeUnknown, Refused
from notifiers.providers.dkim import Signer
from notifiers.providers.files import Outbox
from notifiers.providers.smtp_replies import Step, refusal
from notifiers.wording.letters import Letter
from notifiers.wording.texts import one_line
from schemas.durations import Seconds
from schemas.errors import Unavailable
from schemas.secret import Secret

log = logging.getLogger("tickhub.notifiers.providers.mail")

IMPLICIT_TLS_PORT = 465
MAX_IDLE = 4
MAX_IDLE_S: Seconds = 5.0
"""Servers drop connections that say nothing; one that has rested longer than this is not used again."""

_CLOSING = 421
_UNFOLDED = frozenset({"list-unsubscribe", "list-unsubscribe-post"})
_LEADING_DOT = re.compile(rb"(?m)^\.")
_ADDRESS = re.compile(r"""[^\s\x00-\x20\x7f<>()\[\],;:"\\@]{1,64}@[^\s\x00-\x20\x7f<>()\[\],;:"\\@]{1,253}""", re.ASCII)


class Mailer(Protocol):
    """Hands letters on.

    `name` is what kind it is, and `reaches` how far a letter has come once `send` returns: nobody tells more of it.
    """

    name: str
    reaches: Literal["sent", "delivered"]

    async def send(self, letter: Letter) -> None:
        """Returns once somebody else has taken the letter over.

        Raises Refused or Unavailable: it was not taken; OutcomeUnknown: it may have been. Cancelling leaves that open.
        A second copy does no harm: its Message-ID tells the recipient's side that it is the same letter.
        """

    async def close(self) -> None:
        """Lets go of all connections. Safe to call twice."""


class Sender(msgspec.Struct, frozen=True):
    """Whom letters come from."""

    name: str
    address: str

    @property
    def domain(self) -> str:
        """What stands behind the @."""
        return self.address.rpartition("@")[2]


def sender_of(text: str) -> Sender:
    """Out of `Name <address>` or an address alone. Raises ValueError."""
    name, address = parseaddr(text)
    if not _ADDRESS.fullmatch(address) or not address.isascii():
        raise ValueError("expected an address such as no-reply@example.com or Example <no-reply@example.com>")
    return Sender(one_line(name), address)


class _Wire(EmailPolicy):
    """Headers that hold addresses of pages stay on one line: folded, they would be written as encoded words."""

    def fold(self, name: str, value: str) -> str:
        if name.lower() in _UNFOLDED:
            return f"{name}: {value}\r\n"
        return str(super().fold(name, value))

    def fold_binary(self, name: str, value: str) -> bytes:
        if name.lower() in _UNFOLDED:
            return self.fold(name, value).encode("ascii")
        return super().fold_binary(name, value)


WIRE = _Wire(linesep="\r\n", max_line_length=SMTP.max_line_length)


Encoding: TypeAlias = Literal["base64", "8bit"]
"""Of a letter's contents: what every server on the way takes, or what can be read in any editor."""


def message_of(letter: Letter, sender: Sender, *, now: float, encoding: Encoding = "base64") -> EmailMessage:
    """The letter as MIME: text, and HTML beside it. Raises Refused for an address that can be none.

    Its own headers are put on as lines without breaks, whatever they hold.
    """
    message = EmailMessage(policy=WIRE)
    message["From"] = Address(sender.name, addr_spec=sender.address)
    message["To"] = Address(addr_spec=recipient_of(letter.to))
    message["Subject"] = one_line(letter.subject)
    message["Date"] = formatdate(now)
    message["Message-ID"] = letter.message_id
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers, please
    for name, value in letter.headers:
        message[name] = one_line(value)
    message.set_content(letter.text, cte=encoding)
    message.add_alternative(letter.html, subtype="html", cte=encoding)
    message["Content-Language"] = letter.language  # last: putting content in takes such headers away
    return message


def recipient_of(text: str) -> str:
    """The address as the wire wants it, an international domain in its ASCII form. Raises Refused."""
    local, _, domain = text.rpartition("@")
    try:
        address = f"{local}@{domain.encode('idna').decode()}"
    except UnicodeError:
        raise Refused("address", permanent=True, blame=Blame.ADDRESS) from None
    if not address.isascii() or not _ADDRESS.fullmatch(address):
        raise Refused("address", permanent=True, blame=Blame.ADDRESS)
    try:
        return Address(addr_spec=address).addr_spec
    except (ValueError, IndexError) as exc:
        raise Refused("address", permanent=True, blame=Blame.ADDRESS) from exc


async def _wired(letter: Letter, sender: Sender, signer: Signer | None, encoding: Encoding = "base64") -> bytes:
    """The letter as it goes over the wire, signed. Signing takes milliseconds, so a thread does it."""
    content = message_of(letter, sender, now=time.time(), encoding=encoding).as_bytes()
    return content if signer is None else await asyncio.to_thread(signer.signed, content)


class FileMailer:
    """Writes letters into files instead of sending them. A file has arrived: nobody carries it any farther."""

    name = "mail_files"
    reaches: Literal["sent", "delivered"] = "delivered"

    def __init__(self, folder: Path, sender: Sender, *, signer: Signer | None = None) -> None:
        self._outbox = Outbox(folder)
        self._sender = sender
        self._signer = signer
        self._said = False

    async def send(self, letter: Letter) -> None:
        """See `Mailer`."""
        if not self._said:
            self._said = True
            log.info("mail.to_files", extra={"folder": str(self._outbox.folder)})
        content = await _wired(letter, self._sender, self._signer, "8bit")
        await asyncio.to_thread(self._outbox.keep, letter.kind, letter.id, "eml", content)

    async def close(self) -> None:
        """See `Mailer`."""


class SmtpMailer:
    """Sends letters through a mail server.

    TLS from the start on port 465, else STARTTLS where the server offers it; a login is sent to another machine only
    under TLS, which whoever sits between could otherwise have struck from the offer. A connection is used again for a
    few seconds, and dropped after anything that left it in doubt: an error, a timeout, a cancelled send.

    Until the server has asked for the content nothing can have been taken over; from then on until it has answered,
    nobody knows.
    """

    name = "smtp"
    reaches: Literal["sent", "delivered"] = "sent"

    def __init__(
        self,
        host: str,
        port: int,
        sender: Sender,
        *,
        user: str | None = None,
        password: Secret | None = None,
        tls: ssl.SSLContext | None = None,
        timeout_s: Seconds = 20.0,
        signer: Signer | None = None,
    ) -> None:
        """`tls` is what to trust; None is what this machine trusts. The time limit is for a letter as a whole."""
        self._host = host
        self._port = port
        self._sender = sender
        self._user = user
        self._password = password or Secret("")
        self._tls = tls
        self._timeout_s = timeout_s
        self._signer = signer
        self._idle: list[tuple[float, aiosmtplib.SMTP]] = []

    async def send(self, letter: Letter) -> None:
        """See `Mailer`."""
        recipient = recipient_of(letter.to)
        content = await _wired(letter, self._sender, self._signer)
        client: aiosmtplib.SMTP | None = None
        handed_over = False
        try:
            async with asyncio.timeout(self._timeout_s):
                client = self._rested() or await self._connect()
                await _announce(client, self._sender.address, recipient)
                handed_over = True
                await _hand_over(client, content)
        except BaseException as exc:
            if client is not None:
                client.close()
            if isinstance(exc, aiosmtplib.SMTPException | OSError | TimeoutError):
                raise _translated(exc, handed_over=handed_over) from exc
            raise
        self._keep(client)

    async def check(self) -> None:
        """Connects and logs in, and sends nothing. Raises Unavailable or Refused."""
        try:
            async with asyncio.timeout(self._timeout_s):
                self._keep(await self._connect())
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as exc:
            raise _translated(exc, handed_over=False) from exc

    async def close(self) -> None:
        """See `Mailer`."""
        while self._idle:
            client = self._idle.pop()[1]
            with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
                await client.quit(timeout=1)
            client.close()

    async def _connect(self) -> aiosmtplib.SMTP:
        implicit = self._port == IMPLICIT_TLS_PORT
        client = aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            use_tls=implicit,
            start_tls=False if implicit else None,
            tls_context=self._tls,
            timeout=self._timeout_s,
        )
        try:
            await client.connect()
            if self._user is not None:
                if client.get_transport_info("sslcontext") is None and not _is_loopback(self._host):
                    raise Unavailable("the mail server", "it offers no TLS, and the login would be readable")
                await client.login(self._user, self._password.reveal())
        except BaseException:
            client.close()
            raise
        return client

    def _rested(self) -> aiosmtplib.SMTP | None:
        """A connection that can be used again."""
        latest = time.monotonic() - MAX_IDLE_S
        while self._idle:
            since, client = self._idle.pop()
            if client.is_connected and since >= latest:
                return client
            client.close()
        return None

    def _keep(self, client: aiosmtplib.SMTP) -> None:
        self._idle.append((time.monotonic(), client))
        if len(self._idle) > MAX_IDLE:
            self._idle.pop(0)[1].close()


async def _announce(client: aiosmtplib.SMTP, sender: str, recipient: str) -> None:
    """From whom to whom, until the server asks for the content."""
    await client.mail(sender)
    await client.rcpt(recipient)
    answer = await client.execute_command(b"DATA")
    if answer.code != aiosmtplib.SMTPStatus.start_input:
        raise aiosmtplib.SMTPDataError(answer.code, answer.message)


async def _hand_over(client: aiosmtplib.SMTP, content: bytes) -> None:
    """The content up to the lone dot (RFC 5321, 4.5.2). The library's own way does not tell how far it got."""
    protocol = client.protocol
    if protocol is None:
        raise aiosmtplib.SMTPServerDisconnected("Connection lost")
    protocol.write(_LEADING_DOT.sub(b"..", content) + b".\r\n")
    answer = await protocol.read_response(client.timeout)
    if answer.code != aiosmtplib.SMTPStatus.completed:
        raise aiosmtplib.SMTPDataError(answer.code, answer.message)


def _translated(exc: BaseException, *, handed_over: bool) -> Refused | Unavailable | OutcomeUnknown:
    """What an error of the SMTP client means for the letter."""
    match exc:
        case aiosmtplib.SMTPAuthenticationError():
            return Refused(f"SMTP {exc.code}", permanent=False, blame=Blame.PROVIDER)
        case aiosmtplib.SMTPHeloError() | aiosmtplib.SMTPConnectResponseError():
            return Unavailable("the mail server", f"it refuses to talk (SMTP {exc.code})")
        case aiosmtplib.SMTPResponseException() if exc.code == _CLOSING:
            return Unavailable("the mail server", f"it closes (SMTP {exc.code})")
        case aiosmtplib.SMTPResponseException() if 400 <= exc.code < 600:
            return refusal(exc.code, exc.message, _step_of(exc))
        case _ if handed_over:
            return OutcomeUnknown("the mail server", type(exc).__name__)
        case _:
            return Unavailable("the mail server", type(exc).__name__)


def _step_of(exc: aiosmtplib.SMTPResponseException) -> Step:
    match exc:
        case aiosmtplib.SMTPSenderRefused():
            return "sender"
        case aiosmtplib.SMTPRecipientRefused():
            return "recipient"
        case _:
            return "content"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
