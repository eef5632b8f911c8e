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
from email.policy import SMTP as WIRE
from email.utils import formatdate, parseaddr
from pathlib import Path
from typing import Protocol

import aiosmtplib
import msgspec

from notifiers.errors import Refused
from notifiers.providers.files import Outbox
from notifiers.wording.letters import Letter, one_line
from schemas.durations import Seconds
from schemas.errors import Unavailable
from schemas.secret import Secret

log = logging.getLogger("tickhub.notifiers.providers.mail")

IMPLICIT_TLS_PORT = 465
MAX_IDLE = 4
MAX_IDLE_S: Seconds = 5.0
"""Servers drop connections that say nothing; one that has rested longer than this is not used again."""

_ADDRESS = re.compile(r"""[^\s\x00-\x20\x7f<>()\[\],;:"\\@]{1,64}@[^\s\x00-\x20\x7f<>()\[\],;:"\\@]{1,253}""", re.ASCII)


class Mailer(Protocol):
    """Hands letters on."""

    async def send(self, letter: Letter) -> None:
        """Returns once somebody else has taken the letter over.

        Raises Refused, or Unavailable. After Unavailable, and after cancelling, the letter may have been taken all the
        same; its Message-ID tells the recipient's side that a second copy is the same letter.
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


def message_of(letter: Letter, sender: Sender, *, now: float) -> EmailMessage:
    """The letter as MIME: text, and HTML beside it. Raises Refused for an address that can be none."""
    message = EmailMessage(policy=WIRE)
    message["From"] = Address(sender.name, addr_spec=sender.address)
    message["To"] = Address(addr_spec=recipient_of(letter.to))
    message["Subject"] = one_line(letter.subject)
    message["Date"] = formatdate(now)
    message["Message-ID"] = letter.message_id
    message["Content-Language"] = letter.language
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers, please
    message.set_content(letter.text, cte="base64")
    message.add_alternative(letter.html, subtype="html", cte="base64")
    return message


def recipient_of(text: str) -> str:
    """The address as the wire wants it, an international domain in its ASCII form. Raises Refused."""
    local, _, domain = text.rpartition("@")
    try:
        address = f"{local}@{domain.encode('idna').decode()}"
    except UnicodeError:
        raise Refused("address", permanent=True) from None
    if not address.isascii() or not _ADDRESS.fullmatch(address):
        raise Refused("address", permanent=True)
    try:
        return Address(addr_spec=address).addr_spec
    except (ValueError, IndexError) as exc:
        raise Refused("address", permanent=True) from exc


class FileMailer:
    """Writes letters into files instead of sending them."""

    def __init__(self, folder: Path, sender: Sender) -> None:
        self._outbox = Outbox(folder)
        self._sender = sender
        self._said = False

    async def send(self, letter: Letter) -> None:
        """See `Mailer`."""
        if not self._said:
            self._said = True
            log.info("mail.to_files", extra={"folder": str(self._outbox.folder)})
        content = message_of(letter, self._sender, now=time.time()).as_bytes()
        await asyncio.to_thread(self._outbox.keep, letter.kind, letter.id, "eml", content)

    async def close(self) -> None:
        """See `Mailer`."""


class SmtpMailer:
    """Sends letters through a mail server.

    TLS from the start on port 465, else STARTTLS where the server offers it; a login is sent to another machine only
    under TLS, which whoever sits between could otherwise have struck from the offer. A connection is used again for a
    few seconds, and dropped after anything that left it in doubt: an error, a timeout, a cancelled send.
    """

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
    ) -> None:
        """`tls` is what to trust; None is what this machine trusts."""
        self._host = host
        self._port = port
        self._sender = sender
        self._user = user
        self._password = password or Secret("")
        self._tls = tls
        self._timeout_s = timeout_s
        self._idle: list[tuple[float, aiosmtplib.SMTP]] = []

    async def send(self, letter: Letter) -> None:
        """See `Mailer`."""
        message = message_of(letter, self._sender, now=time.time())
        client: aiosmtplib.SMTP | None = None
        try:
            async with asyncio.timeout(self._timeout_s):
                client = self._rested() or await self._connect()
                await client.send_message(message, sender=self._sender.address, recipients=[recipient_of(letter.to)])
        except BaseException as exc:
            if client is not None:
                client.close()
            if isinstance(exc, aiosmtplib.SMTPException | OSError | TimeoutError):
                raise _translated(exc) from exc
            raise
        self._keep(client)

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


def _translated(exc: BaseException) -> Refused | Unavailable:
    """What an error of the SMTP client means for the letter."""
    match exc:
        case aiosmtplib.SMTPRecipientsRefused():
            return _translated(exc.recipients[0])
        case aiosmtplib.SMTPAuthenticationError():
            return Unavailable("the mail server", f"it refuses the login (SMTP {exc.code})")
        case aiosmtplib.SMTPHeloError() | aiosmtplib.SMTPConnectResponseError():
            return Unavailable("the mail server", f"it refuses to talk (SMTP {exc.code})")
        case aiosmtplib.SMTPResponseException():
            return Refused(f"SMTP {exc.code}", permanent=exc.code >= 500)
        case _:
            return Unavailable("the mail server", type(exc).__name__)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
