"""Promotional SMS wait for their hours, everything else goes."""

from msgspec.structs import replace

from notifiers.outbox.delivery import Kind
from notifiers.outbox.gates import Hold
from notifiers.providers.dlt import Category
from notifiers.providers.promotional_hours import REASON, PromotionalHours
from notifiers.way import Way
from tests.notifiers.providers.phone_jobs import NOW_S, phone_job
from tests.notifiers.providers.test_sms_text import registered

LATER_MS = round((NOW_S - 2 + 45 * 60) * 1000)
"""Eleven o'clock in India."""


async def verdicts(category: Category, now_s: float) -> list[object]:
    jobs = [
        phone_job(Way.SMS, language="mr"),
        phone_job(Way.SMS, language="mr", kind=Kind.DIGEST),
        phone_job(Way.VOICE, language="mr"),
    ]
    deliveries = [replace(job.delivery, id=number) for number, job in enumerate(jobs)]
    gate = PromotionalHours(registered(category), wall=lambda: now_s)
    said = await gate(deliveries, {"u1": jobs[0].addressee})
    return [said.get(number) for number in range(3)]


async def test_promotion_waits_and_its_life_begins_then() -> None:
    assert await verdicts(Category.PROMOTIONAL, NOW_S - 2) == [Hold(LATER_MS, REASON, keeps=True), None, None]


async def test_in_its_hours_it_goes() -> None:
    assert await verdicts(Category.PROMOTIONAL, LATER_MS / 1000) == [None, None, None]


async def test_what_is_no_promotion_never_waits() -> None:
    assert await verdicts(Category.SERVICE, NOW_S - 2) == [None, None, None]


async def test_whoever_is_unknown_is_told_in_english() -> None:
    job = phone_job(Way.SMS)
    gate = PromotionalHours(registered(Category.PROMOTIONAL), wall=lambda: NOW_S)
    assert await gate([job.delivery], {}) == {}
