"""The providers of the fault tests, behind lines that can be cut, and how often each was asked for the same."""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator

import msgspec

from tests.notifiers.providers.cue_server import CueServer, answer
from tests.notifiers.providers.smtp_server import SmtpServer
from tests.notifiers.providers.twilio_server import ACCOUNT, TOKEN, TwilioServer
from tests.servers import FaultProxy

NUMBER = "+15550001111"


class Providers:
    """A user's server, a mail server and Twilio. What they have accepted counts, whether anybody heard of it or not."""

    def __init__(self) -> None:
        self.hooks = CueServer()
        self.hooks.cues = [answer(200)]
        self.smtp = SmtpServer()
        self.twilio = TwilioServer()
        self.lines: list[FaultProxy] = []

    @property
    def hook_url(self) -> str:
        """What users have as their webhook."""
        return f"http://127.0.0.1:{self.lines[0].port}/hook"

    @property
    def settings(self) -> dict[str, str]:
        """What leads the hub here."""
        return {
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(self.lines[1].port),
            "SMTP_FROM": "Acme <alerts@acme.example>",
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_FROM": NUMBER,
            "TWILIO_BASE_URL": f"http://127.0.0.1:{self.lines[2].port}/proxy",
        }

    def hold(self) -> None:
        """Accept, and answer nothing until `release`."""
        self.hooks.hold.clear()
        self.smtp.hold.clear()
        self.twilio.hold.clear()

    def release(self) -> None:
        """Answer."""
        self.hooks.hold.set()
        self.smtp.hold.set()
        self.twilio.hold.set()

    def die(self) -> None:
        """As processes that are killed: every line is cut, and none is taken."""
        for line in self.lines:
            line.refuse()
            line.cut()

    async def live(self) -> None:
        """Be there again."""
        for line in self.lines:
            await line.accept()

    def die_unheard(self) -> None:
        """Accept the next one, and be gone before a word of it is out."""
        for line, words in zip(self.lines, (b"POST /hook", b"\r\n.\r\n", b"/Messages.json"), strict=True):
            line.swallow_next_reply(after=words)

    def accepted(self, channel: str) -> Counter[str]:
        """By what tells deliveries apart: how often each was accepted."""
        match channel:
            case "webhook":
                return Counter(one.headers["webhook-id"] for one in self.hooks.asked)
            case "email":
                return Counter(str(one.message["Message-ID"]) for one in self.smtp.mails)
            case _:
                return Counter(f"{one['To']} {one['Body']}" for one in self.twilio.created)


class Counted(msgspec.Struct, frozen=True):
    """What became of the deliveries of one channel, by those who asked for them and those who were asked."""

    deliveries: int
    lost: int
    doubled: int
    in_doubt: int


@contextlib.asynccontextmanager
async def providing() -> AsyncIterator[Providers]:
    """They are there inside the block."""
    providers = Providers()
    async with contextlib.AsyncExitStack() as stack:
        for server in (providers.hooks, providers.smtp, providers.twilio):
            await stack.enter_async_context(server)
        ports = (providers.hooks.port, providers.smtp.port, int(providers.twilio.url.split(":")[2].split("/")[0]))
        for port in ports:
            providers.lines.append(await stack.enter_async_context(FaultProxy("127.0.0.1", port)))
        try:
            yield providers
        finally:
            providers.release()
