"""What has fired, and why; acknowledged, and tried out."""

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from notifiers.alerts.alert import Alert
from notifiers.alerts.history import History
from notifiers.alerts.shards import Shards
from notifiers.alerts.store import Alerts
from notifiers.alerts.triggers import Batch, Triggers
from notifiers.conditions.options import Escalation, Frequency, Options
from notifiers.outbox.deliveries import Deliveries
from notifiers.way import Way
from schemas.errors import CommandError, ErrorCode
from schemas.tables import deliveries
from tests.notifiers.alerts.stored import NOW_MS, draft, firing, now_s


@pytest.fixture
def history(engine: AsyncEngine) -> History:
    return History(engine, wall=now_s)


@pytest.fixture
async def fired(engine: AsyncEngine) -> Alert:
    """An alert that has fired twice, and been suppressed once."""
    options = Options(frequency=Frequency.EVERY, escalation=(Escalation(channel=Way.SMS, after_s=60),))
    made = await Alerts(engine, wall=now_s).create(draft(options=options), limit=1)
    held, _ = await Shards(engine, owner="a").turn()
    tenure = next(one for one in held if one.shard == made.shard)
    all_of_it = [
        firing(made.id, 1, ended=False),
        firing(made.id, 1, suppressed="cooldown", ended=False),
        firing(made.id, 2, ended=False),
    ]
    await Triggers(engine, wall=now_s).commit(Batch([(one, NOW_MS + 2) for one in all_of_it]), tenure)
    return made


async def test_the_history_explains_each_firing(history: History, fired: Alert, engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(update(deliveries).where(deliveries.c.id == 1).values(sent_at_ms=NOW_MS + 9))

    page, total = await history.of(fired.id, "7")

    assert (total, [(one.kind, one.number, one.reason) for one in page]) == (
        3,
        [("fired", 2, None), ("suppressed", 1, "cooldown"), ("fired", 1, None)],
    )
    first = page[-1]
    assert (first.received_at_ms, first.evaluated_at_ms, first.provider_at_ms) == (NOW_MS + 1, NOW_MS + 2, NOW_MS + 9)
    assert (first.facts.previous, first.facts.current, first.facts.level, first.facts.gap) == (2499, 2501, 2500, True)
    assert await history.of(fired.id, "8") == ([], 0)
    only, total = await history.of(fired.id, "7", kind="fired", page=2, limit=1)
    assert ([one.number for one in only], total) == ([1], 2)


async def test_who_acknowledges_is_not_called_any_more(history: History, fired: Alert, engine: AsyncEngine) -> None:
    page, _ = await history.of(fired.id, "7", kind="fired")

    outbox = Deliveries(engine)
    assert await outbox.acknowledge(page[0].id, "voice")
    assert not await outbox.acknowledge(page[0].id, "api")

    async with engine.connect() as connection:
        rows = deliveries.c
        later = select(rows.trigger_id, rows.status).where(rows.channel == "sms").order_by(rows.trigger_id)
        assert list(await connection.execute(later)) == [(page[1].id, "queued"), (page[0].id, "cancelled")]
    page, _ = await history.of(fired.id, "7", kind="fired")
    assert page[0].acknowledged_at_ms is not None
    assert page[0].acknowledged_by == "voice"


async def test_nobody_acknowledges_what_is_anothers(history: History, fired: Alert, engine: AsyncEngine) -> None:
    page, _ = await history.of(fired.id, "7")
    with pytest.raises(CommandError) as refused:
        await Deliveries(engine).acknowledge(page[0].id, "api", user="8")
    assert refused.value.code is ErrorCode.NOT_FOUND


async def test_a_test_is_sent_by_all_channels_and_each_time_anew(
    history: History, fired: Alert, engine: AsyncEngine
) -> None:
    first, second = await history.test(fired, price=2400.5), await history.test(fired)

    page, _ = await history.of(fired.id, "7", kind="test")
    assert [(one.id, one.number, one.facts.price) for one in page] == [(second, 2, None), (first, 1, 2400.5)]
    async with engine.connect() as connection:
        told = select(deliveries.c.channel, deliveries.c.trigger_id).where(deliveries.c.kind == "test").order_by("id")
        assert list(await connection.execute(told)) == [
            ("websocket", first),
            ("email", first),
            ("websocket", second),
            ("email", second),
        ]
