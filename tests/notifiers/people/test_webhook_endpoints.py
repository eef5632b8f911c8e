"""Webhooks are their owner's alone, their secrets change without a gap, and those that fail for days are disabled."""

import asyncio
import base64
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.sealing import Sealer, reseal
from notifiers.people.reach import Reach
from notifiers.people.webhook_endpoints import (
    GIVE_UP_ATTEMPTS,
    GIVE_UP_MS,
    MAX_ENDPOINTS,
    PREVIOUS_MS,
    Reason,
    Status,
    Target,
    WebhookEndpoint,
    WebhookEndpoints,
)
from schemas.errors import CommandError, ErrorCode, Unavailable
from schemas.tables import webhook_endpoints
from tests.auth.conftest import NOW, Clock

URL = "https://hooks.example.com/a"
OLD, NEW = b"o" * 32, b"n" * 32
SEALER = Sealer([OLD])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def webhooks(engine: AsyncEngine, clock: Clock) -> WebhookEndpoints:
    return WebhookEndpoints(engine, SEALER, Reach(), wall=clock)


def refused(code: ErrorCode) -> Any:
    return pytest.raises(CommandError, check=lambda exc: exc.code is code)


async def targeted(webhooks: WebhookEndpoints, user: str, endpoint_id: int) -> Target:
    target = await webhooks.target(user, endpoint_id)
    assert target is not None
    return target


async def secrets_of(webhooks: WebhookEndpoints, user: str, endpoint_id: int) -> list[str]:
    return [secret.reveal() for secret in (await targeted(webhooks, user, endpoint_id)).secrets]


async def test_a_webhook_is_kept_and_its_secret_is_shown_once(webhooks: WebhookEndpoints, engine: AsyncEngine) -> None:
    made, secret = await webhooks.add("7", URL)
    assert made == WebhookEndpoint(
        id=made.id,
        user="7",
        url=URL,
        status=Status.ACTIVE,
        status_reason=None,
        failing_since_ms=None,
        created_at_ms=NOW * 1000,
    )
    assert len(base64.b64decode(secret.reveal().removeprefix("whsec_"), validate=True)) == 32
    assert await webhooks.listed("7") == [made]
    assert await webhooks.get("7", made.id) == made
    assert await webhooks.endpoints_of("7") == [str(made.id)]
    assert await secrets_of(webhooks, "7", made.id) == [secret.reveal()]
    async with engine.connect() as connection:
        kept = (await connection.execute(select(webhook_endpoints))).one()
    assert secret.reveal() not in str(kept)
    assert "whsec" not in str(kept)


async def test_somebody_elses_webhook_is_not_there(webhooks: WebhookEndpoints) -> None:
    made, _ = await webhooks.add("7", URL)
    for user, endpoint_id in (("8", made.id), ("7", made.id + 1), ("7", 0), ("7", -1), ("7", 2**63)):
        with refused(ErrorCode.NOT_FOUND):
            await webhooks.get(user, endpoint_id)
        with refused(ErrorCode.NOT_FOUND):
            await webhooks.change(user, endpoint_id, enabled=False)
        with refused(ErrorCode.NOT_FOUND):
            await webhooks.change(user, endpoint_id)
        with refused(ErrorCode.NOT_FOUND):
            await webhooks.rotate(user, endpoint_id)
        with refused(ErrorCode.NOT_FOUND):
            await webhooks.remove(user, endpoint_id)
        assert await webhooks.target(user, endpoint_id) is None
    assert await webhooks.endpoints_of("8") == []
    assert await webhooks.listed("7") == [made]
    await webhooks.remove("7", made.id)
    assert await webhooks.listed("7") == []


async def test_a_url_that_cannot_be_asked_is_refused(webhooks: WebhookEndpoints) -> None:
    made, _ = await webhooks.add("7", URL)
    for url in ("http://hooks.example.com/", "https://127.0.0.1/", "https://user:pw@hooks.example.com/", "x"):
        with refused(ErrorCode.BAD_REQUEST):
            await webhooks.add("7", url)
        with refused(ErrorCode.BAD_REQUEST):
            await webhooks.change("7", made.id, url=url)
    assert await webhooks.listed("7") == [made]


async def test_a_user_has_so_many_and_no_more_however_many_come_at_once(
    webhooks: WebhookEndpoints, engine: AsyncEngine
) -> None:
    outcomes = await asyncio.gather(*(webhooks.add("7", URL) for _ in range(MAX_ENDPOINTS + 4)), return_exceptions=True)
    codes = [outcome.code for outcome in outcomes if isinstance(outcome, CommandError)]
    assert codes == [ErrorCode.LIMIT_EXCEEDED] * 4
    assert len(await webhooks.listed("7")) == MAX_ENDPOINTS
    await webhooks.add("8", URL)


