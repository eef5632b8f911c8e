"""A delivery by call: what Twilio is asked, what is found of it later, and that only people can have heard it."""

from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from msgspec.structs import replace

from notifiers.errors import Blame, OutcomeUnknown, Refused
from notifiers.outbox.provider import Outcome
from notifiers.providers.files import Outbox
from notifiers.providers.twilio import Twilio
from notifiers.providers.voice import SNOOZE_MS, FileVoice, TwilioVoice, snoozed, voice_progress
from notifiers.way import Way
from schemas.errors import Unavailable
from schemas.secret import Secret
from tests.notifiers.providers.phone_jobs import NOW_S, PHONE, SCRIPTS, phone_job
from tests.notifiers.providers.twilio_server import ACCOUNT, TOKEN, TwilioServer

HOOKS = "https://hub.example/api/v1/webhooks/twilio"
US = "+15005550006"


def provider(server: TwilioServer, callbacks: str | None = HOOKS) -> TwilioVoice:
    twilio = Twilio(ACCOUNT, Secret(TOKEN), base_url=server.url, timeout_s=2.0)
    return TwilioVoice(twilio, SCRIPTS, sender=US, callbacks=callbacks, wall=lambda: NOW_S)


async def test_an_alert_is_called_out_in_marathi() -> None:
    async with TwilioServer() as server:
        outcome = await provider(server).send(phone_job(Way.VOICE))
    (asked,) = server.created
    twiml = asked.pop("Twiml")
    assert asked == {
        "To": PHONE,
        "From": US,
        "MachineDetection": "Enable",
        "Timeout": "30",
        "TimeLimit": "180",
        "StatusCallback": f"{HOOKS}/voice?d=t0ken",
        "StatusCallbackEvent": "initiated ringing answered completed",
    }
    gather = ET.fromstring(twiml).find("Gather")
    assert gather is not None
    assert gather.attrib["action"] == f"{HOOKS}/voice/gather?d=t0ken&l=mr-IN"
    assert "दोन हजार पाचशे दहा रुपये आणि पन्नास पैसे" in twiml
    assert outcome == Outcome(status="accepted", id="CA1", detail="queued", cost=1)


async def test_without_an_address_of_ours_no_key_is_offered() -> None:
    async with TwilioServer() as server:
        await provider(server, None).send(phone_job(Way.VOICE))
    assert "Gather" not in server.created[0]["Twiml"]
    assert "StatusCallback" not in server.created[0]


async def test_what_is_too_late_is_not_called_out() -> None:
    job = phone_job(Way.VOICE)
    job = replace(job, delivery=replace(job.delivery, expires_at_ms=int(NOW_S * 1000)))
    async with TwilioServer() as server:
        with pytest.raises(Refused, match="too late"):
            await provider(server).send(job)
        assert server.created == []


async def test_a_landline_is_called_and_no_number_at_all_is_not() -> None:
    async with TwilioServer() as server:
        await provider(server).send(phone_job(Way.VOICE, phone="+912222222222"))
        with pytest.raises(Refused):
            await provider(server).send(phone_job(Way.VOICE, phone="2222222222"))
        assert len(server.created) == 1


@pytest.mark.parametrize("code", [10004, 20429])
async def test_too_many_calls_at_once_come_later(code: int) -> None:
    async with TwilioServer() as server:
        server.refuse(429 if code == 20429 else 400, code)
        with pytest.raises(Refused) as caught:
            await provider(server).send(phone_job(Way.VOICE))
    assert not caught.value.permanent


async def test_a_call_that_was_accepted_before_the_line_was_cut_is_found() -> None:
    async with TwilioServer() as server:
        caller = provider(server)
        server.cut = True
        with pytest.raises(OutcomeUnknown):
            await caller.send(phone_job(Way.VOICE))
        server.recover()
        assert await caller.find(phone_job(Way.VOICE), 0) == Outcome(
            status="accepted", id="CA1", detail="queued", cost=1
        )
        assert await caller.find(phone_job(Way.VOICE, phone="+919876543211"), 0) is None
        server.refuse(502, None)
        with pytest.raises(Unavailable):
            await caller.find(phone_job(Way.VOICE), 0)


