"""A push message is what its browser alone can read, and what its service says is understood."""

import base64
import ssl
from collections.abc import AsyncIterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from auth.push_subscriptions import PushSubscription
from notifiers.errors import Blame, OutcomeUnknown, Refused
from notifiers.outbox.delivery import Kind
from notifiers.people.reach import Reach
from notifiers.providers.notification import Gone, Notification, notification_of
from notifiers.providers.outward import Outward
from notifiers.providers.web_push import WebPush, encrypted
from notifiers.way import Way
from tests.notifiers.providers.browser import PushBrowser, decode
from tests.notifiers.providers.cue_server import CUT, CueServer, answer
from tests.notifiers.providers.jobs import NOW, job_of, said
from tests.notifiers.providers.test_vapid import VAPID

BROWSER = PushBrowser()
JOB = job_of(Way.PUSH, "1")
NOTIFICATION = notification_of(JOB, said(JOB), url="https://hub.example/", acknowledge=None, now_s=NOW)


def private_key(text: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(decode(text)), ec.SECP256R1())


class RfcExample:
    """RFC 8291, 5 and appendix A."""

    text = b"When I grow up, I want to be a watermelon"
    receiver = private_key("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94")
    p256dh = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
    auth = "BTBZMqHH6r4Tts7J_aSIgg"
    sender = private_key("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")
    salt = decode("DGv6ra1nlYgDCS1FRnbzlw")
    body = decode(
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl"
        "7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


def test_the_example_of_rfc_8291_is_encrypted_as_it_says() -> None:
    example = RfcExample
    assert encrypted(example.text, example.p256dh, example.auth, key=example.sender, salt=example.salt) == example.body


def test_the_browser_of_these_tests_reads_the_example_of_rfc_8291() -> None:
    browser = PushBrowser(RfcExample.receiver, decode(RfcExample.auth))
    assert browser.p256dh == RfcExample.p256dh
    assert browser.decrypt(RfcExample.body) == RfcExample.text


@given(st.binary(max_size=3993))
def test_whatever_is_sent_its_browser_reads(text: bytes) -> None:
    text = text.rstrip(b"\0") + b"."
    body = encrypted(text, BROWSER.p256dh, BROWSER.auth)
    assert BROWSER.decrypt(body) == text
    assert len(body) <= 4096 + 86


def test_each_message_has_a_key_of_its_own() -> None:
    one, other = (encrypted(b"the same", BROWSER.p256dh, BROWSER.auth) for _ in range(2))
    assert one[:16] != other[:16]
    assert one[21:86] != other[21:86]


@pytest.mark.parametrize("point", [b"\4" + bytes(64), b"\4" + b"\xff" * 64, b"\4" + bytes(range(64))])
def test_keys_that_no_browser_can_have_are_gone(point: bytes) -> None:
    with pytest.raises(Gone):
        encrypted(b"x", base64.urlsafe_b64encode(point).decode(), BROWSER.auth)


@pytest.fixture
async def service(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> AsyncIterator[CueServer]:
    async with CueServer(tls[0]) as service:
        yield service


@pytest.fixture
async def push(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> AsyncIterator[WebPush]:
    outward = Outward(tls[1], Reach(["127.0.0.0/8"]), timeout_s=5)
    yield WebPush(outward, VAPID)
    await outward.close()


def subscription(url: str, browser: PushBrowser = BROWSER) -> PushSubscription:
    return PushSubscription(
        id=1, endpoint=f"{url}/send/abc", p256dh=browser.p256dh, auth=browser.auth, user_agent="", created_at=NOW
    )


async def sent(push: WebPush, service: CueServer, notification: Notification = NOTIFICATION) -> None:
    await push.push(subscription(service.url), notification)


async def test_a_service_is_asked_as_it_wants_to_be(service: CueServer, push: WebPush) -> None:
    await sent(push, service)
    (asked,) = service.asked
    assert (asked.method, asked.path) == ("POST", "/send/abc")
    assert asked.headers["authorization"].startswith("vapid t=ey")
    assert asked.headers["content-encoding"] == "aes128gcm"
    assert asked.headers["ttl"] == "600"
    assert asked.headers["urgency"] == "high"
    assert asked.headers["topic"] == NOTIFICATION.topic
    assert BROWSER.read(asked.body)["title"] == "TCS: सूचना"


async def test_a_notice_is_not_urgent(service: CueServer, push: WebPush) -> None:
    job = job_of(Way.PUSH, "1", kind=Kind.NOTICE)
    await sent(push, service, notification_of(job, said(job), url=None, acknowledge=None, now_s=NOW))
    assert service.asked[0].headers["urgency"] == "normal"


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_a_message_that_is_taken_is_sent(service: CueServer, push: WebPush, status: int) -> None:
    service.cues = [answer(status)]
    await sent(push, service)


@pytest.mark.parametrize("status", [404, 410])
async def test_a_browser_that_is_no_more_is_gone(service: CueServer, push: WebPush, status: int) -> None:
    service.cues = [answer(status)]
    with pytest.raises(Gone, match=str(status)):
        await sent(push, service)


@pytest.mark.parametrize(
    ("status", "permanent"),
    [(301, True), (307, True), (400, True), (401, True), (403, True), (413, True), (429, False), (500, False),
     (503, False)],
)  # fmt: skip
async def test_a_refusal_is_about_this_message_alone(
    service: CueServer, push: WebPush, status: int, permanent: bool
) -> None:
    service.cues = [answer(status, b"VapidPkHashMismatch", Retry_After="30", Location="https://elsewhere.example/")]
    with pytest.raises(Refused) as caught:
        await sent(push, service)
    refused = caught.value
    assert (refused.permanent, refused.blame, refused.reason) == (permanent, Blame.MESSAGE, f"push HTTP {status}")
    assert refused.retry_after_s == (None if permanent else 30)
    assert len(service.asked) == 1


async def test_a_line_that_is_cut_leaves_it_open(service: CueServer, push: WebPush) -> None:
    service.cues = [CUT]
    with pytest.raises(OutcomeUnknown, match="push"):
        await sent(push, service)


async def test_a_service_that_is_away_is_asked_later(push: WebPush) -> None:
    async with CueServer() as gone:
        url = gone.url
    with pytest.raises(Refused) as caught:
        await push.push(subscription(url), NOTIFICATION)
    assert (caught.value.permanent, caught.value.blame) == (False, Blame.MESSAGE)


async def test_a_private_address_is_no_service(service: CueServer, tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    outward = Outward(tls[1], Reach())
    with pytest.raises(Refused) as caught:
        await sent(WebPush(outward, VAPID), service)
    assert (caught.value.permanent, caught.value.blame) == (True, Blame.ADDRESS)
    assert service.connections == 0
    await outward.close()
