"""SMS with codes of accounts, out through Twilio or into files: one port, two twins."""

import asyncio
import logging
from pathlib import Path
from typing import Protocol

from notifiers.providers.dlt import Dlt
from notifiers.providers.files import Outbox
from notifiers.providers.twilio import Twilio
from notifiers.wording.letters import Sms
from schemas.durations import Seconds
from schemas.secret import Secret

log = logging.getLogger("tickhub.notifiers.providers.sms")

VALID_FOR_S = 600
"""How long Twilio may try: a code that comes later is of no use. Twilio's own default is ten hours."""


class Texter(Protocol):
    """Hands text messages on."""

    async def send(self, sms: Sms) -> str:
        """Returns once somebody else has taken the text over, with what they call it.

        Raises Refused or Unavailable: it was not sent; OutcomeUnknown: it may have been. Cancelling leaves that open.
        """

    async def close(self) -> None:
        """Lets go of all connections. Safe to call twice."""


class FileTexter:
    """Writes texts into files instead of sending them."""

    def __init__(self, folder: Path) -> None:
        self._outbox = Outbox(folder)
        self._said = False

    async def send(self, sms: Sms) -> str:
        """See `Texter`."""
        if not self._said:
            self._said = True
            log.info("sms.to_files", extra={"folder": str(self._outbox.folder)})
        content = f"To: {sms.to}\n\n{sms.text}\n".encode()
        return (await asyncio.to_thread(self._outbox.keep, sms.kind, sms.id, "sms.txt", content)).name

    async def close(self) -> None:
        """See `Texter`."""


class TwilioTexter:
    """Sends texts through Twilio, each of them with one request."""

    def __init__(
        self,
        account_sid: str,
        auth_token: Secret,
        *,
        sender: str | None = None,
        messaging_service_sid: str | None = None,
        dlt: Dlt | None = None,
        base_url: str | None = None,
        timeout_s: Seconds = 15.0,
    ) -> None:
        """`sender` is a number of the account's, or the service chooses one. Raises ValueError without either.

        A text that is registered in `dlt` comes from its template's header.
        """
        if not sender and not messaging_service_sid:
            raise ValueError("a text needs a sender: a number or a messaging service")
        self._origin = {"messaging_service_sid": messaging_service_sid} if messaging_service_sid else {"from_": sender}
        self._dlt = dlt
        self._twilio = Twilio(account_sid, auth_token, base_url=base_url, timeout_s=timeout_s)

    async def send(self, sms: Sms) -> str:
        """See `Texter`."""
        origin = self._origin | self._header(sms)
        created = self._twilio.client.messages.create_async(
            to=sms.to, body=sms.text, validity_period=VALID_FOR_S, **origin
        )
        return str((await self._twilio.create(created)).sid)

    async def close(self) -> None:
        """See `Texter`."""

    def _header(self, sms: Sms) -> dict[str, str | None]:
        if self._dlt is None:
            return {}
        registered = self._dlt.matching(sms.kind, sms.language, sms.text)
        if registered is None:
            log.warning("sms.not_registered", extra={"id": sms.id, "kind": sms.kind, "language": sms.language})
            return {}
        return {"from_": registered.header}
