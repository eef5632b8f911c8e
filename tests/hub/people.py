"""A person with an account, who talks to a hub of the tests over HTTP and reads the mail."""

import asyncio
import email
import email.policy
import json
import re
import time
from pathlib import Path
from typing import Any

import pyotp

from tests.hub.live import Answer, Hub, request, until

PASSWORD = "monsoon-Tram-81"


class Person:
    """One browser of one person. `headers` are what it sends besides its token."""

    def __init__(self, hub: Hub, address: str = "asha@example.com", password: str = PASSWORD, **headers: str) -> None:
        self.hub = hub
        self.address = address
        self.password = password
        self.headers = headers
        self.tokens: dict[str, Any] = {}
        self.secret = ""
        """Of the second factor."""

    @property
    def id(self) -> str:
        return str(self.tokens["user"]["id"])

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens['access_token']}"} if self.tokens else {}

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request under `/api/v1`, with the token where there is one and no other is given."""
        data = None if body is None else json.dumps(body).encode()
        sent = self.bearer | self.headers | headers
        return await asyncio.to_thread(request, f"{self.hub.url}/api/v1/{path}", method, data, **sent)

    async def register(self, **fields: Any) -> Answer:
        answer = await self.ask("POST", "auth/register", {"email": self.address, "password": self.password} | fields)
        if answer.status == 201:
            self.tokens = answer.data
        return answer

    async def login(self, **fields: Any) -> Answer:
        self.tokens = {}
        answer = await self.ask("POST", "auth/login", {"email": self.address, "password": self.password} | fields)
        if answer.status == 200 and "access_token" in answer.data:
            self.tokens = answer.data
        return answer

    async def refresh(self) -> Answer:
        answer = await self.ask("POST", "auth/refresh", {"refresh_token": self.tokens["refresh_token"]})
        if answer.status == 200:
            self.tokens = answer.data
        return answer

    async def enable_second_factor(self) -> list[str]:
        """Switches it on with the code of this half minute; the recovery codes."""
        self.secret = (await self.ask("POST", "auth/2fa/setup")).data["secret"]
        answer = await self.ask("POST", "auth/2fa/verify", {"code": self.code()})
        codes: list[str] = answer.data["recovery_codes"]
        return codes

    def code(self, steps: int = 0) -> str:
        """What the authenticator shows so many half minutes from now."""
        return pyotp.TOTP(self.secret).at(time.time() + steps * 30)

    async def mail(self, *words: str) -> str:
        """The text of the newest letter to this address that holds all these words."""
        found: list[str] = []

        def arrived() -> bool:
            found[:] = [
                text for to, text in letters(self.hub.settings.data_dir / "outbox") if self.address.casefold() in to
            ]
            found[:] = [text for text in found if all(word in text for word in words)]
            return bool(found)

        await until(arrived)
        return found[-1]

    async def code_by_mail(self) -> str:
        """The six digits of the newest letter that has such."""
        await until(self._codes)
        return self._codes()[-1]

    def _codes(self) -> list[str]:
        texts = [text for to, text in letters(self.hub.settings.data_dir / "outbox") if self.address.casefold() in to]
        return [match[1] for text in texts if (match := re.search(r"\b(\d{6})\b", text))]

    async def link_token(self, *words: str) -> str:
        """The token of the link in such a letter."""
        match = re.search(r"token=([\w.%~-]+)", await self.mail(*words))
        assert match is not None
        return match[1]


def letters(folder: Path) -> list[tuple[str, str]]:
    """All mail in files, the oldest first: to whom, and its text."""
    read: list[tuple[str, str]] = []
    for path in sorted(folder.glob("*.eml")):
        letter = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        body = letter.get_body(("plain",))
        assert body is not None
        read.append((str(letter["To"]).casefold(), f"{letter['Subject']}\n{body.get_content()}"))
    return read
