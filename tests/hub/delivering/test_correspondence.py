"""An address that a provider refuses for good is written to no more, and it is known why."""

import asyncio
from pathlib import Path

from sqlalchemy import select

from schemas.tables import suppressions
from tests.hub.live import running
from tests.notifiers.providers.smtp_server import SmtpServer
from tests.notifiers.providers.twilio_server import TwilioServer
from tests.trader import Sent, Trader


async def test_a_mailbox_that_does_not_exist_gets_no_second_letter(tmp_path: Path) -> None:
    async with SmtpServer() as smtp, TwilioServer() as twilio:
        settings = {
            "SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(smtp.port), "SMTP_FROM": "alerts@acme.example",
            "TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "x" * 32, "TWILIO_FROM": "+15005550006",
            "TWILIO_BASE_URL": twilio.url,
        }  # fmt: skip
        async with running(tmp_path, roles=("notifiers",), **settings) as hub:
            trader = Trader(hub, Sent(smtp, twilio))
            await trader.arrive("en")
            alert = await trader.alert("TCS", "price > 1", "email")
            smtp.replies["RCPT"] = "550 5.1.1 no such user"
            await trader.data("POST", f"alerts/{alert['id']}/test", {})

            async with asyncio.timeout(10):
                while (await trader.deliveries(alert))["email"]["status"] != "dead":  # noqa: ASYNC110 - the worker's doing
                    await asyncio.sleep(0.02)
            async with hub.engine.connect() as connection:
                found = await connection.execute(select(suppressions.c.channel, suppressions.c.reason))
            assert [tuple(row) for row in found] == [("email", "SMTP 550 5.1.1")]
