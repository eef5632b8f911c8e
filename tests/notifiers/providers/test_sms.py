"""A text is sent once, and it is known whether it may have been."""

import asyncio
import logging
from pathlib import Path

import msgspec
import pytest

from notifiers.errors import OutcomeUnknown, Refused
from notifiers.providers.dlt import Category, Dlt, Template
from notifiers.providers.sms import FileTexter, TwilioTexter
from notifiers.providers.twilio import MAX_ANSWER_BYTES
from notifiers.wording.letters import Sms
from schemas.errors import Unavailable
from schemas.secret import Secret
from tests.notifiers.providers.twilio_server import TwilioServer

SMS = Sms(id="t_1", kind="login_code", to="+919876543210", text="493027: कोड", language="hi")


def texter(server: TwilioServer, timeout_s: float = 5.0) -> TwilioTexter:
    return TwilioTexter("AC1", Secret("token"), sender="+15005550006", base_url=server.url, timeout_s=timeout_s)


async def test_a_text_is_created_with_what_twilio_needs() -> None:
    async with TwilioServer() as server:
        assert await texter(server).send(SMS) == "SM1"
        assert server.paths == ["/proxy/2010-04-01/Accounts/AC1/Messages.json"]
        assert server.logins == ["AC1:token"]
        assert server.created == [
            {"To": "+919876543210", "From": "+15005550006", "Body": "493027: कोड", "ValidityPeriod": "600"}
        ]


async def test_a_messaging_service_sends_instead_of_a_number() -> None:
    async with TwilioServer() as server:
        service = TwilioTexter("AC1", Secret("t"), sender="+1", messaging_service_sid="MG1", base_url=server.url)
        await service.send(SMS)
        assert server.created[0]["MessagingServiceSid"] == "MG1"
        assert "From" not in server.created[0]


def test_a_text_needs_a_sender() -> None:
    with pytest.raises(ValueError, match="sender"):
        TwilioTexter("AC1", Secret("t"))


@pytest.mark.parametrize(
    ("status", "code", "permanent"),
    [(400, 21211, True), (400, 21610, True), (401, 20003, True), (429, 20429, False), (400, 14107, False),
     (429, None, False)],
)  # fmt: skip
async def test_a_refusal_says_whether_it_is_for_good(status: int, code: int | None, permanent: bool) -> None:
    async with TwilioServer() as server:
        server.refuse(status, code)
        with pytest.raises(Refused) as caught:
            await texter(server).send(SMS)
        assert caught.value.permanent is permanent
        assert "98765" not in str(caught.value)
        assert len(server.paths) == 1


@pytest.mark.parametrize(("status", "code"), [(500, 20500), (503, 20503), (502, None), (404, None)])
async def test_whatever_may_have_been_done_is_unknown(status: int, code: int | None) -> None:
    async with TwilioServer() as server:
        server.refuse(status, code)
        with pytest.raises(OutcomeUnknown):
            await texter(server).send(SMS)
        assert len(server.paths) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"not json", b'{"sid": 7}', b"x" * (MAX_ANSWER_BYTES + 1)])
async def test_an_answer_that_is_none_leaves_it_unknown(body: bytes) -> None:
    async with TwilioServer() as server:
        server.answer(201, body)
        with pytest.raises(OutcomeUnknown):
            await texter(server).send(SMS)
        assert len(server.created) == 1


async def test_a_server_that_stalls_leaves_it_unknown_and_is_not_asked_again() -> None:
    async with TwilioServer() as server:
        server.hold.clear()
        async with asyncio.timeout(5):
            with pytest.raises(OutcomeUnknown):
                await texter(server, timeout_s=0.2).send(SMS)
        assert len(server.created) == 1


async def test_a_line_that_is_cut_leaves_it_unknown() -> None:
    async with TwilioServer() as server:
        server.cut = True
        with pytest.raises(OutcomeUnknown):
            await texter(server).send(SMS)
        assert len(server.created) == 1


async def test_nobody_there_is_surely_not_sent() -> None:
    async with TwilioServer() as server:
        lost = texter(server)
    with pytest.raises(Unavailable):
        await lost.send(SMS)


async def test_neither_number_nor_text_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with TwilioServer() as server:
        await texter(server).send(SMS)
    assert "9876543210" not in caplog.text
    assert "493027" not in caplog.text


async def test_texts_go_to_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tickhub.notifiers.providers.sms")
    files = FileTexter(tmp_path / "outbox")
    names = [await files.send(SMS), await files.send(SMS)]
    (path,) = (tmp_path / "outbox").iterdir()
    assert path.name in names
    assert path.name.endswith("-login_code-t_1.sms.txt")
    assert path.read_text(encoding="utf-8") == "To: +919876543210\n\n493027: कोड\n"
    assert [record.message for record in caplog.records] == ["sms.to_files"]
    await files.close()


async def test_a_registered_text_comes_from_its_header_and_another_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    template = Template(
        template_id="1", header="TCKOTP", category=Category.TRANSACTIONAL, body="{#numeric#}: कोड", variables=("code",)
    )
    dlt = Dlt("1", {("login_code", "hi"): template})
    async with TwilioServer() as server:
        registered = TwilioTexter("AC1", Secret("token"), messaging_service_sid="MG1", base_url=server.url, dlt=dlt)
        await registered.send(SMS)
        await registered.send(msgspec.structs.replace(SMS, text="something else"))
    assert [form.get("From") for form in server.created] == ["TCKOTP", None]
    assert [record.message for record in caplog.records] == ["sms.not_registered"]
