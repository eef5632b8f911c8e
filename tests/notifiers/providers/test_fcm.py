"""Apps are reached through Firebase with a token that is asked for once, and what Firebase answers is understood."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from notifiers.errors import Blame, OutcomeUnknown, Refused
from notifiers.people.reach import Reach
from notifiers.providers.fcm import REFRESH_S, SCOPE, Account, Fcm, account_of
from notifiers.providers.notification import Gone, notification_of
from notifiers.providers.outward import Outward
from notifiers.way import Way
from schemas.errors import Unavailable
from tests.notifiers.providers.cue_server import CUT, CueServer, answer
from tests.notifiers.providers.jobs import NOW, job_of, said

KEY = rsa.generate_private_key(65537, 2048)
JOB = job_of(Way.PUSH, "1")
NOTIFICATION = notification_of(JOB, said(JOB), url="https://hub.example/", acknowledge=None, now_s=NOW)
TOKEN = answer(200, b'{"access_token":"ya29.first","expires_in":3599,"token_type":"Bearer"}')
AGAIN = answer(200, b'{"access_token":"ya29.second","expires_in":3599}')
SENT = answer(200, b'{"name":"projects/acme/messages/0:1500%31bd"}')


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def account(server: CueServer) -> Account:
    return Account(
        project_id="acme",
        private_key_id="k1",
        private_key=pem(KEY),
        client_email="hub@acme.example",
        token_uri=f"{server.url}/token",
    )


def error(status: int, code: str, *details: dict[str, Any], **headers: str) -> bytes:
    """What Firebase says, https://firebase.google.com/docs/cloud-messaging/error-codes."""
    body = {"error": {"code": status, "message": "No.", "status": code, "details": details}}
    return answer(status, json.dumps(body).encode(), **headers)


def fcm_error(code: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}


def bad_field(name: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"field": name}]}


