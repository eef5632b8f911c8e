"""A user's own server is told, in a form that it can verify, until it says that it has heard."""

import json
import ssl
import time
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from standardwebhooks import Webhook, WebhookVerificationError

from auth.sealing import Sealer
from notifiers.errors import Blame, OutcomeUnknown, Refused
from notifiers.outbox.delivery import Kind
from notifiers.outbox.provider import Provider
from notifiers.people.reach import Reach
from notifiers.people.webhook_endpoints import GIVE_UP_MS, WebhookEndpoint, WebhookEndpoints
from notifiers.providers.outward import Outward
from notifiers.providers.webhook import TYPES, WebhookCaller, WebhookProvider
from notifiers.way import Way
from schemas.errors import Unavailable
from schemas.secret import Secret
from tests.notifiers.providers.cue_server import CUT, Asked, CueServer, answer
from tests.notifiers.providers.jobs import job_of, said

HERE = Reach(["127.0.0.0/8"])


class Parts:
    """The provider, a user's server, and what its owner was told."""

    def __init__(self, engine: AsyncEngine, server: CueServer, outward: Outward) -> None:
        self.server = server
        self.now = time.time()
        self.told: list[WebhookEndpoint] = []
        self.endpoints = WebhookEndpoints(engine, Sealer([b"s" * 32]), HERE, wall=lambda: self.now)
        self.caller = WebhookCaller(outward)
        self.provider = WebhookProvider(self.endpoints, self.caller, say=said, on_disabled=self._tell)
        self.deaf = False

    async def _tell(self, endpoint: WebhookEndpoint) -> None:
        if self.deaf:
            raise Unavailable("the database", "away")
        self.told.append(endpoint)

    async def add(self, path: str = "/hook", user: str = "7") -> tuple[str, Secret]:
        made, secret = await self.endpoints.add(user, f"{self.server.url}{path}")
        return str(made.id), secret

    async def status(self, endpoint: str) -> tuple[str, str | None]:
        found = await self.endpoints.get("7", int(endpoint))
        return found.status, found.status_reason


@pytest.fixture
def database_url() -> str:
    """SQLite alone: what is asked of the database is tested on both elsewhere."""
    return ""


