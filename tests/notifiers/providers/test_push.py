"""A push message goes to the browser or the app that the delivery names, and dead ones are forgotten."""

import json
import ssl
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.push_subscriptions import PushSubscriptions
from notifiers.errors import Blame, OutcomeUnknown, Refused
from notifiers.outbox.provider import Provider
from notifiers.people.reach import Reach
from notifiers.providers.fcm import Fcm
from notifiers.providers.outward import Outward
from notifiers.providers.push import PushProvider
from notifiers.providers.web_push import WebPush
from notifiers.way import Way
from schemas.errors import Unavailable
from tests.notifiers.providers.browser import PushBrowser, encode
from tests.notifiers.providers.cue_server import CUT, CueServer, answer
from tests.notifiers.providers.jobs import NOW, job_of, said
from tests.notifiers.providers.test_fcm import SENT, TOKEN, account, error, fcm_error
from tests.notifiers.providers.test_vapid import VAPID

BROWSER = PushBrowser()


class Parts:
    """The provider, a service that carries, and who has subscribed."""

    def __init__(self, subscriptions: PushSubscriptions, service: CueServer, outward: Outward) -> None:
        self.subscriptions = subscriptions
        self.service = service
        self.provider = PushProvider(
            subscriptions,
            outward,
            browsers=WebPush(outward, VAPID),
            apps=Fcm(account(service), outward, base_url=service.url, wall=lambda: NOW),
            say=said,
            url_of=lambda job: f"https://hub.example/alerts/{job.delivery.alert_id}",
            acknowledge_url_of=lambda job: f"https://hub.example/acknowledge/{job.delivery.trigger_id}",
            wall=lambda: NOW,
        )

    async def subscribe(self, user: str = "7") -> str:
        endpoint = f"{self.service.url.replace('127.0.0.1', 'push.example.net')}/{user}"
        return str(await self.subscriptions.add(user, endpoint, BROWSER.p256dh, BROWSER.auth))


@pytest.fixture
def database_url() -> str:
    """SQLite alone: what is asked of the database is tested on both elsewhere."""
    return ""


