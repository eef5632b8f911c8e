"""From a price to a mail, an SMS, a call, a notification, a webhook and the socket, and back: alerts in a whole hub."""

import asyncio
import contextlib
import logging
import time
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import update
from standardwebhooks import Webhook

from feeds.candles.bars import Bar
from schemas.market import PRICE_SCALE
from schemas.tables import deliveries
from tests.hub.live import SECRET, Client, Hub, HubProcess, client_of, running, until
from tests.notifiers.providers.browser import PushBrowser
from tests.notifiers.providers.cue_server import CueServer, answer
from tests.notifiers.providers.smtp_server import SmtpServer
from tests.notifiers.providers.twilio_server import ACCOUNT, TOKEN, TwilioServer
from tests.servers import free_port
from tests.trader import LONG_S, NUMBER, Files, Sent, Trader, one_click, publish

CHANNELS = ("email", "sms", "voice", "push", "webhook")
SENDER = "+15550001111"


class Ear:
    """What one hears on `alerts:user`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.events: list[dict[str, Any]] = []

    async def hear(
        self, event: str, *, within_s: float = LONG_S, after: dict[str, Any] | None = None, **fields: Any
    ) -> dict[str, Any]:
        """The first such event, heard already or to come; with `after`, of those that came later."""
        wanted = fields | {"event": event}
        place = 0 if after is None else self.events.index(after) + 1
        async with asyncio.timeout(within_s):
            while True:
                for one in self.events[place:]:
                    if wanted.items() <= one.items():
                        return one
                place = len(self.events)
                message = await self._client.hear("alerts:triggered", within_s=LONG_S)
                self.events.append(message["data"])


class World:
    """A hub, and everybody whom it talks to."""

    def __init__(self, smtp: SmtpServer, twilio: TwilioServer, theirs: CueServer) -> None:
        self.smtp = smtp
        self.twilio = twilio
        self.theirs = theirs
        """A user's own server, and the push service of a browser."""
        self.browser = PushBrowser()
        self.hub: Hub | HubProcess

    @property
    def settings(self) -> dict[str, str]:
        """What leads the hub to them."""
        return {
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(self.smtp.port),
            "SMTP_FROM": "Acme <alerts@acme.example>",
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_FROM": SENDER,
            "TWILIO_BASE_URL": self.twilio.url,
            "VOICE_CALLS_PER_SECOND": "1000",
            "WEBHOOK_NETWORKS": "127.0.0.0/8",
            "FEED_SYMBOLS": "NSE:INFY",
        }

    async def trader(self, language: str) -> Trader:
        trader = Trader(self.hub, Sent(self.smtp, self.twilio))
        await trader.arrive(language)
        return trader

    @contextlib.asynccontextmanager
    async def ear_of(self, trader: Trader) -> AsyncIterator[Ear]:
        place = self.hub.url.removeprefix("http://")
        async with client_of(place, query=f"?token={trader.tokens['access_token']}") as client:
            await client.subscribe("alerts:user")
            yield Ear(client)

    def form_of(self, family: str) -> tuple[str, dict[str, str]]:
        """The newest message or call that was asked for, with its id."""
        return [(sid, one.form) for sid, one in self.twilio.resources.items() if one.family == family][-1]

    def asked(self, path: str) -> Any:
        """The only request under that path."""
        (one,) = [one for one in self.theirs.asked if one.path == path]
        return one


@contextlib.asynccontextmanager
async def one_process(world: World, folder: Path) -> AsyncIterator[None]:
    port = free_port()
    settings = world.settings | {"PORT": str(port), "PUBLIC_URL": f"http://127.0.0.1:{port}"}
    async with running(folder, feeds=True, roles=("alerts", "notifiers"), **settings) as world.hub:
        yield