@pytest.fixture
async def hooks(engine: AsyncEngine, tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> AsyncIterator[Parts]:
    outward = Outward(tls[1], HERE, timeout_s=5)
    async with CueServer(tls[0]) as server:
        server.cues = [answer(204)]
        parts = Parts(engine, server, outward)
        yield parts
        await parts.provider.close()
        await parts.provider.close()


def verified(asked: Asked, secret: Secret) -> dict[str, object]:
    """What a receiver makes of it with the library of Standard Webhooks."""
    told: dict[str, object] = Webhook(secret.reveal()).verify(asked.body, asked.headers)
    return told


async def test_a_server_can_verify_what_it_is_told(hooks: Parts) -> None:
    provider: Provider = hooks.provider
    endpoint, secret = await hooks.add()
    job = job_of(Way.WEBHOOK, endpoint)
    outcome = await provider.send(job)
    assert (outcome.status, outcome.detail) == ("delivered", None)
    (asked,) = hooks.server.asked
    assert (asked.method, asked.path, asked.headers["content-type"]) == ("POST", "/hook", "application/json")
    assert asked.headers["webhook-id"] == job.delivery.key
    assert verified(asked, secret) == {
        "type": "alert.triggered",
        "timestamp": "2027-01-15T13:30:00.000+05:30",
        "data": {
            "trigger": 9,
            "title": "TCS: सूचना",
            "text": "किंमत ₹2,500.50",
            "alert_id": 5,
            "exchange": "NSE",
            "symbol": "TCS",
            "condition": "price > 2500",
            "at_ms": 1_800_000_000_000,
            "price": 2500.5,
        },
    }


@pytest.mark.parametrize("kind", list(Kind))
async def test_every_occasion_has_a_type(hooks: Parts, kind: Kind) -> None:
    endpoint, secret = await hooks.add()
    await hooks.provider.send(job_of(Way.WEBHOOK, endpoint, kind=kind))
    assert verified(hooks.server.asked[0], secret)["type"] == TYPES[kind]


async def test_what_somebody_else_signs_or_changes_is_not_believed(hooks: Parts) -> None:
    endpoint, secret = await hooks.add()
    _, other = await hooks.add("/other")
    await hooks.provider.send(job_of(Way.WEBHOOK, endpoint))
    (asked,) = hooks.server.asked
    with pytest.raises(WebhookVerificationError):
        verified(asked, other)
    changed = Asked(asked.method, asked.path, asked.headers, asked.body.replace(b"2500.5", b"9999.9"))
    with pytest.raises(WebhookVerificationError):
        verified(changed, secret)


async def test_old_and_new_secret_both_sign_while_the_owner_changes_over(hooks: Parts) -> None:
    endpoint, old = await hooks.add()
    new, until_ms = await hooks.endpoints.rotate("7", int(endpoint))
    await hooks.provider.send(job_of(Way.WEBHOOK, endpoint))
    verified(hooks.server.asked[0], old)
    verified(hooks.server.asked[0], new)
    hooks.now = until_ms / 1000
    await hooks.provider.send(job_of(Way.WEBHOOK, endpoint))
    verified(hooks.server.asked[1], new)
    with pytest.raises(WebhookVerificationError):
        verified(hooks.server.asked[1], old)


async def test_the_same_is_told_again_under_the_same_id(hooks: Parts) -> None:
    endpoint, _ = await hooks.add()
    hooks.server.cues = [CUT, answer(500), answer(200)]
    assert hooks.provider.resend_unknown
    with pytest.raises(OutcomeUnknown, match="webhook"):
        await hooks.provider.send(job_of(Way.WEBHOOK, endpoint))
    with pytest.raises(Refused):
        await hooks.provider.send(job_of(Way.WEBHOOK, endpoint, attempt=2))
    await hooks.provider.send(job_of(Way.WEBHOOK, endpoint, attempt=3))
    assert len({(asked.headers["webhook-id"], asked.body) for asked in hooks.server.asked}) == 1
    assert len(hooks.server.asked) == 3


@pytest.mark.parametrize(
    ("status", "permanent"),
    [(301, True), (308, True), (400, False), (401, False), (404, False), (429, False), (500, False), (503, False)],
)
async def test_whatever_is_no_success_is_tried_again_but_redirects(hooks: Parts, status: int, permanent: bool) -> None:
    endpoint, _ = await hooks.add()
    hooks.server.cues = [answer(status, Retry_After="30", Location=f"{hooks.server.url}/elsewhere")]
    with pytest.raises(Refused) as caught:
        await hooks.provider.send(job_of(Way.WEBHOOK, endpoint))
    refused = caught.value
    assert (refused.permanent, refused.blame, refused.retry_after_s) == (permanent, Blame.MESSAGE, 30)
    assert len(hooks.server.asked) == 1
    assert (await hooks.endpoints.get("7", int(endpoint))).failing_since_ms is not None


async def test_a_server_that_is_away_is_tried_again(hooks: Parts) -> None:
    async with CueServer() as gone:
        url = gone.url
    made, _ = await hooks.endpoints.add("7", url)
    with pytest.raises(Refused) as caught:
        await hooks.provider.send(job_of(Way.WEBHOOK, str(made.id)))
    assert (caught.value.permanent, caught.value.blame) == (False, Blame.MESSAGE)


async def test_one_that_wants_no_more_is_disabled_and_its_owner_told(hooks: Parts) -> None:
    endpoint, _ = await hooks.add()
    hooks.server.cues = [answer(410)]
    for _ in range(2):
        with pytest.raises(Refused) as caught:
            await hooks.provider.send(job_of(Way.WEBHOOK, endpoint))
        assert (caught.value.permanent, caught.value.blame) == (True, Blame.ADDRESS)
    assert await hooks.status(endpoint) == ("disabled", "gone")
    assert [one.id for one in hooks.told] == [int(endpoint)]
    assert len(hooks.server.asked) == 1


async def test_one_that_fails_for_days_is_disabled_and_its_owner_told(hooks: Parts) -> None:
    endpoint, _ = await hooks.add()
    hooks.server.cues = [answer(500)]
    with pytest.raises(Refused):
        await hooks.provider.send(job_of(Way.WEBHOOK, endpoint, attempt=3))
    hooks.now += GIVE_UP_MS / 1000
    with pytest.raises(Refused):
        await hooks.provider.send(job_of(Way.WEBHOOK, endpoint, attempt=2))
    assert hooks.told == []
    with pytest.raises(Refused):
        await hooks.provider.send(job_of(Way.WEBHOOK, endpoint, attempt=3))
    assert await hooks.status(endpoint) == ("disabled", "failing")
    assert [one.id for one in hooks.told] == [int(endpoint)]


async def test_one_that_has_heard_again_has_not_failed(hooks: Parts) -> None:
    endpoint, _ = await hooks.add()
    hooks.server.cues = [answer(500), answer(200)]
    with pytest.raises(Refused):
        await hooks.provider.send(job_of(Way.WEBHOOK, endpoint))
    await hooks.provider.send(job_of(Way.WEBHOOK, endpoint, attempt=2))
    assert (await hooks.endpoints.get("7", int(endpoint))).failing_since_ms is None


async def test_an_owner_who_cannot_be_told_changes_no_delivery(hooks: Parts) -> None:
    endpoint, _ = await hooks.add()
    hooks.server.cues = [answer(410)]
    hooks.deaf = True
    with pytest.raises(Refused, match="410"):
        await hooks.provider.send(job_of(Way.WEBHOOK, endpoint))
    assert await hooks.status(endpoint) == ("disabled", "gone")


async def test_one_that_is_disabled_removed_or_anothers_is_not_told(hooks: Parts) -> None:
    disabled, _ = await hooks.add()
    await hooks.endpoints.change("7", int(disabled), enabled=False)
    anothers, _ = await hooks.add(user="8")
    for endpoint in (disabled, anothers, "0", "999999", "", "x", "-1", "9" * 40, "\u0663"):
        with pytest.raises(Refused) as caught:
            await hooks.provider.send(job_of(Way.WEBHOOK, endpoint))
        assert (caught.value.permanent, caught.value.blame) == (True, Blame.ADDRESS)
    assert hooks.server.connections == 0


async def test_a_name_that_leads_inside_is_not_told(
    hooks: Parts, engine: AsyncEngine, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    outward = Outward(tls[1], Reach())
    strict = WebhookEndpoints(engine, Sealer([b"s" * 32]), Reach(), wall=time.time)
    made, _ = await strict.add("7", f"https://localhost:{hooks.server.port}/")
    provider = WebhookProvider(strict, WebhookCaller(outward), say=said, on_disabled=hooks._tell)
    with pytest.raises(Refused) as caught:
        await provider.send(job_of(Way.WEBHOOK, str(made.id)))
    assert (caught.value.permanent, caught.value.blame) == (True, Blame.ADDRESS)
    assert hooks.server.connections == 0
    await provider.close()


async def test_a_trial_says_that_it_is_one(hooks: Parts) -> None:
    endpoint, secret = await hooks.add()
    target = await hooks.endpoints.target("7", int(endpoint))
    assert target is not None
    assert (await hooks.caller.try_out(target)).status == 204
    assert verified(hooks.server.asked[0], secret)["type"] == "webhook.test"


async def test_nobody_can_be_asked_afterwards(hooks: Parts) -> None:
    job = job_of(Way.WEBHOOK, "1")
    with pytest.raises(Unavailable):
        await hooks.provider.find(job, 0)
    assert await hooks.provider.look(job.delivery) is None


async def test_a_body_is_what_json_readers_take(hooks: Parts) -> None:
    endpoint, _ = await hooks.add()
    await hooks.provider.send(job_of(Way.WEBHOOK, endpoint))
    assert json.loads(hooks.server.asked[0].body)["data"]["text"] == "किंमत ₹2,500.50"