async def test_a_secret_that_is_replaced_signs_for_a_day(webhooks: WebhookEndpoints, clock: Clock) -> None:
    made, first = await webhooks.add("7", URL)
    second, until_ms = await webhooks.rotate("7", made.id)
    assert until_ms == NOW * 1000 + PREVIOUS_MS == NOW * 1000 + 86_400_000
    assert await secrets_of(webhooks, "7", made.id) == [second.reveal(), first.reveal()]
    third, _ = await webhooks.rotate("7", made.id)
    assert await secrets_of(webhooks, "7", made.id) == [third.reveal(), second.reveal()]
    clock.now += PREVIOUS_MS / 1000 - 1
    assert len(await secrets_of(webhooks, "7", made.id)) == 2
    clock.now += 1
    assert await secrets_of(webhooks, "7", made.id) == [third.reveal()]
    assert len({first, second, third}) == 3


async def test_secrets_are_sealed_anew_with_the_next_key(
    webhooks: WebhookEndpoints, engine: AsyncEngine, clock: Clock
) -> None:
    made, first = await webhooks.add("7", URL)
    second, _ = await webhooks.rotate("7", made.id)
    assert (await reseal(engine, Sealer([NEW, OLD]))).resealed == 2
    later = WebhookEndpoints(engine, Sealer([NEW]), Reach(), wall=clock)
    assert await secrets_of(later, "7", made.id) == [second.reveal(), first.reveal()]
    with pytest.raises(Unavailable):
        await webhooks.target("7", made.id)


async def test_one_that_is_disabled_is_not_told_anything(webhooks: WebhookEndpoints) -> None:
    made, _ = await webhooks.add("7", URL)
    changed = await webhooks.change("7", made.id, enabled=False)
    assert (changed.status, changed.status_reason) == (Status.DISABLED, Reason.OWNER)
    assert await webhooks.endpoints_of("7") == []
    assert (await targeted(webhooks, "7", made.id)).endpoint == changed
    assert await webhooks.change("7", made.id, enabled=True) == made
    assert await webhooks.endpoints_of("7") == [str(made.id)]


async def fail(webhooks: WebhookEndpoints, made: WebhookEndpoint, attempt: int = GIVE_UP_ATTEMPTS) -> bool:
    """As a delivery does: with what it has read before."""
    return await webhooks.failed(await webhooks.get("7", made.id), attempt)


async def test_one_that_fails_for_five_days_is_disabled(webhooks: WebhookEndpoints, clock: Clock) -> None:
    made, _ = await webhooks.add("7", URL)
    assert not await fail(webhooks, made)
    assert (await webhooks.get("7", made.id)).failing_since_ms == NOW * 1000
    clock.now += GIVE_UP_MS / 1000 - 1
    assert not await fail(webhooks, made)
    clock.now += 1
    before = await webhooks.get("7", made.id)
    assert not await fail(webhooks, made, attempt=GIVE_UP_ATTEMPTS - 1)
    assert await fail(webhooks, made)
    assert not await webhooks.failed(before, GIVE_UP_ATTEMPTS)  # said once, however many deliveries find out
    disabled = await webhooks.get("7", made.id)
    assert (disabled.status, disabled.status_reason) == (Status.DISABLED, Reason.FAILING)


async def test_one_that_works_again_begins_anew(webhooks: WebhookEndpoints, clock: Clock) -> None:
    made, _ = await webhooks.add("7", URL)
    await fail(webhooks, made)
    clock.now += GIVE_UP_MS / 1000
    await webhooks.succeeded(await webhooks.get("7", made.id))
    assert (await webhooks.get("7", made.id)) == made
    assert not await fail(webhooks, made)
    assert (await webhooks.get("7", made.id)).failing_since_ms == clock.now * 1000


@pytest.mark.parametrize("change", [{"url": f"{URL}/b"}, {"enabled": True}], ids=["url", "enabled"])
async def test_one_that_its_owner_has_mended_begins_anew(
    webhooks: WebhookEndpoints, clock: Clock, change: dict[str, Any]
) -> None:
    made, _ = await webhooks.add("7", URL)
    await fail(webhooks, made)
    before = await webhooks.get("7", made.id)
    await webhooks.change("7", made.id, **change)
    clock.now += GIVE_UP_MS / 1000
    assert not await webhooks.failed(before, GIVE_UP_ATTEMPTS)
    assert (await webhooks.get("7", made.id)).status is Status.ACTIVE


async def test_one_that_is_gone_is_disabled_once(webhooks: WebhookEndpoints) -> None:
    made, _ = await webhooks.add("7", URL)
    assert await webhooks.gone(made)
    assert not await webhooks.gone(made)
    gone = await webhooks.get("7", made.id)
    assert (gone.status, gone.status_reason) == (Status.DISABLED, Reason.GONE)


async def test_what_another_url_has_said_counts_no_more(webhooks: WebhookEndpoints) -> None:
    made, _ = await webhooks.add("7", URL)
    await webhooks.change("7", made.id, url=f"{URL}/b")
    assert not await webhooks.gone(made)
    assert (await webhooks.get("7", made.id)).status is Status.ACTIVE
