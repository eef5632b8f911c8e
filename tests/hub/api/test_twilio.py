"""Twilio is believed if it has signed: reports count once, in any order, and keys in calls do what they say."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from hub.api.twilio import MAX_FORM_BYTES, START_WORDS, STOP_WORDS, TwilioApi
from hub.database import engine_for, migrate
from notifiers.alerts.facts import encode
from notifiers.outbox.attempts import Result
from notifiers.outbox.deliveries import Deliveries
from notifiers.outbox.delivery import Delivery, Status
from notifiers.outbox.ledger import Claimed
from notifiers.outbox.provider import Addressee, Job, Outcome
from notifiers.outbox.tokens import DeliveryTokens
from notifiers.providers.call_script import Answer
from notifiers.providers.sms_provider import TwilioSms
from notifiers.providers.twilio import Twilio
from notifiers.providers.voice import TwilioVoice
from notifiers.way import Way
from schemas.errors import Unavailable
from schemas.secret import Secret
from tests.hub.api_client import browser
from tests.notifiers.jobs import facts_of
from tests.notifiers.outbox.people import calling, fired, now, time_passes
from tests.notifiers.providers.phone_jobs import NOW_S, PHONE, SCRIPTS, texts
from tests.notifiers.providers.twilio_server import ACCOUNT, TOKEN, TwilioServer

PUBLIC_URL = "https://hub.example/prefix"
HOOKS = f"{PUBLIC_URL}/api/v1/webhooks/twilio"
TOKENS = DeliveryTokens("s" * 32)


class Hub:
    """The endpoints over real deliveries, with Twilio on both sides of them."""

    def __init__(self, twilio: TwilioServer, store: Deliveries) -> None:
        self.twilio = twilio
        self.store = store
        self.acknowledged: list[tuple[int, str]] = []
        self.suppressed: list[tuple[Way, str, str]] = []
        self.allowed: list[tuple[Way, str]] = []
        self.client: httpx2.AsyncClient
        self.clock = 0.0
        account = Twilio(ACCOUNT, Secret(TOKEN), base_url=twilio.url)
        self.sms = TwilioSms(account, texts(), sender="+1", callbacks=HOOKS, wall=lambda: NOW_S - 10**9)
        self.voice = TwilioVoice(account, SCRIPTS, sender="+1", callbacks=HOOKS, wall=lambda: NOW_S - 10**9)
        self.api = self.made()

    def made(self, **changes: Any) -> TwilioApi:
        given = {
            "public_url": PUBLIC_URL,
            "auth_token": Secret(TOKEN),
            "tokens": TOKENS,
            "scripts": SCRIPTS,
            "report": self.store.report,
            "acknowledge": self._acknowledge,
            "ask": self.store.add,
            "suppress": self._suppress,
            "allow": self._allow,
            "clock": lambda: self.clock,
        }
        return TwilioApi(**(given | changes))

    async def calling(self, way: Way, language: str = "mr", **others: Any) -> Claimed:
        """A delivery whose attempt is written down."""
        return await calling(self.store, channel=way, content=encode(facts_of(language=language)), **others)

    async def sent(self, way: Way, language: str = "mr", **others: Any) -> Delivery:
        """A delivery that Twilio has accepted."""
        claimed = await self.calling(way, language, **others)
        return await self.ended(claimed, await self.send(claimed))

    async def send(self, claimed: Claimed) -> Outcome:
        delivery = claimed.delivery
        job = Job(
            delivery=delivery,
            attempt=1,
            addressee=Addressee(user="u1", phone=PHONE),
            language="mr",
            token=TOKENS.sign(delivery.id, 1),
        )
        return await (self.sms if delivery.channel is Way.SMS else self.voice).send(job)

    async def ended(self, claimed: Claimed, outcome: Outcome) -> Delivery:
        await self.store.attempts.end([Result(claimed=claimed, number=1, said=outcome)])
        return await now(self.store, claimed.delivery.id)

    async def carry(self, url: str, form: dict[str, str], headers: dict[str, str]) -> tuple[int, str]:
        """From Twilio to us, through a proxy that takes its prefix away and asks for another host."""
        answer = await self.client.post(url.removeprefix(PUBLIC_URL), data=form, headers=headers)
        return answer.status_code, answer.text

    async def _acknowledge(self, trigger_id: int, by: str) -> None:
        self.acknowledged.append((trigger_id, by))

    async def _suppress(self, way: Way, address: str, reason: str) -> None:
        self.suppressed.append((way, address, reason))

    async def _allow(self, way: Way, address: str) -> None:
        self.allowed.append((way, address))


@contextlib.asynccontextmanager
async def opened(engine: AsyncEngine) -> AsyncIterator[Hub]:
    async with TwilioServer() as twilio:
        hub = Hub(twilio, Deliveries(engine))
        twilio.carry = hub.carry
        async with browser(hub.api.endpoints, base_url="http://10.0.0.7:8081") as hub.client:
            yield hub


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = engine_for("", tmp_path)
    await migrate(engine)
    yield engine
    await engine.dispose()


@pytest.fixture
async def hub(sqlite: AsyncEngine) -> AsyncIterator[Hub]:
    async with opened(sqlite) as hub:
        yield hub


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[Hub]:
    """Over a database without tables: what gets as far as that fails."""
    engine = engine_for("", tmp_path)
    async with opened(engine) as hub:
        yield hub
    await engine.dispose()


async def status_of(hub: Hub, delivery: Delivery) -> Status:
    return (await now(hub.store, delivery.id)).status


# -- SMS ---------------------------------------------------------------------------------------------------------------


async def test_an_sms_comes_all_the_way(engine: AsyncEngine) -> None:
    async with opened(engine) as hub:
        await _all_the_way(hub)


async def _all_the_way(hub: Hub) -> None:
    delivery = await hub.sent(Way.SMS)
    assert (delivery.status, delivery.provider_id, delivery.cost) == (Status.ACCEPTED, "SM1", 2)
    assert "RELIANCE" in hub.twilio.created[0]["Body"]
    for status, expected in (("sent", Status.SENT), ("delivered", Status.DELIVERED)):
        assert await hub.twilio.advance("SM1", status) == [204]
        assert await status_of(hub, delivery) is expected


async def test_reports_count_once_and_never_lead_back(hub: Hub) -> None:
    delivery = await hub.sent(Way.SMS)
    assert await hub.twilio.advance("SM1", "delivered", times=3) == [204, 204, 204]
    for older in ("sent", "queued", "sending"):
        assert await hub.twilio.repeat("SM1", older) == 204
    assert await status_of(hub, delivery) is Status.DELIVERED


async def test_a_report_may_come_before_twilio_has_answered(hub: Hub) -> None:
    hub.twilio.early = ["sent", "delivered"]
    delivery = await hub.sent(Way.SMS)
    assert hub.twilio.callbacks == [("sent", 204), ("delivered", 204)]
    assert delivery.status is Status.DELIVERED
    assert delivery.provider_id == "SM1"


async def test_a_report_settles_what_was_in_doubt(hub: Hub) -> None:
    claimed = await hub.calling(Way.SMS)
    hub.twilio.cut = True
    with pytest.raises(Exception, match="may have taken it") as caught:
        await hub.send(claimed)
    await hub.store.attempts.end([Result(claimed=claimed, number=1, said=caught.value)])  # type: ignore[arg-type]
    assert await status_of(hub, claimed.delivery) is Status.UNKNOWN
    await hub.twilio.advance("SM1", "sent")
    settled = await now(hub.store, claimed.delivery.id)
    assert (settled.status, settled.provider_id) == (Status.SENT, "SM1")


@pytest.mark.parametrize(("code", "status"), [(30005, Status.DEAD), (30003, Status.QUEUED)])
async def test_what_did_not_arrive_is_given_up_or_tried_once_more(hub: Hub, code: int, status: Status) -> None:
    delivery = await hub.sent(Way.SMS)
    assert await hub.twilio.advance("SM1", "undelivered", code=code) == [204]
    after = await now(hub.store, delivery.id)
    assert (after.status, after.reason) == (status, f"Twilio {code}")


# -- who may say it ----------------------------------------------------------------------------------------------------


async def forged(hub: Hub, client: httpx2.AsyncClient | None = None, **changes: Any) -> int:
    """What somebody is answered who says that the SMS was delivered."""
    form = {"MessageSid": "SM1", "MessageStatus": "delivered"}
    given = {"url": f"/api/v1/webhooks/twilio/sms?d={TOKENS.sign(1, 1)}", "data": form, "headers": {}} | changes
    answer = await (client or hub.client).post(**given)
    assert "delivered" not in answer.text
    return answer.status_code


async def test_a_wrong_signature_is_refused_and_changes_nothing(hub: Hub) -> None:
    delivery = await hub.sent(Way.SMS)
    hub.twilio.signed_for = "another token"
    assert await hub.twilio.advance("SM1", "delivered") == [403]
    assert await status_of(hub, delivery) is Status.ACCEPTED
    assert hub.api.forged == 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Twilio-Signature": ""},
        {"X-Twilio-Signature": "x" * 28},
        {"X-Twilio-Signature": "x" * 10_000},
        {"X-Twilio-Signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8="},
        {"X-Twilio-Signature": "x" * 28, "X-Twilio-Webhooks-Signature-Settings": "key=k,algorithm=NONE"},
    ],
    ids=["none", "empty", "short", "endless", "another", "no-algorithm"],
)
@pytest.mark.parametrize("path", ["/sms", "/voice", "/voice/gather", "/inbound"])
async def test_without_a_signature_nothing_is_believed(front: Hub, path: str, headers: dict[str, str]) -> None:
    url = f"/api/v1/webhooks/twilio{path}"
    assert await forged(front, url=url, headers=headers, data={"From": PHONE, "Body": "STOP"}) == 403
    assert front.suppressed == []


async def test_a_signature_for_another_delivery_or_another_host_is_none(hub: Hub) -> None:
    await hub.sent(Way.SMS)
    form = {"MessageSid": "SM1", "MessageStatus": "delivered"}
    signed = f"{HOOKS}/sms?d={TOKENS.sign(1, 1)}"
    carried: list[tuple[str, dict[str, str], dict[str, str]]] = []

    async def keep(url: str, form: dict[str, str], headers: dict[str, str]) -> tuple[int, str]:
        carried.append((url, form, headers))
        return 0, ""

    hub.twilio.carry = keep
    await hub.twilio.post(signed, form)
    await hub.twilio.post(signed.replace("hub.example", "10.0.0.7:8081"), form)
    (_, _, headers), (_, _, of_host) = carried
    other = f"/api/v1/webhooks/twilio/sms?d={TOKENS.sign(2, 1)}"
    assert await forged(hub, headers=of_host) == 403
    assert await forged(hub, url=other, headers=headers) == 403
    assert await forged(hub, headers=headers, data=form | {"MessageStatus": "read"}) == 403
    assert await forged(hub, headers=headers, data=form) == 204


async def test_a_shared_key_s_algorithm_is_understood(hub: Hub) -> None:
    delivery = await hub.sent(Way.SMS)
    hub.twilio.algorithm = "HMAC_SHA256"
    assert await hub.twilio.advance("SM1", "delivered") == [204]
    assert await status_of(hub, delivery) is Status.DELIVERED


@pytest.mark.parametrize("token", ["", "1.1", "1.1.xxxxxxxxxxxxxxxxxxxxxx"])
async def test_a_signed_report_about_no_delivery_of_ours_is_refused(front: Hub, token: str) -> None:
    form = {"MessageSid": "SM1", "MessageStatus": "delivered"}
    status, _ = await front.twilio.post(f"{HOOKS}/sms?{urlencode({'d': token})}", form)
    assert status == 403


async def test_a_report_about_an_attempt_that_never_was_changes_nothing(hub: Hub) -> None:
    delivery = await hub.sent(Way.SMS)
    form = {"MessageSid": "SM1", "MessageStatus": "delivered"}
    for token in (TOKENS.sign(delivery.id, 2), TOKENS.sign(delivery.id + 1, 1)):
        assert (await hub.twilio.post(f"{HOOKS}/sms?d={token}", form))[0] == 204
    assert await status_of(hub, delivery) is Status.ACCEPTED


@pytest.mark.parametrize("body", [b"\xff=1", b"a=1&" * 200, b"MessageSid=%ff"], ids=["bytes", "many", "escapes"])
async def test_what_is_no_form_is_refused(front: Hub, body: bytes) -> None:
    headers = {"X-Twilio-Signature": "x" * 28, "Content-Type": "application/x-www-form-urlencoded"}
    assert await forged(front, data=None, content=body, headers=headers) == 403


async def test_a_body_that_is_too_long_is_not_read(front: Hub) -> None:
    headers = {"X-Twilio-Signature": "x" * 28}
    assert await forged(front, data=None, content=b"a" * (MAX_FORM_BYTES + 1), headers=headers) == 422


@pytest.mark.parametrize("missing", [{"auth_token": None}, {"public_url": None}], ids=["token", "address"])
async def test_without_an_account_or_an_address_nobody_is_believed(front: Hub, missing: dict[str, None]) -> None:
    form = {"MessageSid": "SM1", "MessageStatus": "delivered"}
    async with browser(front.made(**missing).endpoints) as front.client:
        assert (await front.twilio.post(f"{HOOKS}/sms?d={TOKENS.sign(1, 1)}", form))[0] == 403


async def test_a_flood_of_forged_reports_fills_no_log(front: Hub, caplog: pytest.LogCaptureFixture) -> None:
    await asyncio.gather(*(forged(front) for _ in range(50)))
    front.clock = 60.0
    await forged(front)
    assert [record.message for record in caplog.records if record.name == "tickhub.hub.api.twilio"] == [
        "twilio.forged",
        "twilio.forged",
    ]
    assert front.api.forged == 51


# -- calls -------------------------------------------------------------------------------------------------------------


async def test_a_call_that_a_person_took_was_heard(hub: Hub) -> None:
    delivery = await hub.sent(Way.VOICE)
    assert "रुपये" in hub.twilio.created[0]["Twiml"]
    for status in ("initiated", "ringing", "in-progress"):
        assert await hub.twilio.advance("CA1", status) == [204]
    assert await status_of(hub, delivery) is Status.SENT
    await hub.twilio.advance("CA1", "completed", answered_by="human", times=2)
    assert await status_of(hub, delivery) is Status.READ


async def test_what_a_machine_took_was_not_heard(hub: Hub) -> None:
    delivery = await hub.sent(Way.VOICE)
    await hub.twilio.advance("CA1", "completed", answered_by="machine_start")
    after = await now(hub.store, delivery.id)
    assert (after.status, after.provider_status) == (Status.DELIVERED, "voicemail")


@pytest.mark.parametrize("status", ["busy", "no-answer", "failed"])
async def test_a_telephone_that_nobody_answers_is_rung_once_more(hub: Hub, status: str) -> None:
    delivery = await hub.sent(Way.VOICE)
    await hub.twilio.advance("CA1", status, times=2)
    after = await now(hub.store, delivery.id)
    assert (after.status, after.reason) == (Status.QUEUED, f"call {status}")
    assert after.due_at_ms > after.created_at_ms + 30_000


def said(twiml: str) -> tuple[str, str]:
    """The language and the words of an answer."""
    (say,) = ET.fromstring(twiml).iter("Say")
    return say.attrib["language"], say.text or ""


@pytest.mark.parametrize("language", ["en", "mr"])
async def test_one_acknowledges(hub: Hub, sqlite: AsyncEngine, language: str) -> None:
    trigger = await fired(sqlite)
    delivery = await hub.sent(Way.VOICE, language, trigger_id=trigger)
    status, twiml = await hub.twilio.press("CA1", "1")
    assert status == 200
    assert said(twiml) == (f"{language}-IN", words_of(Answer.ACKNOWLEDGED, language))
    assert hub.acknowledged == [(trigger, "voice")]
    assert await status_of(hub, delivery) is Status.READ


async def test_two_calls_again_in_ten_minutes_once(hub: Hub, sqlite: AsyncEngine) -> None:
    await hub.sent(Way.VOICE)
    for _ in range(2):
        _, twiml = await hub.twilio.press("CA1", "2")
        assert said(twiml)[1] == words_of(Answer.SNOOZED, "mr")
    await hub.twilio.advance("CA1", "completed", answered_by="human")
    await time_passes(sqlite, 590)
    assert await hub.store.claims.claim(Way.VOICE, 10) == []
    await time_passes(sqlite, 11)
    (again,) = await hub.store.claims.claim(Way.VOICE, 10)
    assert again.delivery.content["symbol"] == "RELIANCE"


async def test_nine_stops_such_calls(hub: Hub) -> None:
    await hub.sent(Way.VOICE)
    _, twiml = await hub.twilio.press("CA1", "9")
    assert said(twiml)[1] == words_of(Answer.STOPPED, "mr")
    assert hub.suppressed == [(Way.VOICE, PHONE, "key 9")]


@pytest.mark.parametrize("digits", ["5", "#", "", "123"])
async def test_any_other_key_does_nothing_but_tells_that_somebody_listens(hub: Hub, digits: str) -> None:
    delivery = await hub.sent(Way.VOICE)
    _, twiml = await hub.twilio.press("CA1", digits)
    assert said(twiml)[1] == words_of(Answer.UNKNOWN, "mr")
    assert (hub.acknowledged, hub.suppressed) == ([], [])
    assert await status_of(hub, delivery) is Status.READ


async def test_a_key_says_so_where_the_database_is_away(front: Hub) -> None:
    action = f"{HOOKS}/voice/gather?d={TOKENS.sign(1, 1)}&l=mr-IN"

    async def away(*_: object, **__: object) -> None:
        raise Unavailable("the database", "away")

    async with browser(front.made(report=away).endpoints) as front.client:
        status, twiml = await front.twilio.post(action, {"CallSid": "CA1", "Digits": "1", "To": PHONE})
    assert (status, said(twiml)[1]) == (200, words_of(Answer.FAILED, "mr"))


# -- STOP --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [*sorted(STOP_WORDS), "STOP", " Stop! ", "\u201cबंद करा.\u201d", "unsubscribe\n"])
async def test_stop_in_five_languages_stops(front: Hub, text: str) -> None:
    status, twiml = await front.twilio.post(f"{HOOKS}/inbound", {"From": PHONE, "Body": text, "MessageSid": "SM9"})
    assert status == 200
    assert list(ET.fromstring(twiml)) == []
    assert front.suppressed == [(Way.SMS, PHONE, "STOP")]


@pytest.mark.parametrize("text", [*sorted(START_WORDS), "START", "सुरू करा."])
async def test_start_in_five_languages_starts_again(front: Hub, text: str) -> None:
    await front.twilio.post(f"{HOOKS}/inbound", {"From": PHONE, "Body": text})
    assert (front.allowed, front.suppressed) == ([(Way.SMS, PHONE)], [])


async def test_a_messaging_service_may_have_looked_already(front: Hub) -> None:
    await front.twilio.post(f"{HOOKS}/inbound", {"From": PHONE, "Body": "no more", "OptOutType": "STOP"})
    assert front.suppressed == [(Way.SMS, PHONE, "STOP")]


@pytest.mark.parametrize("text", ["", "please don't stop", "HELP", "stop loss 2400", "बंद बाजार"])
async def test_any_other_text_changes_nothing(front: Hub, text: str) -> None:
    status, _ = await front.twilio.post(f"{HOOKS}/inbound", {"From": PHONE, "Body": text})
    assert (status, front.allowed, front.suppressed) == (200, [], [])


async def test_nobody_is_stopped_without_a_number(front: Hub) -> None:
    await front.twilio.post(f"{HOOKS}/inbound", {"From": "", "Body": "STOP"})
    assert front.suppressed == []


def words_of(answer: Answer, language: str) -> str:
    return said(SCRIPTS.answer(answer, f"{language}-IN"))[1]