@contextlib.asynccontextmanager
async def four_processes(world: World, environ: dict[str, str]) -> AsyncIterator[None]:
    """Each role in its own process, over PostgreSQL and Redis."""
    settings = world.settings | environ
    web = world.hub = HubProcess("web", **settings)
    processes = [web, *(HubProcess(role, **settings) for role in ("feeds", "alerts", "notifiers"))]
    for process in processes:
        process.environ["PUBLIC_URL"] = web.url
    try:
        await asyncio.gather(*(asyncio.to_thread(process.start) for process in processes))
        for process in processes:
            await until(lambda process=process: "broker.listening" in process.log(), LONG_S)
        yield
        await asyncio.gather(*(asyncio.to_thread(process.stop) for process in processes))
        for process in processes:
            assert "Traceback" not in process.log(), process.log()
    finally:
        for process in processes:
            process.close()


@pytest.fixture(params=["one process", "four processes"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with SmtpServer() as smtp, TwilioServer() as twilio, CueServer() as theirs:
        theirs.cues = [answer(201)]
        world = World(smtp, twilio, theirs)
        if request.param == "one process":
            at_work = one_process(world, tmp_path)
        else:
            urls = {name: request.getfixturevalue(name.lower()) for name in ("POSTGRES_URL", "REDIS_URL")}
            at_work = four_processes(world, {"DATABASE_URL": urls["POSTGRES_URL"], "REDIS_URL": urls["REDIS_URL"]})
        async with at_work:
            yield world


async def test_an_alert_in_marathi_reaches_its_owner_by_every_channel_and_is_answered(world: World) -> None:
    trader = await world.trader("mr")
    secret = (await trader.data("POST", "users/webhooks", {"url": f"{world.theirs.url}/hook"}))["secret"]
    keys = {"p256dh": world.browser.p256dh, "auth": world.browser.auth}
    await trader.data("POST", "users/push-subscriptions", {"endpoint": f"{world.theirs.url}/push", "keys": keys})
    level = round(await simulated_price(trader) * 1.02)
    async with world.ear_of(trader) as ear:
        alert = await trader.alert("INFY", f"price crosses above {level}", *CHANNELS)
        fired = await fires(world.hub, ear, alert, "NSE:INFY", level + 4.5)
        assert (fired["language"], fired["title"]) == ("mr", f"INFY ₹{level:,} च्या वर जातो (₹{level + 4.5:,.2f})")
        for channel, status in zip(CHANNELS, ("sent", "accepted", "accepted", "sent", "delivered"), strict=True):
            await ear.hear("delivery", channel=channel, status=status)
        says_it_in_marathi(world, fired, secret)
        await answers_by_telephone(world, ear)
        await finds_it_explained(trader, alert, fired)
        await unsubscribes(world, trader, ear)


async def fires(hub: Hub | HubProcess, ear: Ear, alert: Any, symbol: str, price: float) -> dict[str, Any]:
    """A price comes from outside, again and again, until the alert has fired: what it looks at may begin later."""
    async with asyncio.timeout(LONG_S):
        while True:
            await publish(hub, symbol, price)
            with contextlib.suppress(TimeoutError):
                return await ear.hear("triggered", alert=alert["id"], within_s=0.5)


async def simulated_price(trader: Trader) -> float:
    """What the simulator says."""
    async with asyncio.timeout(LONG_S):
        while (found := await trader.ask("GET", "market/prices/INFY")).status != 200:  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(0.05)
    price: float = found.data["price"]
    return price


def says_it_in_marathi(world: World, fired: dict[str, Any], secret: str) -> None:
    """The mail, the SMS, the call, the notification and the webhook."""
    mail = world.smtp.mails[-1].message
    assert (mail["Subject"], mail["To"], mail["Content-Language"]) == (fired["title"], "asha@example.com", "mr")
    for kind in ("plain", "html"):
        body = mail.get_body((kind,))
        assert body is not None
        assert "मी पाहिले" in body.get_content()
        assert fired["message"] in body.get_content()
    _, sms = world.form_of("Messages")
    assert (sms["To"], sms["From"], sms["Body"]) == (NUMBER, SENDER, fired["message"])
    _, call = world.form_of("Calls")
    said = ET.fromstring(call["Twiml"]).find("Gather/Say")
    assert said is not None
    assert said.attrib == {"language": "mr-IN", "voice": "Google.mr-IN-Wavenet-A"}
    assert "रुपयांच्या वर जातो" in (said.text or "")
    assert not any(char.isdigit() for char in said.text or "")
    pushed, hooked = world.asked("/push"), world.asked("/hook")
    assert world.browser.read(pushed.body)["title"] == fired["title"]
    told = Webhook(secret).verify(hooked.body, hooked.headers)
    assert (told["type"], told["data"]["text"]) == ("alert.triggered", fired["message"])


async def answers_by_telephone(world: World, ear: Ear) -> None:
    """Twilio reports, and the person presses 1."""
    sms, _ = world.form_of("Messages")
    for status in ("sent", "delivered"):
        assert await world.twilio.advance(sms, status) == [204]
        await ear.hear("delivery", channel="sms", status=status)
    call, _ = world.form_of("Calls")
    assert await world.twilio.advance(call, "ringing") == [204]
    await ear.hear("delivery", channel="voice", status="sent")
    status, twiml = await world.twilio.press(call, "1")
    assert (status, ET.fromstring(twiml).findtext("Say")) == (200, "धन्यवाद. अलर्ट मिळाल्याची नोंद झाली आहे. नमस्कार.")
    await ear.hear("delivery", channel="voice", status="read")
    assert await world.twilio.advance(call, "completed", answered_by="human") == [204]


async def finds_it_explained(trader: Trader, alert: Any, fired: dict[str, Any]) -> None:
    """What history and deliveries say."""
    (found,) = await trader.history(alert)
    times = [found[name] for name in ("received_at", "evaluated_at", "enqueued_at", "provider_at", "acknowledged_at")]
    assert times == sorted(times)
    assert found["acknowledged_by"] == "voice"
    assert (found["previous"], found["current"]) == (fired["previous"], fired["current"])
    assert found["previous"] < found["level"] < found["current"]
    assert (found["gap"], found["source"]) == (True, "NSE:INFY")
    deliveries = await trader.deliveries(alert)
    assert {channel: one["status"] for channel, one in deliveries.items()} == {
        "websocket": "delivered",
        "email": "sent",
        "sms": "delivered",
        "voice": "read",
        "push": "sent",
        "webhook": "delivered",
    }
    assert {attempt["state"] for one in deliveries.values() for attempt in one["attempts"]} == {"taken"}
    assert (await trader.data("GET", f"alerts/{alert['id']}"))["status"] == "fired"


async def unsubscribes(world: World, trader: Trader, ear: Ear) -> None:
    """By one click of a mail program; the next alert writes no mail, and says why."""
    mail = world.smtp.mails[-1].message
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = str(mail["List-Unsubscribe"]).strip("<>")
    assert link.startswith(world.hub.url)
    assert (await asyncio.to_thread(one_click, link)).status == 200
    await publish(world.hub, "NSE:ACME", 100)
    alert = await trader.alert("ACME", "price crosses above 110", "email", frequency="every")
    skipped = await crosses_until(world, ear, 0.5, event="delivery", alert=alert["id"], status="skipped")
    assert (skipped["channel"], skipped["reason"]) == ("email", "unsubscribed")
    count = len(world.smtp.mails)
    await crosses_until(world, ear, LONG_S, event="delivery", alert=alert["id"], status="skipped", after=skipped)
    assert len(world.smtp.mails) == count


async def crosses_until(world: World, ear: Ear, within_s: float, event: str, **fields: Any) -> dict[str, Any]:
    """The price goes up and down until that is heard: other processes know for some seconds what somebody wanted."""
    async with asyncio.timeout(LONG_S):
        while True:
            await publish(world.hub, "NSE:ACME", 100)
            await publish(world.hub, "NSE:ACME", 111)
            with contextlib.suppress(TimeoutError):
                return await ear.hear(event, within_s=within_s, **fields)


# -- without providers ------------------------------------------------------------------------------------------------


class Desk:
    """A hub as it is on a machine without anything, and somebody who speaks English."""

    def __init__(self, hub: Hub, trader: Trader, ear: Ear, files: Files) -> None:
        self.hub = hub
        self.trader = trader
        self.ear = ear
        self.files = files

    async def prices(self, symbol: str, *prices: float) -> None:
        for price in prices:
            await publish(self.hub, symbol, price)

    async def watched(self, count: int = 1) -> None:
        """So many alerts are looked at, of which the last was set a moment ago."""
        alerts = self.hub.roles.alerts
        assert alerts is not None
        await until(lambda: alerts.runner.rules == count and bool(alerts.sources.heard) is bool(count))


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with running(tmp_path, feeds=True, roles=("alerts", "notifiers")) as hub:
        files = Files(tmp_path / "data" / "outbox")
        trader = Trader(hub, files)
        await trader.arrive("en")
        async with hub.client(query=f"?token={trader.tokens['access_token']}") as client:
            await client.subscribe("alerts:user")
            yield Desk(hub, trader, Ear(client), files)


async def test_without_providers_the_same_goes_into_files_and_the_log_says_so_once(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await desk.prices("ACME", 100)
    alert = await desk.trader.alert("ACME", "price > 110", "email", "sms", "voice", "push", frequency="every")
    for number, price in ((1, 111), (2, 112)):
        await desk.prices("ACME", 100, price)
        await desk.ear.hear("triggered", number=number)
        for channel in ("email", "sms", "voice"):
            trigger = (await desk.trader.history(alert))[0]["id"]
            told = await desk.ear.hear("delivery", trigger=trigger, channel=channel)
            assert told["status"] == "delivered"
    deliveries = await desk.trader.deliveries(alert)
    assert [(deliveries["push"]["status"], deliveries["push"]["reason"])] == [("skipped", "no endpoint")]
    assert {one["attempts"][0]["state"] for one in deliveries.values() if one["attempts"]} == {"taken"}
    body = desk.files.mails()[-1].get_body(("plain",))
    assert body is not None
    assert "ACME (NSE) is at ₹112.00" in body.get_content()
    assert "ACME (NSE) is at Rs 112.00" in desk.files.texts()[-1]
    assert "The price is one hundred twelve rupees" in desk.files.calls()[-1]
    said = [record.message for record in caplog.records if record.message.endswith(".to_files")]
    assert sorted(said) == ["mail.to_files", "sms.to_files", "voice.to_files"]


async def test_a_test_is_sent_and_what_is_paused_or_deleted_says_nothing(desk: Desk) -> None:
    await desk.prices("ACME", 100)
    alert = await desk.trader.alert("ACME", "price crosses above 110", "email", frequency="every")
    path = f"alerts/{alert['id']}"
    tested = await desk.trader.data("POST", f"{path}/test", {})
    assert (await desk.ear.hear("test"))["trigger"] == tested["trigger"]
    await desk.ear.hear("delivery", trigger=tested["trigger"], channel="email", status="delivered")
    assert desk.files.mails()[-1]["Subject"] == "Test: ACME"
    assert (await desk.trader.data("POST", f"{path}/pause"))["status"] == "paused"
    await desk.watched(0)
    await desk.prices("ACME", 111, 100)
    assert (await desk.trader.data("POST", f"{path}/resume"))["status"] == "active"
    await desk.watched(1)
    await desk.prices("ACME", 112, 100)
    fired = await desk.ear.hear("triggered")
    assert (fired["number"], fired["price"]) == (1, 112.0)
    await desk.trader.data("DELETE", path)
    await desk.watched(0)
    await desk.prices("ACME", 113)
    assert (await desk.trader.ask("GET", path)).code == "NOT_FOUND"
    assert [one for one in desk.ear.events if one.get("number", 0) > 1] == []


async def test_an_alert_escalates_until_somebody_acknowledges(desk: Desk) -> None:
    await desk.prices("ACME", 100)
    steps = [{"channel": "sms", "after_s": 10}, {"channel": "voice", "after_s": 600}]
    alert = await desk.trader.alert("ACME", "price crosses above 110", "email", escalation=steps)
    await desk.prices("ACME", 111)
    fired = await desk.ear.hear("triggered")
    await desk.ear.hear("delivery", channel="email", status="delivered")
    waiting = await desk.trader.deliveries(alert)
    assert {waiting[channel]["status"] for channel in ("sms", "voice")} == {"queued"}
    await hurry(desk.hub, waiting["sms"]["id"])
    await desk.ear.hear("delivery", channel="sms", status="delivered")
    assert "Rs 111.00" in desk.files.texts()[-1]
    done = await desk.trader.data("POST", f"alerts/triggers/{fired['trigger']}/acknowledge")
    assert done == {"acknowledged": True}
    called_off = (await desk.trader.deliveries(alert))["voice"]
    assert (called_off["status"], called_off["reason"]) == ("cancelled", "acknowledged")
    await hurry(desk.hub, called_off["id"])
    (found,) = await desk.trader.history(alert)
    assert found["acknowledged_by"] == "api"
    assert desk.files.calls() == []


async def hurry(hub: Hub, delivery: int) -> None:
    """Its time has come."""
    async with hub.engine.begin() as connection:
        await connection.execute(update(deliveries).where(deliveries.c.id == delivery).values(due_at_ms=0))
    hub.roles.delivery_bell.ring()


async def test_what_is_still_to_be_sent_of_a_deleted_alert_is_called_off(desk: Desk) -> None:
    await desk.prices("ACME", 100)
    steps = [{"channel": "sms", "after_s": 10}]
    alert = await desk.trader.alert("ACME", "price crosses above 110", "email", escalation=steps)
    await desk.prices("ACME", 111)
    await desk.ear.hear("delivery", channel="email", status="delivered")
    sms = (await desk.trader.deliveries(alert))["sms"]
    count = len(desk.files.texts())
    await desk.trader.data("DELETE", f"alerts/{alert['id']}")
    told = await desk.ear.hear("delivery", channel="sms")
    assert (told["delivery"], told["status"], told["reason"]) == (sms["id"], "cancelled", "deleted")
    assert len(desk.files.texts()) == count


async def test_alerts_look_at_candles_with_indicators_and_at_several_instruments(desk: Desk) -> None:
    """The feeds make the candles for nobody but the alert."""
    start_ms = (int(time.time()) // 60 - 5) * 60_000
    assert desk.hub.feeds is not None
    desk.hub.feeds.history.offer([bar(start_ms + number * 60_000, 100 + number) for number in range(5)])
    await desk.hub.feeds.history.flush()
    await desk.prices("WIDGET", 30)
    await desk.prices("ACME", 104)
    candles = await desk.trader.alert("ACME", "rsi(2) on 1m > 60", "email")
    several = await desk.trader.alert("ACME", "NSE:ACME.price - NSE:WIDGET.price > 80", "email")
    await desk.watched(2)
    await desk.prices("ACME", 105, 111)
    fired = await desk.ear.hear("triggered", alert=several["id"])
    assert (fired["current"], fired["words"]) == (81.0, "ACME \N{MINUS SIGN} WIDGET is above ₹80")
    fired = await fires(desk.hub, desk.ear, candles, "ACME", 112)
    assert fired["via"] == "bar"
    (found,) = await desk.trader.history(candles)
    assert found["source"] == "1m:NSE:ACME"
    assert found["current"] > 60


def bar(start_ms: int, rupees: int) -> Bar:
    """A closed minute of ACME."""
    price = rupees * PRICE_SCALE
    return Bar(
        exchange="NSE", symbol="ACME", timeframe="1m", start_ms=start_ms, end_ms=start_ms + 60_000,
        open=price, high=price, low=price, close=price, volume=10,
    )  # fmt: skip


async def test_a_price_published_straight_to_redis_fires(tmp_path: Path, redis_url: str) -> None:
    settings = {"REDIS_URL": redis_url, "JWT_SECRET": SECRET}
    async with running(tmp_path, roles=("alerts", "notifiers"), **settings) as hub:
        trader = Trader(hub, Files(tmp_path / "data" / "outbox"))
        await trader.arrive("en")
        async with hub.client(query=f"?token={trader.tokens['access_token']}") as client:
            await client.subscribe("alerts:user")
            desk = Desk(hub, trader, Ear(client), Files(tmp_path))
            await desk.prices("ACME", 100)
            await trader.alert("ACME", "price crosses above 110")
            await desk.watched()
            with redis.Redis.from_url(redis_url) as outside:
                await until(lambda: outside.publish("hub:market:NSE:ACME", '{"price": 111}'))
            assert (await desk.ear.hear("triggered"))["price"] == 111.0
