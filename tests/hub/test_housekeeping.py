import asyncio

from hub.housekeeping import EVERY_S, Housekeeping
from schemas.errors import Unavailable


async def test_everything_is_purged_each_hour_whatever_fails() -> None:
    done: list[str] = []
    slept: list[float] = []
    enough = asyncio.Event()

    async def away() -> None:
        done.append("away")
        raise Unavailable("database", "gone")

    async def good() -> int:
        done.append("good")
        return 3

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            enough.set()
            await asyncio.Event().wait()

    running = asyncio.create_task(Housekeeping(away, good, sleep=sleep).run())
    async with asyncio.timeout(5):
        await enough.wait()
    running.cancel()
    assert done == ["away", "good"] * 2
    assert set(slept) == {EVERY_S}
