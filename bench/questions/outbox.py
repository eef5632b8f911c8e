"""How many deliveries a worker brings to a provider that answers at once: claimed, written down, called, finished."""

import asyncio
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import NamedTuple

import uvloop

from bench.questions.asking import Options, say
from bench.report import Answer
from hub.database import engine_for, migrate
from notifiers.outbox.deliveries import Deliveries
from notifiers.outbox.delivery import Delivery, Kind, NewDelivery, Status
from notifiers.outbox.gates import Verdict
from notifiers.outbox.provider import Addressee, Job, Outcome
from notifiers.outbox.worker import Worker
from notifiers.way import Way
from tests.servers import PostgresServer, ServerError, close_reaper

_DELIVERIES = 20_000
_BATCH = 1_000
_AT_A_TIME = 512
_LEAST_A_SECOND = 3_000
_CONTENT = '{"kind":"alert","symbol":"RELIANCE","condition":"price crosses above 2500","price":2500.5,"at_ms":0}'


class _Run(NamedTuple):
    added_a_second: float
    finished_a_second: float
    cores: float
    us_each: float
    calls: int


def deliveries(options: Options) -> Answer:
    """Deliveries claimed and finished with a provider that answers at once."""
    answer = Answer(
        "deliveries",
        f"{_DELIVERIES:,} deliveries, one worker, a provider that answers at once",
        ("database", "asked for/s", "finished/s", "cores", "µs/delivery"),
    )
    with ExitStack() as stack:
        _measure(answer, "SQLite", "", options)
        try:
            server = stack.enter_context(PostgresServer())
            stack.callback(close_reaper)
        except ServerError as exc:
            answer.notes.append(f"PostgreSQL left out: {exc}")
            return answer
        reached = _measure(answer, "PostgreSQL", server.url, options)
        answer.target(
            f"≥ {_LEAST_A_SECOND:,} a second on PostgreSQL: {reached:,.0f}", reached=reached >= _LEAST_A_SECOND
        )
    answer.notes.append(
        "claimed, passed by a gate, the attempt committed before the call, its result committed after it"
    )
    answer.notes.append(f"up to {_AT_A_TIME} calls at a time share their transactions")
    answer.notes.append(
        "cores and µs are the worker's, without PostgreSQL's, which runs without fsync; SQLite runs with it"
    )
    return answer


def _measure(answer: Answer, title: str, url: str, options: Options) -> float:
    runs = []
    for _ in range(options.runs):
        say(f"{_DELIVERIES:,} deliveries on {title}")
        runs.append(uvloop.run(_run(url)))
    finished = median(run.finished_a_second for run in runs)
    answer.rows.append(
        (
            title,
            round(median(run.added_a_second for run in runs)),
            round(finished),
            median(run.cores for run in runs),
            median(run.us_each for run in runs),
        )
    )
    answer.samples += [{"database": title} | run._asdict() for run in runs]
    return finished


async def _run(url: str) -> _Run:
    with tempfile.TemporaryDirectory() as folder:
        engine = engine_for(url, Path(folder))
        await migrate(engine)
        finished = _Finished()
        store = Deliveries(engine, on_progress=finished)
        provider = _AtOnce()
        worker = Worker(
            store,
            {Way.EMAIL: [provider]},
            addressees_of=_addressees_of,
            endpoints_of=_endpoints_of,
            token_of=lambda delivery_id, attempt: f"{delivery_id}.{attempt}",
            gates=[_gate],
            concurrency={Way.EMAIL: _AT_A_TIME},
        )
        began_s = time.monotonic()
        for start in range(0, _DELIVERIES, _BATCH):
            await store.add([_new(f"{began_s}-{start + number}") for number in range(_BATCH)])
        added_s = time.monotonic()
        used_s = time.process_time()
        running = asyncio.create_task(worker.run(), name="worker")
        await finished.all.wait()
        ended_s, cpu_s = time.monotonic(), time.process_time() - used_s
        await worker.drain(10)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await engine.dispose()
    return _Run(
        added_a_second=_DELIVERIES / (added_s - began_s),
        finished_a_second=_DELIVERIES / (ended_s - added_s),
        cores=cpu_s / (ended_s - added_s),
        us_each=cpu_s / _DELIVERIES * 1e6,
        calls=provider.calls,
    )


class _Finished:
    """Counts what has arrived."""

    def __init__(self) -> None:
        self.all = asyncio.Event()
        self._count = 0

    def __call__(self, changed: Sequence[Delivery]) -> None:
        self._count += sum(one.status is Status.DELIVERED for one in changed)
        if self._count >= _DELIVERIES:
            self.all.set()


class _AtOnce:
    name = "at once"
    way = Way.EMAIL
    time_limit_s = 5.0
    resend_unknown = False

    def __init__(self) -> None:
        self.calls = 0

    async def send(self, job: Job) -> Outcome:
        self.calls += 1
        return Outcome(status="delivered", id=job.token)

    async def find(self, job: Job, since_ms: int) -> Outcome | None:
        return None

    async def look(self, delivery: Delivery) -> Outcome | None:
        return None

    async def close(self) -> None:
        return


def _new(key: str) -> NewDelivery:
    return NewDelivery(
        key=key, user="u1", kind=Kind.ALERT, channel=Way.EMAIL, content=_CONTENT, lives_ms=3_600_000, alert_id=1
    )


async def _addressees_of(users: Collection[str]) -> Mapping[str, Addressee]:
    return {user: Addressee(user=user, email="a@example.com") for user in users}


async def _endpoints_of(_: Way, __: str) -> Sequence[str]:
    return []


async def _gate(_: Sequence[Delivery], __: Mapping[str, Addressee]) -> Mapping[int, Verdict]:
    return {}