class Clock:
    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def google(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> AsyncIterator[CueServer]:
    async with CueServer(tls[0]) as google:
        google.cues = [TOKEN, SENT]
        yield google


@pytest.fixture
async def outward(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> AsyncIterator[Outward]:
    outward = Outward(tls[1], Reach(["127.0.0.0/8"]), timeout_s=5)
    yield outward
    await outward.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fcm(google: CueServer, outward: Outward, clock: Clock) -> Fcm:
    return Fcm(account(google), outward, base_url=google.url, wall=clock)


async def test_an_app_is_sent_a_notification(google: CueServer, fcm: Fcm) -> None:
    assert await fcm.push("app:token", NOTIFICATION) == "0:1500%31bd"
    asked = google.asked[1]
    assert asked.path == "/v1/projects/acme/messages:send"
    assert asked.headers["authorization"] == "Bearer ya29.first"
    message = json.loads(asked.body)["message"]
    assert message["token"] == "app:token"
    assert message["notification"] == {"title": "TCS: सूचना", "body": "किंमत ₹2,500.50"}
    assert (message["data"]["alert"], message["data"]["url"]) == ("5", "https://hub.example/")
    assert all(isinstance(value, str) for value in message["data"].values())
    assert message["android"] == {"priority": "HIGH", "ttl": "600s", "notification": {"tag": NOTIFICATION.topic}}
    assert message["apns"]["headers"] == {
        "apns-priority": "10",
        "apns-expiration": str(NOW + 600),
        "apns-collapse-id": NOTIFICATION.topic,
    }


async def test_a_token_is_asked_for_with_a_signature(google: CueServer, fcm: Fcm) -> None:
    await fcm.push("app", NOTIFICATION)
    form = parse_qs(google.asked[0].body.decode())
    assert google.asked[0].path == "/token"
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    (assertion,) = form["assertion"]
    claims = jwt.decode(
        assertion, KEY.public_key(), ["RS256"], audience=f"{google.url}/token", options={"verify_iat": False}
    )
    assert (claims["iss"], claims["scope"], claims["iat"], claims["exp"]) == (
        "hub@acme.example",
        SCOPE,
        NOW,
        NOW + 3600,
    )
    assert jwt.get_unverified_header(assertion)["kid"] == "k1"


async def test_a_token_is_asked_for_once_by_many_and_again_before_it_ends(
    google: CueServer, fcm: Fcm, clock: Clock
) -> None:
    await asyncio.gather(*(fcm.push(f"app{number}", NOTIFICATION) for number in range(5)))
    assert [asked.path for asked in google.asked].count("/token") == 1
    google.cues = [AGAIN, SENT]
    clock.now += 3599 - REFRESH_S - 1
    await fcm.push("app", NOTIFICATION)
    assert google.asked[-1].headers["authorization"] == "Bearer ya29.first"
    clock.now += 1
    google.cues = [AGAIN, SENT]
    await fcm.push("app", NOTIFICATION)
    assert google.asked[-1].headers["authorization"] == "Bearer ya29.second"


async def test_a_token_that_is_refused_is_asked_for_anew(google: CueServer, fcm: Fcm) -> None:
    google.cues = [TOKEN, error(401, "UNAUTHENTICATED"), AGAIN, SENT]
    with pytest.raises(Unavailable):
        await fcm.push("app", NOTIFICATION)
    await fcm.push("app", NOTIFICATION)
    assert google.asked[-1].headers["authorization"] == "Bearer ya29.second"


@pytest.mark.parametrize(
    "said",
    [
        error(404, "NOT_FOUND", fcm_error("UNREGISTERED")),
        error(400, "INVALID_ARGUMENT", fcm_error("INVALID_ARGUMENT"), bad_field("message.token")),
    ],
    ids=["unregistered", "no token"],
)
async def test_an_app_that_is_no_more_is_gone(google: CueServer, fcm: Fcm, said: bytes) -> None:
    google.cues = [TOKEN, said]
    with pytest.raises(Gone):
        await fcm.push("app", NOTIFICATION)


@pytest.mark.parametrize(
    ("said", "permanent", "blame"),
    [
        (error(400, "INVALID_ARGUMENT", bad_field("message.data")), True, Blame.MESSAGE),
        (error(403, "PERMISSION_DENIED", fcm_error("SENDER_ID_MISMATCH")), True, Blame.ADDRESS),
        (error(401, "UNAUTHENTICATED", fcm_error("THIRD_PARTY_AUTH_ERROR")), False, Blame.MESSAGE),
        (error(403, "PERMISSION_DENIED"), False, Blame.MESSAGE),
        (error(404, "NOT_FOUND"), False, Blame.MESSAGE),
        (error(429, "RESOURCE_EXHAUSTED", fcm_error("QUOTA_EXCEEDED")), False, Blame.MESSAGE),
        (error(503, "UNAVAILABLE", fcm_error("UNAVAILABLE"), Retry_After="9"), False, Blame.MESSAGE),
    ],
    ids=["argument", "sender", "third party", "denied", "no project", "quota", "unavailable"],
)
async def test_a_refusal_says_what_is_wrong(
    google: CueServer, fcm: Fcm, said: bytes, permanent: bool, blame: Blame
) -> None:
    google.cues = [TOKEN, said]
    with pytest.raises(Refused) as caught:
        await fcm.push("app", NOTIFICATION)
    assert (caught.value.permanent, caught.value.blame) == (permanent, blame)


@pytest.mark.parametrize("status", [500, 503])
async def test_a_server_in_trouble_is_asked_later(google: CueServer, fcm: Fcm, status: int) -> None:
    google.cues = [TOKEN, answer(status, b"<html>")]
    with pytest.raises(Unavailable, match="FCM"):
        await fcm.push("app", NOTIFICATION)


async def test_a_line_that_is_cut_leaves_it_open(google: CueServer, fcm: Fcm) -> None:
    google.cues = [TOKEN, CUT]
    with pytest.raises(OutcomeUnknown, match="FCM"):
        await fcm.push("app", NOTIFICATION)


@pytest.mark.parametrize(
    "said", [CUT, answer(500), answer(200, b"{}"), answer(200, b"no JSON")], ids=["cut", "500", "nothing", "garbage"]
)
async def test_without_a_token_nothing_was_sent(google: CueServer, fcm: Fcm, said: bytes) -> None:
    google.cues = [said]
    with pytest.raises(Unavailable, match="FCM"):
        await fcm.push("app", NOTIFICATION)
    assert [asked.path for asked in google.asked] == ["/token"]


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_an_account_that_is_refused_needs_somebody_to_act(
    google: CueServer, fcm: Fcm, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    google.cues = [answer(status, b'{"error":"invalid_grant"}')]
    with pytest.raises(Refused) as caught:
        await fcm.push("app", NOTIFICATION)
    assert (caught.value.permanent, caught.value.blame) == (False, Blame.MESSAGE)  # browsers are not to wait
    assert [record.message for record in caplog.records] == ["fcm.refused"]


async def test_nobody_there_is_surely_not_sent(outward: Outward) -> None:
    async with CueServer() as gone:
        lost = Fcm(account(gone), outward, base_url=gone.url)
    with pytest.raises(Unavailable, match="FCM"):
        await lost.push("app", NOTIFICATION)


def test_an_account_is_read_from_googles_file() -> None:
    text = json.dumps({"type": "service_account", "project_id": "acme", "private_key_id": "k", "private_key": pem(KEY),
                       "client_email": "a@b", "client_id": "1"})  # fmt: skip
    read = account_of(text.encode())
    assert (read.project_id, read.token_uri) == ("acme", "https://oauth2.googleapis.com/token")
    assert "BEGIN" not in repr(read)


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"project_id": 7}', b"\xff"])
def test_what_is_no_account_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="service account"):
        account_of(text)


@pytest.mark.parametrize("key", ["", "x", pem(ec.generate_private_key(ec.SECP256R1()))], ids=["empty", "none", "EC"])
async def test_an_account_without_its_key_is_refused(outward: Outward, google: CueServer, key: str) -> None:
    broken = Account(project_id="a", private_key_id="k", private_key=key, client_email="a@b")
    with pytest.raises(ValueError, match=r"."):
        Fcm(broken, outward)