async def test_how_a_call_went_can_be_asked() -> None:
    job = phone_job(Way.VOICE)
    delivery = replace(job.delivery, provider_id="CA1")
    async with TwilioServer() as server:
        caller = provider(server, None)
        assert await caller.look(delivery) is None
        assert await caller.look(job.delivery) is None
        await caller.send(job)
        await server.advance("CA1", "completed", answered_by="human")
        assert await caller.look(delivery) == Outcome(status="read", id="CA1", detail="human", cost=1)
        await server.advance("CA1", "no-answer")
        with pytest.raises(Refused) as caught:
            await caller.look(delivery)
    assert caught.value.blame is Blame.HANDSET


@pytest.mark.parametrize(
    ("status", "answered_by", "told", "detail"),
    [
        ("queued", "", "accepted", "queued"),
        ("initiated", "", "accepted", "initiated"),
        ("ringing", "", "sent", "ringing"),
        ("in-progress", "human", "sent", "in-progress"),
        ("completed", "human", "read", "human"),
        ("completed", "machine_start", "delivered", "voicemail"),
        ("completed", "machine_end_beep", "delivered", "voicemail"),
        ("completed", "fax", "delivered", "voicemail"),
        ("completed", "unknown", "delivered", "completed"),
        ("completed", "", "delivered", "completed"),
    ],
)
def test_only_a_person_can_have_heard_it(status: str, answered_by: str, told: str, detail: str) -> None:
    assert voice_progress(status, answered_by, "CA1") == Outcome(status=told, id="CA1", detail=detail, cost=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("status", ["busy", "no-answer", "failed"])
def test_a_telephone_that_nobody_answers_is_rung_once_more(status: str) -> None:
    told = voice_progress(status, "", "CA1")
    assert isinstance(told, Refused)
    assert (told.permanent, told.blame) == (False, Blame.HANDSET)
    assert told.retry_after_s


def test_a_call_that_was_called_off_is_not_repeated() -> None:
    told = voice_progress("canceled", "", "CA1")
    assert isinstance(told, Refused)
    assert told.permanent


def test_to_be_called_again_is_one_more_call_however_often_it_is_said() -> None:
    delivery = phone_job(Way.VOICE).delivery
    again = snoozed(delivery)
    assert (again.channel, again.after_ms, again.unless_acknowledged) == (Way.VOICE, SNOOZE_MS, True)
    assert (again.trigger_id, again.user) == (delivery.trigger_id, delivery.user)
    assert msgspec.json.decode(again.content) == delivery.content
    assert snoozed(delivery).key == again.key != delivery.key
    assert len(again.key) == 64
    assert again.lives_ms > again.after_ms


async def test_without_an_account_the_words_go_to_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    files = FileVoice(Outbox(tmp_path / "outbox"), SCRIPTS)
    assert await files.find(phone_job(Way.VOICE), 0) is None
    outcome = await files.send(phone_job(Way.VOICE))
    await files.send(phone_job(Way.VOICE))
    path = tmp_path / "outbox" / str(outcome.id)
    assert path.name.endswith("-alert-41.call.txt")
    script = SCRIPTS.of(phone_job(Way.VOICE))
    assert path.read_text(encoding="utf-8") == (
        f"To: {PHONE}\nLanguage: mr-IN\nVoice: Google.mr-IN-Wavenet-A\n\n{script.words}\n\n"
        f"Keys: 1 acknowledges, 2 calls again in ten minutes, 9 stops such calls.\n{script.keys}\n"
    )
    assert outcome.status == "delivered"
    assert await files.find(phone_job(Way.VOICE), 0) is not None
    assert (await files.look(phone_job(Way.VOICE).delivery)) is not None
    assert [record.message for record in caplog.records] == ["voice.to_files"]
    await files.close()
