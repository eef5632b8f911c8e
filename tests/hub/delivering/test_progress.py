"""Owners are told how far deliveries come, in order, by nobody who has to wait for it."""

import asyncio

import pytest
from msgspec.structs import replace
from prometheus_client import generate_latest

from hub.delivering import progress as module
from hub.delivering.progress import Progress
from hub.metrics import Metrics
from notifiers.errors import Refused
from notifiers.outbox.delivery import Delivery, Status
from notifiers.way import Way
from schemas.errors import Unavailable
from tests.notifiers.jobs import delivery_of, facts_of


def at(status: Status, *, way: Way = Way.SMS, reason: str | None = None, number: int = 1) -> Delivery:
    return replace(delivery_of(facts_of(), channel=way), id=number, status=status, reason=reason)


class Ear:
    """Hears what is told; fails as often as it is to."""

    def __init__(self, *failures: Exception) -> None:
        self.told: list[tuple[int, Status, int]] = []
        self.failures = list(failures)
        self.heard = asyncio.Event()

    async def tell(self, delivery: Delivery, at_ms: int) -> None:
        self.heard.set()
        if self.failures:
            raise self.failures.pop(0)
        self.told.append((delivery.id, delivery.status, at_ms))


async def all_told(progress: Progress, ear: Ear, count: int) -> None:
    task = asyncio.create_task(progress.run(), name="progress")
    async with asyncio.timeout(5):
        while len(ear.told) < count:
            ear.heard.clear()
            await ear.heard.wait()
    task.cancel()
    await asyncio.wait([task])


async def test_what_happens_is_told_in_order_with_its_time() -> None:
    ear = Ear()
    progress = Progress(ear.tell, wall=lambda: 5.0)
    progress.note([at(Status.ACCEPTED), at(Status.SENT)])
    progress.note([at(Status.DELIVERED)])
    await all_told(progress, ear, 3)
    assert ear.told == [(1, Status.ACCEPTED, 5000), (1, Status.SENT, 5000), (1, Status.DELIVERED, 5000)]


def test_what_came_to_its_end_is_counted_by_channel() -> None:
    progress, metrics = Progress(Ear().tell), Metrics()
    progress.measure(metrics)
    progress.note([at(Status.DEAD), at(Status.DEAD), at(Status.SENT), at(Status.DELIVERED, way=Way.WEBSOCKET)])
    text = generate_latest(metrics.registry).decode()
    assert 'tickhub_deliveries_ended_total{end="sms:dead"} 2.0' in text
    assert 'tickhub_deliveries_ended_total{end="websocket:delivered"} 1.0' in text
    assert "sms:sent" not in text


async def test_what_lasts_for_moments_and_the_socket_itself_are_not_worth_telling() -> None:
    ear = Ear()
    progress = Progress(ear.tell)
    progress.note([at(Status.CALLING), at(Status.QUEUED), at(Status.DELIVERED, way=Way.WEBSOCKET)])
    progress.note([at(Status.QUEUED, reason="quiet hours")])
    await all_told(progress, ear, 1)
    assert [(status) for _, status, _ in ear.told] == [Status.QUEUED]


@pytest.mark.parametrize("failure", [Unavailable("broker", "away"), Refused("no channel", permanent=True)])
async def test_what_can_not_be_told_holds_up_nothing(failure: Exception) -> None:
    ear = Ear(failure)
    progress = Progress(ear.tell)
    progress.note([at(Status.SENT, number=1), at(Status.SENT, number=2)])
    await all_told(progress, ear, 1)
    assert [number for number, _, _ in ear.told] == [2]


async def test_where_too_much_waits_the_oldest_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    ear = Ear()
    progress = Progress(ear.tell)
    progress.note([at(Status.SENT, number=number) for number in range(1, 6)])
    await all_told(progress, ear, 2)
    assert [number for number, _, _ in ear.told] == [4, 5]
    assert progress.passed_over == 3
