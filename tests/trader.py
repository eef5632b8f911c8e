"""Somebody with verified addresses who sets alerts at a hub, and whoever reads what they are sent."""

import email.policy
import re
from collections.abc import Callable, Sequence
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

from tests.hub.live import Answer, Hub, HubProcess, bearer, request, until
from tests.hub.people import Person
from tests.notifiers.providers.smtp_server import SmtpServer
from tests.notifiers.providers.twilio_server import TwilioServer

NUMBER = "+919876543210"
LONG_S = 20.0
"""How long a delivery may take where several processes have part in it."""


class Letterbox(Protocol):
    """Where what is sent to people can be read, the oldest first."""

    def mails(self) -> Sequence[EmailMessage]:
        """All mail."""

    def texts(self) -> Sequence[str]:
        """All SMS, as whoever gets them sees them."""


class Sent(Letterbox):
    """What a mail server and a telephone company have taken."""

    def __init__(self, smtp: SmtpServer, twilio: TwilioServer) -> None:
        self._smtp = smtp
        self._twilio = twilio

    def mails(self) -> Sequence[EmailMessage]:
        return [mail.message for mail in self._smtp.mails]

    def texts(self) -> Sequence[str]:
        return [form["Body"] for form in self._twilio.created if "Body" in form]


class Files(Letterbox):
    """What was written into `DATA_DIR/outbox` instead of being sent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def mails(self) -> Sequence[EmailMessage]:
        found = (path.read_bytes() for path in self._kept("*.eml"))
        return [email.message_from_bytes(content, policy=email.policy.default) for content in found]  # type: ignore[misc]

    def texts(self) -> Sequence[str]:
        return [path.read_text() for path in self._kept("*.sms.txt")]

    def calls(self) -> Sequence[str]:
        return [path.read_text() for path in self._kept("*.call.txt")]

    def _kept(self, pattern: str) -> list[Path]:
        return sorted(self.folder.glob(pattern), key=lambda path: path.stat().st_mtime_ns)


class Trader(Person):
    """A person with the plan pro, whose address and telephone are verified, and who speaks some language."""

    def __init__(self, hub: Hub | HubProcess, letterbox: Letterbox, address: str = "asha@example.com") -> None:
        super().__init__(hub, address)  # type: ignore[arg-type]
        self._letterbox = letterbox

    async def arrive(self, language: str) -> None:
        """Register, verify everything, choose the language, and get the plan."""
        assert (await self.register(name="Asha", phone=NUMBER)).status == 201
        await self._verify_mail()
        await self._verify_phone()
        assert (await self.ask("PUT", "users/preferences", {"language": language})).status == 200
        await self._promote()

    async def _verify_mail(self) -> None:
        token = await self._found(self._mail_tokens)
        answer = await self.ask("POST", "auth/verify-email", {"token": unquote(token)})
        assert answer.status == 200, answer.json

    async def _verify_phone(self) -> None:
        challenge = (await self.ask("POST", "users/me/phone/send")).data["challenge"]
        code = await self._found(self._codes_by_text)
        answer = await self.ask("POST", "users/me/phone/verify", {"challenge": challenge, "code": code})
        assert answer.status == 200, answer.json

    async def _promote(self) -> None:
        answer = await self.ask("PUT", f"admin/users/{self.id}", {"plan": "pro"}, **bearer("boss", role="admin"))
        assert answer.status == 200, answer.json
        assert (await self.login()).status == 200

    def _mail_tokens(self) -> list[str]:
        texts = [body.get_content() for mail in self._letterbox.mails() if (body := mail.get_body(("plain",)))]
        return [match[1] for text in texts if (match := re.search(r"verify-email\?token=([\w.%~-]+)", text))]

    def _codes_by_text(self) -> list[str]:
        return [match[1] for text in self._letterbox.texts() if (match := re.search(r"\b(\d{6})\b", text))]

    async def _found(self, look: Callable[[], list[str]]) -> str:
        await until(look)
        return look()[-1]

    # -- alerts -------------------------------------------------------------------------------------------------------

    async def data(self, method: str, path: str, body: Any = None) -> Any:
        """What a request is answered, which must be a success."""
        answer = await self.ask(method, path, body)
        assert answer.status < 300, answer.json
        return answer.data

    async def alert(self, symbol: str, condition: str, *channels: str, **fields: Any) -> Any:
        """Set an alert."""
        body = {"symbol": symbol, "condition": condition, "channels": channels or ("websocket",)} | fields
        return await self.data("POST", "alerts", body)

    async def history(self, alert: Any) -> list[Any]:
        """What it has fired, the newest first."""
        items: list[Any] = (await self.data("GET", f"alerts/{alert['id']}/history"))["items"]
        return items

    async def deliveries(self, alert: Any) -> dict[str, Any]:
        """What was sent of it, by channel: the newest of each."""
        items = (await self.data("GET", f"alerts/{alert['id']}/deliveries"))["items"]
        return {one["channel"]: one for one in reversed(items)}


async def publish(hub: Hub | HubProcess, symbol: str, price: float, **data: Any) -> None:
    """A price comes from outside, over HTTP."""
    person = Person(hub)  # type: ignore[arg-type]
    body = {"channel": f"market:{symbol}", "data": {"price": price} | data}
    answer = await person.ask("POST", "publish", body, **bearer("server", role="admin"))
    assert answer.status == 201, answer.json


def one_click(url: str) -> Answer:
    """What a mail program does to unsubscribe (RFC 8058). Blocks."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    return request(url, "POST", b"List-Unsubscribe=One-Click", **form)
