"""A prediction service is asked, checked, given up on and tried again."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from feeds.signals.prediction import MAX_CONCURRENT, Breaker, BreakerState, PredictionService, Question
from feeds.signals.rules import Prediction, SignalType
from tests.feeds.prediction_server import PredictionServer

QUESTION = Question(
    symbol="RELIANCE", market_data={"close": 2500.5}, indicators={"rsi": 31.2, "macd": {"macd": 1.0}}, language="en"
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def server() -> AsyncIterator[PredictionServer]:
    async with PredictionServer() as server:
        yield server


@pytest.fixture
async def service(server: PredictionServer) -> AsyncIterator[PredictionService]:
    async with PredictionService(server.url, timeout_s=5, breaker=Breaker(clock=Clock())) as service:
        yield service


async def test_a_question_is_put_and_answered(server: PredictionServer, service: PredictionService) -> None:
    answer = await service.predict(QUESTION)
    assert answer == Prediction(direction=SignalType.BUY, confidence=0.8, score=0.61)
    assert server.questions == [
        {
            "symbol": "RELIANCE",
            "market_data": {"close": 2500.5},
            "indicators": {"rsi": 31.2, "macd": {"macd": 1.0}},
            "language": "en",
        }
    ]
    assert (service.answered, service.breaker.state) == (1, BreakerState.CLOSED)


async def test_an_address_may_end_in_a_slash(server: PredictionServer) -> None:
    async with PredictionService(server.url + "/") as service:
        assert await service.predict(QUESTION) is not None


@pytest.mark.parametrize(
    "body",
    [
        '{"direction":"BUY","confidence":7,"score":0.5}',
        '{"direction":"BUY","confidence":-0.1,"score":0.5}',
        '{"direction":"MAYBE","confidence":0.7,"score":0.5}',
        '{"direction":"BUY","confidence":NaN,"score":0.5}',
        '{"direction":"BUY","confidence":1e999,"score":0.5}',
        '{"direction":"BUY","confidence":"0.7","score":0.5}',
        '{"direction":"BUY","confidence":true,"score":0.5}',
        '{"direction":"BUY","confidence":null,"score":0.5}',
        '{"direction":"BUY","confidence":0.7,"score":Infinity}',
        '{"direction":"BUY","confidence":0.7}',
        '{"direction":1,"confidence":0.7,"score":0.5}',
        '[{"direction":"BUY","confidence":0.7,"score":0.5}]',
        "<html>hello</html>",
        "",
        "[" * 10_000,
        b"\xff\xfe",
    ],
)
async def test_a_lie_is_no_answer(server: PredictionServer, service: PredictionService, body: str | bytes) -> None:
    server.says(body)
    assert await service.predict(QUESTION) is None
    assert (service.lied, service.answered) == (1, 0)


@pytest.mark.parametrize("status", [204, 302, 307, 400, 404, 500, 503])
async def test_any_status_but_200_is_no_answer(
    server: PredictionServer, service: PredictionService, status: int
) -> None:
    server.says(
        '{"direction":"BUY","confidence":0.7,"score":0.5}', status=status, headers={"Location": server.url + "/predict"}
    )
    assert await service.predict(QUESTION) is None
    assert service.lied == 1
    assert len(server.questions) == 1


async def test_a_packed_answer_is_not_unpacked(server: PredictionServer, service: PredictionService) -> None:
    server.says(b"\x1f\x8b\x08\x00", headers={"Content-Encoding": "gzip"})
    assert await service.predict(QUESTION) is None
    assert service.lied == 1


async def test_a_huge_answer_is_cut_off(server: PredictionServer, service: PredictionService) -> None:
    server.floods()
    assert await service.predict(QUESTION) is None
    assert service.lied == 1


async def test_a_slow_service_is_not_waited_for(server: PredictionServer) -> None:
    server.waits()
    async with PredictionService(server.url, timeout_s=0.05) as service:
        assert await service.predict(QUESTION) is None
        assert service.slow == 1


async def test_a_connection_that_ends_is_no_answer(server: PredictionServer, service: PredictionService) -> None:
    server.hangs_up()
    assert await service.predict(QUESTION) is None
    assert service.away == 1


async def test_a_service_that_is_down_is_left_alone_until_it_has_rested(server: PredictionServer) -> None:
    clock = Clock()
    breaker = Breaker(failures_to_open=3, rest_s=30, clock=clock)
    async with PredictionService(server.url, breaker=breaker) as service:
        await server.close()
        for _ in range(3):
            assert await service.predict(QUESTION) is None
        assert breaker.state is BreakerState.OPEN
        assert await service.predict(QUESTION) is None
        assert (service.away, service.skipped) == (3, 1)
        clock.now += 30
        assert await service.predict(QUESTION) is None  # the one that tries
        assert (service.away, breaker.state) == (4, BreakerState.OPEN)


async def test_a_service_that_is_well_again_is_asked_again(
    server: PredictionServer, service: PredictionService
) -> None:
    clock = Clock()
    service.breaker = Breaker(failures_to_open=1, rest_s=30, clock=clock)
    server.says("no")
    assert await service.predict(QUESTION) is None
    assert service.breaker.state is BreakerState.OPEN
    server.waits()
    clock.now += 31
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        trying = group.create_task(service.predict(QUESTION))
        server.asked.clear()
        await server.asked.wait()
        assert service.breaker.state is BreakerState.HALF_OPEN
        assert await service.predict(QUESTION) is None  # one at a time tries
        assert service.skipped == 1
        server.release.set()
    assert trying.result() is not None
    assert service.breaker.state is BreakerState.CLOSED


async def test_a_question_taken_back_leaves_the_breaker_ready_to_try(
    server: PredictionServer, service: PredictionService
) -> None:
    clock = Clock()
    service.breaker = Breaker(failures_to_open=1, rest_s=30, clock=clock)
    service.breaker.failed()
    clock.now += 30
    server.waits()
    asking = asyncio.create_task(service.predict(QUESTION))
    async with asyncio.timeout(5):
        await server.asked.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    server.predicts("SELL", 0.4)
    assert await service.predict(QUESTION) == Prediction(direction=SignalType.SELL, confidence=0.4, score=0.5)


async def test_only_a_few_questions_are_under_way_at_once(server: PredictionServer, service: PredictionService) -> None:
    server.waits()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        asking = [group.create_task(service.predict(QUESTION)) for _ in range(3 * MAX_CONCURRENT)]
        while len(server.questions) < MAX_CONCURRENT:
            server.asked.clear()
            await server.asked.wait()
        server.release.set()
    assert all(task.result() is not None for task in asking)
    assert server.most_at_once <= MAX_CONCURRENT


def test_a_breaker_forgets_failures_after_a_success() -> None:
    breaker = Breaker(failures_to_open=2)
    breaker.failed()
    breaker.succeeded()
    breaker.failed()
    assert breaker.state is BreakerState.CLOSED
