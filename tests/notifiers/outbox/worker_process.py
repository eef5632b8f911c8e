"""A worker as a process of its own, to be killed: `python -m tests.notifiers.outbox.worker_process <settings>`.

The settings are JSON: `url` and `folder` of the database, `port` of the test's provider, and whether there is a `gate`
of the test's. It says `started` when it is.
"""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from hub.database import engine_for
from notifiers.errors import OutcomeUnknown
from notifiers.outbox.deliveries import Deliveries
from notifiers.outbox.delivery import Delivery
from notifiers.outbox.gates import Verdict
from notifiers.outbox.provider import Addressee, Job, Outcome
from notifiers.outbox.worker import Worker
from notifiers.way import Way
from schemas.errors import Unavailable
from tests.notifiers.outbox.people import addressees_of, endpoints_of, token_of


class LoopbackProvider:
    """Asks the test's server, one line each way: `send 7.1`, and it answers `accepted`, or closes."""

    name = "loopback"
    way = Way.SMS
    time_limit_s = 5.0
    resend_unknown = False

    def __init__(self, port: int) -> None:
        self._port = port

    async def send(self, job: Job) -> Outcome:
        try:
            answer = await ask(self._port, f"send {job.token}")
        except ConnectionRefusedError as exc:
            raise Unavailable("loopback", "connection refused") from exc
        except OSError as exc:
            raise OutcomeUnknown("loopback", type(exc).__name__) from exc
        if not answer:
            raise OutcomeUnknown("loopback", "cut off")
        return Outcome(status="accepted", id=answer)

    async def find(self, job: Job, since_ms: int) -> Outcome | None:
        try:
            answer = await ask(self._port, f"find {job.token}")
        except OSError as exc:
            raise Unavailable("loopback", type(exc).__name__) from exc
        if not answer:
            raise Unavailable("loopback", "cut off")
        return None if answer == "no" else Outcome(status="accepted", id=answer)

    async def look(self, delivery: Delivery) -> Outcome | None:
        return None

    async def close(self) -> None:
        return


async def ask(port: int, question: str) -> str:
    """The server's answer; empty where it hung up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"{question}\n".encode())
        return (await reader.readline()).decode().strip()
    finally:
        writer.close()


def worker_of(engine: AsyncEngine, port: int, *, gate: bool = False) -> Worker:
    """A worker whose provider, and gate if it is to have one, listen on that port."""

    async def gated(asked: Sequence[Delivery], _: Mapping[str, Addressee]) -> Mapping[int, Verdict]:
        await ask(port, "gate " + ",".join(str(one.id) for one in asked))
        return {}

    return Worker(
        Deliveries(engine, chance=lambda: 0.0),
        {Way.SMS: [LoopbackProvider(port)]},
        addressees_of=addressees_of,
        endpoints_of=endpoints_of,
        token_of=token_of,
        gates=[gated] if gate else [],
        poll_s=0.05,
        sweep_s=0.05,
    )


async def main(url: str, folder: str, port: int, gate: bool) -> None:
    worker = worker_of(engine_for(url, Path(folder)), port, gate=gate)
    sys.stdout.write("started\n")
    sys.stdout.flush()
    await worker.run()


if __name__ == "__main__":
    asyncio.run(main(**json.loads(sys.argv[1])))
