"""A delivery by SMS: what Twilio is asked, what is found of it later, and what its statuses mean."""

import logging
from pathlib import Path

import pytest
from msgspec.structs import replace

from notifiers.errors import Blame, OutcomeUnknown, Refused
from notifiers.outbox.provider import Job, Outcome
from notifiers.providers.dlt import Category
from notifiers.providers.files import Outbox
from notifiers.providers.sms_provider import FileSms, TwilioSms, sms_progress
from notifiers.providers.twilio import Twilio
from notifiers.way import Way
from schemas.errors import Unavailable
from schemas.secret import Secret
from tests.notifiers.providers.phone_jobs import NOW_S, PHONE, phone_job, texts
from tests.notifiers.providers.test_sms_text import registered
from tests.notifiers.providers.twilio_server import ACCOUNT, TOKEN, TwilioServer

HOOKS = "https://hub.example/api/v1/webhooks/twilio"
SINCE_MS = 0


def provider(server: TwilioServer, **options: object) -> TwilioSms:
    given: dict[str, object] = {"sender": "+15005550006", "callbacks": HOOKS, "texts": texts()}
    twilio = Twilio(ACCOUNT, Secret(TOKEN), base_url=server.url, timeout_s=2.0)
    return TwilioSms(twilio, wall=lambda: NOW_S, **(given | options))  # type: ignore[arg-type]


def sent_job(provider_id: str = "SM1") -> Job:
    job = phone_job(Way.SMS)
    return replace(job, delivery=replace(job.delivery, provider_id=provider_id))


async def test_an_alert_goes_out_in_marathi() -> None:
    async with TwilioServer() as server:
        outcome = await provider(server).send(phone_job(Way.SMS))
    sms = texts().of(phone_job(Way.SMS))
    assert server.created == [
        {
            "To": PHONE,
            "From": "+15005550006",
            "Body": sms.text,
            "ValidityPeriod": "900",
            "SmartEncoded": "false",
            "StatusCallback": f"{HOOKS}/sms?d=t0ken",
        }
    ]
    assert "RELIANCE" in sms.text
    assert sms.language == "mr"
    assert outcome == Outcome(status="accepted", id="SM1", detail="queued", cost=sms.segments.count)


async def test_a_messaging_service_sends_instead_of_a_number() -> None:
    async with TwilioServer() as server:
        await provider(server, messaging_service_sid="MG1").send(phone_job(Way.SMS))
    assert server.created[0]["MessagingServiceSid"] == "MG1"
    assert "From" not in server.created[0]


async def test_a_registered_text_comes_from_its_header_and_the_delivery_keeps_its_template() -> None:
    async with TwilioServer() as server:
        service = provider(server, texts=texts(registered(Category.SERVICE)), messaging_service_sid="MG1")
        outcome = await service.send(phone_job(Way.SMS))
    assert (server.created[0]["From"], server.created[0]["MessagingServiceSid"]) == ("TCKHUB", "MG1")
    assert outcome.detail == "dlt 1107"


async def test_promotion_waits_and_twilio_is_not_asked() -> None:
    async with TwilioServer() as server:
        with pytest.raises(Refused) as caught:
            await provider(server, texts=texts(registered(Category.PROMOTIONAL))).send(phone_job(Way.SMS))
        assert server.created == []
    assert not caught.value.permanent
    assert caught.value.retry_after_s


async def test_without_an_address_of_ours_nothing_is_called_back() -> None:
    async with TwilioServer() as server:
        await provider(server, callbacks=None).send(phone_job(Way.SMS))
    assert "StatusCallback" not in server.created[0]


@pytest.mark.parametrize(("left_s", "valid_s"), [(10_000, "900"), (901, "900"), (420, "420"), (5, "5")])
async def test_twilio_tries_no_longer_than_the_delivery_lives(left_s: int, valid_s: str) -> None:
    job = phone_job(Way.SMS)
    job = replace(job, delivery=replace(job.delivery, expires_at_ms=int((NOW_S + left_s) * 1000)))
    async with TwilioServer() as server:
        await provider(server).send(job)
    assert server.created[0]["ValidityPeriod"] == valid_s


async def test_what_is_too_late_is_not_sent() -> None:
    job = phone_job(Way.SMS)
    job = replace(job, delivery=replace(job.delivery, expires_at_ms=int((NOW_S + 4) * 1000)))
    async with TwilioServer() as server:
        with pytest.raises(Refused, match="too late"):
            await provider(server).send(job)
        assert server.created == []


@pytest.mark.parametrize("phone", [None, "9876543210", "+912222222222"])
async def test_a_number_that_takes_no_sms_is_not_written_to(phone: str | None) -> None:
    async with TwilioServer() as server:
        with pytest.raises(Refused) as caught:
            await provider(server).send(phone_job(Way.SMS, phone=phone))
        assert server.created == []
    assert (caught.value.blame, caught.value.permanent) == (Blame.ADDRESS, True)


def test_an_sms_needs_a_sender() -> None:
    with pytest.raises(ValueError, match="sender"):
        TwilioSms(Twilio(ACCOUNT, Secret(TOKEN)), texts(), wall=lambda: NOW_S)


async def test_what_was_accepted_before_the_line_was_cut_is_found() -> None:
    async with TwilioServer() as server:
        sender = provider(server)
        server.cut = True
        with pytest.raises(OutcomeUnknown):
            await sender.send(phone_job(Way.SMS))
        server.recover()
        found = await sender.find(phone_job(Way.SMS), SINCE_MS)
    assert found is not None
    assert (found.status, found.id) == ("accepted", "SM1")
    assert found.cost == texts().of(phone_job(Way.SMS)).segments.count


