"""A mail server on loopback that keeps what it is given, and has the faults that a test wants."""

import asyncio
import base64
import re
import ssl
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from types import TracebackType
from typing import Self


class Mail:
    """One mail as it came over the wire."""

    def __init__(self, sender: str, recipients: list[str], content: bytes, *, encrypted: bool) -> None:
        self.sender = sender
        self.recipients = recipients
        self.content = content
        self.encrypted = encrypted

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.content, policy=default)  # type: ignore[return-value,unused-ignore]


class SmtpServer:
    """`async with SmtpServer() as server:`; what it shall do wrong is set on it at any time."""

    def __init__(self, *, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.mails: list[Mail] = []
        self.connections = 0
        self.logins: list[tuple[str, str]] = []
        self.replies: dict[str, str] = {}
        """What to say instead of yes, by command: `{"RCPT": "550 5.1.1 no such user"}`; `.` is the end of the data."""
        self.greeting = "220 mail.test ESMTP"
        self.hold = asyncio.Event()
        """Cleared, the answer to the data is held until it is set."""
        self.hold.set()
        self.in_data = asyncio.Event()
        """Set while such an answer is held."""
        self.cut_at: str | None = None
        """The command at which the line is cut; at `.` the mail has been taken, and nobody is told."""
        self.offer_auth = False
        self._starttls = starttls
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.hold.set()
        self.drop()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    def drop(self) -> None:
        """Cut all lines."""
        for writer in self._writers:
            writer.transport.abort()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        try:
            await _Conversation(self, reader, writer, encrypted=self._tls is not None).run()
        except (OSError, asyncio.IncompleteReadError, ssl.SSLError):
            return
        finally:
            writer.close()
            self._writers.discard(writer)
            self._tasks.discard(task)


class _Conversation:
    def __init__(
        self, server: SmtpServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, encrypted: bool
    ) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer
        self.encrypted = encrypted
        self.sender = ""
        self.recipients: list[str] = []

    async def say(self, line: str) -> None:
        self.writer.write(line.encode() + b"\r\n")
        await self.writer.drain()

    async def run(self) -> None:
        await self.say(self.server.greeting)
        while line := (await self.reader.readline()).decode().strip():
            command = line.split(" ")[0].upper()
            if command == self.server.cut_at:
                self.writer.transport.abort()
                return
            if command in self.server.replies:
                await self.say(self.server.replies[command])
            elif not await self.answer(command, line):
                return

    async def answer(self, command: str, line: str) -> bool:
        match command:
            case "EHLO" | "HELO":
                await self.greet()
            case "STARTTLS":
                await self.say("220 go ahead")
                await self.writer.start_tls(self.server._starttls)  # type: ignore[arg-type]
                self.encrypted = True
            case "AUTH":
                await self.login(line)
            case "MAIL" if self.sender:
                await self.say("503 nested MAIL command")
            case "MAIL":
                self.sender = line.partition("<")[2].partition(">")[0]
                await self.say("250 ok")
            case "RCPT":
                self.recipients.append(line.partition("<")[2].partition(">")[0])
                await self.say("250 ok")
            case "DATA":
                await self.data()
            case "QUIT":
                await self.say("221 bye")
                return False
            case _:
                self.sender, self.recipients = "", []
                await self.say("250 ok")
        return True

    async def greet(self) -> None:
        offered = ["mail.test"]
        if self.server._starttls is not None and not self.encrypted:
            offered.append("STARTTLS")
        if self.server.offer_auth:
            offered.append("AUTH PLAIN LOGIN")
        for number, word in enumerate(offered):
            await self.say(f"250{' ' if number == len(offered) - 1 else '-'}{word}")

    async def login(self, line: str) -> None:
        _, user, password = base64.b64decode(line.split(" ")[2]).decode().split("\0")
        self.server.logins.append((user, password))
        await self.say("235 welcome")

    async def data(self) -> None:
        await self.say("354 go on")
        content = await self.reader.readuntil(b"\r\n.\r\n")
        self.server.in_data.set()
        await self.server.hold.wait()
        if "." in self.server.replies:
            await self.say(self.server.replies["."])
        else:
            content = re.sub(rb"(?m)^\.\.", b".", content[:-3])
            mail = Mail(self.sender, self.recipients, content, encrypted=self.encrypted)
            self.server.mails.append(mail)
            if self.server.cut_at == ".":
                self.writer.transport.abort()
                return
            await self.say("250 taken")
        self.sender, self.recipients = "", []