@pytest.fixture
async def push(
    engine: AsyncEngine, tls: tuple[ssl.SSLContext, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Parts]:
    outward = Outward(tls[1], Reach(["127.0.0.0/8"]), timeout_s=5)
    async with CueServer(tls[0]) as service:
        parts = Parts(PushSubscriptions(engine, wall=lambda: NOW), service, outward)
        yield parts
        await parts.provider.close()
        await parts.provider.close()


async def at_the_service(parts: Parts, user: str = "7") -> str:
    """A browser whose service is the one of these tests."""
    return str(await parts.subscriptions.add(user, f"{parts.service.url}/s", BROWSER.p256dh, BROWSER.auth))


async def test_a_browser_is_shown_what_happened(push: Parts) -> None:
    provider: Provider = push.provider
    outcome = await provider.send(job_of(Way.PUSH, await at_the_service(push)))
    assert (outcome.status, outcome.id, outcome.detail) == ("sent", None, None)
    shown = BROWSER.read(push.service.asked[0].body)
    assert (shown["url"], shown["acknowledge"]) == ("https://hub.example/alerts/5", "https://hub.example/acknowledge/9")


async def test_an_app_is_shown_what_happened(push: Parts) -> None:
    push.service.cues = [TOKEN, SENT]
    outcome = await push.provider.send(job_of(Way.PUSH, str(await push.subscriptions.add_app("7", "app:1"))))
    assert (outcome.status, outcome.id) == ("sent", "0:1500%31bd")
    assert json.loads(push.service.asked[1].body)["message"]["token"] == "app:1"


@pytest.mark.parametrize("status", [404, 410])
async def test_a_browser_that_is_no_more_is_forgotten(push: Parts, status: int) -> None:
    endpoint, other = await at_the_service(push), await push.subscribe("8")
    push.service.cues = [answer(status)]
    with pytest.raises(Refused) as caught:
        await push.provider.send(job_of(Way.PUSH, endpoint))
    assert (caught.value.permanent, caught.value.blame) == (True, Blame.ADDRESS)
    assert await push.subscriptions.endpoints_of("7") == []
    assert await push.subscriptions.endpoints_of("8") == [other]


async def test_an_app_that_is_no_more_is_forgotten(push: Parts) -> None:
    app = str(await push.subscriptions.add_app("7", "app:1"))
    push.service.cues = [TOKEN, error(404, "NOT_FOUND", fcm_error("UNREGISTERED"))]
    with pytest.raises(Refused) as caught:
        await push.provider.send(job_of(Way.PUSH, app))
    assert caught.value.blame is Blame.ADDRESS
    assert await push.subscriptions.endpoints_of("7") == []


async def test_a_browser_with_impossible_keys_is_forgotten(push: Parts) -> None:
    nowhere = encode(b"\4" + bytes(64))
    made = await push.subscriptions.add("7", f"{push.service.url}/s", nowhere, BROWSER.auth)
    with pytest.raises(Refused):
        await push.provider.send(job_of(Way.PUSH, str(made)))
    assert await push.subscriptions.endpoints_of("7") == []
    assert push.service.asked == []


@pytest.mark.parametrize("cue", [answer(403), answer(413), answer(429), answer(500)], ids=["403", "413", "429", "500"])
async def test_any_other_refusal_keeps_the_browser(push: Parts, cue: bytes) -> None:
    endpoint = await at_the_service(push)
    push.service.cues = [cue]
    with pytest.raises(Refused):
        await push.provider.send(job_of(Way.PUSH, endpoint))
    assert await push.subscriptions.endpoints_of("7") == [endpoint]


@pytest.mark.parametrize("endpoint", ["", "0", "999999", "x", "-1", "1" * 30, "٣"])
async def test_who_has_unsubscribed_is_not_sent_anything(push: Parts, endpoint: str) -> None:
    with pytest.raises(Refused) as caught:
        await push.provider.send(job_of(Way.PUSH, endpoint))
    assert (caught.value.permanent, caught.value.blame) == (True, Blame.ADDRESS)


async def test_a_browser_of_somebody_elses_is_not_sent_anything(push: Parts) -> None:
    endpoint = await at_the_service(push, "8")
    with pytest.raises(Refused):
        await push.provider.send(job_of(Way.PUSH, endpoint, user="7"))
    assert push.service.asked == []
    assert await push.subscriptions.endpoints_of("8") == [endpoint]


async def test_the_same_again_after_a_cut_line_replaces_itself(push: Parts) -> None:
    endpoint = await at_the_service(push)
    push.service.cues = [CUT, answer(201)]
    assert push.provider.resend_unknown
    with pytest.raises(OutcomeUnknown):
        await push.provider.send(job_of(Way.PUSH, endpoint))
    await push.provider.send(job_of(Way.PUSH, endpoint, attempt=2))
    first, second = push.service.asked
    assert first.headers["topic"] == second.headers["topic"]
    assert BROWSER.read(first.body)["tag"] == BROWSER.read(second.body)["tag"]


async def test_without_firebase_apps_are_refused_and_browsers_are_not(
    push: Parts, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    outward = Outward(tls[1], Reach(["127.0.0.0/8"]), timeout_s=5)
    alone = PushProvider(
        push.subscriptions, outward, browsers=WebPush(outward, VAPID), apps=None, say=said,
        url_of=lambda _: None, acknowledge_url_of=lambda _: None, wall=lambda: NOW,
    )  # fmt: skip
    with pytest.raises(Refused) as caught:
        await alone.send(job_of(Way.PUSH, str(await push.subscriptions.add_app("7", "app:1"))))
    assert (caught.value.permanent, caught.value.blame) == (True, Blame.MESSAGE)
    assert (await alone.send(job_of(Way.PUSH, await at_the_service(push)))).status == "sent"
    await alone.close()


async def test_nobody_can_be_asked_afterwards(push: Parts) -> None:
    job = job_of(Way.PUSH, "1")
    with pytest.raises(Unavailable):
        await push.provider.find(job, 0)
    assert await push.provider.look(job.delivery) is None