async def test_what_twilio_has_counted_is_what_it_costs() -> None:
    async with TwilioServer() as server:
        sender = provider(server)
        await sender.send(phone_job(Way.SMS))
        server.resources["SM1"].num_segments = "7"
        found = await sender.find(phone_job(Way.SMS), SINCE_MS)
    assert found is not None
    assert found.cost == 7


async def test_what_twilio_never_had_is_not_found() -> None:
    async with TwilioServer() as server:
        sender = provider(server)
        server.refuse(500, 20500)
        with pytest.raises(OutcomeUnknown):
            await sender.send(phone_job(Way.SMS))
        server.recover()
        assert await sender.find(phone_job(Way.SMS), SINCE_MS) is None


async def test_another_text_another_number_and_an_older_one_are_not_it() -> None:
    async with TwilioServer() as server:
        sender = provider(server)
        await sender.send(phone_job(Way.SMS, language="hi"))
        await sender.send(phone_job(Way.SMS, phone="+919876543211"))
        server.wall = lambda: NOW_S - 3600
        await sender.send(phone_job(Way.SMS))
        assert await sender.find(phone_job(Way.SMS), int(NOW_S * 1000)) is None


async def test_while_twilio_is_away_nobody_knows() -> None:
    async with TwilioServer() as server:
        sender = provider(server)
        await sender.send(phone_job(Way.SMS))
        server.refuse(500, 20500)
        with pytest.raises(Unavailable):
            await sender.find(phone_job(Way.SMS), SINCE_MS)
        with pytest.raises(Unavailable):
            await sender.look(sent_job().delivery)


async def test_what_has_failed_is_found_as_that() -> None:
    async with TwilioServer() as server:
        sender = provider(server, callbacks=None)
        await sender.send(phone_job(Way.SMS))
        await server.advance("SM1", "undelivered", code=30005)
        for asked in (sender.find(phone_job(Way.SMS), SINCE_MS), sender.look(sent_job().delivery)):
            with pytest.raises(Refused, match="30005") as caught:
                await asked
            assert caught.value.blame is Blame.ADDRESS


async def test_how_far_it_has_come_can_be_asked() -> None:
    async with TwilioServer() as server:
        sender = provider(server, callbacks=None)
        await sender.send(phone_job(Way.SMS))
        await server.advance("SM1", "delivered")
        assert await sender.look(sent_job().delivery) == Outcome(status="delivered", id="SM1", detail="delivered")
        assert await sender.look(sent_job("SM9").delivery) is None
        assert await sender.look(phone_job(Way.SMS).delivery) is None


@pytest.mark.parametrize(
    ("status", "told"),
    [("queued", "accepted"), ("accepted", "accepted"), ("sending", "accepted"), ("scheduled", "accepted"),
     ("sent", "sent"), ("delivered", "delivered"), ("read", "read"), ("something new", "accepted")],
)  # fmt: skip
def test_a_status_is_how_far_it_has_come(status: str, told: str) -> None:
    outcome = sms_progress(status, None, "SM1")
    assert isinstance(outcome, Outcome)
    assert outcome.status == told


@pytest.mark.parametrize(
    ("status", "code", "blame", "permanent"),
    [
        ("undelivered", 30003, Blame.HANDSET, False),
        ("undelivered", 30006, Blame.ADDRESS, True),
        ("failed", 30007, Blame.PROVIDER, True),
        ("failed", 30036, Blame.MESSAGE, True),
        ("failed", None, Blame.MESSAGE, True),
        ("canceled", None, Blame.MESSAGE, True),
    ],
)
def test_a_failure_says_whose_fault_it_is(status: str, code: int | None, blame: Blame, permanent: bool) -> None:
    refused = sms_progress(status, code, "SM1")
    assert isinstance(refused, Refused)
    assert (refused.blame, refused.permanent) == (blame, permanent)


async def test_neither_number_nor_text_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with TwilioServer() as server:
        await provider(server).send(phone_job(Way.SMS))
    assert [record.message for record in caplog.records if record.name.startswith("tickhub")] == ["sms.accepted"]
    said = caplog.text + repr([record.__dict__ for record in caplog.records])
    assert "9876543210" not in said
    assert "RELIANCE" not in said


async def test_without_an_account_it_goes_to_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    files = FileSms(Outbox(tmp_path / "outbox"), texts(registered(Category.SERVICE)))
    assert await files.find(phone_job(Way.SMS), SINCE_MS) is None
    outcome = await files.send(phone_job(Way.SMS))
    await files.send(phone_job(Way.SMS))
    path = tmp_path / "outbox" / str(outcome.id)
    assert path.name.endswith("-alert-41.sms.txt")
    assert path.read_text(encoding="utf-8") == (
        f"To: {PHONE}\nFrom: TCKHUB\nDLT entity: 1101\nDLT template: 1107\nLanguage: mr\n"
        "Parts: 1 (UCS-2, 45 characters)\n\nRELIANCE चा अलर्ट. किंमत ₹2,510.50. - Tickhub\n"
    )
    assert (outcome.status, outcome.cost) == ("delivered", 1)
    found = await files.find(phone_job(Way.SMS), SINCE_MS)
    assert found is not None
    assert found.status == "delivered"
    assert (await files.look(sent_job().delivery)) is not None
    assert [record.message for record in caplog.records] == ["sms.to_files"]
    await files.close()


async def test_files_write_to_no_landline_either(tmp_path: Path) -> None:
    files = FileSms(Outbox(tmp_path), texts())
    with pytest.raises(Refused):
        await files.send(phone_job(Way.SMS, phone="+912222222222"))
    assert await files.find(phone_job(Way.SMS), SINCE_MS) is None
